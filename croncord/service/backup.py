"""A backup of the cluster as a stream: the agreed state at one index, by choice history and output.

The tables are copied in one step of the loop, after everything that was agreed before; what follows
is encoded from that copy while the cluster goes on. Rows and output are read afterwards: a run that
ends meanwhile may be in them with its end. A restore takes the row's word then, so nothing in the
file contradicts itself.

Left out of the state: what signs people in without a password (session key, sign-in links) and lets
machines in (join tokens); and which requests were made, by their ids. A restored cluster makes its own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import msgspec

from croncord import __version__
from croncord.audit import AuditEntry, AuditFilter
from croncord.backup_format import BackupWriter, Header, Kind, OutputPiece
from croncord.errors import CronCordError
from croncord.model import Run, Value, milliseconds
from croncord.ports import AuditTrail, Ledger, LogKey, Peers, RunFilter, RunLogs
from croncord.raft.image import encode_image
from croncord.raft.snapshot import StateCopy, copy_state
from croncord.service.agreement import Agreement
from croncord.service.who import Who

ROWS_AT_ONCE = 200
_ENTRIES_PER_FRAME = 500
_FRAME_BYTES = 256 * 1024
_log = logging.getLogger(__name__)


class BackupOrder(Value, frozen=True, kw_only=True):
    """What goes into a backup besides the agreed state."""

    ledger: bool = False
    """The rows of all runs that ended, and the audit trail."""
    output: bool = False
    """What the runs printed; the rows too, without which nobody would find it."""


class BackupService:
    """Takes backups, for admins."""

    def __init__(
        self,
        agreement: Agreement,
        name: str,
        *,
        ledger: Ledger,
        logs: RunLogs,
        audit: AuditTrail | None,
        peers: Peers | None,
    ) -> None:
        self._agreement = agreement
        self._name = name
        self._ledger = ledger
        self._logs = logs
        self._audit = audit
        self._peers = peers

    async def begin(self, who: Who, order: BackupOrder) -> AsyncIterator[bytes]:
        """Copy the state and return the pieces of the file. Raises Forbidden, NoLeader."""
        who.require("admin")
        await self._agreement.replica.barrier()
        state = self._agreement.state
        status = self._agreement.replica.status()
        copy = copy_state(state)
        header = Header(
            version=__version__,
            cluster_id=state.cluster_id,
            index=status.applied_index,
            term=status.term,
            at=self._agreement.now(),
            node=self._name,
            state_digest=state.digest(),
            jobs=len(state.jobs),
            users=len(state.users),
            tokens=len(state.tokens),
            secrets=len(state.secrets),
            calendars=len(state.calendars),
            open_runs=len(state.open_runs),
            nodes=tuple(sorted(state.nodes)),
            key_ids=tuple(sorted({secret.key_id for secret in state.secrets.values()})),
            ledger=order.ledger or order.output,
            output=order.output,
        )
        if header.ledger:
            await self._ledger.flush()
            counts = await self._ledger.days()
            expected = sum(count for count, _ in counts.values())
            header = msgspec.structs.replace(header, rows_expected=expected)
        _log.info("%s takes a backup at entry %d", who.name, header.index)
        return self._pieces(header, _without_keys(copy))

    async def _pieces(self, header: Header, copy: StateCopy) -> AsyncIterator[bytes]:
        writer = BackupWriter()
        yield writer.header(header)
        for body in _joined(encode_image(copy, [])):
            yield await _framed(writer, "state", body, 1)
        if header.output:
            seen = 0
            async for run in self._rows():
                seen += 1
                async for piece in self._outputs_of(run):
                    body = msgspec.msgpack.encode(piece)
                    yield await _framed(writer, "output", body, seen if piece.is_last else 0)
                    seen = 0 if piece.is_last else seen
        if header.ledger:
            async for rows in self._pages():
                yield await _framed(writer, "rows", msgspec.msgpack.encode(rows), len(rows))
            async for entries in self._entries():
                body = msgspec.msgpack.encode(entries)
                yield await _framed(writer, "audit", body, len(entries))
        yield writer.end()

    async def _pages(self) -> AsyncIterator[list[Run]]:
        """Yield the rows in pages, newest first."""
        before = ""
        while rows := self._ledger.page(RunFilter(), limit=ROWS_AT_ONCE, before=before):
            yield rows
            before = rows[-1].id
            await asyncio.sleep(0)

    async def _rows(self) -> AsyncIterator[Run]:
        async for rows in self._pages():
            for row in rows:
                yield row

    async def _entries(self) -> AsyncIterator[list[AuditEntry]]:
        before = ""
        while self._audit is not None:
            entries, before = self._audit.page(
                AuditFilter(), limit=_ENTRIES_PER_FRAME, before=before
            )
            if entries:
                yield entries
            if not before:
                return
            await asyncio.sleep(0)

    async def _outputs_of(self, run: Run) -> AsyncIterator[OutputPiece]:
        """Yield the outputs of all attempts of a run, each in pieces."""
        launched = [
            (attempt.number, attempt.started_at, attempt.replicas)
            for attempt in run.attempts
            if attempt.claimed_at is not None
        ]
        if run.claimed_at is not None:
            launched.append((run.attempt, run.started_at, run.replicas))
        for number, started_at, replicas in launched:
            started_ms = milliseconds(started_at or run.nominal_time)
            begin = OutputPiece(
                run_id=run.id, attempt=number, offset=0, started_ms=started_ms, data=b""
            )
            async for piece in self._output(begin, replicas):
                yield piece

    async def _output(
        self, begin: OutputPiece, replicas: tuple[str, ...]
    ) -> AsyncIterator[OutputPiece]:
        """Yield one output, its last piece marked as such.

        A source that breaks off is followed by the next one from the beginning: who reads the pieces
        has some bytes twice then. When no source has it to its end, the last piece is missing.
        """
        key = LogKey(begin.run_id, begin.attempt)
        async for source in self._sources(key, replicas):
            offset = 0
            try:
                async for data in _larger(source):
                    yield msgspec.structs.replace(begin, offset=offset, data=data)
                    offset += len(data)
            except CronCordError as error:
                _log.warning("output of run %s for the backup: %s", key.run_id, error.message)
            else:
                yield msgspec.structs.replace(begin, offset=offset, is_last=True)
                return

    async def _sources(
        self, key: LogKey, replicas: tuple[str, ...]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield where the output can be read: whole copies first, this node's before others'."""
        own = self._logs.status(key)
        if own is not None and own.complete:
            yield self._logs.frames(key)
        nodes = self._agreement.state.nodes
        for name in replicas:
            node = nodes.get(name)
            if self._peers is None or node is None or not node.up or name == self._name:
                continue
            if await self._is_whole(self._peers, node.http, key):
                yield self._peers.log_stream(node.http, key, offset=0, follow=False)
        if own is not None and not own.complete:
            yield self._logs.frames(key)

    async def _is_whole(self, peers: Peers, address: str, key: LogKey) -> bool:
        try:
            status = await peers.log_status(address, key)
        except CronCordError as error:
            _log.warning("output of run %s for the backup: %s", key.run_id, error.message)
            return False
        return status is not None and status.complete


async def _larger(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join small pieces, so that a frame is worth its head."""
    waiting = bytearray()
    async for data in source:
        waiting += data
        if len(waiting) >= _FRAME_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for part in parts:
        waiting += part
        if len(waiting) >= _FRAME_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _framed(writer: BackupWriter, kind: Kind, body: bytes, items: int) -> bytes:
    return await asyncio.to_thread(writer.frame, kind, body, items)


def _without_keys(copy: StateCopy) -> StateCopy:
    return msgspec.structs.replace(
        copy, session_key=b"", links={}, join_tokens={}, ended_sessions={}
    )
