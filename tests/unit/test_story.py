import pytest
from builders import Cluster, at

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.story import _DUE, _ENDINGS, REASONS, RULES, span, story, who


def test_every_reason_trigger_and_state_has_its_words():
    assert set(REASONS) == set(Reason)
    assert set(_DUE) == set(Trigger)
    assert set(_ENDINGS) == set(RunState)
    assert set(RULES) <= set(Reason)


def test_a_story_can_be_told_without_the_definition_that_a_run_pinned():
    cluster = Cluster()
    job = cluster.add_job(timezone="Europe/Berlin", timeout_seconds=90)
    cluster.run_until(at(60))
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState.TIMED_OUT, reason=Reason.TIMEOUT)
    row = cluster.rows[-1]
    assert story(row, None)[-1].text == "It was ended at its time limit: its time limit passed."
    told = story(row, job.spec)
    assert told[-1].text.endswith("its time limit of 90 s passed.")
    assert told[0].text.endswith("(2026-11-24 13:01:00 in Europe/Berlin).")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0625, "0.062 s"), (45, "45 s"), (119, "119 s"), (150, "2.5 min"), (7200, "2 h")],
)
def test_lengths_of_time_are_rounded_to_what_matters(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("by", "text"), [("", "the cluster"), ("node:n1", "the leader n1"), ("user:ada", "user:ada")]
)
def test_who_decided_is_named(by, text):
    assert who(by) == text
