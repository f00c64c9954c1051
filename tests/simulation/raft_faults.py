"""One random step of a simulated world: time passes, a message arrives, something breaks."""

from raft_disk import SimDisk

from croncord.raft.engine.pinned import LEADER


def two_of(rng, names):
    return rng.sample(names, 2)


class Faults:
    """What a `World` may do to itself; which of it, its `faults` say."""

    # -- one random step ---------------------------------------------------------------------

    def step(self):
        before = {(n.name, n.engine.term) for n in self.nodes.values() if n.engine.role == LEADER}
        act = self._act()
        if act:
            self.trace.append(act)
        self.check()
        for node in self.nodes.values():
            engine = node.engine
            if engine.role == LEADER and (node.name, engine.term) not in before:
                self.check_new_leader(node)
        if len(self.trace) % 64 == 0:
            self.check_log_matching()

    def _act(self):
        rng, dice = self.rng, self.rng.random()
        up = sorted(self.nodes)
        if dice < 0.38:
            if up:
                name = rng.choice(up)
                self.tick(name, rng.choice([0.005, 0.02, 0.06]))
                return f"tick {name}"
        elif dice < 0.80:
            busy = sorted(k for k, q in self.queues.items() if q and k[1] in self.nodes)
            if busy:
                source, target = rng.choice(busy)
                count = rng.choice([1, 1, 1, 3, 50])
                self.deliver(source, target, count)
                return f"deliver {source}>{target} {count}"
        elif dice < 0.92:
            if up:
                name = rng.choice(up)
                for _ in range(rng.choice([1, 1, 3, 10])):
                    self.propose(name)
                return f"propose {name}"
        else:
            return self._fault(up)
        return None

    def _fault(self, up):
        rng = self.rng
        kinds = ["connect", "connect", "start", "start", *sorted(self.faults - {"chaos"})]
        return getattr(self, "_" + rng.choice(kinds))(up)

    def _connect(self, up):
        if len(up) > 1:
            self.connect(*two_of(self.rng, up))
        return "connect"

    def _start(self, up):
        known = [*self.founders, *(s for s in self.spares if s in self.disks)]
        down = [n for n in known if n not in self.nodes]
        if not down:
            return None
        name = self.rng.choice(down)
        self.start(name)
        for other in up:
            self.connect(name, other)
        return f"start {name}"

    def _cut(self, up):
        if len(up) > 1:
            self.cut(*two_of(self.rng, up))
        return "cut"

    def _oneway(self, up):
        if self.rng.random() < 0.5 or len(up) < 2:
            self.blocked.clear()
            return "heal one way"
        pair = two_of(self.rng, up)
        self.blocked.add(tuple(pair))
        return f"one way {pair}"

    def _crash(self, up):
        if not up:
            return None
        name = self.rng.choice(up)
        self.crash(name)
        return f"crash {name}"

    def _pause(self, _up):
        self.now += 1.5
        return "pause"

    def _snapshot(self, up):
        if up:
            self.nodes[self.rng.choice(up)].snapshot()
        return "snapshot"

    def _member(self, _up):
        leader = self.leader()
        if leader is None:
            return None
        engine = leader.engine
        if self.rng.random() < 0.5:
            name = self.rng.choice(self.spares)
            if name in self.nodes and name not in engine.members():
                self.crash(name)
                self.disks[name] = SimDisk()
            if name not in self.nodes:
                self.start(name)
            self.connect_all_to(name)
            return f"join {name}"
        others = sorted(node.id for node in engine.peers)
        if len(others) < 2:
            return None
        name = self.rng.choice(others)
        done = engine.request_change("rem", name, f"{name}:1")
        return f"remove {name} {done}"

    def connect_all_to(self, name):
        for other in list(self.nodes):
            self.connect(name, other)

    def _wipe(self, _up):
        """Lose one disk, but never while an earlier loss has not been made up for."""
        if any(not disk.meta[3] for disk in self.disks.values()) or self.rng.random() < 0.5:
            return None
        name = self.rng.choice(self.founders)
        for node in self.nodes.values():
            members = set(node.engine.members())
            if len(members - {name}) * 2 <= len(members):
                return None  # a majority would be lost: that takes a person to decide
        if len(self.nodes) < len(self.founders):
            return None
        if name in self.nodes:
            self.crash(name)
        self.disks[name] = SimDisk()
        return f"wipe {name}"

    def _observer(self, _up):
        name = self.observers[0]
        if name in self.nodes:
            self.crash(name)
            return f"crash {name}"
        self.start(name)
        self.connect_all_to(name)
        return f"start {name}"
