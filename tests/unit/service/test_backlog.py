import msgspec
import pytest
from builders import Cluster, at

from croncord.model import Misfire
from croncord.service.backlog import backlog


@pytest.mark.parametrize(
    ("misfire", "launches"),
    [
        (Misfire(policy="skip"), 0),
        (Misfire(policy="run_once"), 1),
        (Misfire(policy="run_all"), 10),
        (Misfire(policy="run_all", max_runs=4), 4),
        (Misfire(policy="run_all", window_seconds=190), 3),
    ],
)
def test_before_anything_is_decided_it_is_told_what_will_be_launched(misfire, launches):
    cluster = Cluster()
    cluster.add_job(misfire=misfire, overlap="allow")
    cluster.now = at(10 * 60 + 40)
    (told,) = backlog(cluster.state, cluster.now)
    assert (told.job, told.oldest) == ("job", "2026-11-24T12:01:00.000Z")
    assert (told.undecided, told.launches, told.waiting) == (10, launches, 0)
    cluster.decide()
    assert len(cluster.open_runs()) == launches


def test_runs_that_were_decided_and_wait_for_their_turn_are_counted():
    cluster = Cluster()
    cluster.add_job(misfire=Misfire(policy="run_all", per_minute=1), overlap="allow")
    cluster.now = at(5 * 60 + 40)
    cluster.decide()
    cluster.claim_all()
    (told,) = backlog(cluster.state, cluster.now)
    assert msgspec.structs.asdict(told) == {
        "job": "job",
        "job_id": "id-job",
        "oldest": None,
        "undecided": 0,
        "launches": 0,
        "waiting": 4,
    }


def test_a_cluster_in_time_has_nothing_to_catch_up():
    cluster = Cluster()
    cluster.add_job()
    cluster.run_until(at(61))
    assert backlog(cluster.state, cluster.now) == []
