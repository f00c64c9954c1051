"""Random histories: the state stays consistent, copies agree, and the promises of the ledger hold."""

from datetime import timedelta

from builders import NOON, Cluster
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from croncord.calendars import read_calendar
from croncord.lifecycle import OPEN_STATES, RunState
from croncord.model import Dependency, Retries, Target
from croncord.raft.apply import apply
from croncord.raft.commands import (
    Backfill,
    CancelBackfill,
    DeleteJob,
    DrainNode,
    PauseCluster,
    PauseJob,
    PutCalendar,
    RequestKill,
    SetLogLevel,
    decode_command,
    encode_command,
)
from croncord.raft.snapshot import decode_state, encode_state
from croncord.raft.state import ClusterState

NAMES = st.sampled_from(["a", "b", "c"])
NODES = ["n1", "n2", "n3"]
ENDS = st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.KILLED, RunState.LOST])


class Replicated(Cluster):
    """A cluster that keeps a second copy from the commands' bytes, and counts launches."""

    def __init__(self) -> None:
        self.copy = ClusterState()
        self.claims: list[tuple[str, int]] = []
        self.fences: dict[tuple[str, int], int] = {}
        super().__init__(*NODES)

    def do(self, command):
        apply(self.copy, decode_command(encode_command(command)))
        return super().do(command)


