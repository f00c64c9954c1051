"""Keeps a zygote alive and has it fork shims."""

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from croncord.node.refusal import StartRefused
from croncord.node.zygote import MESSAGE_BYTES

log = logging.getLogger(__name__)

Meta = dict[str, Any]
"""What a shim says about itself, see `croncord.node.rundir`."""

_TRIES: Final = 3
"""How often in a row a zygote may die without having forked anything."""
_PAUSE_SECONDS: Final = 1.0
_ZYGOTE = Path(__file__).with_name("zygote.py")


class Forker:
    """The daemon's side of the zygote."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: dict[str, asyncio.Future[Meta | None]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._deaths = 0

    @property
    def pid(self) -> int:
        """The zygote's pid; 0 when there is none."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the zygote."""
        self._spawn()
        self._reader = asyncio.create_task(self._read())

    async def fork(self, directory: Path) -> Meta | None:
        """Return the shim's `meta` when it has started its script, None when the shim is gone.

        Raises StartRefused when there is no shim, and nothing was started.
        """
        name = str(directory)
        ready: asyncio.Future[Meta | None] = asyncio.get_running_loop().create_future()
        self._waiting[name] = ready
        try:
            await self._send(name)
            return await ready
        finally:
            del self._waiting[name]

    async def stop(self) -> None:
        """End the zygote; shims and scripts go on."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._bury()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own program, our own arguments
                [self._python, "-I", "-S", "-X", "utf8", str(_ZYGOTE), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        self._socket = ours

    async def _bury(self) -> None:
        async with self._sending:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
        self._process = None

    async def _send(self, name: str) -> None:
        # A zygote that died meanwhile is replaced by the reader, which sends it again.
        async with self._sending:
            with contextlib.suppress(ConnectionError):
                if self._socket is not None:
                    loop = asyncio.get_running_loop()
                    await loop.sock_sendall(self._socket, name.encode(errors="surrogateescape"))

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = b""
            if self._socket is not None:
                with contextlib.suppress(ConnectionError):
                    data = await loop.sock_recv(self._socket, MESSAGE_BYTES)
            if data:
                self._hear(json.loads(data))
            else:
                await self._replace()

    def _hear(self, message: dict[str, Any]) -> None:
        self._deaths = 0
        ready = self._waiting.get(message["directory"])
        if ready is None or ready.done():
            return
        if message["event"] == "failed":
            ready.set_exception(StartRefused(message["detail"]))
        else:
            ready.set_result(message["meta"])

    async def _replace(self) -> None:
        """Start another zygote; what was asked of the dead one is asked again.

        A shim that was forked for it all the same has taken its directory, so nothing starts twice.
        """
        await self._bury()
        self._deaths += 1
        log.warning("the runner process ended; starting another")
        if self._deaths >= _TRIES:
            for ready in self._waiting.values():
                if not ready.done():
                    ready.set_exception(StartRefused("the process that starts scripts keeps dying"))
            await asyncio.sleep(_PAUSE_SECONDS)
        self._spawn()
        for name, ready in list(self._waiting.items()):
            if not ready.done():
                await self._send(name)
