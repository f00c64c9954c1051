"""The commands of the cluster transcripts, played on a simulated cluster."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import product

from cluster_jobs import OVERLAPS
from cluster_workload import Call, People, put
from cluster_world import SimulatedNode, World
from datadriven import Command

from croncord.lifecycle import RunState
from croncord.model import JobSpec, Misfire, Retries, Run, Target, run_id
from croncord.node.planner import Limits
from croncord.raft.commands import DeleteJob, PauseCluster, PauseJob, RequestKill, TriggerRun

_UNITS = {"s": 1, "m": 60, "h": 3600}
_FAR = 10**9


class Stage:
    """One transcript's cluster. `start` comes first."""

    def __init__(self) -> None:
        self._told_until = 0.0
        self._leader = ""

    async def handle(self, command: Command) -> str:
        """Carry a command out and return what it prints."""
        return await getattr(self, f"do_{command.name.replace('-', '_')}")(command)

    # The cluster

    async def do_start(self, command: Command) -> str:
        """`start [nodes=3] [at=2026-11-24T11:59:30] [lost_after=60]`: up and knowing each other."""
        options = command.options
        names = tuple(f"n{index + 1}" for index in range(int(options.get("nodes", "3"))))
        start = datetime.fromisoformat(options.get("at", "2026-11-24T11:59:30"))
        limits = Limits(lost_after_seconds=float(options.get("lost_after", "60")))
        epoch = start.replace(tzinfo=UTC) - timedelta(seconds=10)
        self.world = World(seed=1, node_names=names, limits=limits, epoch=epoch)
        self.people = People(self.world, random.Random(1))
        await self.world.begin()
        await asyncio.sleep(10 - self.world.time)
        return self._news()

    async def do_pass(self, command: Command) -> str:
        """`pass 2m`: time goes by."""
        await asyncio.sleep(_seconds(command.words[0]))
        return self._news()

    async def do_until(self, command: Command) -> str:
        """`until 12:03:20`: time goes by until then."""
        clock = datetime.strptime(command.words[0], "%H:%M:%S").time()  # noqa: DTZ007 - a time of day
        moment = datetime.combine(self.world.instant().date(), clock, tzinfo=UTC)
        moment += timedelta(days=moment < self.world.instant())
        await asyncio.sleep((moment - self.world.instant()).total_seconds())
        return self._news()

    async def do_crash(self, command: Command) -> str:
        """`crash n1|leader|all`: kill -9; scripts go on."""
        for node in self._nodes(command):
            node.kill()
        return self._news()

    async def do_power_cut(self, command: Command) -> str:
        """`power-cut n1|leader|all`: the machine stops, and what runs on it."""
        for node in self._nodes(command):
            node.power_cut()
        return self._news()

    async def do_boot(self, command: Command) -> str:
        """`boot n1|all`: the daemon starts again on what its disks hold."""
        for node in self._nodes(command):
            if node.life is None:
                node.boot()
        return self._news()

    async def do_freeze(self, command: Command) -> str:
        """`freeze n1|leader|all`: SIGSTOP."""
        for node in self._nodes(command):
            node.life.freeze()
        return self._news()

    async def do_thaw(self, _command: Command) -> str:
        """`thaw`: SIGCONT for all that are frozen."""
        for node in self.world.nodes.values():
            if node.life is not None and not node.is_up:
                node.life.thaw()
        return self._news()

    async def do_cut(self, command: Command) -> str:
        """`cut n1|leader`: the node reaches nobody and nobody reaches it."""
        for node in self._nodes(command):
            for other in self.world.nodes:
                if other != node.name:
                    self.world.network.cuts |= {(node.name, other), (other, node.name)}
        return self._news()

    async def do_mend(self, _command: Command) -> str:
        """`mend`: all reach all."""
        self.world.network.cuts.clear()
        return self._news()

    async def do_nodes(self, _command: Command) -> str:
        """`nodes`: how the leader sees them, and who believes to lead."""
        lines = []
        for node in self.world.nodes.values():
            agreed = self.world.account.state.nodes[node.name]
            life = "dead" if node.life is None else "running" if node.is_up else "frozen"
            leads = node.is_up and node.member.status().role == "leader"
            mark = ", leads" if leads else ""
            lines.append(f"{node.name}: {'up' if agreed.up else 'down'}, {life}{mark}")
        return "\n".join(lines)

    # Jobs

    async def do_job(self, command: Command) -> str:
        """`job NAME schedule=EXPR [...]`: create it; `seconds`, `fails`, `term` are its script's."""
        name = command.words[0]
        return self._answer(await self.people.create(_spec(name, command.options), name))

    async def do_edit(self, command: Command) -> str:
        """`edit NAME ...`: replace its definition."""
        name = command.words[0]
        spec = _spec(name, command.options)

        def build(at):
            return put(name, spec, at, None, self.world.account.state.jobs.get(name))

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_pause(self, command: Command) -> str:
        """`pause NAME`."""
        return await self._set_paused(command.words[0], paused=True)

    async def do_resume(self, command: Command) -> str:
        """`resume NAME`."""
        return await self._set_paused(command.words[0], paused=False)

    async def _set_paused(self, name: str, *, paused: bool) -> str:
        def build(at):
            return PauseJob(at=at, job_id=name, paused=paused)

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_pause_cluster(self, command: Command) -> str:
        """`pause-cluster yes|no`."""
        paused = command.words[0] == "yes"

        def build(at):
            return PauseCluster(at=at, paused=paused)

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_delete(self, command: Command) -> str:
        """`delete NAME [kill=yes]`."""
        kill = command.options.get("kill") == "yes"

        def build(at):
            return DeleteJob(at=at, job_id=command.words[0], kill=kill)

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_run(self, command: Command) -> str:
        """`run NAME [node=n2]`: run now."""
        name, node = command.words[0], command.options.get("node", "")

        def build(at):
            return TriggerRun(
                at=at, job_id=name, run_id=run_id(name, at, "manual", node), node=node
            )

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_kill(self, command: Command) -> str:
        """`kill NAME`: kill what runs of it; the answer comes when the wish is agreed."""
        runs = self.world.account.state.runs_of_job(command.words[0])
        target = next(run for run in runs if run.state is RunState.RUNNING)

        def build(at):
            return RequestKill(at=at, run_id=target.id)

        return self._answer(await self.people.change(build, self._some_node()))

    async def do_ask(self, command: Command) -> str:
        """`ask n1`: try to change something through this node."""
        node = self.world.nodes[command.words[0]]
        call = await self.people.change(lambda at: PauseCluster(at=at, paused=False), node)
        return self._answer(call)

    async def do_matrix(self, command: Command) -> str:
        """`matrix ...`: a job for each combination of misfire, overlap and delivery."""
        policies = ("skip", "run_once", "run_all")
        for misfire, overlap, delivery in product(policies, OVERLAPS, ("most", "least")):
            name = f"{misfire}-{overlap}-{delivery}"
            fields = {"misfire": misfire, "overlap": overlap, "delivery": f"at_{delivery}_once"}
            await self.people.create(_spec(name, {**command.options, **fields}), name)
        return ""

    async def do_rows(self, command: Command) -> str:
        """`rows [NAME] [nodes=no]`: the ledger, oldest first, open rows included."""
        nodes = command.options.get("nodes") != "no"
        wanted = command.words[0] if command.words else ""
        runs = [r for r in self.world.account.seen.values() if wanted in ("", r.job_id)]
        runs.sort(key=lambda run: (run.job_id, run.nominal_time, run.target))
        lines, job_id = [], ""
        for run in runs:
            if not wanted and run.job_id != job_id:
                job_id = run.job_id
                lines.append(f"{job_id}:")
            lines.append(("  " if not wanted else "") + _row(run, nodes=nodes))
        return "\n".join(lines)

    # Telling

    def _some_node(self) -> SimulatedNode | None:
        return self.world.leader()

    def _nodes(self, command: Command) -> list[SimulatedNode]:
        word = command.words[0]
        if word == "all":
            return list(self.world.nodes.values())
        if word == "leader":
            return [self.world.leader()]
        if word == "executor":
            ran = [w for w in self.world.witnesses if w.ended is None]
            return [self.world.nodes[ran[-1].node]]
        return [self.world.nodes[word]]

    def _answer(self, call: Call) -> str:
        if call.result == "ok":
            said = "ok"
        elif call.answered is None:
            said = "no answer"
        else:
            said = f"{type(call.value).__name__}: {call.value}"
        return f"{said}\n{self._news()}"

    def _news(self) -> str:
        """What began, ended or became final since the last command, and who leads now."""
        world, since = self.world, self._told_until
        self._told_until = world.time
        news = []
        for seen in world.witnesses:
            name = f"{seen.job_id} of {seen.nominal[11:19]}" + (
                f", attempt {seen.key.attempt}" if seen.key.attempt > 1 else ""
            )
            if since < seen.began <= world.time:
                news.append((seen.began, f"{seen.node} begins {name}"))
            if seen.ended is not None and since < seen.ended <= world.time:
                news.append((seen.ended, f"{seen.node} ends {name}: {seen.how}"))
        for applied in world.account.applied:
            if since < applied.time <= world.time:
                news += [
                    (applied.time, f"row: {row.job_id} {_row(row)}") for row in applied.outcome.rows
                ]
        news.sort(key=lambda each: each[0])
        lines = [f"{world.instant(at):%H:%M:%S} {text}" for at, text in news]
        leader = world.leader()
        name = leader.name if leader is not None else "nobody"
        if name != self._leader:
            self._leader = name
            lines.append(f"{world.instant():%H:%M:%S} {name} leads")
        return "\n".join(lines)


