"""This node's copy of the agreed state in a group of nodes (`port.Replica`).

The engine runs on a thread of its own. What it commits is handed to the event loop in batches and
applied there, a few tens of milliseconds at a time, so the loop stays responsive and the state is
only ever touched on the loop's thread.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from croncord.errors import ConfigError, CronCordError, NoLeader, NotReady, OutcomeUnknown
from croncord.figures import Family
from croncord.model import NodeRole
from croncord.raft.applier import Applier
from croncord.raft.commands import AnyCommand, encode_command
from croncord.raft.engine.proposals import Proposal
from croncord.raft.engine_thread import EngineSettings, EngineThread
from croncord.raft.envelope import REQUEST_ID_BYTES, seal
from croncord.raft.image import decode_image
from croncord.raft.port import AppliedListener, ReplicaStatus, nothing_to_wait_for
from croncord.raft.roster import roster_of
from croncord.raft.state import ClusterState, Outcome
from croncord.raft.wire.resolve import is_loopback
from croncord.tls.identity import NodeTls

_log = logging.getLogger(__name__)

APPLY_SECONDS: Final = 0.03
"""How long entries are applied before the loop gets a turn."""
SNAPSHOT_ENTRIES: Final = 10_000
SNAPSHOT_BYTES: Final = 32 * 1024 * 1024
DIGEST_SECONDS: Final = 1.0
"""How often, at most, the leader announces the digest of its state."""
_READ_ATTEMPT_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.05

StatusListener = Callable[[ReplicaStatus], None]


class RaftReplica:
    """One member of the group.

    `members` names the voters the group is founded with, this node included, with their Raft
    addresses; once a node has a journal, the journal knows better. Without this node's own name
    they are nodes of an existing group that this one joins: as a voter or observer, or, with
    "auto", as a voter while there are fewer than five. `advertise` is where others reach this node,
    if not where it listens. `on_failure` is called once, on the loop, when this node had to stop
    taking part. `before_snapshot` is awaited before the journal may be cut: what listeners made of
    the commands in it must be on disk by then. Raises ConfigError for settings that cannot be safe.
    """

    def __init__(
        self,
        *,
        name: str,
        listen: str,
        members: Mapping[str, str],
        data_dir: Path,
        secret: bytes | None,
        accepted: Sequence[bytes] = (),
        tls: NodeTls | None = None,
        settings: EngineSettings | None = None,
        joins_as: NodeRole = "auto",
        advertise: str = "",
        on_failure: Callable[[CronCordError], None] | None = None,
        before_snapshot: Callable[[], Awaitable[None]] = nothing_to_wait_for,
    ) -> None:
        if not members:
            raise ConfigError(
                "A Raft node needs at least one member to found or to join a group with",
                hint="List every founding node with its address, or one node to join.",
            )
        exposed = [a for a in (listen, *members.values()) if not is_loopback(a)]
        if secret is None and exposed:
            raise ConfigError(
                f"Raft on {exposed[0]} can be reached from other machines without a cluster secret",
                hint="Give every node the same secret.",
            )
        self._name = name
        self._applier = Applier()
        self._on_failure = on_failure
        self._before_snapshot = before_snapshot
        self._snapshot_task: asyncio.Task[None] | None = None
        self._failure: CronCordError | None = None
        self._status_listeners: list[StatusListener] = []
        self._snapshot_index = 0
        self._snapshot_bytes = 0
        self._announced: tuple[int, str] | None = None
        self._announced_at = 0.0
        self._told = (0, 0)
        self._engine = EngineThread(
            name=name,
            listen=listen,
            members=members,
            directory=data_dir / "raft",
            secret=secret,
            accepted=accepted,
            tls=tls,
            settings=settings or EngineSettings(),
            decode=decode_image,
            wants=joins_as,
            advertise=advertise,
        )

    # -- port.Replica ------------------------------------------------------------------------

    @property
    def state(self) -> ClusterState:
        """The state as of `status().applied_index`. Read only."""
        return self._applier.state

    def status(self) -> ReplicaStatus:
        """Return roles and indexes as this node knows them."""
        return self._engine.status(self._applier.applied_index)

    def figures(self) -> Iterable[Family]:
        """Return what is known of journal and snapshots."""
        return self._engine.figures()

    def is_working(self, within_seconds: float) -> bool:
        """Whether the consensus thread lives and has gone round within the last seconds."""
        return self._engine.is_working(within_seconds)

    async def start(self) -> None:
        """Open the journal, restore the state as it was agreed before, begin to take part.

        Raises StoreError when the disk is damaged, ConfigError when the address is taken.
        """
        await self._engine.start(
            self._drain, self._notify, self._fail, self.take_snapshot, self._compare_digest
        )
        self._snapshot_index = self._engine.restored_index
        await self._applier.reach(self._engine.recovered_index)

    async def stop(self) -> None:
        """Stop taking part; the journal is durable when this returns."""
        if self._snapshot_task is not None:
            self._snapshot_task.cancel()
            await asyncio.gather(self._snapshot_task, return_exceptions=True)
        await self._engine.stop()
        self._applier.give_up()

    async def propose(
        self,
        command: AnyCommand,
        *,
        timeout_seconds: float = 5.0,
        request_id: bytes | None = None,
    ) -> Outcome:
        """Have the command agreed and applied, also on this node, and return its outcome.

        The same `request_id` (16 bytes) is applied once, however often it is proposed, and gives
        the first outcome.
        Raises NoLeader when it surely was not sent, OutcomeUnknown when it may yet be applied.
        """
        self._check_running()
        request_id = os.urandom(REQUEST_ID_BYTES) if request_id is None else request_id
        proposal = Proposal(request_id, seal(request_id, encode_command(command)))
        future = self._applier.expect(request_id)
        self._engine.submit(proposal)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            if proposal.withdraw():
                raise OutcomeUnknown(
                    f"The change was not confirmed within {timeout_seconds:g} s",
                    hint="It may still take effect. Repeating it with the same key is safe.",
                ) from None
            raise self._no_leader() from None
        finally:
            self._applier.forget(request_id)
            self._engine.forget(proposal)

    async def barrier(self, *, timeout_seconds: float = 5.0) -> None:
        """Wait until this node has applied all that was committed when this was called.

        Raises NoLeader.
        """
        self._check_running()
        try:
            async with asyncio.timeout(timeout_seconds):
                index = await self._read_index()
                while index is None:
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._check_running()
                    index = await self._read_index()
                await self._applier.reach(index)
        except TimeoutError:
            raise self._no_leader() from None

    async def _read_index(self) -> int | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_ATTEMPT_SECONDS):
                return await self._engine.read_index()
        return None

    def subscribe(self, listener: AppliedListener) -> Callable[[], None]:
        """Call the listener for each applied command from now on; returns how to stop that."""
        return self._applier.subscribe(listener)

    def on_restored(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener when a snapshot took the state's place; returns how to stop that."""
        return self._applier.on_restored(listener)

    def on_status_change(self, listener: StatusListener) -> Callable[[], None]:
        """Call the listener when role, leader, term or quorum change; returns how to stop."""
        self._status_listeners.append(listener)
        return lambda: self._status_listeners.remove(listener)

    async def remove_member(self, name: str, *, timeout_seconds: float = 10.0) -> None:
        """Take a voter out of the group, this node or another.

        Raises NotReady when that was not agreed in time, for instance because the nodes that
        remain would be no majority.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while name in self.status().members:
                    self._check_running()
                    self._engine.remove_member(name)
                    await asyncio.sleep(4 * _RETRY_SECONDS)
        except TimeoutError:
            raise NotReady(
                f"{name} could not be removed in time",
                hint="See that a majority of the other nodes runs and has caught up.",
            ) from None

    async def transfer_leadership(self, *, timeout_seconds: float = 5.0) -> None:
        """Give leadership to another node and return when this one no longer leads.

        Does nothing on a node that does not lead or is alone. Raises NotReady when nobody could
        take over in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.status().role == "leader" and len(self.status().members) > 1:
                    await self._engine.hand_leadership_over()
                    for _ in range(20):
                        await asyncio.sleep(_RETRY_SECONDS)
                        if self.status().role != "leader":
                            return
        except TimeoutError:
            raise NotReady(
                "No other node could take the leadership over in time",
                hint="See that the other nodes run and have caught up, then try again.",
            ) from None

    # -- from the engine ---------------------------------------------------------------------

    def _drain(self) -> None:
        """Apply what the engine has committed, for a slice of time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + APPLY_SECONDS
        try:
            for item in self._engine.handed():
                if item.restored is not None:
                    self._applier.restore(item.index, item.restored)
                    self._snapshot_index, self._snapshot_bytes = item.index, 0
                else:
                    self._applier.apply(item.index, item.entry)
                    self._snapshot_bytes += len(item.entry)
                if loop.time() > deadline:
                    self._engine.drain_later()
                    break
        except CronCordError as error:
            self._fail(error)
            return
        self._applier.advance(max(self._applier.applied_index, self._engine.quiet_index()))
        self._snapshot_when_due()
        self._announce_digest(loop.time())
        self._tell_who_is_in()

    def _tell_who_is_in(self) -> None:
        """Let the voters and the connections follow the agreed state."""
        nodes, removed = self.state.nodes, self.state.removed
        told = (nodes.digest, removed.digest)
        if told != self._told and self.state.cluster_id:
            self._told = told
            self._engine.follow_roster(roster_of(nodes, removed))

    def _snapshot_when_due(self) -> None:
        entries = self._applier.applied_index - self._snapshot_index
        if entries >= SNAPSHOT_ENTRIES or self._snapshot_bytes >= SNAPSHOT_BYTES:
            self.take_snapshot()

    def _announce_digest(self, now: float) -> None:
        digest = self._applier.last_digest
        if digest != self._announced and now - self._announced_at > DIGEST_SECONDS and digest:
            self._announced, self._announced_at = digest, now
            self._engine.announce_digest(*digest)

    def _compare_digest(self, index: int, digest: str) -> None:
        try:
            self._applier.check_digest(index, digest)
        except CronCordError as error:
            self._fail(error)

    def take_snapshot(self) -> None:
        """Begin to write the present state to disk, so that the journal can be cut."""
        if self._snapshot_task is not None:
            return  # one waits already
        self._snapshot_index, self._snapshot_bytes = self._applier.applied_index, 0
        snapshot = self._snapshot(self._applier.applied_index, self._applier.capture())
        self._snapshot_task = asyncio.get_running_loop().create_task(snapshot)

    async def _snapshot(self, index: int, encode: Callable[[], Iterable[bytes]]) -> None:
        try:
            await self._before_snapshot()
            self._engine.take_snapshot(index, encode)
        except CronCordError as error:
            # The journal stays as it is; the next snapshot tries again.
            _log.warning("no snapshot was taken: %s", error)
        finally:
            self._snapshot_task = None

    def _notify(self) -> None:
        status = self.status()
        for listener in tuple(self._status_listeners):
            try:
                listener(status)
            except Exception:  # noqa: BLE001 - the fallback is named below
                # A listener only watches; the others still need to know.
                _log.exception("a status listener failed")

    def _fail(self, error: CronCordError) -> None:
        """Stop the engine, because this node must not go on, and tell the owner."""
        if self._failure is not None:
            return
        self._failure = error
        _log.critical("this node stops taking part: %s %s", error.message, error.hint)
        self._engine.halt()
        self._applier.give_up()
        if self._on_failure is not None:
            self._on_failure(error)

    def _check_running(self) -> None:
        if self._failure is not None:
            raise NotReady(
                f"This node has stopped taking part: {self._failure.message}",
                hint=self._failure.hint,
            )
        if not self._engine.is_running:
            raise NotReady("This node is stopping or was not started", hint="Try another node.")

    def _no_leader(self) -> NoLeader:
        status = self.status()
        missing = sorted(set(status.members) - set(status.reachable))
        return NoLeader(
            "No majority of the nodes can be reached, so nothing can be agreed",
            hint=f"Not reachable from here: {', '.join(missing)}."
            if missing
            else "The nodes are choosing a leader; try again in a second.",
        )
