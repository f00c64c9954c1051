"""`croncord job`: what is to run when.

Some verbs have modules of their own: `job_edit`, `job_run`, `job_apply`.
"""

import argparse
from datetime import UTC, datetime
from typing import Any

from croncord.cli import (
    job_apply,
    job_backfill,
    job_edit,
    job_run,
    job_versions,
    job_why,
    words,
)
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.job_fields import add_field_options, fields_of
from croncord.cli.output import Column, say, say_bytes, say_facts, say_json, say_table, state_colour
from croncord.cli.parser import Nouns, add_noun, add_verb, at_least_one
from croncord.cli.run import add_run_filters, find_runs, say_runs
from croncord.cli.wire import path_of


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `job` and its verbs."""
    verbs = add_noun(nouns, "job", "create, show, change and start jobs")
    listing = add_verb(
        verbs,
        "list",
        connected(list_jobs),
        "list jobs",
        example="croncord job list backup --tag prod\ncroncord job list --state failed --json",
    )
    listing.add_argument(
        "q", nargs="*", metavar="WORD", help="found in name, description, owner, tags or script"
    )
    listing.add_argument("--tag")
    listing.add_argument("--state", help="paused, waiting, running, or the state of the last run")
    listing.add_argument("--node", metavar="NAME", help="only jobs that may run there")
    listing.add_argument(
        "--sort",
        metavar="FIELD",
        help="name, next_run, last_run or updated_at; --sort=-FIELD for the other way round",
    )
    listing.add_argument("--limit", type=at_least_one, metavar="N", help="default: all")
    show = add_verb(
        verbs, "show", connected(show_job), "show one job", example="croncord job show backup"
    )
    show.add_argument("job", metavar="NAME")
    show.add_argument("--script", action="store_true", help="print the script and nothing else")
    create = add_verb(
        verbs,
        "create",
        connected(create_job),
        "create a job",
        example=(
            "croncord job create backup --schedule '30 2 * * *' --tz Europe/Berlin "
            "--script backup.sh\n"
            "echo 'df -h' | croncord job create disk --schedule '@every 10m' --script -"
        ),
    )
    create.add_argument("name", metavar="NAME")
    add_field_options(create, new=True)
    job_edit.add_verb_edit(verbs)
    delete = add_verb(
        verbs,
        "delete",
        connected(delete_job),
        "delete a job; its history stays",
        example="croncord job delete backup --kill",
        prints_data=False,
    )
    delete.add_argument("job", metavar="NAME")
    delete.add_argument("--kill", action="store_true", help="also end what runs of it")
    for name, about in (("pause", "no ticks until it is resumed"), ("resume", "ticks again")):
        verb = add_verb(
            verbs,
            name,
            connected(pause_or_resume),
            f"{name} a job: {about}",
            example=f"croncord job {name} backup",
        )
        verb.add_argument("job", metavar="NAME")
    job_run.add_verb_run(verbs)
    job_why.add_verb_why(verbs)
    job_backfill.add_verb_backfill(verbs)
    job_versions.add_verbs_versions_and_restore(verbs)
    history = add_verb(
        verbs,
        "history",
        connected(show_history),
        "list the runs of a job, the newest first",
        example="croncord job history backup --state failed",
    )
    history.add_argument("job", metavar="NAME")
    add_run_filters(history)
    job_apply.add_verbs_export_and_apply(verbs)


async def list_jobs(client: Client, args: argparse.Namespace) -> None:
    """Print the jobs that match."""
    query = {name: getattr(args, name) for name in ("tag", "state", "node", "sort")}
    query["q"] = " ".join(args.q)
    jobs = await client.items(path_of("jobs"), query, at_most=args.limit)
    if args.json:
        say_json(jobs)
        return
    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda j: words.cell(j["name"])),
        Column("SCHEDULE", lambda j: words.cell(j["schedule"])),
        Column("ZONE", lambda j: words.cell(j["timezone"])),
        Column("STATE", lambda j: words.cell(j["state"]), colour=state_colour),
        Column("NEXT RUN", lambda j: words.relative(j.get("next_run"), now)),
        Column("LAST RUN", lambda j: _last_run(j, now)),
        Column("TAGS", lambda j: words.cell(j.get("tags"))),
    ]
    say_table(columns, jobs, "No jobs match." if any(query.values()) else "There are no jobs yet.")


def _last_run(job: dict[str, Any], now: datetime) -> str:
    run = job.get("last_run")
    if not run:
        return "-"
    when = words.relative(run.get("finished_at") or run["nominal_time"], now)
    return f"{str(run['state']).replace('_', ' ')} {when}"


async def show_job(client: Client, args: argparse.Namespace) -> None:
    """Print one job."""
    job = await client.get(path_of("jobs", args.job))
    if args.json:
        say_json(job)
    elif args.script:
        say_bytes(job["script"].encode())
    else:
        say(_summary(job, datetime.now(UTC)))
        say_facts(_facts(job, datetime.now(UTC)))


def _summary(job: dict[str, Any], now: datetime) -> str:
    name = words.cell(job["name"])
    if job.get("paused"):
        return f"{name} is paused."
    if job.get("running"):
        return f"{name} has {words.plural(job['running'], 'open run')}."
    if job.get("next_run"):
        return f"{name} runs next {words.relative(job['next_run'], now)}."
    return f"{name} runs when it is asked to."


def _facts(job: dict[str, Any], now: datetime) -> list[tuple[str, str]]:
    target, retries = job["target"], job["retries"]
    script = job["script"].encode()
    return [
        ("id", job["id"]),
        ("description", words.cell(job["description"])),
        ("owner", words.cell(job["owner"])),
        ("tags", words.cell(job["tags"])),
        ("schedule", words.cell(job["schedule"])),
        ("zone", f"{job['timezone']}, clock changes: {job['dst']}"),
        ("from", words.absolute(job.get("start_at"), now)),
        ("until", words.absolute(job.get("end_at"), now)),
        ("next run", words.absolute(job.get("next_run"), now)),
        ("last run", _last_run(job, now)),
        ("nodes", _where(target)),
        ("overlap", job["overlap"]),
        (
            "misfire",
            f"{job['misfire']['policy']} within {words.span(job['misfire']['window_seconds'])}",
        ),
        ("delivery", job["delivery"]),
        ("time limit", words.span(job["timeout_seconds"]) if job.get("timeout_seconds") else "-"),
        ("retries", words.cell(retries["count"] or None)),
        ("expected", _expected(job)),
        ("told", _told(job["notify"])),
        ("user", words.cell(job["user"])),
        ("directory", words.cell(job["working_directory"])),
        ("environment", words.cell(job["environment"])),
        ("script", f"{words.size(len(script))}; `croncord job show NAME --script` prints it"),
        ("version", f"{job['version']}, by {words.cell(job['updated_by'])}"),
        ("changed", words.absolute(job["updated_at"], now)),
    ]


def _expected(job: dict[str, Any]) -> str:
    seconds = job["expect_within_seconds"]
    return f"a success every {words.span(seconds)}" if seconds else "-"


def _told(notify: dict[str, Any]) -> str:
    if notify["muted"]:
        return "nobody"
    kinds = words.cell(", ".join(notify["on"])) or "what the cluster's settings say"
    channels = words.cell(", ".join(notify["channels"])) or "the cluster's channels"
    return f"{kinds}; to {channels}"


def _where(target: dict[str, Any]) -> str:
    wanted = [words.cell(target[k]) for k in ("nodes", "labels") if target[k]]
    among = " with ".join(wanted) or "any"
    return f"every one of: {among}" if target["every_node"] else f"{among}, {target['strategy']}"


async def create_job(client: Client, args: argparse.Namespace) -> None:
    """Create a job from the options."""
    fields = {"name": args.name, **fields_of(args)}
    job = await client.post(path_of("jobs"), fields)
    job_edit.say_saved(job, "Created", as_json=args.json)


async def delete_job(client: Client, args: argparse.Namespace) -> None:
    """Delete a job."""
    await client.delete(path_of("jobs", args.job), {"kill": "true" if args.kill else None})
    say(f"Deleted {words.cell(args.job)}.")


async def pause_or_resume(client: Client, args: argparse.Namespace) -> None:
    """Stop or continue a job's ticks."""
    job = await client.post(path_of("jobs", args.job, args.verb), repeatable=True)
    job_edit.say_saved(job, "Paused" if job["paused"] else "Resumed", as_json=args.json)


async def show_history(client: Client, args: argparse.Namespace) -> None:
    """Print the runs of a job; that of a deleted one by its id."""
    runs = await find_runs(client, args)
    if not runs:
        await client.get(path_of("jobs", args.job))
    say_runs(runs, as_json=args.json)
