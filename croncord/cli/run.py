"""`croncord run`: what was launched, what came of it, its output, and ending it."""

import argparse
from datetime import UTC, datetime
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import (
    Column,
    note,
    paint,
    say,
    say_facts,
    say_json,
    say_table,
    state_colour,
)
from croncord.cli.parser import Nouns, add_noun, add_verb, at_least_one, duration, instant
from croncord.cli.run_log import add_verb_log
from croncord.cli.run_search import add_verb_search
from croncord.cli.waiting import wait_until_ended
from croncord.cli.wire import path_of
from croncord.lifecycle import Reason, RunState, Trigger

_SHOWN = 30


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `run` and its verbs."""
    verbs = add_noun(nouns, "run", "show and end runs, read their output")
    listing = add_verb(
        verbs,
        "list",
        connected(list_runs),
        "list runs, the newest first",
        example="croncord run list --job backup --state failed --since 2026-11-01",
    )
    listing.add_argument("--job", metavar="NAME", help="only runs of this job")
    add_run_filters(listing)
    show = add_verb(
        verbs,
        "show",
        connected(show_run),
        "show one run",
        example="croncord run show 06kh1v7qbs8n2g5m9k3d0r4c",
    )
    show.add_argument("run", metavar="RUN")
    kill = add_verb(
        verbs,
        "kill",
        connected(kill_run),
        "end a run with everything it started",
        example="croncord run kill 06kh1v7qbs8n2g5m9k3d0r4c --grace 30 --wait",
    )
    kill.add_argument("run", metavar="RUN")
    kill.add_argument(
        "--grace",
        metavar="SECONDS",
        type=duration,
        help="time between TERM and KILL; default: what the job says",
    )
    kill.add_argument("--wait", action="store_true", help="return when the run has ended")
    add_verb_log(verbs)
    add_verb_search(verbs)


def add_run_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among runs."""
    parser.add_argument("--state", choices=[s.value for s in RunState], metavar="STATE")
    parser.add_argument("--reason", choices=[r.value for r in Reason], metavar="REASON")
    parser.add_argument("--node", metavar="NAME")
    parser.add_argument("--trigger", choices=[t.value for t in Trigger], metavar="TRIGGER")
    parser.add_argument("--since", type=instant, metavar="TIME", help="nominal time from here on")
    parser.add_argument("--until", type=instant, metavar="TIME", help="nominal time before this")
    parser.add_argument(
        "--limit",
        type=at_least_one,
        default=_SHOWN,
        metavar="N",
        help=f"how many; default {_SHOWN}",
    )


async def list_runs(client: Client, args: argparse.Namespace) -> None:
    """Print the runs that match."""
    say_runs(await find_runs(client, args), as_json=args.json)


