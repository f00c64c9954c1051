"""A deterministic world for the real engine: network, clock, disks and faults under one seed.

Nothing here is a stand-in for consensus code: the nodes are `croncord.raft.engine.Engine` over
pysyncobj; only what lies outside of it is simulated. A message leaves through the real codec, sits
in a queue per direction until it is delivered, and may be lost, repeated or overtaken. A crash
forgets everything since the last sync.
"""

import itertools
import random
import zlib
from types import MappingProxyType

from pysyncobj import SyncObjConf, syncobj
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from raft_disk import SimDisk, SimLog, SimSnapshots
from raft_faults import Faults

from croncord.raft.engine import Engine
from croncord.raft.engine.membership import Member, founding_entry, voter
from croncord.raft.engine.pinned import LEADER, NO_OP
from croncord.raft.engine.proposals import Proposal
from croncord.raft.envelope import seal, unseal
from croncord.raft.requests import AppliedRequests
from croncord.raft.roster import disk_name
from croncord.raft.wire import messages

CALM = frozenset()
ALL_FAULTS = frozenset(
    {"cut", "oneway", "chaos", "crash", "pause", "snapshot", "member", "wipe", "observer"}
)
TIMES = MappingProxyType(
    {
        "autoTick": False,
        "dynamicMembershipChange": True,
        "raftMinTimeout": 0.6,
        "raftMaxTimeout": 1.2,
        "appendEntriesPeriod": 0.1,
        "leaderFallbackTimeout": 1.2,
        "connectionTimeout": 4.0,
    }
)


class Violation(AssertionError):
    """A promise of consensus was broken."""


class SimPoller:
    def poll(self, timeout):
        pass


class SimTransport(Transport):
    """One node's end of the simulated network."""

    def __init__(self, world, name):
        super().__init__(None, None, [])
        self.world, self.name = world, name
        self.poller = SimPoller()

    ready = True

    def waitReady(self):  # noqa: N802 - pysyncobj's
        pass

    def addNode(self, node):  # noqa: N802 - pysyncobj's
        pass

    def dropNode(self, node):  # noqa: N802 - pysyncobj's
        self.world.cut(self.name, node.id)

    addresses = MappingProxyType({})
    refused = frozenset()

    def refuse(self, disks):
        self.refused = disks
        for name in list(self.world.nodes):
            self.world.dismiss(self.name, name)

    def send(self, node, message):
        return self.world.send(self.name, node.id, message)

    def pending(self, node):  # noqa: ARG002 - the interface
        return 0

    def flush(self):
        pass

    def destroy(self):
        pass


class SimNode:
    """One running node: engine, machine, disk."""

    def __init__(self, world, name, members, *, joiner=False, observer=False):
        self.world, self.name = world, name
        self.disk = world.disks.setdefault(name, SimDisk())
        self.ops = []
        self._requests = AppliedRequests()
        self.index = 0
        self.mine = {}
        log = SimLog(self.disk)
        if not log.entries:
            if joiner:
                log.add(NO_OP, 0, 0)
            else:
                log.add(founding_entry({n: f"{n}:1" for n in members}), 1, 0)
        self.transport = SimTransport(world, name)
        nodes = {n: voter(n, f"{n}:1") for n in members}
        me = nodes.pop(name, None) or voter(name, f"{name}:1")
        self.engine = world.engine_class(
            me,
            nodes.values(),
            conf=SyncObjConf(**{**TIMES, "appendEntriesBatchSizeBytes": world.batch}),
            log=log,
            machine=self,
            transport=self.transport,
            snapshots=SimSnapshots(self.disk, world.rng),
        )
        self.engine.entries_kept = world.rng.choice([1, 3, 50])
        self.engine.wants = "observer" if observer else "voter"
        self.commit = self.engine.commit_index

    # Machine

    def committed(self, index, term, entry):
        self.world.note_committed(self, index, term, entry)
        request, command = unseal(entry)
        self.index = index
        if self._requests.note(request):
            self.ops.append(command.decode())
            if self.mine.pop(request, None) is not None:
                self.world.acknowledged.add(command.decode())

    def digest_announced(self, index, digest):
        pass

    def restored(self, index, state):
        requests, ops = state
        self.index, self.ops = index, list(ops)
        self._requests = AppliedRequests([bytes(r) for r in requests])

    def acceptable(self, entry):  # noqa: ARG002 - the interface
        return True

    def snapshot_wanted(self):
        self.snapshot()

    def snapshot(self):
        requests, ops = self._requests.copy(), list(self.ops)
        return self.engine.take_snapshot(self.engine.applied_index, lambda: [requests, ops])

    def propose(self, command):
        request = self.world.rng.randbytes(16)
        self.mine[request] = command
        self.engine.submit(Proposal(request, seal(request, command.encode())))