def _row(run: Run, *, nodes: bool = True) -> str:
    target = f" for {run.target}" if run.target else ""
    is_told = nodes and run.node and run.state is not RunState.SKIPPED
    node = f" on {run.node}" if is_told else ""
    attempts = f", attempt {run.attempt}" if run.attempt > 1 else ""
    before = "".join(f" ({a.number} {a.state})" for a in run.attempts)
    why = f" {run.reason}" if run.reason else ""
    return f"{run.nominal_time:%H:%M:%S}{target} {run.trigger}: {run.state}{why}{node}{attempts}{before}"


def _seconds(text: str) -> float:
    return float(text[:-1]) * _UNITS[text[-1]]


def _spec(name: str, options: dict[str, str]) -> JobSpec:
    script = "play {} {} {}".format(
        options.get("seconds", "0.2"), options.get("fails", "0"), options.get("term", "0")
    )
    return JobSpec(
        name=name,
        script=script,
        schedule=(options.get("schedule", "* * * * *"),),
        timezone=options.get("tz", "UTC"),
        dst=options.get("dst", "cron"),
        overlap=options.get("overlap", "skip"),
        delivery=options.get("delivery", "at_most_once"),
        misfire=Misfire(
            policy=options.get("misfire", "run_once"),
            window_seconds=int(options.get("window", "3600")),
        ),
        retries=Retries(
            count=int(options.get("retries", "0")), delay_seconds=int(options.get("delay", "10"))
        ),
        kill_grace_seconds=int(options.get("grace", "10")),
        target=Target(
            every_node=options.get("every_node") == "yes",
            nodes=tuple(options["on"].split(",")) if "on" in options else (),
        ),
    )
