"""Output of runs, written here and read from anywhere: the port `RunLogs`."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from croncord.errors import CronCordError, FieldError, Invalid, NotFound, StoreError, Unreachable
from croncord.logs.blocks import DAMAGED_HINT
from croncord.logs.local import LocalLogs
from croncord.logs.prefix import framed_prefix_sha256
from croncord.logs.reading import ChunkDecoder, closing, local_frames, local_tail_offset
from croncord.logs.search import LocalSearch
from croncord.logs.upstream import Upstream
from croncord.model import LogInfo, milliseconds
from croncord.ports import LogChunk, LogKey, LogStatus, Peers, SearchAnswer, SearchOrder

_Source = Callable[[int], AsyncIterator[bytes]]


def _nowhere(_node: str) -> str | None:
    return None


class LogStore:
    """Implements `croncord.ports.RunLogs`."""

    def __init__(
        self,
        local: LocalLogs,
        *,
        node: str = "",
        peers: Peers | None = None,
        address_of: Callable[[str], str | None] = _nowhere,
    ) -> None:
        """Take the local store, this node's name, and how to reach others by name."""
        self.local = local
        self._node = node
        self._peers = peers
        self._address_of = address_of
        self._search = LocalSearch(local)
        self._upstream = None if peers is None else Upstream(peers)

    @classmethod
    async def start(
        cls,
        root: Path,
        *,
        node: str = "",
        peers: Peers | None = None,
        address_of: Callable[[str], str | None] = _nowhere,
        disk_bytes: int = 0,
    ) -> "LogStore":
        """Open the directory and recover what a crash left; see `LocalLogs.open`."""
        local = await LocalLogs.open(root, disk_bytes=disk_bytes)
        return cls(local, node=node, peers=peers, address_of=address_of)

    async def stop(self) -> None:
        """Make everything durable and let go of the disk."""
        await self.local.close()

    async def open(self, key: LogKey, *, started_at: datetime) -> int:
        """Begin or continue an output written on this node; returns where its writer goes on."""
        return await self.local.begin(key, started_ms=milliseconds(started_at), is_own=True)

    async def append(self, key: LogKey, offset: int, frames: bytes) -> int:
        """Add framed bytes at that offset; see `LocalLogs.append`. A full disk is not an error."""
        return await self.local.append(key, offset, frames, may_drop=True)

    async def close(self, key: LogKey) -> LogInfo:
        """Seal; see `LocalLogs.seal`."""
        return await self.local.seal(key)

    def status(self, key: LogKey) -> LogStatus | None:
        """Return what this node holds, None when nothing. `complete` means sealed."""
        try:
            return self.local.status(key)
        except Invalid:
            return None

    def statuses(self, keys: Sequence[LogKey]) -> list[LogStatus | None]:
        """Return what this node holds of many outputs; of most perhaps nothing."""
        unknown = set(self.local.unknown(keys))
        return [None if key in unknown else self.status(key) for key in keys]

    async def search(self, order: SearchOrder) -> SearchAnswer:
        """Search this node's copies; see `croncord.logs.search`."""
        return await self._search.search(order)

    async def check(self, key: LogKey) -> LogStatus | None:
        """Read all of this node's copy through and return what is held, None when not sound."""
        await self.local.check(key)
        return self.status(key)

    async def fence(self, key: LogKey) -> LogStatus:
        """Take nothing more from the node that writes it; see `LocalLogs.fence`."""
        return await self.local.fence(key)

    async def prefix_sha256(self, key: LogKey, size: int) -> str:
        """Return the digest of the first framed bytes of this node's copy, empty if it is shorter."""
        return await framed_prefix_sha256(self.local, key, size)

    async def whole(self, keys: Sequence[LogKey]) -> list[bytes | None]:
        """Return small sealed outputs, framed; None for what is long, not sealed or not held."""
        return await self.local.whole(keys)

    def damaged(self, key: LogKey) -> bool:
        """Whether this node holds the output and found it damaged."""
        try:
            return self.local.is_damaged(key)
        except Invalid:
            return False

    async def delete(self, keys: Sequence[LogKey]) -> None:
        """Forget these outputs on this node."""
        await self.local.delete(keys)

    async def frames(
        self, key: LogKey, *, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[bytes]:
        """Yield framed bytes of this node's copy; see `croncord.logs.reading.local_frames`."""
        stream = local_frames(self.local, key, offset=offset, follow=follow)
        async with closing(stream) as pieces:
            async for data in pieces:
                yield data

    async def read(
        self,
        key: LogKey,
        *,
        holders: Sequence[str] = (),
        offset: int = 0,
        stream: Literal["stdout", "stderr"] | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """Yield chunks from this node's copy or the first holder that answers.

        A source that breaks off is followed by the next one at the same place; when all are tried
        without a byte more, what this node has is what there is. When that is damaged, what is
        sound of it is given with a `system` chunk in place of each gap, and StoreError at the end.
        Raises NotFound when nobody has it, Unreachable when the holders do not answer, StoreError
        when the only copy is damaged, Invalid when `offset` is not where a chunk ended.
        """
        if offset < 0:
            raise Invalid([FieldError("offset", "must not be negative")])
        decoder = ChunkDecoder(offset, stream)
        failure: CronCordError = NotFound(f"nobody has the output of run {key.run_id}")
        is_moving = True
        while is_moving:
            before = decoder.offset
            for source in self._sources(key, holders, follow=follow):
                try:
                    async with closing(source(decoder.offset)) as pieces:
                        async for data in pieces:
                            for chunk in decoder.feed(data):
                                yield chunk
                except (NotFound, Unreachable, StoreError) as error:
                    decoder.drop_partial()
                    failure = _weightier(failure, error)
                else:
                    return
            is_moving = decoder.offset > before
        async for chunk in self._rest_of_prefix(key, decoder, failure):
            yield chunk

    async def _rest_of_prefix(
        self, key: LogKey, decoder: ChunkDecoder, failure: CronCordError
    ) -> AsyncIterator[LogChunk]:
        if self.damaged(key):
            async for chunk in self._sound_parts(key, decoder):
                yield chunk
            if isinstance(failure, StoreError):
                raise failure
            raise StoreError(f"the output of run {key.run_id} is damaged", hint=DAMAGED_HINT)
        if self.status(key) is None:
            raise failure
        async with closing(self.frames(key, offset=decoder.offset)) as pieces:
            async for data in pieces:
                for chunk in decoder.feed(data):
                    yield chunk

    async def _sound_parts(self, key: LogKey, decoder: ChunkDecoder) -> AsyncIterator[LogChunk]:
        """Yield what can be read of a damaged output, and say where something is missing."""
        while True:
            try:
                async with closing(self.frames(key, offset=decoder.offset)) as pieces:
                    async for data in pieces:
                        for chunk in decoder.feed(data):
                            yield chunk
            except (StoreError, NotFound):
                at = decoder.offset
                decoder.drop_partial()
                following = await self.local.sound_from(key, at + 1)
                yield _gap(at, following)
                if following is None:
                    return
                decoder.offset = following
            else:
                return

    def _sources(self, key: LogKey, holders: Sequence[str], *, follow: bool) -> Iterator[_Source]:
        if self._is_current(key) and not self.damaged(key):
            yield lambda offset: self.frames(key, offset=offset, follow=follow)
        for peers, address in self._reachable(holders):
            yield self._remote(peers, address, key, follow=follow)

    def _remote(self, peers: Peers, address: str, key: LogKey, *, follow: bool) -> _Source:
        if follow and self._upstream is not None:
            upstream = self._upstream
            return lambda offset: upstream.follow(address, key, offset)
        return lambda offset: peers.log_stream(address, key, offset=offset, follow=False)

    def _is_current(self, key: LogKey) -> bool:
        """Whether this node's copy is whole, or growing here."""
        try:
            live = self.local.live(key)
            if live is not None:
                return not (live.resting or live.behind)
            row = self.local.row(key)
        except Invalid:
            return False
        return row is not None and row.sealed

    def _reachable(self, holders: Sequence[str]) -> Iterator[tuple[Peers, str]]:
        for name in holders:
            address = self._address_of(name) if name != self._node else None
            if self._peers is not None and address is not None:
                yield self._peers, address

    async def tail_offset(self, key: LogKey, lines: int, *, holders: Sequence[str] = ()) -> int:
        """Return the framed offset from which at least so many last lines follow, or 0.

        Asks the holders in turn when this node's copy is not current. Raises as `read` does.
        """
        failure: CronCordError = NotFound(f"nobody has the output of run {key.run_id}")
        if not self._is_current(key) or self.damaged(key):
            for peers, address in self._reachable(holders):
                try:
                    return await peers.log_tail_offset(address, key, lines)
                except (NotFound, Unreachable, StoreError) as error:
                    failure = _weightier(failure, error)
            if self.status(key) is None:
                raise failure
        return await local_tail_offset(self.local, key, lines)


def _weightier(failure: CronCordError, error: CronCordError) -> CronCordError:
    """Return which of two failures to tell: damage, then silence, then that nothing is there."""
    if isinstance(failure, StoreError) or isinstance(error, NotFound):
        return failure
    return error


def _gap(start: int, end: int | None) -> LogChunk:
    size = "the rest" if end is None else f"about {end - start} bytes"
    said = f"[{size} of the output cannot be read: every copy is damaged here]\n"
    return LogChunk("system", said.encode(), start, end or start, 0)
