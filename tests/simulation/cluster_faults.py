"""Random faults, and the repair of all of them."""

import asyncio
import random
from collections.abc import Sequence

from cluster_workload import People
from cluster_world import SimulatedNode, World

from croncord.raft.commands import DrainNode, RemoveNode

OUTAGES_SECONDS = (0.3, 2.0, 8.0, 8.0, 25.0, 90.0)


class Faults:
    """Breaks things for a while, then repairs everything."""

    def __init__(
        self,
        world: World,
        rng: random.Random,
        kinds: frozenset[str],
        outages_seconds: Sequence[float] = OUTAGES_SECONDS,
    ) -> None:
        self._world = world
        self._rng = rng
        self._kinds = sorted(kinds)
        self._outages_seconds = outages_seconds
        self.log: list[str] = []

    def _say(self, text: str) -> None:
        self.log.append(f"{self._world.time:8.2f} {text}")

    async def run(self, seconds: float) -> None:
        """Break something every few seconds until the time is over."""
        end = self._world.time + seconds
        while self._world.time < end and self._kinds:
            await asyncio.sleep(self._rng.uniform(0.5, 15))
            kind = self._rng.choice(self._kinds)
            await getattr(self, f"_{kind}")()

    def _some(self) -> list[SimulatedNode]:
        """One node, a minority, a majority, the leader, or all."""
        nodes = list(self._world.nodes.values())
        leader = self._world.leader()
        choice = self._rng.randrange(6)
        if choice == 0 and leader is not None:
            return [leader]
        counts = {1: 1, 2: 1, 3: (len(nodes) - 1) // 2, 4: len(nodes) // 2 + 1, 5: len(nodes)}
        return self._rng.sample(nodes, counts.get(choice, 1))

    def _outage_seconds(self) -> float:
        return self._rng.choice(self._outages_seconds) * self._rng.uniform(0.5, 1.5)

    async def _crash(self) -> None:
        hit = self._some()
        power = self._rng.random() < 0.3
        for node in hit:
            if node.life is not None:
                self._say(f"{'power cut' if power else 'kill -9'} {node.name}")
                node.power_cut() if power else node.kill()
                self._world.later(self._outage_seconds(), self._boot, node)

    async def _alone(self) -> None:
        """Kill one node, and nothing else until it is back."""
        nodes = list(self._world.nodes.values())
        if all(node.life is not None for node in nodes):
            node = self._rng.choice(nodes)
            self._say(f"kill -9 {node.name}")
            node.kill()
            self._world.later(self._outage_seconds(), self._boot, node)

    def _boot(self, node: SimulatedNode) -> None:
        if node.life is None and node.name in self._world.nodes:
            self._say(f"boot {node.name}")
            node.boot()

    async def _freeze(self) -> None:
        for node in self._some():
            if node.is_up:
                self._say(f"freeze {node.name}")
                life = node.life
                life.freeze()
                self._world.later(self._outage_seconds(), self._thaw, node, life)

    def _thaw(self, node: SimulatedNode, life) -> None:
        if node.life is life and not node.is_up:
            self._say(f"thaw {node.name}")
            life.thaw()

    async def _cut(self) -> None:
        hit = {node.name for node in self._some()}
        rest = set(self._world.nodes) - hit
        pairs = {(a, b) for a in hit for b in rest} | {(b, a) for a in hit for b in rest}
        self._open_later(pairs, f"cut {sorted(hit)} off")

    async def _oneway(self) -> None:
        names = list(self._world.nodes)
        pairs = {tuple(self._rng.sample(names, 2)) for _ in range(self._rng.randint(1, 3))}
        self._open_later(pairs, f"cut {sorted(pairs)}")

    def _open_later(self, pairs, text: str) -> None:
        self._say(text)
        self._world.network.cuts |= pairs

        def mend() -> None:
            self._say(f"mend: {text}")
            self._world.network.cuts -= pairs

        self._world.later(self._outage_seconds(), mend)

    async def _clock(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        node.offset_ms = self._rng.choice([-1500, -300, 0, 0, 300, 1500])
        self._say(f"clock of {node.name} {node.offset_ms:+} ms")

    async def _jump(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        node.offset_ms = self._rng.choice([-3_600_000, -40_000, 0, 0, 40_000, 3_600_000])
        self._say(f"clock of {node.name} {node.offset_ms:+} ms")

    async def _chaos(self) -> None:
        habits = self._world.habits
        habits.loss = self._rng.choice([0, 0, 0.05, 0.3])
        habits.repeat = self._rng.choice([0, 0, 0.2])
        habits.delay_seconds = self._rng.choice([(0.001, 0.02), (0.001, 0.3), (0.05, 1.0)])
        habits.slow = self._rng.choice([1, 1, 20])
        self._say(f"network {habits}")

    async def _transfer(self) -> None:
        leader = self._world.leader()
        if leader is not None:
            self._say(f"transfer from {leader.name}")
            leader.life.spawn(leader.member.transfer_leadership())

    async def _disk(self) -> None:
        for node in self._some()[:1]:
            if node.life is not None:
                self._say(f"disk of {node.name} full")
                journal = node.journal
                journal.broken = True
                self._world.later(self._outage_seconds(), setattr, journal, "broken", False)

    async def _wipe(self) -> None:
        """Kill a node and take its ledger away, as a broken file is set aside.

        Only when another node has on disk all that is lost.
        """
        nodes = list(self._world.nodes.values())
        node = self._rng.choice(nodes)
        others = (other for other in nodes if other is not node)
        if node.life is not None and any(node.rows.items() <= o.rows.items() for o in others):
            self._say(f"kill -9 {node.name}, its ledger is gone")
            node.kill()
            node.rows.clear()
            self._world.later(self._outage_seconds(), self._boot, node)

    async def _drain(self) -> None:
        node = self._rng.choice(list(self._world.nodes.values()))
        draining = self._rng.random() < 0.3
        self._say(f"drain {node.name} {draining}")
        build = lambda at: DrainNode(at=at, name=node.name, draining=draining)  # noqa: E731 - one line
        await People(self._world, self._rng).change(build)

    async def _member(self) -> None:
        """Replace one node for good by a new one with an empty disk."""
        world, rng = self._world, self._rng
        if any(node.life is None for node in world.nodes.values()) or len(world.retired) > 3:
            return
        old = rng.choice(list(world.nodes.values()))
        fresh = f"n{len(world.nodes) + len(world.retired) + 1}"
        self._say(f"replace {old.name} by {fresh}")
        old.power_cut()
        del world.nodes[old.name]
        world.retired.append(old)
        await self._change_members(lambda names: names - {old.name})
        people = People(world, rng)
        for _ in range(50):
            call = await people.change(lambda at: RemoveNode(at=at, name=old.name))
            if call.result == "ok" or old.name not in world.account.state.nodes:
                break
            await asyncio.sleep(1)
        world.add_node(fresh).boot()
        await self._change_members(lambda names: names | {fresh})

    async def _change_members(self, change) -> None:
        while True:
            leader = self._world.leader()
            if leader is not None:
                names = set(leader.disk.members())
                wanted = change(names)
                if wanted == names:
                    if leader.member.has_settled_members():
                        return
                else:
                    leader.member.change_members(tuple(sorted(wanted)))
            await asyncio.sleep(0.5)

    def heal(self) -> None:
        """Repair everything."""
        world = self._world
        self._say("heal")
        world.network.cuts.clear()
        habits = world.habits
        habits.loss = habits.repeat = 0.0
        habits.delay_seconds, habits.slow = (0.001, 0.02), 1.0
        habits.believes_seconds = 1.5
        for node in world.nodes.values():
            node.offset_ms = self._rng.choice([-100, 0, 100])
            if node.life is None:
                node.boot()
            elif not node.is_up:
                node.life.thaw()
            node.journal.broken = False
