import pytest
from builders import Cluster, at

from croncord.lifecycle import RunState
from croncord.model import Retries
from croncord.raft.commands import PauseJob

FAILED, GOOD, LOST, KILLED = (
    RunState.FAILED,
    RunState.SUCCEEDED,
    RunState.LOST,
    RunState.KILLED,
)


def ended(*states, **fields):
    """A job whose runs ended so, one after another."""
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", overlap="allow", **fields)
    for number, state in enumerate(states):
        cluster.trigger(job, key=str(number))
        cluster.decide()
        (run,) = cluster.claim_all()
        cluster.finish(run, state)
    return cluster, cluster.state.jobs[job.id]


@pytest.mark.parametrize(
    ("states", "failures", "paused"),
    [
        ((FAILED, FAILED), 2, False),
        ((FAILED, FAILED, FAILED), 3, True),
        ((FAILED, RunState.TIMED_OUT, LOST), 3, True),
        ((FAILED, FAILED, GOOD, FAILED), 1, False),
        ((FAILED, FAILED, KILLED), 2, False),
    ],
)
def test_a_job_is_paused_after_so_many_failures_in_a_row(states, failures, paused):
    _, job = ended(*states, pause_after_failures=3)
    assert (job.failures, job.spec.paused) == (failures, paused)
    assert job.paused_by == ("cluster" if paused else "")


def test_without_the_setting_failures_only_count():
    _, job = ended(*[FAILED] * 5)
    assert (job.failures, job.spec.paused) == (5, False)


def test_a_resumed_job_counts_anew():
    cluster, job = ended(FAILED, pause_after_failures=1)
    cluster.do(PauseJob(at=at(9), by="user:ada", job_id=job.id, paused=False))
    job = cluster.state.jobs[job.id]
    assert (job.failures, job.spec.paused, job.paused_at) == (0, False, None)


def test_a_retry_that_succeeds_is_no_failure():
    cluster = Cluster()
    cluster.add_job(retries=Retries(count=1, delay_seconds=1), pause_after_failures=1)
    cluster.run_until(at(60))
    cluster.finish(cluster.claim_all()[0], FAILED)
    cluster.run_until(at(62))
    cluster.finish(cluster.claim_all()[0], GOOD)
    assert cluster.state.jobs["id-job"].failures == 0


def test_what_waits_is_skipped_as_paused_when_the_job_pauses_itself():
    cluster = Cluster()
    cluster.add_job(overlap="queue_one", pause_after_failures=1)
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.run_until(at(120))
    cluster.finish(run, FAILED)
    assert cluster.outcomes() == [("12:01:00", "failed", ""), ("12:02:00", "skipped", "paused")]


def test_the_truth_about_a_lost_run_is_not_counted_twice():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", pause_after_failures=2)
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.silent = {run.node: 100}
    cluster.decide()
    cluster.silent = {}
    cluster.finish(run, FAILED)
    assert cluster.state.jobs[job.id].failures == 1
