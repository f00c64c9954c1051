"""A small Raft, for simulating what stands on it: its guarantees and all its awkward moments.

Terms, votes, logs with conflicts, snapshots, one membership change at a time. A leader that is cut
off goes on believing for a while; what it was told then is lost or takes effect later. What is not
synced is lost with the process. The state machine over it is the real one (`Applier`).
The engine that ships is simulated in `raft_world`; this one is cheap enough for hours of virtual time.
"""

import asyncio
import functools
from collections.abc import Callable

from cluster_disk import Disk, Entry
from cluster_requests import Proposal, answer

from croncord.errors import NoLeader, OutcomeUnknown
from croncord.raft.applier import Applier
from croncord.raft.commands import encode_command
from croncord.raft.envelope import seal
from croncord.raft.image import decode_image
from croncord.raft.port import AppliedListener, ReplicaStatus
from croncord.raft.state import ClusterState, Outcome

HEARTBEAT_SECONDS = 0.3
ELECTION_SECONDS = (0.9, 1.6)
ENTRIES_AT_ONCE = 64


class Member:
    """One life of one node's consensus: also the port `Replica`."""

    def __init__(
        self, *, name: str, disk: Disk, life, network, rng, habits, before_snapshot
    ) -> None:
        self.name = name
        self.disk = disk
        self.life = life
        self._network = network
        self._rng = rng
        self._habits = habits
        self._before_snapshot = before_snapshot
        self._is_compacting = False
        self._applier = Applier()
        self._role = "follower"
        self._leader: str | None = None
        self._heard_at = -100.0
        self._commit = disk.base
        self._votes: set[str] = set()
        self._next: dict[str, int] = {}
        self._match: dict[str, int] = {}
        self._acked_at: dict[str, float] = {}
        self._round = 0
        self._rounds: dict[str, int] = {}
        self._reads: list[tuple[int, int, Callable[[int], None]]] = []
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._questions = 0
        self._waiting: dict[int, Proposal] = {}
        self._status_listeners: list[Callable[[ReplicaStatus], None]] = []
        self._told: tuple[object, ...] = ()
        self._election: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.snapshots_taken_over = 0
        self.first_term = 0

    # --- the port

    @property
    def state(self) -> ClusterState:
        return self._applier.state

    @property
    def applied_index(self) -> int:
        return self._applier.applied_index

    def status(self) -> ReplicaStatus:
        age = 0.0 if self._role == "leader" else self._loop.time() - self._heard_at
        known = self._leader if age < 2 * ELECTION_SECONDS[1] else None
        return ReplicaStatus(
            name=self.name,
            role=self._role,
            leader=known,
            term=self.disk.term,
            commit_index=self._commit,
            applied_index=self._applier.applied_index,
            has_quorum=known is not None,
            contact_age_seconds=age,
            members=self.disk.members(),
            reachable=self.disk.members(),
        )

    def subscribe(self, listener: AppliedListener) -> Callable[[], None]:
        return self._applier.subscribe(listener)

    def on_restored(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self._applier.on_restored(listener)

    def on_status_change(self, listener: Callable[[ReplicaStatus], None]) -> Callable[[], None]:
        self._status_listeners.append(listener)
        return lambda: self._status_listeners.remove(listener)

    async def propose(self, command, *, timeout_seconds=5.0, request_id=None) -> Outcome:
        request_id = self._rng.randbytes(16) if request_id is None else request_id
        proposal = Proposal(seal(request_id, encode_command(command)))
        future = self._applier.expect(request_id)
        ticket = id(proposal)
        self._waiting[ticket] = proposal
        self._submit(proposal)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            if proposal.was_sent:
                raise OutcomeUnknown("not confirmed in time") from None
            raise NoLeader("no leader was known") from None
        finally:
            self._waiting.pop(ticket, None)
            self._applier.forget(request_id)

    async def barrier(self, *, timeout_seconds: float = 5.0) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._applier.reach(await self._read_index())
        except TimeoutError:
            raise NoLeader("no leader confirmed a read in time") from None

    async def transfer_leadership(self, **_options) -> None:
        if self._role == "leader":
            others = [name for name in self.disk.members() if name != self.name]
            heir = max(others, key=lambda name: self._match.get(name, 0), default=None)
            if heir is not None:
                self._send(heir, "campaign", self.disk.term)
                await asyncio.sleep(0.2)

    async def start(self) -> None:
        if self.disk.image:
            self._applier.restore(self.disk.base, decode_image(self.disk.image))
        self._rest()
        self.life.call_later(HEARTBEAT_SECONDS, self._beat)

    async def stop(self) -> None:
        """Nothing to close."""

    # --- proposals and reads

    def _submit(self, proposal: Proposal) -> None:
        if self._role == "leader":
            proposal.was_sent = True
            self._append(Entry(self.disk.term, "command", proposal.entry))
        elif (leader := self.status().leader) is not None:
            proposal.was_sent = True
            self._send(leader, "propose", proposal.entry)

    def has_settled_members(self) -> bool:
        """Whether the newest membership is committed."""
        return not any(
            entry.kind == "members" and self.disk.base + 1 + position > self._commit
            for position, entry in enumerate(self.disk.log)
        )

    def change_members(self, members: tuple[str, ...]) -> bool:
        """Begin a membership change on the leader; False when it cannot begin now."""
        is_sure = self._commit >= self.first_term and self.has_settled_members()
        if self._role != "leader" or not is_sure:
            return False
        self._append(Entry(self.disk.term, "members", members))
        return True

    async def _read_index(self) -> int:
        while True:
            future: asyncio.Future[int] = self._loop.create_future()
            if self._role == "leader":
                self._ask_quorum(functools.partial(answer, future))
            elif (leader := self.status().leader) is not None:
                self._questions += 1
                self._answers[self._questions] = future
                self._send(leader, "read", self._questions)
            try:
                async with asyncio.timeout(0.5):
                    return await future
            except TimeoutError:
                continue

    def _ask_quorum(self, answer: Callable[[int], None]) -> None:
        if self._commit < self.first_term:
            return  # nothing of this term is committed yet: asked again soon
        self._round += 1
        self._reads.append((self._round, self._commit, answer))
        self._broadcast()
        self._answer_reads()

    def _answer_reads(self) -> None:
        rounds = {**self._rounds, self.name: self._round}
        while self._reads:
            number, index, answer = self._reads[0]
            if not self._is_quorum(name for name, at in rounds.items() if at >= number):
                return
            self._reads.pop(0)
            answer(index)

    # --- roles

    def _is_quorum(self, names) -> bool:
        members = self.disk.members()
        return len(set(names) & set(members)) * 2 > len(members)

    def _tell_status(self) -> None:
        facts = (self._role, self._leader, self.disk.term)
        if facts != self._told:
            self._told = facts
            for listener in tuple(self._status_listeners):
                listener(self.status())

    def _rest(self) -> None:
        """Wait for a leader; stand for election when none is heard."""
        if self._election is not None:
            self._election.cancel()
        seconds = self._rng.uniform(*ELECTION_SECONDS)
        self._election = self.life.call_later(seconds, self._campaign)

    def _campaign(self, *, forced: bool = False) -> None:
        if self._role == "leader" or self.name not in self.disk.members():
            self._rest()
            return
        self._role, self._leader = "candidate", None
        self.disk.term += 1
        self.disk.vote = self.name
        self._votes = {self.name}
        self._rest()
        last = (self.disk.term_at(self.disk.last), self.disk.last)
        for name in self.disk.members():
            if name != self.name:
                self._send(name, "vote?", self.disk.term, last, forced)
        self._count_votes()
        self._tell_status()

    def _count_votes(self) -> None:
        if self._role != "candidate" or not self._is_quorum(self._votes):
            return
        now = self._loop.time()
        self._role, self._leader = "leader", self.name
        self._next = dict.fromkeys(self.disk.members(), self.disk.last + 1)
        self._match = {}
        self._rounds = {}
        self._reads = []
        self._acked_at = dict.fromkeys(self.disk.members(), now)
        self.first_term = self.disk.last + 1
        self._append(Entry(self.disk.term, "noop", None))
        self._tell_status()
        self._resubmit()

    def _follow(self, term: int, leader: str | None) -> None:
        if term > self.disk.term:
            self.disk.term, self.disk.vote = term, None
        was = self._leader
        self._role, self._leader = "follower", leader
        self._reads = []
        self._rest()
        self._tell_status()
        if leader is not None and leader != was:
            self._resubmit()

    def _resubmit(self) -> None:
        for proposal in tuple(self._waiting.values()):
            self._submit(proposal)

    def _beat(self) -> None:
        self.life.call_later(HEARTBEAT_SECONDS, self._beat)
        if self._role == "leader":
            oldest = self._loop.time() - self._habits.believes_seconds
            fresh = [name for name, at in self._acked_at.items() if at > oldest]
            if not self._is_quorum([self.name, *fresh]):
                self._follow(self.disk.term, None)
                return
            self._broadcast()
        elif self._waiting and self._rng.random() < 0.3:
            self._resubmit()

    # --- the log

    def _append(self, entry: Entry) -> None:
        self.disk.log.append(entry)
        self._sync_then(self.disk.last, self._advance)
        self._broadcast()

    def _sync_then(self, index: int, deed) -> None:
        def synced() -> None:
            if self.disk.last >= index:
                self.disk.synced = max(self.disk.synced, index)
            deed()

        self.life.call_later(self._habits.sync_seconds(self._rng), synced)

    def _broadcast(self) -> None:
        for name in self.disk.members():
            if name != self.name:
                self._replicate(name)

    def _replicate(self, name: str) -> None:
        disk = self.disk
        start = self._next.setdefault(name, disk.last + 1)
        if start <= disk.base and disk.base > 0:
            image = (disk.base, disk.base_term, disk.base_members, disk.image)
            self._send(name, "snapshot", disk.term, self._round, image)
            return
        before = start - 1
        entries = disk.log[before - disk.base :][:ENTRIES_AT_ONCE]
        self._send(
            name,
            "append",
            disk.term,
            self._round,
            before,
            disk.term_at(before),
            entries,
            self._commit,
        )

    def _advance(self) -> None:
        if self._role != "leader":
            return
        marks = {**self._match, self.name: self.disk.synced}
        for index in range(self.disk.last, self._commit, -1):
            if self.disk.term_at(index) != self.disk.term:
                return
            if self._is_quorum(name for name, at in marks.items() if at >= index):
                self._commit_to(index)
                return

    def _commit_to(self, index: int) -> None:
        index = min(index, self.disk.last)
        if index > self._commit:
            self._commit = index
            self.life.call_later(self._habits.apply_seconds(self._rng), self._apply)

    def _apply(self) -> None:
        disk = self.disk
        while self._applier.applied_index < self._commit:
            index = self._applier.applied_index + 1
            assert disk.base < index <= disk.last, f"{self.name}: {index} is not in the log"
            entry = disk.log[index - disk.base - 1]
            self._network.agreed(index, entry)
            if entry.kind == "command":
                self._applier.apply(index, entry.data)
            else:
                self._applier.advance(index)
            self._network.applied(self, index)
        is_due = self._applier.applied_index - disk.base > self._habits.snapshot_entries
        if is_due and not self._is_compacting and self._applier.applied_index <= disk.synced:
            self._is_compacting = True
            image = tuple(self._applier.capture()())
            self.life.spawn(self._compact(self._applier.applied_index, image))

    async def _compact(self, index: int, image: tuple[bytes, ...]) -> None:
        """Cut the log, once the rows of what is cut are on disk."""
        await self._before_snapshot()
        self._is_compacting = False
        disk = self.disk
        if index <= disk.base:
            return  # a snapshot of the leader's came between
        members = [e.data for e in disk.log[: index - disk.base] if e.kind == "members"]
        term = disk.term_at(index)
        del disk.log[: index - disk.base]
        disk.base_members = members[-1] if members else disk.base_members
        disk.base, disk.base_term, disk.image = index, term, image

    # --- messages

    def _send(self, to: str, what: str, *content) -> None:
        self._network.send(self.name, to, what, content)

    def receive(self, sender: str, what: str, content) -> None:
        {
            "vote?": self._on_vote_request,
            "vote": self._on_vote,
            "append": self._on_append,
            "appended": self._on_appended,
            "snapshot": self._on_snapshot,
            "propose": self._on_propose,
            "read": self._on_read,
            "index": self._on_index,
            "campaign": self._on_campaign,
        }[what](sender, *content)

    def _on_vote_request(self, sender, term, last, forced) -> None:
        hears_a_leader = self._loop.time() - self._heard_at < ELECTION_SECONDS[0]
        if not forced and (self._role == "leader" or (hears_a_leader and self._leader)):
            return
        if term > self.disk.term:
            self._follow(term, None)
        mine = (self.disk.term_at(self.disk.last), self.disk.last)
        if term == self.disk.term and self.disk.vote in (None, sender) and last >= mine:
            self.disk.vote = sender
            self._rest()
            self._send(sender, "vote", term)

    def _on_vote(self, sender, term) -> None:
        if term == self.disk.term and self._role == "candidate":
            self._votes.add(sender)
            self._count_votes()

    def _on_append(self, sender, term, round_, before, before_term, entries, commit) -> None:
        disk = self.disk
        if term < disk.term:
            self._send(sender, "appended", disk.term, round_, None, 0)
            return
        self._heard_at = self._loop.time()
        self._hear(sender, term)
        if before < disk.base:
            entries, before = entries[disk.base - before :], disk.base
            before_term = disk.base_term
        if disk.term_at(before) != before_term:
            hint = min(disk.last, before - 1)
            self._send(sender, "appended", term, round_, False, hint)
            return
        for offset, entry in enumerate(entries, before + 1):
            known = disk.term_at(offset)
            if known == entry.term:
                continue
            if known is not None:
                assert offset > self._commit, "a committed entry would be replaced"
                del disk.log[offset - disk.base - 1 :]
                disk.synced = min(disk.synced, disk.last)
            disk.log.append(entry)
        match = before + len(entries)
        self._commit_to(min(commit, match))
        if match <= disk.synced:
            self._send(sender, "appended", term, round_, True, match)
        else:
            self._sync_then(
                match, lambda: self._send(sender, "appended", term, round_, True, match)
            )

    def _hear(self, leader: str, term: int) -> None:
        if (self._role, self._leader, self.disk.term) == ("follower", leader, term):
            self._rest()
        else:
            self._follow(term, leader)

    def _on_appended(self, sender, term, round_, success, index) -> None:
        if term > self.disk.term:
            self._follow(term, None)
            return
        if self._role != "leader" or term != self.disk.term:
            return
        self._acked_at[sender] = self._loop.time()
        self._rounds[sender] = max(self._rounds.get(sender, 0), round_)
        self._answer_reads()
        if success:
            is_news = index > self._match.get(sender, -1)  # else a repeated message breeds others
            self._match[sender] = max(self._match.get(sender, 0), index)
            self._next[sender] = max(self._next.get(sender, 1), index + 1)
            self._advance()
            if is_news and self._next[sender] <= self.disk.last:
                self._replicate(sender)
        elif index + 1 < self._next.get(sender, self.disk.last + 1):
            self._next[sender] = max(index + 1, self._match.get(sender, 0) + 1, 1)
            self._replicate(sender)

    def _on_snapshot(self, sender, term, round_, image) -> None:
        if term < self.disk.term:
            self._send(sender, "appended", self.disk.term, round_, None, 0)
            return
        self._heard_at = self._loop.time()
        self._hear(sender, term)
        disk = self.disk
        base, base_term, members, data = image
        if base > self._commit:
            if disk.term_at(base) == base_term:
                del disk.log[: base - disk.base]
            else:
                disk.log.clear()
            disk.base, disk.base_term, disk.base_members, disk.image = (
                base,
                base_term,
                members,
                data,
            )
            disk.synced = max(base, min(disk.synced, disk.last))
            self._commit = base
            self._applier.restore(base, decode_image(data))
            self.snapshots_taken_over += 1
            self._network.took_over(self, base)
        self._send(sender, "appended", term, round_, True, base)

    def _on_propose(self, _sender, entry) -> None:
        if self._role == "leader":
            self._append(Entry(self.disk.term, "command", entry))

    def _on_read(self, sender, question) -> None:
        if self._role == "leader":
            self._ask_quorum(lambda index: self._send(sender, "index", question, index))

    def _on_index(self, _sender, question, index) -> None:
        if (future := self._answers.pop(question, None)) is not None:
            answer(future, index)

    def _on_campaign(self, _sender, term) -> None:
        if term == self.disk.term:
            self._campaign(forced=True)
