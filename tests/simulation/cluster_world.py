"""A cluster in one thread: real planner, dispatcher, agent and state on simulated machines.

The world holds true time, the network between the nodes, and an account of its own: the log as it
was agreed (`Account`) and every process that began (`Witness`). Verifiers read those.
"""

import asyncio
import contextvars
import random
from dataclasses import dataclass, field
from datetime import datetime

from cluster_account import Account
from cluster_ledger import SimulatedLedger
from cluster_loop import Life, LifeState
from cluster_machine import (
    Machine,
    SimulatedJournal,
    SimulatedRunner,
    SkewedClock,
    Witness,
    later_than,
)
from cluster_raft import Disk, Member
from cluster_telling import EPOCH

from croncord.errors import NoLeader, NotFound, OutcomeUnknown, Unreachable
from croncord.lifecycle import RunState
from croncord.logs.ledger_fill import LedgerFiller
from croncord.logs.retention import Keep, oldest_kept
from croncord.model import Node, Run
from croncord.node.agent import Agent
from croncord.node.dispatcher import Dispatcher
from croncord.node.planner import Limits
from croncord.node.reporter import Reporter
from croncord.node.sightings import SightingBook
from croncord.ports import Vitals
from croncord.raft.commands import InitCluster, PutNode

ANSWER_SECONDS = 5.0


class Violation(AssertionError):
    """A promise was broken."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass
class Habits:
    """How slow things are, and how long a leader without a majority believes in itself."""

    believes_seconds: float = 1.5
    slow: float = 1.0
    snapshot_entries: int = 100
    loss: float = 0.0
    repeat: float = 0.0
    delay_seconds: tuple[float, float] = (0.001, 0.02)

    def sync_seconds(self, rng) -> float:
        return rng.uniform(0.001, 0.01) * self.slow

    def apply_seconds(self, rng) -> float:
        return rng.uniform(0, 0.005) * self.slow


class Network:
    """Who reaches whom, and how long it takes."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.cuts: set[tuple[str, str]] = set()
        """Directions in which nothing passes."""

    def passes(self, sender: str, to: str) -> bool:
        return (sender, to) not in self.cuts

    def send(self, sender: str, to: str, what: str, content) -> None:
        world = self._world
        node = world.nodes.get(to)
        if world.is_over or node is None or node.life is None or not self.passes(sender, to):
            return
        rng, habits = world.rng, world.habits
        if rng.random() < habits.loss:
            return
        for _ in range(2 if rng.random() < habits.repeat else 1):
            node.life.call_later(self.delay(), self._deliver, sender, node.member, what, content)

    def delay(self) -> float:
        return self._world.rng.uniform(*self._world.habits.delay_seconds)

    def _deliver(self, sender: str, member: Member, what: str, content) -> None:
        if self.passes(sender, member.name) and not self._world.is_over:
            member.receive(sender, what, content)

    def agreed(self, index: int, entry) -> None:
        if not self._world.is_over:
            self._world.account.agreed(index, entry)

    def applied(self, member: Member, index: int) -> None:
        if not self._world.is_over:
            self._world.account.compare(member.name, index, member.state)

    def took_over(self, member: Member, index: int) -> None:
        if self._world.is_over:
            return
        self._world.account.compare(member.name, index, member.state)


