"""The outputs that this node holds: written by its own runs, or copied from other nodes.

This is the writing half: begin, append, seal, delete. The reading half is in `croncord.logs.held`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from croncord.errors import Conflict, NotFound, StoreError
from croncord.logs.blocks import DAMAGED_HINT, DamagedError
from croncord.logs.budget import Budget
from croncord.logs.chunks import Position
from croncord.logs.disk import INLINE_BYTES_MAX, Batch, Disk, unpack_inline
from croncord.logs.held import HeldLogs
from croncord.logs.keys import LogRow, day_of, day_start, pack, unpack
from croncord.logs.live import LiveLog
from croncord.logs.live_logs import TAIL_AGE_SECONDS, LiveLogs
from croncord.logs.recovery import recover, try_to_recover
from croncord.logs.start_check import check_before_open, mark_closed, mark_open
from croncord.logs.stored import replay
from croncord.logs.tally import Tally, is_same_output
from croncord.logs.writer import RETRY_SECONDS, GroupWriter
from croncord.model import LogInfo
from croncord.ports import LogKey, LogStatus

ROOM_BYTES: Final = 32 * 1024 * 1024
"""So much may wait for the disk. Beyond it feeders wait, or drop when the disk refuses."""
SEAL_PATIENCE_SECONDS: Final = 10.0
"""A seal is answered after that long even when the disk still refuses."""

DELETED_AT_ONCE: Final = 200
"""So many outputs are deleted in one commit, which takes about a millisecond."""

_ROOM_POLL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class LocalLogs(HeldLogs):
    """Outputs on this node's disk, the newest bytes in memory. Called on the event loop."""

    def __init__(
        self,
        disk: Disk,
        *,
        is_recovered: bool,
        room_bytes: int,
        retry_seconds: float,
        disk_bytes: int,
    ) -> None:
        super().__init__(disk, LiveLogs(disk.next_sequence(), asyncio.get_running_loop().time))
        self._room_bytes = room_bytes
        self.budget = Budget(disk, disk_bytes)
        self._told_shortage = ""
        self._is_recovered = is_recovered
        self._floor = disk.floor()
        self.closing = False
        self._beginning = asyncio.Lock()
        self._writer = GroupWriter(
            "logs-write",
            collect=self._live.collect,
            commit=self._commit,
            settle=lambda _: self._live.settle(),
            relieve=self._relief,
            retry_seconds=retry_seconds,
        )
        self._housekeeping = asyncio.create_task(self._keep_house(), name="logs-housekeeping")

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(TAIL_AGE_SECONDS)
            self._writer.kick()
            await self.in_thread(self._disk.free_dead_readers)
            if self.failure is None:
                await self.in_thread(self._disk.reserve.take)

    @classmethod
    async def open(
        cls,
        root: Path,
        *,
        room_bytes: int = ROOM_BYTES,
        retry_seconds: float = RETRY_SECONDS,
        disk_bytes: int = 0,
    ) -> "LocalLogs":
        """Open the directory and recover what a crash left. Raises StoreError.

        `disk_bytes` is the room for output on disk; 0 for half of the file system.
        What cannot be recovered because the disk is full is tried again before anything is
        written.
        """

        def prepare() -> tuple[Disk, bool]:
            check_before_open(root)
            disk = Disk(root)
            try:
                return disk, try_to_recover(disk)
            except BaseException:
                disk.close()
                raise

        disk, is_recovered = await asyncio.to_thread(prepare)
        mark_open(root)
        return cls(
            disk,
            is_recovered=is_recovered,
            room_bytes=room_bytes,
            retry_seconds=retry_seconds,
            disk_bytes=disk_bytes,
        )

    def _commit(self, batch: Batch) -> None:
        """Write a batch, in the writer's thread; the journal of an earlier life comes first."""
        if not self._is_recovered:
            recover(self._disk)
            self._is_recovered = True
        self._disk.write(batch)

    def _relief(self) -> Callable[[], None] | None:
        batch = self._live.relief()
        if batch is None:
            return None

        def delete() -> None:
            try:
                self._disk.make_room(batch)
            except StoreError:
                if not self._disk.reserve.give_up():
                    raise
                self._disk.make_room(batch)

        return delete

    async def close(self) -> None:
        """Make everything durable and close. What is being written goes on after the next open."""
        self.closing = True
        self._live.announce()
        self._housekeeping.cancel()
        await asyncio.wait([self._housekeeping])
        await self._writer.close()
        self._readers.shutdown()
        self._disk.close()
        if self.failure is None:
            mark_closed(self._disk.root)

    @property
    def failure(self) -> StoreError | None:
        """Why the disk refuses writes at present."""
        return self._writer.failure

    async def begin(
        self,
        key: LogKey,
        *,
        started_ms: int = 0,
        behind: bool = False,
        is_own: bool = False,
        repairs: bool = False,
    ) -> int:
        """Begin an output or continue one; returns where its feeder goes on.

        `behind` says that other nodes have more of it than this one, `is_own` that a process of
        this node writes it. What turns out to be damaged is thrown away: the feeder goes on at 0.
        Raises Conflict when it is fenced, unless it `repairs` what was agreed, and StoreError while
        what an earlier life left of it cannot be recovered because the disk is full.
        """
        raw_key = pack(key)
        async with self._beginning:
            live = self._live.get(raw_key)
            if live is None:
                row = self._row(raw_key)
                if row is not None and row.sealed:
                    return row.source_end
                if row is not None and row.fenced and not (is_own or repairs):
                    raise _fenced(key)
                if row is not None and not self._is_recovered:
                    raise self.failure or StoreError("the disk is full", hint="Free some room.")
                is_new = row is None
                # Blocks without a row are what is left when the index was lost.
                if row is not None or self._has_blocks(raw_key):
                    live = await self._continued(raw_key, row or self._live.new_row(started_ms))
                if live is None:
                    is_new = True
                    live = LiveLog(raw_key, self._live.new_row(started_ms), Position(), Tally())
                self._live.add(live, is_new=is_new)
                self._damage.mended(raw_key)  # what is there was read through just now
            if live.row.fenced and not (is_own or repairs):
                raise _fenced(key)
            live.is_fenced = False
            live.resting, live.behind, live.is_own = False, behind, is_own
        self._writer.kick()
        return live.taken

    def _has_blocks(self, raw_key: bytes) -> bool:
        try:
            return self._disk.has_blocks(raw_key)
        except DamagedError:  # told when they are read through
            return True

    async def _continued(self, raw_key: bytes, row: LogRow) -> LiveLog | None:
        try:
            held, tally = await self.in_thread(lambda: replay(self._disk, raw_key))
        except DamagedError:
            _log.exception("the output %s is damaged and begins anew", unpack(raw_key))
            self._live.delete(raw_key)
            self._damage.mended(raw_key)
            return None
        return LiveLog(raw_key, row, held, tally)

    async def append(self, key: LogKey, source: int, data: bytes, *, may_drop: bool) -> int:
        """Add bytes that stand at `source` in the feeder's count; returns where it goes on.

        While the disk cannot keep up it waits. While the disk refuses and memory is used up, and
        while this node has no room for more output, it drops and counts, or raises StoreError
        without `may_drop`. Raises Conflict when bytes before these are missing or the output is
        sealed, NotFound when it was not begun.
        """
        while self._live.unwritten_bytes > self._room_bytes and self.failure is None:
            self._writer.kick()
            await asyncio.sleep(_ROOM_POLL_SECONDS)
        live = self._live.get(pack(key))
        if live is None:
            return self._append_to_sealed(key, source, data)
        shortage = self._shortage()
        if shortage and not may_drop:
            hint = "Free some room on this disk, or give output more with --output-bytes."
            raise self.failure or StoreError(f"no room for copies: {shortage}", hint=hint)
        self._live.feed(live, source, data, drop=shortage)
        self._writer.kick()
        return live.taken

    def _shortage(self) -> str:
        """Return why nothing more can be kept, empty when it can."""
        shortage = self.budget.shortage()
        if self.failure is not None and self._live.unwritten_bytes > self._room_bytes:
            shortage = f"the disk refuses it: {self.failure}"
        if shortage and not self._told_shortage:
            _log.error("output is dropped: %s", shortage)
        elif self._told_shortage and not shortage:
            _log.warning("output is kept again")
        self._told_shortage = shortage
        return shortage

    @property
    def dropped_bytes(self) -> int:
        """How much output was dropped since the start because there was no room for it."""
        return self._live.dropped_bytes

    def _append_to_sealed(self, key: LogKey, source: int, data: bytes) -> int:
        row = self.row(key)
        if row is None or not row.sealed:
            raise NotFound(f"output {key} is not open", hint="Open it first.")
        if source + len(data) > row.source_end:
            raise Conflict(f"output {key} is sealed", hint="Nothing can be added to it.")
        return row.source_end

    async def seal(self, key: LogKey) -> LogInfo:
        """Nothing more will come. Returns the final counts and digest once all is on disk.

        When the disk refuses for `SEAL_PATIENCE_SECONDS`, returns without waiting longer; the
        bytes stay in memory and are tried again. Raises NotFound when the output was never begun.
        """
        raw_key = pack(key)
        live = self._live.get(raw_key)
        if live is None:
            row = self._row(raw_key)
            if row is None:
                raise NotFound(f"there is no output {key}", hint="Open it first.")
            if row.sealed:
                return row.info
            await self.begin(key)
            return await self.seal(key)
        if not live.finished:
            self._live.finish(live)
        info = live.tally.final()
        await self._flush_patiently(f"output {key}")
        return info

    async def take_whole(self, taken: Mapping[LogKey, tuple[bytes, LogInfo]]) -> set[LogKey]:
        """Hold whole small outputs, each given with its agreed digest; returns those that are held.

        Left out is what does not have that digest, what does not fit a row, and what this node
        holds something of: such copies are made one by one.
        """
        async with self._beginning:
            held = {
                key
                for key in self.unknown(taken)
                if not self._shortage() and self._add_whole(pack(key), *taken[key])
            }
        if held:
            await self._flush_patiently(f"{len(held)} copies")
        return held

    def _add_whole(self, raw_key: bytes, data: bytes, agreed: LogInfo) -> bool:
        if len(data) > INLINE_BYTES_MAX:
            return False
        live = LiveLog(raw_key, self._live.new_row(started_ms=0), Position(), Tally())
        live.feed(0, data)
        if live.end != len(data) or not is_same_output(live.tally.final(), agreed):
            return False
        self._live.add_whole(live)
        return True

    async def _flush_patiently(self, what: str) -> None:
        try:
            async with asyncio.timeout(SEAL_PATIENCE_SECONDS):
                await self._writer.flush()
        except (TimeoutError, StoreError):
            _log.error("%s: complete but not on disk yet: %s", what, self.failure)

    def keep_up(self, key: LogKey) -> None:
        """Count this copy as current: it receives what its source has as it comes."""
        live = self._live.get(pack(key))
        if live is not None:
            live.behind = False

    def rest(self, key: LogKey) -> None:
        """Nobody feeds it at present: keep what is there, and tell its followers."""
        live = self._live.get(pack(key))
        if live is not None and not live.finished:
            live.resting = True
            self._writer.kick()

    async def fence(self, key: LogKey) -> LogStatus:
        """Take nothing more from its writer; returns what is held and its digest, all durable.

        What is not held is begun, so that it is fenced as well. Raises Conflict when a process of
        this node writes it, StoreError when what is held is damaged or the disk refuses.
        """
        raw_key = pack(key)
        if raw_key in self._damage:
            raise DamagedError(f"this node's output {key} is damaged", hint=DAMAGED_HINT)
        row = self._row(raw_key)
        if self._live.get(raw_key) is None and row is not None and row.sealed:
            return LogStatus(
                size=row.size, complete=True, info=row.info, durable_bytes=row.info.bytes
            )
        live = self._live.get(raw_key)
        if live is not None and live.is_own:
            raise Conflict(f"a process of this node writes output {key}")
        if live is None:
            await self.begin(key, behind=True, repairs=True)
            live = self._live.get(raw_key)
        if live is None:
            raise StoreError(f"the output {key} was deleted meanwhile")
        self._live.fence(live)
        live.resting = True
        live.announce()
        size, info = live.end, live.tally.final()
        try:
            async with asyncio.timeout(SEAL_PATIENCE_SECONDS):
                await self._writer.flush()
        except TimeoutError:
            raise self.failure or StoreError("the disk is too slow") from None
        return LogStatus(size=size, complete=False, info=info, durable_bytes=info.bytes)

    async def reopen(self, key: LogKey) -> None:
        """Let a sealed output be continued: more of it was agreed. What is held stays."""
        raw_key = pack(key)
        row = self._row(raw_key)
        if self._live.get(raw_key) is not None or row is None or not row.sealed:
            return
        data = unpack_inline(row)
        if not data:
            self._live.cut_back(raw_key, row, row.size)
            await self.flush()
            return
        live = LiveLog(raw_key, self._live.new_row(row.started_ms), Position(), Tally())
        live.behind = live.resting = True
        self._live.add(live, is_new=True)
        self._live.feed(live, 0, data)
        await self.flush()

    async def flush(self) -> None:
        """Return when everything so far is on disk."""
        await self._writer.flush()

    async def delete(self, keys: Sequence[LogKey]) -> None:
        """Forget outputs; returns when that is on disk."""
        await self._delete(keys, with_day=False)

    async def _delete(self, keys: Sequence[LogKey], *, with_day: bool) -> None:
        for key in keys:
            raw_key = pack(key)
            self._live.delete(raw_key, with_day=with_day)
            self._damage.mended(raw_key)
        await self._writer.flush_relief()

    async def drop_day(self, name: str) -> int:
        """Forget a whole day, in small bites, and give its room back; returns the outputs in it."""
        first, count = day_start(name), 0
        while True:
            bite = await self.in_thread(lambda: self._disk.outputs(first, DELETED_AT_ONCE))
            keys = [raw_key for raw_key, _ in bite if day_of(raw_key) == name]
            if not keys:
                break
            await self._delete([unpack(raw_key) for raw_key in keys], with_day=True)
            count += len(keys)
        await self.in_thread(lambda: self._disk.days.drop(name))
        return count

    def give_up_before(self, first: bytes) -> None:
        """Hold nothing that stands before this key any more: there is no room. Survives a restart."""
        self._floor = max(self._floor, first)
        self._live.note_floor(self._floor)
        self._writer.kick()

    def is_given_up(self, key: LogKey) -> bool:
        """Whether there was no room for it on this node."""
        return pack(key) < self._floor

    async def cut_back(self, key: LogKey) -> None:
        """Keep of a damaged output what stands before the damage, to be continued from there."""
        raw_key = pack(key)
        row = self._row(raw_key)
        if self._live.get(raw_key) is None and row is not None and row.sealed:
            size = 0 if row.inline else row.size
            sound = await self.in_thread(lambda: self._disk.first_damage(raw_key, size))
            _log.info("output %s is sound up to %d of %d bytes", key, sound, row.size)
            self._live.cut_back(raw_key, row, sound)
            await self.flush()
        self._damage.mended(raw_key)


def _fenced(key: LogKey) -> Conflict:
    return Conflict(f"output {key} is fenced: the node that writes it was declared lost")
