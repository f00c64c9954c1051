"""`croncord job why`: what became of a tick, in sentences."""

import argparse
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import say, say_json
from croncord.cli.parser import Verbs, add_verb
from croncord.cli.wire import path_of


def add_verb_why(verbs: Verbs[Any]) -> None:
    """Add `why`."""
    why = add_verb(
        verbs,
        "why",
        connected(tell_why),
        "tell what became of a tick, and what keeps a job from running",
        example=(
            "croncord job why backup\n"
            "croncord job why backup --at 2026-11-24T02:30:00Z\n"
            "croncord job why backup --at 2026-03-29T02:30   # on the clock of the job's zone"
        ),
    )
    why.add_argument("job", metavar="NAME")
    why.add_argument(
        "--at", default="", metavar="TIME", help="a time; without zone in the job's. Default: now"
    )


async def tell_why(client: Client, args: argparse.Namespace) -> None:
    """Print the answer: the tick's story when a time was asked for, then now and next."""
    told = await client.get(path_of("jobs", args.job, "why"), {"at": args.at})
    if args.json:
        say_json(told)
        return
    say(words.printable(told["summary"]))
    for heading, sentences in (("How it came", told["sentences"]), ("Now", told["now"])):
        say()
        say(f"{heading}:")
        for sentence in sentences:
            say(f"  {_line(sentence)}")
    say()
    say(f"Next: {words.printable(told['next']['text'])}")


def _line(sentence: dict[str, Any]) -> str:
    at = sentence["at"]
    clock = f"{at[:10]} {at[11:23]}" if at else " " * 23
    notes = [sentence["node"]] if sentence["node"] else []
    notes += [f"term {sentence['term']}"] if sentence["term"] else []
    notes += [f"rule: {sentence['rule']}"] if sentence["rule"] else []
    text = words.printable(sentence["text"])
    return f"{clock}  {text}" + (f"  [{words.printable(', '.join(notes))}]" if notes else "")
