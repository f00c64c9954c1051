"""What this node holds of outputs, read: in memory while they are written, then on disk."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from croncord.logs.blocks import DAMAGED_HINT, DamagedError
from croncord.logs.chunks import from_frame
from croncord.logs.damage import Damage
from croncord.logs.disk import Disk, unpack_inline
from croncord.logs.keys import LogRow, pack, unpack, unpack_row
from croncord.logs.live import LiveLog
from croncord.logs.live_logs import LiveLogs
from croncord.logs.stored import READ_BYTES, read_blocks
from croncord.model import LogInfo
from croncord.ports import LogKey, LogStatus

_READ_THREADS: Final = 4
_Result = TypeVar("_Result")


class HeldLogs:
    """The reading half of `croncord.logs.local`. Called on the event loop."""

    def __init__(self, disk: Disk, live: LiveLogs) -> None:
        self._disk = disk
        self._live = live
        self._damage = Damage()
        self._readers = ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="logs-read")

    @property
    def disk(self) -> Disk:
        """What is on disk, for those who look after it."""
        return self._disk

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run something that reads the disk, off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    # One output

    def live(self, key: LogKey) -> LiveLog | None:
        """Return an output that is being written here."""
        return self._live.get(pack(key))

    def is_written(self, key: LogKey) -> bool:
        """Whether a process of this node writes it."""
        live = self._live.get(pack(key))
        return live is not None and live.is_own

    @property
    def written(self) -> list[LogKey]:
        """The outputs that processes of this node write."""
        return [unpack(raw_key) for raw_key in self._live.own()]

    def row(self, key: LogKey) -> LogRow | None:
        """Return what is on disk about an output."""
        return self._row(pack(key))

    def _row(self, raw_key: bytes) -> LogRow | None:
        if self._live.is_deleted(raw_key):
            return None
        try:
            return self._disk.row(raw_key)
        except DamagedError:
            self._damage.note(raw_key)
            return None

    def status(self, key: LogKey) -> LogStatus | None:
        """Return what is held of an output, None when nothing or when it is damaged."""
        raw_key = pack(key)
        if raw_key in self._damage:
            return None
        live = self._live.get(raw_key)
        if live is not None:
            growing = live.tally.growing()
            return LogStatus(
                size=live.end, complete=False, info=growing, durable_bytes=live.durable_bytes
            )
        row = self._row(raw_key)
        if row is None:
            return None
        if row.sealed:
            sealed, durable = row.info, row.info.bytes
            return LogStatus(size=row.size, complete=True, info=sealed, durable_bytes=durable)
        try:
            held = self._disk.blocks_end(raw_key)
        except DamagedError:
            self._damage.note(raw_key)
            return None
        info = LogInfo(bytes=held.bytes, lines=held.lines)
        return LogStatus(size=held.offset, complete=False, info=info, durable_bytes=held.bytes)

    def final_info(self, key: LogKey) -> LogInfo:
        """Return what sealing would say if nothing more came."""
        live = self._live.get(pack(key))
        if live is not None:
            return live.tally.final()
        row = self.row(key)
        return LogInfo() if row is None else row.info

    def unsealed(self) -> list[LogKey]:
        """Return the outputs that were begun on this node and not sealed, oldest first."""
        return [unpack(raw_key) for raw_key in self._disk.unsealed()]

    def count_whole(self) -> int:
        """Return how many outputs are held that nothing will be added to."""
        return self._disk.count_sealed()

    async def piece(self, key: LogKey, offset: int) -> bytes:
        """Return whole frames from an offset on, about `READ_BYTES`, nothing at the end.

        Raises Invalid when no frame begins there, StoreError when what is stored is damaged.
        """
        raw_key = pack(key)
        live = self._live.get(raw_key)
        if live is not None and offset >= live.blocks_end.offset:
            return live.read(offset, READ_BYTES)
        try:
            row = self._row(raw_key)
            if row is not None and row.inline:
                data = unpack_inline(row)
                return from_frame(data, offset) if offset < len(data) else b""
            data = await self.in_thread(lambda: read_blocks(self._disk, raw_key, offset))
            if not data and await self._should_be_there(raw_key, offset):
                message = f"the output of run {key.run_id} is damaged: a hole at {offset}"
                raise DamagedError(message, hint=DAMAGED_HINT)  # noqa: TRY301 - noted below as any
        except DamagedError:
            self._damage.note(raw_key)
            raise
        return data

    async def _should_be_there(self, raw_key: bytes, offset: int) -> bool:
        """Whether blocks that were not found ought to be on disk, looked up after the reading."""
        live = self._live.get(raw_key)
        if live is not None:
            return offset < live.blocks_end.offset
        row = self._row(raw_key)
        if row is None:
            return False
        if row.sealed:
            return not row.inline and offset < row.size
        return offset < self._disk.blocks_end(raw_key).offset

    async def blocks_with_lines(self, key: LogKey, lines: int) -> int:
        """Return the offset of the last block from which so many lines follow in blocks, or 0."""
        raw_key = pack(key)
        try:
            return await self.in_thread(lambda: self._disk.block_with_lines(raw_key, lines))
        except DamagedError:
            self._damage.note(raw_key)
            raise

    # Many outputs at once

    def unknown(self, keys: Iterable[LogKey]) -> list[LogKey]:
        """Return those of which nothing is held, not even something damaged."""
        new = [
            key
            for key in keys
            if self._live.get(pack(key)) is None and pack(key) not in self._damage
        ]
        rows = self._disk.packed_rows([pack(key) for key in new])
        return [key for key, row in zip(new, rows, strict=True) if row is None]

    async def whole(self, keys: Sequence[LogKey]) -> list[bytes | None]:
        """Return sealed outputs that are small enough to lie in their rows, None for any other."""
        raw_keys = [pack(key) for key in keys]
        packed = await self.in_thread(lambda: self._disk.packed_rows(raw_keys))
        return [self._inline(*item) for item in zip(raw_keys, packed, strict=True)]

    def _inline(self, raw_key: bytes, packed: bytes | None) -> bytes | None:
        if packed is None or raw_key in self._damage or self._live.is_deleted(raw_key):
            return None
        try:
            return unpack_inline(unpack_row(packed)) or None
        except DamagedError:
            self._damage.note(raw_key)
            return None

    # Damage

    def on_damage(self, listener: Callable[[LogKey], None]) -> None:
        """Call the listener whenever an output turns out to be damaged on this node's disk."""
        self._damage.listen(listener)

    def note_damage(self, key: LogKey) -> None:
        """Stop counting an output as held, because it was found damaged, until it is mended."""
        self._damage.note(pack(key))

    def is_damaged(self, key: LogKey) -> bool:
        """Whether it was found damaged and is not mended yet."""
        return pack(key) in self._damage

    @property
    def damaged(self) -> list[LogKey]:
        """Outputs that were found damaged and are not mended yet."""
        return self._damage.keys

    async def check(self, key: LogKey) -> None:
        """Read a sealed output through; what is damaged is noted."""
        raw_key = pack(key)
        row = self._row(raw_key)
        if row is None or not row.sealed or row.inline or self._live.get(raw_key) is not None:
            return
        if await self.in_thread(lambda: self._disk.first_damage(raw_key, row.size)) < row.size:
            self._damage.note(raw_key)

    async def sound_from(self, key: LogKey, offset: int) -> int | None:
        """Return where the next sound block of a damaged output begins, None when there is none."""
        return await self.in_thread(lambda: self._disk.sound_from(pack(key), offset))