class SimulatedPeers:
    """Port `Peers`: a call is a message there and a message back."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self._name = name

    async def send_vitals(self, leader_http: str, vitals: Vitals):
        return await self._ask(leader_http, lambda node: node.receive_vitals(vitals))

    async def ledger_days(self, node_http: str) -> dict[str, tuple[int, int]]:
        return await self._ask(node_http, lambda node: node.ledger.day_counts())

    async def ledger_rows(self, node_http: str, first: str, last: str) -> tuple[Run, ...]:
        return await self._ask(node_http, lambda node: tuple(node.ledger.rows(first, last)))

    async def _ask(self, address: str, deed):
        """Have another node do something, and take the answer back over the network."""
        world, to = self._world, address.removeprefix("http://")
        node = world.nodes.get(to)
        await asyncio.sleep(world.network.delay())
        reachable = world.network.passes(self._name, to) and world.network.passes(to, self._name)
        if world.is_over or node is None or node.life is None or not reachable:
            raise Unreachable(f"{to} does not answer")
        answer = asyncio.get_running_loop().create_future()

        def serve() -> None:
            try:
                value = deed(node)
            except (NoLeader, NotFound) as error:
                answer.done() or answer.set_exception(error)
            else:
                answer.done() or answer.set_result(value)

        node.life.call_later(0, serve)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                value = await answer
        except TimeoutError:
            raise Unreachable(f"{to} does not answer in time") from None
        await asyncio.sleep(world.network.delay())
        return value


class SimulatedNode:
    """One node: a machine with its disks, and at most one living daemon on it."""

    def __init__(self, world: "World", name: str, labels: dict[str, str], max_runs: int) -> None:
        self.world = world
        self.name = name
        self.labels = labels
        self.max_runs = max_runs
        self.machine = Machine(name, world)
        self.disk = Disk()
        self.clock = SkewedClock(self.machine)
        self.offset_ms = 0
        self.life: Life | None = None
        self.rows: dict[str, Run] = {}
        """What the ledger has on disk."""
        self._lives = 0

    @property
    def is_up(self) -> bool:
        return self.life is not None and self.life.state is LifeState.RUNNING

    def boot(self) -> None:
        """Start the daemon, as the real one builds its parts."""
        self._lives += 1
        world = self.world
        self.life = life = Life(f"{self.name}/{self._lives}")
        rng = random.Random(f"{world.seed}/{life.name}")
        ledger_rng = random.Random(f"{world.seed}/{life.name} ledger")
        self.ledger = SimulatedLedger(self.rows, life, ledger_rng)
        self.member = Member(
            name=self.name,
            disk=self.disk,
            life=life,
            network=world.network,
            rng=rng,
            habits=world.habits,
            before_snapshot=self.ledger.flush,
        )
        self.book = SightingBook(self.clock)
        self.dispatcher = Dispatcher(
            name=self.name,
            replica=self.member,
            clock=self.clock,
            sightings=self.book,
            limits=world.limits,
        )
        self.journal = SimulatedJournal(self.machine, rng)
        self.agent = Agent(
            name=self.name,
            replica=self.member,
            runner=SimulatedRunner(self.machine, rng),
            clock=self.clock,
            journal=self.journal,
            offset=lambda: self.book.offsets_ms().get(self.name, 0),
        )
        peers = SimulatedPeers(world, self.name)
        reporter = Reporter(
            name=self.name,
            replica=self.member,
            clock=self.clock,
            book=self.book,
            peers=peers,
            measure=self._measure,
        )
        filler = LedgerFiller(
            self.ledger,
            peers,
            clock=self.clock,
            addresses=self._other_addresses,
            on_filled=lambda: None,
            oldest=lambda: oldest_kept(self.clock.now(), Keep().days),
        )
        self._spawn(life, "daemon", self._serve(reporter, filler))

    async def _serve(self, reporter: Reporter, filler: LedgerFiller) -> None:
        member, ledger = self.member, self.ledger
        member.subscribe(lambda _index, _command, outcome: ledger.put(outcome.rows))
        member.on_restored(self._took_over)
        await member.start()
        self._spawn(self.life, "ledger-fill", filler.run())
        self._spawn(self.life, "agent", self.agent.run())
        self._spawn(self.life, "dispatcher", self.dispatcher.run())
        self._spawn(self.life, "reporter", reporter.run())
        await self._introduce()

    async def _introduce(self) -> None:
        """Become known to the cluster, as `croncord.bootstrap` does it on real disks."""
        member = self.member
        while True:
            try:
                await member.barrier()
                if self.name not in member.state.nodes:
                    await member.propose(PutNode(at=self.clock.now(), node=self._node()))
            except (NoLeader, OutcomeUnknown):
                await self.clock.sleep(0.5)
            else:
                return

    def _took_over(self) -> None:
        recent = self.member.state.recent.values()
        self.ledger.put([row for rows in recent for row in rows])
        self.ledger.lacks_rows.set()

    def _other_addresses(self) -> dict[str, str]:
        nodes = self.member.state.nodes.values()
        return {node.name: node.http for node in nodes if node.name != self.name}

    def _node(self) -> Node:
        now = self.clock.now()
        return Node(
            name=self.name,
            http=f"http://{self.name}",
            raft=f"{self.name}:1",
            labels=self.labels,
            max_runs=self.max_runs,
            joined_at=now,
            changed_at=now,
        )

    def _spawn(self, life: Life, name: str, work) -> None:
        task = life.spawn(work, f"{life.name} {name}")

        def ended(task: asyncio.Task) -> None:
            if not task.cancelled() and task.exception() is not None and not self.world.is_over:
                self.world.broken.append((task.get_name(), task.exception()))

        task.add_done_callback(ended)

    def _measure(self, running_runs: int, applied_index: int) -> Vitals:
        return Vitals(
            name=self.name,
            at=self.clock.now(),
            cpu_percent=0,
            load_1m=0,
            memory_bytes=0,
            memory_total_bytes=1,
            disk_bytes=0,
            disk_total_bytes=1,
            running_runs=running_runs,
            applied_index=applied_index,
            uptime_seconds=1,
            version="1",
        )

    def receive_vitals(self, vitals: Vitals):
        if self.member.status().role != "leader":
            raise NoLeader(f"{self.name} does not lead")
        table = self.book.record(vitals)
        self.dispatcher.report_arrived()
        return table

    def kill(self) -> None:
        """SIGKILL to the daemon; scripts go on."""
        if self.life is not None:
            self.life.end()
            self.life = None
            self.disk.crash(self.world.rng)

    def power_cut(self) -> None:
        self.kill()
        self.machine.power_cut()


@dataclass
class World:
    """Everything there is."""

    seed: int
    node_names: tuple[str, ...] = ("n1", "n2", "n3")
    limits: Limits = field(default_factory=Limits)
    habits: Habits = field(default_factory=Habits)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    max_runs: int = 0
    epoch: datetime = EPOCH
    """True time at the beginning."""

    def __post_init__(self) -> None:
        self.rng = random.Random(f"world {self.seed}")
        self.account = Account(self)
        self.network = Network(self)
        self.nodes: dict[str, SimulatedNode] = {}
        self.retired: list[SimulatedNode] = []
        self.witnesses: list[Witness] = []
        self.broken: list[tuple[str, BaseException]] = []
        self.is_over = False
        self._context = contextvars.Context()
        self._loop = asyncio.get_running_loop()
        for name in self.node_names:
            self.add_node(name)
            self.nodes[name].disk.base_members = self.node_names

    @property
    def time(self) -> float:
        """True time in seconds since the world began."""
        return self._loop.time()

    def instant(self, seconds: float | None = None) -> datetime:
        return later_than(self.epoch, self.time if seconds is None else seconds)

    def clock_of(self, name: str) -> datetime:
        node = self.nodes.get(name)
        return later_than(self.epoch, self.time + (node.offset_ms if node else 0) / 1000)

    def later(self, seconds: float, deed, *arguments) -> None:
        """Call a function whatever becomes of the daemons."""
        self._loop.call_later(seconds, deed, *arguments, context=self._context)

    def add_node(self, name: str) -> SimulatedNode:
        node = SimulatedNode(self, name, self.labels.get(name, {}), self.max_runs)
        self.nodes[name] = node
        return node

    async def begin(self) -> None:
        """Start all nodes and wait until they know each other."""
        for node in self.nodes.values():
            node.boot()
        first = next(iter(self.nodes.values()))
        command = InitCluster(at=self.epoch, cluster_id="simulated", session_key=b"k" * 32)
        await first.life.spawn(first.member.propose(command, timeout_seconds=30))
        while len(self.account.state.nodes) < len(self.nodes):
            self.check_broken()
            await asyncio.sleep(0.5)

    def leader(self) -> SimulatedNode | None:
        """The leader of the newest term among the living."""
        leading = [n for n in self.nodes.values() if n.is_up and n.member.status().role == "leader"]
        return max(leading, key=lambda node: node.disk.term, default=None)

    def began(self, witness: Witness) -> None:
        """A process began: only after its claim was agreed, and once."""
        if self.is_over:
            return
        self.witnesses.append(witness)
        claim = self.account.claims.get(witness.key)
        if claim != witness.node:
            text = f"{witness} began, and the claim that is agreed is that of {claim}"
            self.account.problems.append(("unclaimed", text))

    def check_broken(self) -> None:
        """Raise when a part of a node broke, which ends the real daemon."""
        if self.broken:
            name, error = self.broken[0]
            raise Violation("broken", f"{name}: {error!r}") from error

    def open_on(self, name: str) -> list[Run]:
        return [r for r in self.account.state.runs_of_node(name) if r.state is RunState.RUNNING]
