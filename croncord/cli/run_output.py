"""The output of a run as it comes, byte for byte, through lost connections and dead nodes.

It is read as events because their ids say where to go on: the next node that answers continues
after the last byte that was seen.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from croncord.cli.client import PATIENCE_SECONDS, Client
from croncord.cli.problem import error_of
from croncord.cli.sse import Event, read_events
from croncord.cli.waiting import OUTAGE_SECONDS
from croncord.cli.wire import Query, path_of
from croncord.errors import CronCordError, NoLeader, NotReady, Unreachable

_QUIET_SECONDS = 45
"""A node says something every 15 seconds; one that is silent for three times that is gone."""
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Piece:
    """Some output: bytes of one stream, or a remark of the system about what was left out."""

    stream: str
    data: bytes


@dataclass
class Position:
    """How far an output was read; kept over lost connections."""

    last_id: str = ""
    cut_short: bool = False
    """Whether it began and has no end, because what ran it was lost."""


async def read_output(
    client: Client,
    run_id: str,
    position: Position,
    *,
    attempt: int,
    stream: str | None = None,
    tail: int | None = None,
    follow: bool = False,
) -> AsyncGenerator[Piece, None]:
    """Yield the output of one attempt after `position`, moving that along.

    With `follow` until the attempt has ended, outlasting a minute in which no node answers.
    Raises Unreachable after that, and what else the nodes report.
    """
    query = {
        "attempt": attempt,
        "stream": stream,
        "tail": tail,
        "follow": "true" if follow else None,
    }
    patience = _Patience()
    while True:
        try:
            async with aclosing(_events(client, run_id, query, position, patience)) as events:
                async for event in events:
                    patience.renew()
                    if event.id:
                        position.last_id = event.id
                    if event.kind == "end":
                        end = msgspec.json.decode(event.data)
                        position.cut_short = follow and end["offset"] > 0 and not end["complete"]
                        return
                    yield _piece(event)
            failure: CronCordError = Unreachable("the node ended the connection")
        except (Unreachable, NoLeader, NotReady) as e:
            failure = e
        patience.spend(failure)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _events(
    client: Client, run_id: str, query: Query, position: Position, patience: "_Patience"
) -> AsyncGenerator[Event, None]:
    headers = {"Accept": "text/event-stream"}
    if position.last_id:
        headers["Last-Event-ID"] = position.last_id
    path = path_of("runs", run_id, "log")
    opened = client.stream(path, query, headers=headers, quiet_seconds=_QUIET_SECONDS)
    async with opened as body, aclosing(read_events(body)) as events:
        patience.connected()
        async for event in events:
            if event.kind == "problem":
                problem = msgspec.json.decode(event.data)
                raise error_of(problem["status"], event.data.encode(), path)
            yield event


def _piece(event: Event) -> Piece:
    told: dict[str, Any] = msgspec.json.decode(event.data)
    if "base64" in told:
        return Piece(told["stream"], base64.b64decode(told["base64"]))
    return Piece(told["stream"], told["text"].encode())


class _Patience:
    """How long failures are borne: a minute once there was a connection, little before."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._connected = False

    def connected(self) -> None:
        """Note that a node answered."""
        self._connected = True

    def renew(self) -> None:
        """Note that something arrived: the outage is over."""
        self._since = None

    def spend(self, failure: CronCordError) -> None:
        """Note a failure; raises it when it has lasted too long."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        patience: float = OUTAGE_SECONDS
        if not self._connected:
            patience = 0 if isinstance(failure, Unreachable) else PATIENCE_SECONDS
        if now - self._since >= patience:
            raise failure
