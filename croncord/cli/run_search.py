"""`croncord run search`: lines in the output of many runs."""

import argparse
from typing import Any

from croncord.cli import words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.output import note, say, say_json
from croncord.cli.parser import Verbs, add_verb, at_least_one, instant
from croncord.cli.wire import path_of

_SHOWN = 100
_PAGE = 1000


def add_verb_search(verbs: Verbs[Any]) -> None:
    """Add `search`."""
    search = add_verb(
        verbs,
        "search",
        connected(search_output),
        "find lines in the output of runs, the newest run first",
        example=(
            "croncord run search 'No space left' --since 2026-11-01\n"
            "croncord run search --regex 'rows=[0-9]{6,}' --job import"
        ),
    )
    search.add_argument("pattern", metavar="PATTERN")
    search.add_argument("--regex", action="store_true", help="PATTERN is a regular expression")
    search.add_argument("--job", metavar="NAME", help="only runs of this job")
    search.add_argument("--run", metavar="RUN", help="only this run")
    search.add_argument("--node", metavar="NAME", help="only what ran there")
    search.add_argument("--stream", choices=("stdout", "stderr"), help="default: both")
    search.add_argument("--since", type=instant, metavar="TIME", help="nominal time from here on")
    search.add_argument("--until", type=instant, metavar="TIME", help="nominal time before this")
    search.add_argument(
        "--limit",
        type=at_least_one,
        default=_SHOWN,
        metavar="N",
        help=f"how many lines; default {_SHOWN}",
    )


async def search_output(client: Client, args: argparse.Namespace) -> int:
    """Print matching lines; the exit status is 1 when there is none, as grep has it."""
    names = ("job", "run", "node", "stream", "since", "until")
    query = {
        **{name: getattr(args, name) for name in names},
        "q": args.pattern,
        "regex": "true" if args.regex else None,
    }
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        limit = min(_PAGE, args.limit - len(items))
        page = await client.get(
            path_of("logs", "search"), {**query, "limit": limit, "cursor": cursor or None}
        )
        items += page["items"]
        if not args.json:
            _show(page["items"])
        cursor = page["next_cursor"] or ""
        if not cursor or len(items) >= args.limit:
            break
    if args.json:
        say_json({**page, "items": items})
    _remark(page)
    return 0 if items else 1


def _show(hits: list[dict[str, Any]]) -> None:
    for hit in hits:
        say(f"{hit['run']} {words.cell(hit['job'])}:{hit['line']}: {words.printable(hit['text'])}")


def _remark(page: dict[str, Any]) -> None:
    if page["next_cursor"]:
        note("note: there is more; raise --limit to see it")
    if page["nodes_not_answering"]:
        note(f"note: no answer from {', '.join(page['nodes_not_answering'])}")
    if page["runs_not_searched"]:
        note(f"note: the output of {page['runs_not_searched']} runs could not be searched")