class History(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.cluster = Replicated()
        even = read_calendar({"name": "even", "times": ["12:10-12:20"]})
        self.cluster.do(PutCalendar(at=NOON, calendar=even))

    @rule(
        name=NAMES,
        schedule=st.sampled_from(["* * * * *", "*/2 * * * *", "@manual", "@every 45s"]),
        overlap=st.sampled_from(["skip", "queue_one", "queue_all", "replace", "allow"]),
        count=st.integers(0, 2),
        delivery=st.sampled_from(["at_most_once", "at_least_once"]),
        every_node=st.booleans(),
        after=st.sampled_from(["a", "b", "c", None, None]),
        on=st.sampled_from(["success", "failure", "always"]),
        locks=st.sampled_from([(), (), ("x",), ("x", "y:2"), ("y:2",)]),
        calendars=st.sampled_from([(), (), ("even",)]),
        failures=st.sampled_from([None, None, 2]),
    )
    def save_job(
        self,
        name,
        schedule,
        overlap,
        count,
        delivery,
        every_node,
        after,
        on,
        locks,
        calendars,
        failures,
    ):
        self.cluster.decide()
        # Of the possible circles only those that the order of names allows are tried here.
        follows = after is not None and after < name
        self.cluster.add_job(
            name,
            after=(Dependency(job=after, on=on),) if follows else (),
            locks=locks,
            calendars=calendars,
            pause_after_failures=failures,
            schedule=schedule,
            overlap=overlap,
            retries=Retries(count=count, delay_seconds=5),
            delivery=delivery,
            target=Target(every_node=every_node),
        )

    @rule(seconds=st.sampled_from([1, 7, 30, 60, 300]))
    def time_passes(self, seconds):
        self.cluster.run_until(self.cluster.now + timedelta(seconds=seconds))

    @rule(seconds=st.sampled_from([60, 7200]))
    def outage(self, seconds):
        self.cluster.now += timedelta(seconds=seconds)

    @rule(term=st.integers(0, 1), leader=st.sampled_from(NODES))
    def election(self, term, leader):
        self.cluster.term += term
        self.cluster.leader = leader

    @rule(name=st.sampled_from(NODES), seconds=st.sampled_from([0, 10, 100]))
    def node_goes_silent(self, name, seconds):
        self.cluster.silent[name] = seconds

    @rule()
    def nodes_claim(self):
        for run in self.cluster.claim_all():
            self.cluster.claims.append((run.id, run.attempt))

    @rule(data=st.data(), state=ENDS)
    def a_run_ends(self, data, state):
        running = [r for r in self.cluster.open_runs() if r.state is RunState.RUNNING]
        running += self.cluster.state.lost.values()
        if running:
            self.cluster.finish(data.draw(st.sampled_from(running)), state)

    @rule(data=st.data())
    def somebody_kills(self, data):
        if self.cluster.open_runs():
            run = data.draw(st.sampled_from(self.cluster.open_runs()))
            self.cluster.do(RequestKill(at=self.cluster.now, run_id=run.id))

    @rule(name=NAMES, paused=st.booleans())
    def pause_job(self, name, paused):
        command = PauseJob(at=self.cluster.now, job_id=f"id-{name}", paused=paused)
        self.cluster.do(command)

    @rule(paused=st.booleans())
    def pause_cluster(self, paused):
        self.cluster.do(PauseCluster(at=self.cluster.now, paused=paused))

    @rule(name=st.sampled_from(NODES), draining=st.booleans())
    def drain(self, name, draining):
        self.cluster.do(DrainNode(at=self.cluster.now, name=name, draining=draining))

    @rule(name=st.sampled_from(NODES), level=st.sampled_from(["debug", ""]))
    def set_log_level(self, name, level):
        self.cluster.do(SetLogLevel(at=self.cluster.now, name=name, level=level))

    @rule(name=NAMES, kill=st.booleans())
    def delete_job(self, name, kill):
        self.cluster.decide()
        self.cluster.do(DeleteJob(at=self.cluster.now, job_id=f"id-{name}", kill=kill))

    @rule(name=NAMES, backfill=st.sampled_from(["b1", "b2"]), parallel=st.integers(1, 3))
    def backfill(self, name, backfill, parallel):
        ticks = tuple(NOON - timedelta(minutes=minutes) for minutes in (3, 2, 1))
        command = Backfill(
            at=self.cluster.now,
            job_id=f"id-{name}",
            backfill_id=backfill,
            ticks=ticks,
            max_parallel=parallel,
        )
        self.cluster.do(command)

    @rule(name=NAMES, backfill=st.sampled_from(["b1", "b2"]), kill=st.booleans())
    def cancel_backfill(self, name, backfill, kill):
        job_id = f"id-{name}"
        self.cluster.do(
            CancelBackfill(at=self.cluster.now, job_id=job_id, backfill_id=backfill, kill=kill)
        )

    @rule(name=NAMES, key=st.text("xyz", min_size=1, max_size=3))
    def trigger(self, name, key):
        job = self.cluster.state.job_named(name)
        if job is not None:
            self.cluster.trigger(job, key=key, idempotency_key=key)

    @invariant()
    def every_copy_has_the_same_digest(self):
        digest = self.cluster.state.digest()
        assert self.cluster.copy.digest() == digest
        restored = decode_state(encode_state(self.cluster.state))
        restored.check()
        assert restored.digest() == digest
        assert encode_state(restored) == encode_state(self.cluster.state)

    @invariant()
    def an_attempt_is_claimed_at_most_once(self):
        assert len(set(self.cluster.claims)) == len(self.cluster.claims)

    @invariant()
    def a_final_state_stays_unless_it_was_lost(self):
        finals = {(r.id, r.state) for r in self.cluster.rows if r.state is not RunState.LOST}
        assert len({run_id for run_id, _ in finals}) == len(finals)
        assert not {state for _, state in finals} & OPEN_STATES

    @invariant()
    def every_row_without_a_launch_says_why(self):
        silent = (RunState.SKIPPED, RunState.MISSED, RunState.LOST, RunState.KILLED)
        assert all(row.reason for row in self.cluster.rows if row.state in silent and not row.kill)

    @invariant()
    def a_new_attempt_has_a_recorded_cause(self):
        for run in self.cluster.open_runs():
            assert [attempt.number for attempt in run.attempts] == list(range(1, run.attempt))

    def teardown(self):
        if not hasattr(self, "cluster"):
            return
        ticks = [
            (row.job_id, row.nominal_time, row.target)
            for row in {r.id: r for r in (*self.cluster.rows, *self.cluster.open_runs())}.values()
            if row.trigger in ("schedule", "catch_up", "every_node")
        ]
        assert len(set(ticks)) == len(ticks), "one row per tick and target"


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_copy_from_a_snapshot_goes_on_like_the_original():
    cluster = Replicated()
    cluster.add_job("a", "* * * * *", overlap="allow")
    cluster.run_until(NOON + timedelta(minutes=3))
    cluster.copy = decode_state(encode_state(cluster.state))
    cluster.claim_all()
    cluster.run_until(NOON + timedelta(minutes=6))
    assert cluster.copy.digest() == cluster.state.digest()
