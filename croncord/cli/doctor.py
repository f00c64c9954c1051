"""`croncord doctor`: looks at everything that usually goes wrong and says what to do."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from typing import Any

from yarl import URL

from croncord.cli.client import Client
from croncord.cli.connection import Connection, find_connection
from croncord.cli.diagnosis import Finding, diagnose
from croncord.cli.output import paint, say, say_json
from croncord.cli.parser import Nouns, add_verb
from croncord.cli.wire import path_of
from croncord.errors import CronCordError

_MARKS = {"ok": ("ok  ", "green"), "warning": ("warn", "yellow"), "bad": ("BAD ", "red")}
_CONNECT_SECONDS = 3


def add_parser(nouns: Nouns[Any]) -> None:
    """Add `doctor`, a command without a verb."""
    add_verb(
        nouns,
        "doctor",
        _examine,
        "check ports, quorum, clocks, versions and disks; exit status 1 when something is bad",
        example="croncord doctor\ncroncord doctor --url http://10.0.0.1:8470,http://10.0.0.2:8470",
    )


def _examine(args: argparse.Namespace) -> int:
    connection = find_connection(args.url, args.token, os.environ)
    findings = asyncio.run(_findings(connection))
    if args.json:
        say_json(findings)
    else:
        _say(findings)
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0


async def _findings(connection: Connection) -> list[Finding]:
    found = [await _door(url) for url in connection.urls]
    if not any(finding.verdict == "ok" for finding in found):
        return found
    async with Client(connection) as client:
        try:
            return found + diagnose(await client.get(path_of("cluster")))
        except CronCordError as error:
            return [*found, Finding("answer", "bad", str(error), error.hint)]


async def _door(url: URL) -> Finding:
    """Try the port itself, so that a closed port and a refused token are told apart."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except TimeoutError:
        return Finding(
            "port",
            "bad",
            f"{url} did not answer within {_CONNECT_SECONDS} s",
            "Look whether the machine runs and a firewall lets the port through.",
        )
    except OSError as error:
        advice = "Start the node there, or name another address with --url."
        return Finding("port", "bad", f"{url}: {error.strerror or error}", advice)
    writer.close()
    return Finding("port", "ok", f"{url} is open")


def _say(findings: Sequence[Finding]) -> None:
    room = max(len(finding.check) for finding in findings)
    for finding in findings:
        mark, colour = _MARKS[finding.verdict]
        say(f"{paint(mark, colour)}  {finding.check:<{room}}  {finding.message}")
        if finding.advice:
            say(f"{'':<{room + 6}}  -> {finding.advice}")
    worst = [f for f in findings if f.verdict != "ok"]
    say()
    say(f"{len(worst)} of {len(findings)} checks want attention." if worst else "All is well.")
