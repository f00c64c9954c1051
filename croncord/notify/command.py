"""Giving a notice to a program of this machine: only those that the node's own settings name.

Whoever may change the cluster's settings can choose among them, and can name no other. The program
gets the notice as JSON on its standard input; exit status 0 says that it took it.
"""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import Any, Final

from croncord.notify.undelivered import Undelivered

TIMEOUT_SECONDS: Final = 30.0
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
    # Files, not pipes: a child that the program leaves behind may keep them open as long as it likes.
    with TemporaryFile() as given, TemporaryFile() as said:
        given.write(json.dumps(body).encode())
        given.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                stdin=given,
                stdout=DEVNULL,
                stderr=said,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            message = f"{name} cannot be started: {error.strerror}"
            raise Undelivered(message, reached=False) from None
        status = await _end_of(process, name)
        said.seek(max(0, said.seek(0, os.SEEK_END) - _READ_BYTES))
        tail = said.read(_READ_BYTES)
    if status != 0:
        words = " ".join(tail.decode(errors="replace").split())[-_SHOWN_CHARACTERS:]
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise Undelivered(f"{name}: {how}" + (f": {words}" if words else ""), reached=True)


async def _end_of(process: Process, name: str) -> int:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await process.wait()
    except TimeoutError:
        message = f"{name} did not end within {TIMEOUT_SECONDS:.0f} s"
        raise Undelivered(message, reached=True) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
