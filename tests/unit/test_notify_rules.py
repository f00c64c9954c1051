"""What is told of a job, as a table: what was, what the row says, what is told and remembered."""

import msgspec
import pytest
from builders import NOON, Cluster, at

from croncord.lifecycle import RunState, Trigger
from croncord.model import Target
from croncord.notification import JOB_KINDS, Notify, NotifySettings, Watch
from croncord.notify_rules import (
    is_overdue,
    judge,
    next_try,
    started_anew,
    takes_too_long,
)

DEFAULTS = NotifySettings()


def job_and_row(state="failed", *, trigger="schedule", lane="", **fields):
    cluster = Cluster()
    job = cluster.add_job("backup", "@manual", **fields)
    run = cluster.trigger(job)
    return job, msgspec.structs.replace(
        run, state=RunState(state), trigger=Trigger(trigger), target=lane, finished_at=at(60)
    )


@pytest.mark.parametrize(
    ("trouble", "late", "state", "told", "left"),
    [
        ("", False, "succeeded", "", ""),
        ("", False, "failed", "failure", "failure"),
        ("", False, "timed_out", "failure", "failure"),
        ("", False, "lost", "lost", "lost"),
        ("", False, "missed", "missed", "missed"),
        ("", False, "killed", "", ""),
        ("", False, "skipped", "", ""),
        ("failure", False, "failed", "failure", "failure"),
        ("failure", False, "missed", "missed", "missed"),
        ("failure", False, "succeeded", "recovery", ""),
        ("missed", False, "succeeded", "recovery", ""),
        ("lost", False, "succeeded", "recovery", ""),
        ("too_long", False, "succeeded", "recovery", ""),
        ("failure", False, "killed", "", "failure"),
        ("failure", False, "skipped", "", "failure"),
        ("", True, "succeeded", "recovery", ""),
        ("failure", True, "succeeded", "recovery", ""),
        ("", True, "failed", "failure", "failure"),
        ("", True, "skipped", "", ""),
    ],
)
def test_what_a_final_row_tells(trouble, late, state, told, left):
    job, row = job_and_row(state, expect_within_seconds=60)
    before = Watch(trouble={"": trouble} if trouble else {}, since=NOON, is_late=late)
    judged = judge(row, before, job, DEFAULTS)
    assert judged.kinds == ((told,) if told else ())
    assert judged.watch.trouble == ({"": left} if left else {})
    assert judged.watch.is_late == (late and state != "succeeded")
    assert judged.watch.since == (at(60) if state == "succeeded" else NOON)


@pytest.mark.parametrize(
    ("notify", "default", "state", "trouble", "told"),
    [
        (Notify(on=("failure",)), JOB_KINDS, "failed", "", ("failure",)),
        (Notify(on=("failure",)), JOB_KINDS, "missed", "", ()),
        (Notify(on=("recovery",)), JOB_KINDS, "succeeded", "failure", ()),
        (Notify(on=("failure", "recovery")), (), "succeeded", "failure", ("recovery",)),
        (Notify(), ("missed",), "failed", "", ()),
        (Notify(), ("missed",), "missed", "", ("missed",)),
        (Notify(muted=True), JOB_KINDS, "failed", "", ()),
    ],
)
def test_the_job_says_what_it_wants_told_else_the_cluster_does(
    notify, default, state, trouble, told
):
    job, row = job_and_row(state, notify=notify)
    before = Watch(trouble={"": trouble} if trouble else {})
    assert judge(row, before, job, NotifySettings(on=default)).kinds == told


def test_a_backfilled_success_ends_trouble_but_is_no_sign_of_life():
    job, row = job_and_row("succeeded", trigger="backfill", expect_within_seconds=60)
    judged = judge(row, Watch(since=NOON, is_late=True), job, DEFAULTS)
    assert judged.kinds == ()
    assert judged.watch == Watch(since=NOON, is_late=True)


def test_each_node_of_an_every_node_job_has_trouble_of_its_own():
    fields = {"target": Target(every_node=True)}
    job, row = job_and_row("failed", lane="n2", **fields)
    judged = judge(row, Watch(trouble={"n1": "failure"}), job, DEFAULTS)
    assert judged.watch.trouble == {"n1": "failure", "n2": "failure"}
    job, row = job_and_row("succeeded", lane="n3", **fields)
    assert judge(row, judged.watch, job, DEFAULTS).kinds == ()
    job, row = job_and_row("succeeded", lane="n1", **fields)
    assert judge(row, judged.watch, job, DEFAULTS).kinds == ("recovery",)


@pytest.mark.parametrize(
    ("seconds", "watch", "fields", "is_late"),
    [
        (61, Watch(since=NOON), {}, True),
        (60, Watch(since=NOON), {}, False),
        (61, Watch(since=NOON, is_late=True), {}, False),
        (61, Watch(), {}, False),
        (61, Watch(since=NOON), {"paused": True}, False),
        (61, Watch(since=NOON), {"expect_within_seconds": None}, False),
    ],
)
def test_a_job_is_late_once_when_nothing_succeeded_for_too_long(seconds, watch, fields, is_late):
    job, _ = job_and_row(**{"expect_within_seconds": 60} | fields)
    assert is_overdue(job, watch, at(seconds)) == is_late


def test_a_resumed_job_gets_its_whole_time_again():
    job, _ = job_and_row(expect_within_seconds=60)
    old = Watch(since=NOON, is_late=True, trouble={"": "failure", "n1": "failure"})
    assert started_anew(job, old, at(90), resumed=True).since == at(90)
    assert started_anew(job, old, at(90), resumed=False) == Watch(
        since=NOON, is_late=True, trouble={"": "failure"}
    )


def test_a_run_takes_too_long_once_and_only_while_it_runs():
    job, row = job_and_row(notify=Notify(too_long_seconds=10))
    running = msgspec.structs.replace(row, state=RunState.RUNNING, claimed_at=NOON)
    assert takes_too_long(job, running, Watch(), at(11))
    assert not takes_too_long(job, running, Watch(), at(10))
    assert not takes_too_long(job, running, Watch(long_runs=(running.id,)), at(11))
    assert not takes_too_long(job, row, Watch(), at(11))


def test_a_channel_that_answers_and_refuses_is_asked_ever_more_rarely():
    waits = [(next_try(NOON, n, reached=False) - NOON).total_seconds() for n in range(1, 7)]
    assert waits == [15, 30, 60, 120, 120, 120]
    waits = [(next_try(NOON, n, reached=True) - NOON).total_seconds() for n in (4, 7, 10**9)]
    assert waits == [120, 900, 900]
