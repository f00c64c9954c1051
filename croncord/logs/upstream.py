"""One connection to another node for all readers on this one that follow the same output.

A reader first takes what it lacks by a call of its own, at its own speed, then listens to the stream that
all share. That stream waits for nobody: its newest part is in memory, and who takes it so slowly that
it is not there any more is cut off, and may come back and catch up by itself.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from croncord.errors import CronCordError, Unreachable
from croncord.logs.reading import closing
from croncord.ports import LogKey, Peers

KEPT_BYTES: Final = 1024 * 1024
"""Of each output that is followed; so far may a reader be behind."""
_CATCH_UPS: Final = 5

_Place = tuple[str, LogKey]


class Upstream:
    """The outputs of other nodes that somebody on this one follows."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._shared: dict[_Place, _Shared] = {}

    async def follow(self, address: str, key: LogKey, offset: int) -> AsyncIterator[bytes]:
        """Yield framed bytes of a node's copy from `offset` on until it is sealed.

        Raises NotFound, Unreachable: also when the reader was too slow.
        """
        for _ in range(_CATCH_UPS):
            shared = self._running(address, key)
            if shared is None or offset < shared.start:
                past = self._peers.log_stream(address, key, offset=offset, follow=False)
                async with closing(past) as pieces:
                    async for data in pieces:
                        offset += len(data)
                        yield data
                shared = self._running(address, key) or self._begin(address, key, offset)
            if offset >= shared.start:
                async with closing(self._listen((address, key), shared, offset)) as pieces:
                    async for data in pieces:
                        yield data
                return
        raise Unreachable(f"the output of run {key.run_id} grows faster than it is read")

    def _running(self, address: str, key: LogKey) -> "_Shared | None":
        shared = self._shared.get((address, key))
        return None if shared is None or shared.has_ended else shared

    def _begin(self, address: str, key: LogKey, offset: int) -> "_Shared":
        stream = self._peers.log_stream(address, key, offset=offset, follow=True)
        shared = self._shared[address, key] = _Shared(stream, offset)
        return shared

    async def _listen(self, place: _Place, shared: "_Shared", offset: int) -> AsyncIterator[bytes]:
        shared.readers += 1
        try:
            async for data in shared.read_from(offset):
                yield data
        finally:
            shared.readers -= 1
            if not shared.readers:
                if self._shared.get(place) is shared:
                    del self._shared[place]
                await shared.stop()


class _Shared:
    """A stream that is read once and listened to by many."""

    def __init__(self, stream: AsyncIterator[bytes], offset: int) -> None:
        self.start = self.end = offset
        """What is in memory."""
        self.readers = 0
        self.has_ended = False
        self._pieces: deque[bytes] = deque()
        self._failure = "the stream broke off"
        """Why it ended; empty when all of it was read."""
        self._changed = asyncio.Event()
        self._pump = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncIterator[bytes]) -> None:
        try:
            async with closing(stream) as pieces:
                async for data in pieces:
                    self._pieces.append(data)
                    self.end += len(data)
                    while self.end - self.start > KEPT_BYTES and len(self._pieces) > 1:
                        self.start += len(self._pieces.popleft())
                    self._announce()
            self._failure = ""
        except CronCordError as error:
            self._failure = error.message  # each reader is told
        finally:
            self.has_ended = True
            self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def read_from(self, offset: int) -> AsyncIterator[bytes]:
        """Yield bytes as they come; raises what the stream raised, Unreachable for a slow reader."""
        while True:
            if offset < self.start:
                raise Unreachable("the reader is too slow")
            data = self._from(offset)
            if data:
                offset += len(data)
                yield data
            elif self.has_ended:
                if self._failure:
                    raise Unreachable(self._failure)
                return
            else:
                await self._changed.wait()

    def _from(self, offset: int) -> bytes:
        """Return the piece that holds `offset`, from there on."""
        end = self.end
        for piece in reversed(self._pieces):
            begin = end - len(piece)
            if begin <= offset < end:
                return piece[offset - begin :]
            end = begin
        return b""

    async def stop(self) -> None:
        """Stop reading."""
        self._pump.cancel()
        await asyncio.wait([self._pump])
