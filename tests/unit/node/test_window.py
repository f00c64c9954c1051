"""How late a run may still start, and what becomes of one that nobody claims."""

from datetime import timedelta

import msgspec
import pytest
from builders import Cluster, at

from croncord.model import Misfire, Target
from croncord.node import window


@pytest.mark.parametrize(
    ("window_seconds", "late_seconds", "passed"),
    [(0, 29, False), (0, 31, True), (600, 599, False), (600, 601, True)],
)
def test_a_small_window_still_allows_a_late_start(window_seconds, late_seconds, passed):
    cluster = Cluster()
    misfire = Misfire(window_seconds=window_seconds)
    cluster.add_job(misfire=misfire)
    cluster.run_until(at(60))
    (run,) = cluster.open_runs()
    assert window.has_passed(run, misfire, run.due_at + timedelta(seconds=late_seconds)) is passed


def test_what_a_living_node_does_not_claim_in_its_window_is_missed_and_not_started_later():
    cluster = Cluster()
    cluster.add_job(schedule="1 12 * * *", misfire=Misfire(window_seconds=120))
    cluster.run_until(at(170))
    assert len(cluster.open_runs()) == 1
    cluster.run_until(at(200))
    assert cluster.outcomes() == [("12:01:00", "missed", "late")]


def test_what_waited_for_a_node_is_not_started_by_one_that_comes_after_its_window():
    cluster = Cluster("n1", "n2")
    target = Target(nodes=("n2",))
    cluster.add_job(schedule="1 12 * * *", misfire=Misfire(window_seconds=120), target=target)
    cluster.silent = {"n2": 10}
    cluster.run_until(at(61))
    cluster.now, cluster.silent = at(400), {}  # nobody led meanwhile
    cluster.decide()
    assert cluster.outcomes() == [("12:01:00", "missed", "node_down")]


def test_a_batch_full_of_jobs_that_wait_for_their_instant_lets_the_leader_sleep_until_then():
    cluster = Cluster()
    cluster.limits = msgspec.structs.replace(cluster.limits, batch=1)
    for name in ("a", "b"):
        cluster.add_job(name)
    cluster.run_until(at(60))
    cluster.claim_all()
    cluster.now = at(119.5)
    assert cluster.plan().wake_at == at(120)