class World(Faults):
    """Nodes, their network, and what must hold at every step."""

    def __init__(self, seed, *, voters=3, faults=ALL_FAULTS, engine_class=Engine):
        self.rng = random.Random(seed)
        random.seed(seed)  # pysyncobj draws its timeouts from the module's generator
        self.engine_class, self.faults = engine_class, faults
        self.now = 1000.0
        self._clock = syncobj.monotonicTime
        self._hashes = Node.__hash__, Member.__hash__
        syncobj.monotonicTime = lambda: self.now
        # Sets of nodes are iterated in the same order in every process.
        Node.__hash__ = Member.__hash__ = lambda node: zlib.crc32(node.id.encode())
        self.batch = self.rng.choice([120, 300, 100_000])
        self.disks, self.nodes = {}, {}
        self.queues = {}
        self.links = set()
        self.blocked = set()
        self.committed, self.acknowledged = {}, set()
        self.leaders = {}
        self.trace = []
        self._commands = itertools.count(1)
        self.founders = [f"n{i}" for i in range(1, voters + 1)]
        self.spares = ["s1", "s2"] if "member" in faults else []
        self.observers = ["o1"] if "observer" in faults else []
        for name in self.founders:
            self.start(name)
        self.connect_all()

    def close(self):
        syncobj.monotonicTime = self._clock
        Node.__hash__, Member.__hash__ = self._hashes

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- network -----------------------------------------------------------------------------

    def connect(self, a, b):
        pair = frozenset((a, b))
        if a == b or pair in self.links or pair in self.blocked:
            return
        if a not in self.nodes or b not in self.nodes:
            return
        self.links.add(pair)
        self.queues[a, b], self.queues[b, a] = [], []
        for here, there in ((a, b), (b, a)):
            self.nodes[here].transport._onNodeConnected(Node(there, address=f"{there}:1"))
        for here, there in ((a, b), (b, a)):
            self.dismiss(here, there)

    def disk_of(self, name):
        return disk_name(self.nodes[name].engine.log.identity)

    def dismiss(self, here, there):
        """Close a connection to a disk that is refused, saying why."""
        if frozenset((here, there)) not in self.links:
            return
        if self.disk_of(there) in self.nodes[here].transport.refused:
            self.queues[here, there].append(messages.encode({"type": "gone"}))
            self.deliver(here, there, 10**6)
            self.cut(here, there)

    def cut(self, a, b):
        pair = frozenset((a, b))
        if pair not in self.links:
            return
        self.links.discard(pair)
        for here, there in ((a, b), (b, a)):
            self.queues.pop((here, there), None)
            if here in self.nodes:
                self.nodes[here].transport._onNodeDisconnected(Node(there))

    def connect_all(self):
        for a, b in itertools.combinations(sorted(self.nodes), 2):
            self.connect(a, b)

    def send(self, source, target, message):
        queue = self.queues.get((source, target))
        if queue is None:
            return False
        data = messages.encode(message)
        if (source, target) in self.blocked:
            return True
        if "chaos" in self.faults and not self.healing:
            dice = self.rng.random()
            if dice < 0.02:
                return True
            if dice < 0.04:
                queue.append(data)
            elif dice < 0.06:
                queue.insert(self.rng.randrange(len(queue) + 1), data)
                return True
        queue.append(data)
        return True

    healing = False

    def deliver(self, source, target, count=1):
        for _ in range(count):
            queue = self.queues.get((source, target))
            if not queue or target not in self.nodes:
                return
            message = messages.decode(queue.pop(0))
            self.nodes[target].transport._onMessageReceived(Node(source), message)

    # -- life --------------------------------------------------------------------------------

    def start(self, name):
        joiner = name in self.spares or name in self.observers
        self.nodes[name] = SimNode(
            self, name, self.founders, joiner=joiner, observer=name in self.observers
        )

    def crash(self, name):
        for other in list(self.nodes):
            self.cut(name, other)
        del self.nodes[name]

    def tick(self, name, seconds=0.0):
        self.now += seconds
        if name in self.nodes:
            self.nodes[name].engine.doTick(0)

    def leader(self):
        leaders = [n for n in self.nodes.values() if n.engine.role == LEADER]
        return max(leaders, key=lambda n: n.engine.term, default=None)

    def propose(self, name):
        command = f"c{next(self._commands)}"
        self.nodes[name].propose(command)
        return command

    # -- what must hold ----------------------------------------------------------------------

    def note_committed(self, node, index, term, entry):
        known = self.committed.setdefault(index, (term, entry))
        if known != (term, entry):
            raise Violation(f"state machine safety: entry {index} differs on {node.name}")

    def check(self):
        for node in self.nodes.values():
            engine = node.engine
            if engine.role == LEADER:
                first = self.leaders.setdefault(engine.term, node.name)
                if first != node.name:
                    raise Violation(f"election safety: {first}, {node.name} in {engine.term}")
            if engine.commit_index < node.commit and engine.log.first_index > 0:
                raise Violation(f"commit index of {node.name} went back")
            node.commit = engine.commit_index
            if len(set(node.ops)) != len(node.ops):
                raise Violation(f"a command was applied twice on {node.name}")

    def check_new_leader(self, node):
        log = node.engine.log
        for index, (term, entry) in self.committed.items():
            if index > log.last_index:
                raise Violation(f"leader completeness: {node.name} lacks entry {index}")
            mine = log.at(index)
            if mine is not None and index > log.first_index + 1 and mine[2] != term:
                raise Violation(f"leader completeness: entry {index} differs on {node.name}")
            if mine is not None and mine[2] == term and mine[0] not in (b"\x00" + entry, NO_OP):
                raise Violation(f"leader completeness: entry {index} differs on {node.name}")

    def check_log_matching(self):
        for a, b in itertools.combinations(self.nodes.values(), 2):
            one, two = a.engine.log, b.engine.log
            low = max(one.first_index, two.first_index) + 2
            matched = False
            for index in range(min(one.last_index, two.last_index), low - 1, -1):
                mine, theirs = one.at(index), two.at(index)
                if mine[2] == theirs[2]:
                    matched = True
                if matched and mine != theirs:
                    raise Violation(f"log matching: entry {index} of {a.name} and {b.name}")

    # -- the end -----------------------------------------------------------------------------

    def heal(self, rounds, seconds=0.03):
        """Run without faults."""
        self.healing = True
        self.blocked.clear()
        for _ in range(rounds):
            self.now += seconds
            self.connect_all()
            for name in sorted(self.nodes):
                self.tick(name)
            for source, target in sorted(self.queues):
                self.deliver(source, target, 10**6)
            self.check()
        self.healing = False

    def finish(self):
        """Heal everything; then what was acknowledged is everywhere and new commands commit."""
        for name in [*self.founders, *(s for s in self.spares if s in self.disks)]:
            if name not in self.nodes:
                self.start(name)
        self.heal(500)
        leader = self.leader()
        if leader is None:
            raise Violation("liveness: no leader after healing")
        command = self.propose(leader.name)
        self.heal(100)
        if command not in self.acknowledged:
            raise Violation("liveness: a healed cluster does not commit")
        self.check_log_matching()
        leader = self.leader()
        members = leader.engine.members()
        for name in [*members, *(o for o in self.observers if o in self.nodes)]:
            if name not in self.nodes:
                continue
            node = self.nodes[name]
            lost = self.acknowledged - set(node.ops)
            if lost:
                raise Violation(f"{name} lacks {len(lost)} acknowledged commands")
            if node.ops != leader.ops:
                raise Violation(f"{name} and {leader.name} differ")
            if name in members and not node.engine.log.founded:
                raise Violation(f"{name} was never admitted")


def run(seed, *, steps=1200, faults=ALL_FAULTS, voters=None, engine_class=Engine):
    """Run one seed; raises Violation."""
    voters = voters or (5 if seed % 4 == 3 else 3)
    with World(seed, voters=voters, faults=faults, engine_class=engine_class) as world:
        for _ in range(steps):
            world.step()
        world.finish()
        return len(world.acknowledged)
