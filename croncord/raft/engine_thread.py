"""The thread that drives the engine, and the crossing between it and the event loop."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from pysyncobj import SyncObjConf
from pysyncobj.poller import POLL_EVENT_TYPE as EVENTS

from croncord.errors import CronCordError, StoreError
from croncord.figures import Family
from croncord.raft.commands import decode_command
from croncord.raft.engine import Engine
from croncord.raft.engine.membership import founding_entry, voter
from croncord.raft.engine.pinned import CANDIDATE, LEADER, NO_OP
from croncord.raft.engine.proposals import Proposal
from croncord.raft.envelope import unseal
from croncord.raft.figures import storage_figures
from croncord.raft.image import Restored
from croncord.raft.journal import LmdbJournal
from croncord.raft.port import ReplicaStatus
from croncord.raft.roster import Roster, disk_name
from croncord.raft.snapshotfile import SnapshotFiles
from croncord.raft.wire.transport import WireTransport
from croncord.tls.identity import NodeTls

_log = logging.getLogger(__name__)

_WAIT_SECONDS: Final = 0.05
_SNAPSHOT_ASK_SECONDS: Final = 0.5


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the protocol, in seconds. The defaults were measured on two busy cores.

    An election after a crash does not wait for them: the broken connection says enough.
    """

    election_min_seconds: float = 1.0
    election_max_seconds: float = 2.0
    heartbeat_seconds: float = 0.1
    batch_bytes: int = 256 * 1024
    entries_kept: int = 5000
    """Entries kept behind a snapshot, so that a short absence costs no transfer."""

    def conf(self) -> SyncObjConf:
        """Return pysyncobj's form of it. It never reads or writes a file itself."""
        return SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=True,
            dynamicMembershipChange=True,
            raftMinTimeout=self.election_min_seconds,
            raftMaxTimeout=self.election_max_seconds,
            appendEntriesPeriod=self.heartbeat_seconds,
            leaderFallbackTimeout=self.election_max_seconds,
            connectionTimeout=max(4.0, 2 * self.election_max_seconds),
            appendEntriesBatchSizeBytes=self.batch_bytes,
        )


class Handed(msgspec.Struct, frozen=True):
    """What crosses to the loop: an agreed entry, or a restored state."""

    index: int
    entry: bytes = b""
    restored: Restored | None = None


class _Known(msgspec.Struct, frozen=True):
    """What the engine's thread last said about itself."""

    role: str
    leader: str | None
    term: int
    commit_index: int
    contact_at: float
    has_quorum: bool
    members: tuple[str, ...]
    reachable: tuple[str, ...]
    learners: tuple[str, ...] = ()
    is_settled: bool = False
    is_expelled: bool = False


