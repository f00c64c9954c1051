"""Ends what runs on a machine when nobody is to take it up again: the end of a demo."""

import asyncio
from pathlib import Path

from croncord.node import order
from croncord.node.group_home import remove_home
from croncord.node.shim_handle import ShimHandle

_LOOK_SECONDS = 0.05


async def end_runs(runs: Path, *, grace_seconds: int) -> int:
    """End every script under this directory, with its whole tree; returns how many there were.

    Call it after the runner that used the directory has stopped. Returns when their shims are gone.
    """
    handles = await asyncio.to_thread(_living, runs)
    await asyncio.gather(*(_end(handle, grace_seconds) for handle in handles))
    await asyncio.to_thread(remove_home, runs)
    return len(handles)


def _living(runs: Path) -> list[ShimHandle]:
    keyed = ((order.key_of(directory.name), directory) for directory in runs.glob("*"))
    handles = [ShimHandle(key, directory) for key, directory in keyed if key is not None]
    return [handle for handle in handles if handle.process() is not None]


async def _end(handle: ShimHandle, grace_seconds: int) -> None:
    try:
        await handle.kill(grace_seconds)
        while handle.process() is not None:
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        handle.close()
