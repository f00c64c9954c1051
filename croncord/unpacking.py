"""A backup put onto an empty disk: first read through as a whole, then written part by part."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from croncord.audit import AuditEntry
from croncord.backup_format import BackupReader, Frame, Header, OutputPiece, read_backup
from croncord.errors import StoreError
from croncord.logs.audit_log import AuditLog
from croncord.logs.ledger import RunLedger
from croncord.logs.log_store import LogStore
from croncord.model import Run
from croncord.ports import LogKey
from croncord.raft.image import decode_image
from croncord.raft.restoring import Restoring, on_disk_of
from croncord.raft.state import ClusterState
from croncord.standing import RESTORING

PARTS: Final = ("raft", "ledger", "logs", "audit")
"""Directories of a data directory that a restore makes."""
OTHER_TRACES: Final = ("cluster.json", "removed.json", "introduced", "agent.journal", "runs")
_SEALS_AT_ONCE: Final = 200

_rows = msgspec.msgpack.Decoder(list[Run])
_entries = msgspec.msgpack.Decoder(list[AuditEntry])
_piece = msgspec.msgpack.Decoder(OutputPiece)

Tell = Callable[[float, str], None]
"""Shows how much of a pass over the file is done, and what is being done."""


def check_backup(path: Path, tell: Tell) -> tuple[ClusterState, BackupReader]:
    """Read all of a file; returns the state in it and what was counted.

    Raises StoreError, with nothing changed anywhere, when it is damaged, cut short, or holds what
    this version does not know.
    """
    reader = BackupReader(str(path))
    try:
        state, _requests = decode_image(_state_parts(_frames(path, reader, tell, "checking")))
    except ValueError as error:
        version = reader.header.version if reader.header else "another version"
        raise StoreError(
            f"{path} cannot be read by this version: {error}",
            hint=f"CronCord {version} wrote it; restore it with that version or a later one.",
        ) from None
    return state, reader


def _frames(path: Path, reader: BackupReader, tell: Tell, doing: str) -> Iterator[Frame]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size or 1
            for frame in read_backup(file, reader):
                tell(file.tell() / size, doing)
                yield frame
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint="Check the path and the disk.") from None


def _state_parts(frames: Iterable[Frame]) -> Iterator[bytes]:
    """Yield the parts of the state; everything else must be readable too."""
    for frame in frames:
        if frame.kind == "state":
            yield frame.body
        elif frame.kind == "rows":
            _rows.decode(frame.body)
        elif frame.kind == "audit":
            _entries.decode(frame.body)
        elif frame.kind == "output":
            _piece.decode(frame.body)


def used_parts(data_dir: Path) -> list[str]:
    """Return what shows that a node has run on a data directory."""
    return [name for name in (*PARTS, *OTHER_TRACES) if (data_dir / name).exists()]


def clean(data_dir: Path) -> None:
    """Remove what an interrupted restore has made."""
    for name in PARTS:
        shutil.rmtree(data_dir / name, ignore_errors=True)
    (data_dir / RESTORING).unlink(missing_ok=True)


class Unpacking:
    """The stores of a node that does not run yet, while a backup is written into them."""

    def __init__(self, data_dir: Path, name: str, *, output_bytes: int) -> None:
        self._data_dir = data_dir
        self._name = name
        self._output_bytes = output_bytes
        self._sealing: set[asyncio.Task[object]] = set()

    async def open(self) -> None:
        """Make the stores. Raises StoreError."""
        self._logs = await LogStore.start(self._data_dir / "logs", disk_bytes=self._output_bytes)
        self._ledger = await RunLedger.start(self._data_dir / "ledger")
        self._audit = await AuditLog.start(self._data_dir / "audit")

    async def close(self) -> None:
        """Have everything on disk."""
        await self._audit.stop()
        await self._ledger.stop()
        await self._logs.stop()

    # What the transformation of the state asks for: `croncord.raft.restoring.History`

    def row(self, run_id: str) -> Run | None:
        """Return the row of a run that ended."""
        return self._ledger.get(run_id)

    def holds(self, run_id: str, attempt: int) -> bool:
        """Whether the output of an attempt is here as a whole."""
        status = self._logs.status(LogKey(run_id, attempt))
        return status is not None and status.complete

    async def unpack(self, path: Path, tell: Tell) -> None:
        """Write output, rows and audit trail. Raises StoreError."""
        reader = BackupReader(str(path))
        for frame in _frames(path, reader, tell, "writing"):
            if frame.kind == "output":
                await self._take(_piece.decode(frame.body))
            elif frame.kind == "rows":
                await self._sealed()
                await self.keep(
                    [on_disk_of(row, self._name, self.holds) for row in _rows.decode(frame.body)]
                )
            elif frame.kind == "audit":
                self._audit.put(_entries.decode(frame.body))
                await self._audit.flush()
        await self._sealed()

    async def _take(self, piece: OutputPiece) -> None:
        key = LogKey(piece.run_id, piece.attempt)
        local = self._logs.local
        if piece.offset == 0:
            await local.begin(key, started_ms=piece.started_ms)
        if piece.data:
            await local.append(key, piece.offset, piece.data, may_drop=False)
        if piece.is_last:
            self._sealing.add(asyncio.create_task(local.seal(key)))
            if len(self._sealing) >= _SEALS_AT_ONCE:
                await self._sealed()

    async def _sealed(self) -> None:
        """Wait until what was sealed is on the disk: many outputs share one commit."""
        while self._sealing:
            done, self._sealing = self._sealing, set()
            await asyncio.gather(*done)

    async def keep(self, rows: Sequence[Run]) -> None:
        """Write rows."""
        if rows:
            self._ledger.put(rows)
            await self._ledger.flush()

    async def transform(self, restoring: Restoring, header: Header, entry: AuditEntry) -> None:
        """Run the steps of the restore and write what they close, and who restored."""
        waiting: list[Run] = []
        for rows in restoring.steps():
            waiting += rows
            if len(waiting) >= 1000:
                await self.keep(waiting)
                waiting = []
        await self.keep(waiting)
        done = (
            f"backup of {header.node} at entry {header.index}; {restoring.lost} runs lost, "
            f"{restoring.not_launched} not launched, {restoring.ticks} ticks skipped"
        )
        self._audit.put([msgspec.structs.replace(entry, detail=done)])
        await self._audit.flush()
