"""Waiting for the end of a run, through restarts of nodes and elections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from croncord.cli.client import Client
from croncord.cli.wire import path_of
from croncord.lifecycle import OPEN_STATES, RunState

OUTAGE_SECONDS = 60
"""How long a wait goes on while no node answers."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0


async def watch(client: Client, run_id: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the run at growing intervals, for ever."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield await client.get(path_of("runs", run_id), outlast_seconds=OUTAGE_SECONDS)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


async def wait_until_ended(client: Client, run_id: str) -> dict[str, Any]:
    """Return the run once nothing more will happen to it."""
    async with aclosing(watch(client, run_id)) as states:
        async for run in states:
            if has_ended(run):
                return run
    raise AssertionError("watch never ends")


async def wait_for_attempt_after(client: Client, run_id: str, attempt: int) -> int | None:
    """Return the number of the next attempt once there is one, None when there will be none."""
    async with aclosing(watch(client, run_id)) as states:
        async for run in states:
            if run["attempt"] > attempt:
                return attempt + 1
            if has_ended(run):
                return None
    raise AssertionError("watch never ends")


def has_ended(run: dict[str, Any]) -> bool:
    """Whether the run is in a final state."""
    return run["state"] not in {state.value for state in OPEN_STATES}


def succeeded(run: dict[str, Any]) -> bool:
    """Whether the run did what was asked."""
    return bool(run["state"] == RunState.SUCCEEDED)
