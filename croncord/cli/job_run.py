"""`croncord job run`: start a job now, and stay with it if asked."""

import argparse
import uuid
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say, say_json
from croncord.cli.parser import Verbs, add_verb, pair
from croncord.cli.run import summary
from croncord.cli.run_log import follow_run
from croncord.cli.waiting import succeeded, wait_until_ended
from croncord.cli.wire import path_of


def add_verb_run(verbs: Verbs[Any]) -> None:
    """Add `run`."""
    run = add_verb(
        verbs,
        "run",
        connected(run_job),
        "run a job now",
        example=(
            "croncord job run backup --wait\n"
            "croncord job run report --env MONTH=2026-10 --node node-2 --follow"
        ),
    )
    run.add_argument("job", metavar="NAME")
    run.add_argument(
        "--wait", action="store_true", help="until it has ended; exit status 1 if it failed"
    )
    run.add_argument("--follow", action="store_true", help="like --wait, and print its output")
    run.add_argument(
        "--env",
        action="append",
        default=[],
        type=pair,
        metavar="KEY=VALUE",
        help="a variable for this run only; repeatable",
    )
    run.add_argument(
        "--no-dependents", action="store_true", help="start no job that runs after this one"
    )
    run.add_argument("--node", default="", metavar="NAME", help="where; default: the job's rule")


async def run_job(client: Client, args: argparse.Namespace) -> int:
    """Start a run; returns 1 when it was waited for and did not succeed."""
    body: dict[str, Any] = {"environment": dict(args.env), "idempotency_key": uuid.uuid4().hex}
    if args.node:
        body["node"] = args.node
    if args.no_dependents:
        body["fire_dependents"] = False
    run = await client.post(path_of("jobs", args.job, "run"), body, repeatable=True)
    if not args.wait and not args.follow:
        if args.json:
            say_json(run)
        else:
            say(f"Started run {run['id']} of {words.cell(run['job'])}.")
        return 0
    if args.follow:
        note(f"Run {run['id']} of {words.cell(run['job'])}:")
        await follow_run(client, run)
    run = await wait_until_ended(client, run["id"])
    if args.json and not args.follow:
        say_json(run)
    elif args.follow:
        note(summary(run))
    else:
        say(summary(run))
    return 0 if succeeded(run) else 1
