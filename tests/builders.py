"""Short ways to build the values that tests need."""

from datetime import UTC, datetime, timedelta

from croncord.lifecycle import RunState
from croncord.model import Job, JobSpec, Node, Run, run_id
from croncord.node.planner import Facts, Limits, Plan, plan
from croncord.ports import Vitals
from croncord.raft.apply import apply
from croncord.raft.commands import (
    AnyCommand,
    Claim,
    ClaimRuns,
    FinishRuns,
    PutJob,
    PutNode,
    RunResult,
    TriggerRun,
)
from croncord.raft.state import ClusterState, Outcome
from croncord.ticks import first_undecided

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return noon plus that many seconds."""
    return NOON + timedelta(seconds=seconds)


def node(name: str, **fields) -> Node:
    """Return a node that is up."""
    defaults = {"http": f"http://{name}", "raft": f"{name}:1", "joined_at": NOON}
    return Node(name=name, **{"changed_at": NOON, **defaults, **fields})


def vitals(name: str, at: datetime) -> Vitals:
    """Return the report of a node that does nothing."""
    return Vitals(
        name=name,
        at=at,
        cpu_percent=0,
        load_1m=0,
        memory_bytes=0,
        memory_total_bytes=0,
        disk_bytes=0,
        disk_total_bytes=0,
        running_runs=0,
        applied_index=0,
        uptime_seconds=0,
        version="",
    )


class Cluster:
    """A state, a clock and the planner: what the leader does, without any machine."""

    def __init__(self, *nodes: str, now: datetime = NOON, leader: str = "n1") -> None:
        self.state = ClusterState()
        self.now = now
        self.term = 1
        self.leader = leader
        self.silent: dict[str, float] = {}
        self.offsets_ms: dict[str, int] = {}
        self.quiet: frozenset[str] = frozenset()
        self.pressed: dict[str, str] = {}
        self.holding_cpu: frozenset[str] = frozenset()
        self.led_since: datetime | None = None
        self.limits = Limits()
        self.rows: list[Run] = []
        for name in nodes or ("n1", "n2", "n3"):
            self.do(PutNode(at=now, node=node(name)))

    def do(self, command: AnyCommand) -> Outcome:
        """Apply a command, keep the rows it made final, and check the invariants."""
        outcome = apply(self.state, command)
        self.rows += outcome.rows
        self.state.check()
        return outcome

    def add_job(self, name: str = "job", schedule: str = "* * * * *", **fields) -> Job:
        """Create a job, or replace it, as the desk does."""
        spec = JobSpec(name=name, script="true\n", schedule=(schedule,), **fields)
        job_id = f"id-{name}"
        due = first_undecided(spec, self.state.jobs.get(job_id), job_id, self.now)
        command = PutJob(at=self.now, by="user:ada", job_id=job_id, spec=spec, next_due=due)
        outcome = self.do(command)
        assert outcome.refusal is None, outcome.refusal
        return outcome.value

    def plan(self) -> Plan:
        """Ask the planner once."""
        facts = Facts(
            now=self.now,
            term=self.term,
            leader=self.leader,
            silent_seconds={**dict.fromkeys(self.state.nodes, 0.0), **self.silent},
            offsets_ms=self.offsets_ms,
            quiet=self.quiet,
            pressed=self.pressed,
            holding_cpu=self.holding_cpu,
            led_since=self.led_since,
        )
        return plan(self.state, facts, self.limits)

    def decide(self) -> Plan:
        """Plan and apply until nothing is left to decide; returns the last plan."""
        for _ in range(1000):
            decided = self.plan()
            if not decided.commands:
                return decided
            for command in decided.commands:
                self.do(command)
        raise AssertionError("the planner never comes to rest")

    def run_until(self, moment: datetime) -> None:
        """Let time pass, deciding whenever the planner asks to."""
        while True:
            wake_at = self.decide().wake_at
            if wake_at >= moment:
                break
            self.now = max(self.now + timedelta(milliseconds=1), wake_at)
        self.now = moment
        self.decide()

    def trigger(self, job: Job, *, key: str = "k", **fields) -> Run:
        """Ask for a run by hand."""
        command = TriggerRun(
            at=self.now,
            by="user:ada",
            job_id=job.id,
            run_id=run_id(job.id, self.now, key),
            **fields,
        )
        return self.do(command).value

    def claim(self, run: Run) -> tuple[str, ...]:
        """Claim as the run's node."""
        assert run.node is not None
        claims = (Claim(run_id=run.id, attempt=run.attempt),)
        return self.do(ClaimRuns(at=self.now, node=run.node, claims=claims)).value

    def claim_all(self) -> list[Run]:
        """Claim everything that is assigned; returns the runs as they are now."""
        claimed = []
        for run in sorted(self.state.open_runs.values(), key=lambda run: run.id):
            if run.state is RunState.PENDING and run.node is not None:
                claimed += self.claim(run)
        return [self.state.open_runs[run_id] for run_id in claimed]

    def finish(self, run: Run, state: RunState = RunState.SUCCEEDED, **fields) -> tuple[str, ...]:
        """Report a result as the run's node."""
        result = RunResult(
            run_id=run.id,
            attempt=run.attempt,
            state=state,
            started_at=run.due_at,
            finished_at=self.now,
            exit_code={RunState.SUCCEEDED: 0, RunState.FAILED: 1}.get(state),
            **fields,
        )
        assert run.node is not None
        return self.do(FinishRuns(at=self.now, node=run.node, results=(result,))).value

    def open_runs(self) -> list[Run]:
        """Return open runs, oldest first."""
        return sorted(self.state.open_runs.values(), key=lambda run: run.id)

    def outcomes(self) -> list[tuple[str, str, str]]:
        """Final rows as (nominal HH:MM:SS, state, reason)."""
        return [
            (f"{row.nominal_time:%H:%M:%S}", str(row.state), str(row.reason or ""))
            for row in self.rows
        ]