class EngineThread:
    """Owns journal, snapshots, transport and engine; everything else talks to it."""

    def __init__(
        self,
        *,
        name: str,
        listen: str,
        members: Mapping[str, str],
        directory: Path,
        secret: bytes | None,
        accepted: Sequence[bytes],
        tls: NodeTls | None,
        settings: EngineSettings,
        wants: str,
        advertise: str,
        decode: Callable[[Iterable[bytes]], Restored],
    ) -> None:
        self._name, self._members, self._directory = name, dict(members), directory
        self._settings, self._decode, self._wants = settings, decode, wants
        self._joins = name not in members
        self._transport = WireTransport(
            name=name, listen=listen, secret=secret, accepted=accepted, tls=tls
        )
        self._transport.advertised = advertise
        self._handed: deque[Handed] = deque()
        self._posted: deque[Callable[[Engine], object]] = deque()
        self._draining = threading.Lock()
        self._drain_scheduled = False
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._stopped = threading.Event()
        self._woken = False
        self._wake_read, self._wake_write = -1, -1
        self._quiet_index = 0
        self._topology = -1
        self.restored_index = 0
        self.recovered_index = 0
        """Everything up to here was agreed before this start; it is applied without any leader."""
        self._snapshot_asked_at = 0.0
        self._ticked_at = time.monotonic()
        self._known = _Known("follower", None, 0, 0, 0.0, False, tuple(sorted(members)), (name,))
        self._engine: Engine | None = None

    # -- life --------------------------------------------------------------------------------

    async def start(
        self,
        drain: Callable[[], None],
        notify: Callable[[], None],
        fail: Callable[[CronCordError], None],
        give_snapshot: Callable[[], None],
        compare: Callable[[int, str], None],
    ) -> None:
        """Open everything, then run. Raises StoreError or ConfigError."""
        self._loop = asyncio.get_running_loop()
        self._drain, self._notify, self._fail = drain, notify, fail
        self._give_snapshot, self._compare = give_snapshot, compare
        bound = self._transport.bind()
        self._members[self._name] = self._transport.advertised or bound
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            self._transport.destroy()
            raise
        self._thread = threading.Thread(target=self._run, name=f"raft-{self._name}", daemon=True)
        self._thread.start()
        threading.Thread(target=self._beat, name=f"raft-{self._name}-heart", daemon=True).start()

    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        journal = LmdbJournal(self._directory / "journal")
        try:
            if not journal.entries and self._joins:
                journal.add(NO_OP, 0, 0)
            elif not journal.entries:
                journal.add(founding_entry(self._members), 1, 0)
            self._snapshots = SnapshotFiles(self._directory, self._decode)
            nodes = {n: voter(n, a) for n, a in self._members.items()}
            me = nodes.pop(self._name)
            engine = Engine(
                me,
                nodes.values(),
                conf=self._settings.conf(),
                log=journal,
                machine=self,
                transport=self._transport,
                snapshots=self._snapshots,
            )
        except BaseException:
            journal.close()
            raise
        engine.entries_kept = self._settings.entries_kept
        engine.wants = self._wants
        self._transport.disk = disk_name(engine.log.identity)
        for node in engine.peers:
            self._transport.addNode(node)
        engine.addOnTickCallback(self._transport.on_tick)
        engine.addOnTickCallback(self._publish)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._transport.poller.subscribe(self._wake_read, self._on_wake, EVENTS.READ)
        self.recovered_index = engine.commit_index
        self._engine = engine

    def _run(self) -> None:
        engine = self._engine
        assert engine is not None
        try:
            while not self._stopping:
                while self._posted:
                    self._posted.popleft()(engine)
                engine.doTick(_WAIT_SECONDS)
        except CronCordError as error:
            self._report(error)
        except Exception as error:  # noqa: BLE001 - the fallback is named below
            # Whatever it is, going on could lose agreed entries: stop, and say so.
            _log.exception("the consensus thread failed")
            self._report(
                StoreError(
                    f"The consensus thread failed: {error!r}",
                    hint="Report this with the log; the node can be started again.",
                )
            )
        finally:
            self._close(engine)

    def _beat(self) -> None:
        """Speak for a leader whose thread waits for a slow disk."""
        engine = self._engine
        assert engine is not None
        while not self._stopped.wait(self._settings.heartbeat_seconds):
            if engine.turn.acquire(blocking=False):
                try:
                    engine.beat()
                finally:
                    engine.turn.release()

    def _report(self, error: CronCordError) -> None:
        self._stopping = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fail, error)

    def _close(self, engine: Engine) -> None:
        self._stopped.set()
        self._snapshots.close()
        try:
            engine.destroy()
        except Exception:  # noqa: BLE001 - the fallback is named below
            # The journal refused its last sync; what it lost was never acknowledged.
            _log.exception("the journal could not be closed cleanly")
        self._transport.poller.unsubscribe(self._wake_read)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def halt(self) -> None:
        """Stop soon, without waiting."""
        self._stopping = True
        self._wake()

    async def stop(self) -> None:
        """Stop, and wait until the journal is durable."""
        if self._thread is None:
            return
        self.halt()
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    @property
    def is_running(self) -> bool:
        """Whether it takes part."""
        return self._thread is not None and not self._stopping

    def is_working(self, within_seconds: float) -> bool:
        """Whether its thread lives and has gone round within the last seconds."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return False
        return time.monotonic() - self._ticked_at <= within_seconds

    def figures(self) -> Iterable[Family]:
        """Return what is known of journal and snapshots; nothing before the start."""
        engine = self._engine
        return () if engine is None else storage_figures(engine.log, self._snapshots)

    # -- from the loop -----------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._woken and self._thread is not None:
            self._woken = True
            with contextlib.suppress(OSError):  # full: it is awake anyway; closed: it has ended
                os.write(self._wake_write, b"w")

    def _on_wake(self, descriptor: int, _events: int) -> None:
        self._woken = False
        os.read(descriptor, 4096)

    def _post(self, call: Callable[[Engine], object]) -> None:
        self._posted.append(call)
        self._wake()

    def submit(self, proposal: Proposal) -> None:
        """Queue a proposal."""
        if self._engine is not None:
            self._engine.submit(proposal)
            self._wake()

    def forget(self, proposal: Proposal) -> None:
        """Stop repeating a proposal that nobody waits for any more."""
        if not proposal.withdraw():
            return
        request_id = proposal.request_id
        if self._engine is not None and request_id in self._engine.outstanding:
            self._posted.append(lambda engine: engine.outstanding.pop(request_id, None))

    async def read_index(self) -> int | None:
        """Return an index to wait for before a linearizable read; None when no leader answers."""
        future: asyncio.Future[int | None] = self._loop.create_future()

        def answer(index: int | None) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(settle, index)

        def settle(index: int | None) -> None:
            if not future.done():
                future.set_result(index)

        self._post(lambda engine: engine.ask_read_index(answer))
        return await future

    async def hand_leadership_over(self) -> None:
        """Ask the engine to begin a transfer."""
        self._post(lambda engine: engine.hand_leadership_over())

    def announce_digest(self, index: int, digest: str) -> None:
        """Tell the others what the state was at an index; only a leader does."""
        self._posted.append(lambda engine: engine.announce_digest(index, digest))

    def remove_member(self, name: str) -> None:
        """Ask whoever leads to remove a voter."""
        self._post(lambda engine: engine.ask_removal(name))

    def follow_roster(self, roster: Roster) -> None:
        """Tell the engine who is in, as the state has it now."""
        self._post(lambda engine: engine.follow_roster(roster))

    def take_snapshot(self, index: int, encode: Callable[[], Iterable[bytes]]) -> None:
        """Have a snapshot of the state as of `index` written."""
        self._post(lambda engine: engine.take_snapshot(index, encode))

    def handed(self) -> Iterator[Handed]:
        """Take what was handed over, one by one."""
        self._drain_scheduled = False
        while self._handed:
            yield self._handed.popleft()

    def drain_later(self) -> None:
        """Go on draining in the loop's next round."""
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._loop.call_soon(self._drain)

    def quiet_index(self) -> int:
        """Newest index that was handed over when nothing waits: no-ops need no applying."""
        index = self._quiet_index
        return 0 if self._handed else index

    def status(self, applied_index: int) -> ReplicaStatus:
        """Return what is known."""
        known = self._known
        if not self.is_running:
            known = msgspec.structs.replace(known, role="follower", leader=None, has_quorum=False)
        age = 0.0
        if known.role != "leader":
            age = max(self._engine.now() - known.contact_at, 0.0) if self._engine else 0.0
        fresh = known.role == "leader" or age <= self._settings.election_max_seconds
        return ReplicaStatus(
            name=self._name,
            role=known.role,  # type: ignore[arg-type]  # one of the four, from _publish
            leader=known.leader if fresh else None,
            term=known.term,
            commit_index=known.commit_index,
            applied_index=applied_index,
            has_quorum=known.has_quorum if known.role == "leader" else fresh and bool(known.leader),
            contact_age_seconds=age,
            members=known.members,
            reachable=known.reachable,
            learners=known.learners,
            disk=self._transport.disk,
            is_settled=known.is_settled,
            is_expelled=known.is_expelled,
        )

    # -- engine.machine.Machine, on the engine's thread --------------------------------------

    def committed(self, index: int, term: int, entry: bytes) -> None:  # noqa: ARG002 - Machine
        """Hand an agreed entry to the loop."""
        self._hand(Handed(index, entry))

    def restored(self, index: int, state: Restored) -> None:
        """Hand a restored state to the loop."""
        self.restored_index = index
        self._hand(Handed(index, restored=state))

    def _hand(self, item: Handed) -> None:
        self._handed.append(item)
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._loop.call_soon_threadsafe(self._drain)

    def snapshot_wanted(self) -> None:
        """Ask the loop for a snapshot; once in a while is enough."""
        now = time.monotonic()
        if now - self._snapshot_asked_at > _SNAPSHOT_ASK_SECONDS:
            self._snapshot_asked_at = now
            self._loop.call_soon_threadsafe(self._give_snapshot)

    def digest_announced(self, index: int, digest: str) -> None:
        """Let the loop compare, once it has got there."""
        self._loop.call_soon_threadsafe(self._compare, index, digest)

    def acceptable(self, entry: bytes) -> bool:
        """Whether this version can read an entry that another node proposes."""
        try:
            decode_command(unseal(entry)[1])
        except ValueError as error:
            _log.warning("a proposal of another node was refused: %s", error)
            return False
        return True

    def _publish(self) -> None:
        """Say what is new, after each tick."""
        engine = self._engine
        self._ticked_at = time.monotonic()
        if engine is None:
            return
        before = self._known
        members, reachable, learners = before.members, before.reachable, before.learners
        if engine.topology != self._topology:
            self._topology = engine.topology
            members = tuple(engine.members())
            reachable = tuple(
                sorted({self._name} | {n.id for n in engine.peers & engine.connected})
            )
            learners = tuple(sorted(node.id for node in engine.observers))
        role = {LEADER: "leader", CANDIDATE: "candidate"}.get(engine.role, "follower")
        if self._name not in members:
            role = "observer"
        known = _Known(
            role,
            None if engine.leader is None else engine.leader.id,
            engine.term,
            engine.commit_index,
            engine.last_contact,
            role == "leader" and engine.hears_majority(),
            members,
            reachable,
            learners,
            engine.is_founded() or self._name not in members,
            engine.expelled,
        )
        self._known = known
        if engine.applied_index != self._quiet_index:
            self._quiet_index = engine.applied_index
            if not self._drain_scheduled:
                self._drain_scheduled = True
                self._loop.call_soon_threadsafe(self._drain)
        watched = ("role", "leader", "term", "has_quorum", "members", "is_expelled")
        if any(getattr(before, field) != getattr(known, field) for field in watched):
            self._loop.call_soon_threadsafe(self._notify)
