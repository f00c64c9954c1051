"""What a backup's state becomes when a new cluster begins with it: nothing of the past is launched."""

from datetime import timedelta

import msgspec
import pytest
from builders import NOON, Cluster, at, node

from croncord.lifecycle import RunState
from croncord.model import Dependency, Misfire, Retention, Retries, Target
from croncord.raft.commands import PutNode
from croncord.raft.restoring import FENCE_STEP, Beginning, Restoring
from croncord.raft.snapshot import decode_state, encode_state


class Disk:
    """The history in a backup: rows by id, attempts whose output is there."""

    def __init__(self, rows=(), outputs=()):
        self.rows = {row.id: row for row in rows}
        self.outputs = set(outputs)

    def row(self, run_id):
        return self.rows.get(run_id)

    def holds(self, run_id, attempt):
        return (run_id, attempt) in self.outputs


def restored(cluster, *, minutes=5, history=None, **fields):
    """Return the state after the restore, and the rows that became final."""
    state = decode_state(encode_state(cluster.state))
    beginning = Beginning(
        at=cluster.now + timedelta(minutes=minutes, seconds=-1),
        backup_at=cluster.now,
        cluster_id="new",
        session_key=b"s" * 32,
        nodes=(node("m1", joining=True, up=False),),
        **{"rows_per_job": 1000, **fields},
    )
    restoring = Restoring(state, beginning, history or Disk())
    rows = [row for step in restoring.steps() for row in step]
    state.check()
    return state, rows, restoring


def told(rows):
    return [(f"{row.nominal_time:%H:%M}", str(row.state), str(row.reason)) for row in rows]


def test_ticks_between_backup_and_restore_are_skipped_with_a_reason_and_the_next_one_is_due():
    cluster = Cluster("n1")
    job = cluster.add_job()
    state, rows, restoring = restored(cluster)
    assert told(rows) == [(f"12:0{n}", "skipped", "restored") for n in range(1, 5)]
    assert state.jobs[job.id].next_due == at(300)
    assert restoring.ticks == 4
    assert "the old cluster may have launched it" in rows[0].detail
    assert [row.id for row in state.recent[job.id]] == [row.id for row in rows]


def test_the_planner_of_the_new_cluster_launches_nothing_of_the_past():
    cluster = Cluster("n1")
    cluster.add_job(misfire=Misfire(policy="run_all"))
    cluster.state = restored(cluster)[0]
    cluster.now = at(300)
    cluster.leader, cluster.term = "m1", 9
    cluster.do(msgspec.structs.replace(_put_node("m1"), at=cluster.now))
    cluster.decide()
    assert [f"{run.nominal_time:%H:%M}" for run in cluster.open_runs()] == ["12:05"]


def _put_node(name):
    return PutNode(at=NOON, node=node(name, disk="new-disk"))


def test_runs_that_were_open_are_closed_and_nothing_follows_from_them():
    cluster = Cluster("n1")
    running = cluster.add_job("running", "@manual", retries=Retries(count=3))
    waiting = cluster.add_job("waiting", "@manual", overlap="queue_all")
    cluster.add_job("alarm", "@manual", after=(Dependency(job="running", on="always"),))
    for job in (running, waiting):
        cluster.trigger(job, key="first")
    cluster.decide()
    cluster.claim_all()
    cluster.trigger(waiting, key="second")
    cluster.decide()
    state, rows, restoring = restored(cluster)
    assert sorted((row.job, str(row.state), str(row.reason)) for row in rows) == [
        ("running", "lost", "restored"),
        ("waiting", "lost", "restored"),
        ("waiting", "skipped", "restored"),
    ]
    assert (restoring.lost, restoring.not_launched) == (2, 1)
    assert not state.open_runs
    assert not state.lost, "the truth about them went with the disks"


def test_a_row_of_the_backups_ledger_is_believed_before_its_older_state():
    cluster = Cluster("n1")
    job = cluster.add_job()
    cluster.now = at(61)
    cluster.decide()
    (run,) = cluster.claim_all()
    done = msgspec.structs.replace(run, state=RunState.SUCCEEDED, finished_at=at(62))
    history = Disk([done])
    state, rows, restoring = restored(cluster, minutes=1, history=history)
    assert restoring.lost == 0
    assert done in state.recent[job.id]
    assert run.id not in {row.id for row in rows}


def test_with_catch_up_the_misfire_policy_decides_but_not_about_what_has_a_row_already():
    cluster = Cluster("n1")
    job = cluster.add_job()
    _, skipped, _ = restored(cluster)
    ran = [msgspec.structs.replace(row, state=RunState.SUCCEEDED) for row in skipped[:2]]
    state, rows, restoring = restored(cluster, history=Disk(ran), catch_up=True)
    assert rows == []
    assert restoring.ticks == 0
    assert state.jobs[job.id].next_due == at(180)


def test_a_long_gap_makes_no_more_rows_than_would_be_kept():
    cluster = Cluster("n1")
    cluster.add_job("every", "* * * * *")
    cluster.add_job("few", "* * * * *", retention=Retention(runs=3))
    _, rows, _ = restored(cluster, minutes=600, rows_per_job=50)
    assert len([row for row in rows if row.job == "every"]) == 50
    assert told(rows)[-1] == ("21:59", "skipped", "restored")
    assert len([row for row in rows if row.job == "few"]) == 3


def test_a_job_on_every_node_gets_a_row_for_each_node_that_there_was():
    cluster = Cluster("n1", "n2")
    cluster.add_job(target=Target(every_node=True))
    _, rows, _ = restored(cluster, minutes=2)
    assert [(row.target, row.shard_index, row.shard_count) for row in rows] == [
        ("n1", 0, 2),
        ("n2", 1, 2),
    ]


def test_the_cluster_has_an_identity_of_its_own_and_old_disks_are_out_for_good():
    cluster = Cluster("n1", "n2")
    cluster.do(msgspec.structs.replace(_put_node("n1"), node=node("n1", disk="old-disk")))
    fence = cluster.state.fence
    state, _, _ = restored(cluster, paused=True)
    assert (state.cluster_id, state.session_key) == ("new", b"s" * 32)
    assert list(state.nodes) == ["m1"]
    assert "old-disk" in state.removed
    assert state.fence == fence + FENCE_STEP
    assert state.paused


@pytest.mark.parametrize(("held", "replicas"), [(True, ("m1",)), (False, ())])
def test_output_is_said_to_be_on_the_new_node_or_nowhere(held, replicas):
    cluster = Cluster("n1")
    job = cluster.add_job()
    cluster.now = at(61)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.finish(run)
    history = Disk(outputs=[(run.id, 1)] if held else [])
    state, _, _ = restored(cluster, minutes=1, history=history)
    assert state.recent[job.id][0].replicas == replicas