async def find_runs(client: Client, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the runs that match the options."""
    names = ("job", "state", "reason", "node", "trigger", "since", "until")
    query = {name: getattr(args, name) for name in names}
    return await client.items(path_of("runs"), query, at_most=args.limit)


def say_runs(runs: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print runs as a table, or as JSON."""
    if as_json:
        say_json(runs)
        return
    now = datetime.now(UTC)
    columns = [
        Column("RUN", lambda r: r["id"]),
        Column("JOB", lambda r: words.cell(r["job"])),
        Column("STATE", lambda r: r["state"], colour=state_colour),
        Column("REASON", lambda r: words.cell(r.get("reason"))),
        Column("DUE", lambda r: words.relative(r["nominal_time"], now)),
        Column("NODE", lambda r: words.cell(r.get("node"))),
        Column("EXIT", exit_words, align="right"),
        Column("TOOK", lambda r: words.took(r.get("duration_ms")), align="right"),
    ]
    say_table(columns, runs, "No runs match.")


def exit_words(run: dict[str, Any]) -> str:
    """Return how the process ended: its exit status, or the signal that ended it."""
    if run.get("signal"):
        return f"signal {run['signal']}"
    code = run.get("exit_code")
    return "-" if code is None else str(code)


async def show_run(client: Client, args: argparse.Namespace) -> None:
    """Print one run."""
    run = await client.get(path_of("runs", args.run))
    if args.json:
        say_json(run)
        return
    say(summary(run))
    say_facts(_facts(run, datetime.now(UTC)))
    if run.get("excerpt"):
        say("last output:")
        for line in str(run["excerpt"]).splitlines():
            say(f"  {words.printable(line)}")


def summary(run: dict[str, Any]) -> str:
    """Return one sentence about a run."""
    state = str(run["state"])
    sentence = f"{words.cell(run['job'])} {paint(state.replace('_', ' '), state_colour(state))}"
    if run.get("reason"):
        sentence += f" ({str(run['reason']).replace('_', ' ')})"
    if run.get("node"):
        sentence += f" on {words.cell(run['node'])}"
    if run.get("duration_ms") is not None:
        sentence += f" after {words.took(run['duration_ms'])}"
    if state == RunState.FAILED and exit_words(run) != "-":
        ended = exit_words(run)
        sentence += f", {ended}" if ended.startswith("signal") else f", exit status {ended}"
    return sentence + "."


_RECOVERED = {
    "quorum": "its node was lost; this is all that a majority of its keepers had on disk",
    "partial": "its node was lost; this is what could be found, some may be missing",
}


def _facts(run: dict[str, Any], now: datetime) -> list[tuple[str, str]]:
    log = run.get("log") or {}
    cut = log.get("truncated_bytes") or 0
    told = run.get("messages") or {}
    output = f"{words.size(log.get('bytes', 0))} in {words.plural(log.get('lines', 0), 'line')}"
    return [
        ("run", run["id"]),
        ("job version", words.cell(run.get("job_version"))),
        ("detail", words.cell(run.get("detail"))),
        ("waits for", words.cell(run.get("waits_for"))),
        ("due", words.absolute(run["nominal_time"], now)),
        ("trigger", words.cell(run.get("trigger"))),
        ("asked by", words.cell(run.get("by"))),
        ("attempt", words.cell(run.get("attempt"))),
        ("started", words.absolute(run.get("started_at"), now)),
        ("late by", words.took(run.get("lateness_ms"))),
        ("finished", words.absolute(run.get("finished_at"), now)),
        ("exit", exit_words(run)),
        ("CPU time", _seconds(run.get("cpu_seconds"))),
        ("memory peak", words.size(run.get("max_rss_bytes"))),
        ("output", output + (f"; {words.size(cut)} left out" if cut else "")),
        ("progress", words.cell(told.get("progress"))),
        ("metrics", words.cell(told.get("metrics"))),
        ("notices", words.cell(told.get("notices"))),
        ("passed on", words.cell(told.get("outputs"))),
        ("recovered", _RECOVERED.get(log.get("recovered") or "", "-")),
        ("kept on", words.cell(log.get("copies"))),
        ("kill", _kill_words(run.get("kill"), now)),
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _kill_words(kill: dict[str, Any] | None, now: datetime) -> str:
    if not kill:
        return "-"
    text = f"asked for by {words.cell(kill.get('by'))} {words.relative(kill['requested_at'], now)}"
    if kill.get("survivors"):
        return f"{text}; still alive: process {words.cell(kill['survivors'])}"
    if kill.get("confirmed_at"):
        return f"{text}; nothing of it is left"
    return f"{text}; pending: the node has not confirmed it yet"


async def kill_run(client: Client, args: argparse.Namespace) -> int:
    """Ask for the end of a run; with --wait return when it has ended."""
    body = {} if args.grace is None else {"grace_seconds": args.grace}
    run = await client.post(path_of("runs", args.run, "kill"), body, repeatable=True)
    if args.wait:
        run = await wait_until_ended(client, run["id"])
    survivors = (run.get("kill") or {}).get("survivors")
    if args.json:
        say_json(run)
    elif args.wait:
        say(summary(run))
    else:
        say(f"Asked for the end of run {run['id']} of {words.cell(run['job'])}.")
    if survivors:
        note(f"Still alive: process {words.cell(survivors)}.")
        return 1
    return 0
