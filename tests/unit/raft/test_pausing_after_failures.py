import pytest
from builders import Cluster, at

from croncord.lifecycle import RunState
from croncord.model import Misfire, Retries
from croncord.raft.commands import DeleteJob, PauseCluster, PauseJob

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


# What a pause does to further attempts


def failed_once(**fields):
    """A job whose run has failed and waits for its second attempt."""
    cluster = Cluster()
    job = cluster.add_job(retries=Retries(count=3, delay_seconds=30), **fields)
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.finish(run, FAILED)
    return cluster, job


def pause(cluster, job, *, paused=True):
    cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=paused))


def pause_cluster(cluster, _job):
    cluster.do(PauseCluster(at=cluster.now, paused=True))


@pytest.mark.parametrize("stop", [pause, pause_cluster])
def test_a_pause_ends_the_wait_for_a_further_attempt_and_the_row_says_how_the_last_one_ended(stop):
    cluster, job = failed_once()
    stop(cluster, job)
    (row,) = cluster.rows
    assert (row.state, row.attempt, row.attempts, row.exit_code) == (FAILED, 1, (), 1)
    assert row.detail.startswith("no further attempt was made: ")
    assert (row.due_at, row.node is not None) == (at(60), True)


@pytest.mark.parametrize("stop", [pause, pause_cluster])
def test_what_fails_during_a_pause_is_not_tried_again(stop):
    cluster = Cluster()
    job = cluster.add_job(retries=Retries(count=3), delivery="at_least_once")
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    stop(cluster, job)
    cluster.finish(run, FAILED)
    assert [row.state for row in cluster.rows] == [FAILED]
    assert not cluster.state.open_runs


def test_what_somebody_asked_for_is_tried_again_during_a_pause():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", retries=Retries(count=1, delay_seconds=5))
    pause(cluster, job)
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.finish(run, FAILED)
    cluster.run_until(at(10))
    (again,) = cluster.claim_all()
    assert again.attempt == 2


def test_after_a_pause_the_next_tick_has_its_attempts_again():
    cluster, job = failed_once()
    pause(cluster, job)
    pause(cluster, job, paused=False)
    cluster.run_until(at(120))
    (run,) = cluster.claim_all()
    assert (run.nominal_time, run.attempt) == (at(120), 1)


@pytest.mark.parametrize("end", ["deleted", "no node"])
def test_a_row_that_has_run_never_says_that_it_was_skipped_or_missed(end):
    cluster, job = failed_once(misfire=Misfire(window_seconds=60))
    if end == "deleted":
        cluster.do(DeleteJob(at=cluster.now, job_id=job.id))
    else:
        cluster.silent = dict.fromkeys(cluster.state.nodes, 100.0)
        cluster.leader = "gone"
        cluster.run_until(at(400))
    (row,) = [row for row in cluster.rows if row.nominal_time == at(60)]
    assert (row.state, row.attempt) == (FAILED, 1)


def test_jobs_of_one_end_that_pauses_their_job_have_one_row_each():
    cluster, job = failed_once(overlap="queue_all", pause_after_failures=1)
    cluster.run_until(at(181))
    pause_cluster(cluster, job)
    ids = [row.id for row in cluster.rows]
    assert len(ids) == len(set(ids)) == 3
