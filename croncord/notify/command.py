"""Giving a notice to a program of this machine: only those that the node's own settings name.

Whoever may change the cluster's settings can choose among them, and can name no other. The program
gets the notice as JSON on its standard input; exit status 0 says that it took it.
"""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from typing import Any, Final

from croncord.notify.undelivered import Undelivered

TIMEOUT_SECONDS: Final = 30.0
_LAST_WORDS_SECONDS: Final = 1.0
_READ_BYTES: Final = 4096
_SHOWN_CHARACTERS: Final = 200


async def run_command(
    allowed: Mapping[str, str], name: str, body: dict[str, Any], *, node: str
) -> None:
    """Run the program and feed it. Raises Undelivered."""
    path = allowed.get(name)
    if path is None:
        message = f"{node} allows no command named {name}: start it with --notify-command"
        raise Undelivered(message, reached=False)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "CRONCORD_EVENT": body["event"],
        "CRONCORD_DELIVERY_ID": body["id"],
        "CRONCORD_JOB": body["job"]["name"] if body["job"] else "",
        "CRONCORD_RUN_ID": body["run"]["id"] if body["run"] else "",
    }
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Undelivered(f"{name} cannot be started: {error.strerror}", reached=False) from None
    tail = bytearray()
    listening = asyncio.create_task(_listen(process, tail))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await _feed(process, json.dumps(body).encode())
            status = await process.wait()
            # A child that it left behind may hold the other end open.
            await asyncio.wait({listening}, timeout=_LAST_WORDS_SECONDS)
    except TimeoutError:
        message = f"{name} did not end within {TIMEOUT_SECONDS:.0f} s"
        raise Undelivered(message, reached=True) from None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if status != 0:
        words = " ".join(tail.decode(errors="replace").split())[-_SHOWN_CHARACTERS:]
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise Undelivered(f"{name}: {how}" + (f": {words}" if words else ""), reached=True)


async def _feed(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may not want to know
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _listen(process: Process, tail: bytearray) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(_READ_BYTES):
        tail += data
        del tail[:-_READ_BYTES]
