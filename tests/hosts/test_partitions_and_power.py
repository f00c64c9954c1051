"""Three hosts are cut off from each other, frozen and unplugged; what was acknowledged stays.

The tests use the same cluster one after the other. CRONCORD_TEST_FAULTS is how many times the list
of faults is gone through (1).
"""

import os

import pytest
from hosts_faults import deaf, isolated, mute, parted, paused, shattered, without_power
from hosts_promises import broken_promises, prepare
from hosts_story import others

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("CRONCORD_TEST_FAULTS", "1"))
SHORT, LONG, FOR_LOST = 8, 20, 75
"""Seconds: past the election timeouts, past until a node is down, past until its runs are lost."""


@pytest.fixture(scope="module")
def ticking(story):
    return prepare(story)


def a_follower(story):
    return story.rng.choice(others(story.lab, story.lab.leader()))


def partitions(story):
    """Yield faults of the network, each made for who leads when its turn comes."""
    lab, rng = story.lab, story.rng
    for _ in range(ROUNDS):
        for make in (isolated, deaf, mute):
            yield make(lab, lab.leader(), rng.choice((SHORT, LONG)))
            yield make(lab, a_follower(story), rng.choice((SHORT, LONG)))
        yield parted(lab, lab.leader(), a_follower(story), LONG)
        one, other = others(lab, lab.leader())
        yield parted(lab, one, other, LONG)
        yield shattered(lab, SHORT)
        yield shattered(lab, LONG)
        yield isolated(lab, lab.leader(), FOR_LOST)
        yield isolated(lab, lab.leader(), SHORT)


def pauses(story):
    lab = story.lab
    for _ in range(ROUNDS):
        yield paused(lab, [lab.leader()], SHORT)
        yield paused(lab, [lab.leader()], LONG)
        yield paused(lab, [a_follower(story)], LONG)
        yield paused(lab, others(lab, lab.leader()), LONG)
        yield paused(lab, [lab.leader(), a_follower(story)], LONG)
        yield paused(lab, lab.hosts, SHORT)
        yield paused(lab, lab.hosts, FOR_LOST)
        yield paused(lab, [lab.leader()], FOR_LOST)


def power_cuts(story):
    lab = story.lab
    for _ in range(ROUNDS):
        yield without_power(lab, [lab.leader()], 2)
        yield without_power(lab, [a_follower(story)], LONG)
        yield without_power(lab, [lab.leader(), a_follower(story)], 5)
        yield without_power(lab, others(lab, lab.leader()), 5)
        for seconds in (1, 3, 5, SHORT, LONG):
            yield without_power(lab, lab.hosts, seconds)
        yield without_power(lab, [lab.leader()], FOR_LOST)


@pytest.mark.parametrize("faults", [partitions, pauses, power_cuts], ids=lambda f: f.__name__)
def test_what_was_acknowledged_is_there_once_and_no_tick_starts_twice(story, ticking, faults):
    before = len(story.recoveries)
    with story.clients():
        for fault in faults(story):
            story.suffer(fault)
    story.report(story.recoveries[before:])
    assert broken_promises(story, ticking) == []
