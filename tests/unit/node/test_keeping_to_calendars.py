"""Ticks and calendars: what is skipped, what is caught up, what is refused."""

import msgspec
from builders import NOON, Cluster, at

from croncord.calendars import read_calendar
from croncord.model import JobSpec, Misfire
from croncord.raft.commands import DeleteCalendar, PutCalendar, PutJob
from croncord.raft.snapshot import decode_state, encode_state


def with_calendar(**fields):
    cluster = Cluster()
    fields = fields or {"times": ["12:02-12:04"]}
    spec = read_calendar({"name": "lunch", **fields})
    cluster.do(PutCalendar(at=NOON, by="user:ada", calendar=spec))
    return cluster


def test_a_tick_in_a_blackout_is_skipped_and_names_the_calendar():
    cluster = with_calendar()
    cluster.add_job(calendars=("lunch",), overlap="allow")
    cluster.run_until(at(300))
    assert cluster.outcomes() == [
        ("12:02:00", "skipped", "calendar"),
        ("12:03:00", "skipped", "calendar"),
    ]
    assert {row.detail for row in cluster.rows} == {"the calendar lunch"}
    assert [run.nominal_time for run in cluster.open_runs()] == [at(60), at(240), at(300)]


def test_a_job_asked_for_by_hand_runs_whatever_the_calendar_says():
    cluster = with_calendar(kind="allowed", dates=["2020-01-01"])
    job = cluster.add_job(calendars=("lunch",))
    cluster.trigger(job)
    cluster.decide()
    assert cluster.open_runs()[0].node is not None


def test_run_once_catches_up_the_newest_tick_that_the_calendar_lets_run():
    cluster = with_calendar(times=["12:04-12:10"])
    cluster.add_job(calendars=("lunch",), misfire=Misfire(policy="run_once"))
    cluster.now = at(340)
    cluster.decide()
    assert [run.nominal_time for run in cluster.open_runs()] == [at(180)]
    assert [reason for _, _, reason in cluster.outcomes()] == ["late"] * 2 + ["calendar"] * 2


def test_a_long_outage_under_a_calendar_that_lets_nothing_run_comes_to_an_end():
    cluster = with_calendar(kind="allowed", dates=["2020-01-01"])
    cluster.add_job(schedule="*/10 * * * * *", calendars=("lunch",), overlap="allow")
    cluster.now = at(3600)
    cluster.decide()
    assert {row.reason for row in cluster.rows} == {"calendar"}
    assert len(cluster.rows) == 360


def test_a_calendar_that_a_job_names_cannot_be_deleted():
    cluster = with_calendar()
    job = cluster.add_job(calendars=("lunch",))
    refusal = cluster.do(DeleteCalendar(at=NOON, name="lunch")).refusal
    assert (refusal.code, refusal.message) == ("conflict", "the calendar is used by job")
    cluster.add_job(job.name)
    assert cluster.do(DeleteCalendar(at=NOON, name="lunch")).refusal is None
    assert cluster.do(DeleteCalendar(at=NOON, name="lunch")).refusal.code == "not_found"


def test_a_job_cannot_name_a_calendar_that_is_not_there():
    cluster = Cluster()
    spec = JobSpec(name="job", script="true", calendars=("nope",))
    refusal = cluster.do(PutJob(at=NOON, job_id="id", spec=spec, next_due=None)).refusal
    assert (refusal.code, refusal.field) == ("invalid", "calendars")


def test_calendars_survive_a_snapshot():
    cluster = with_calendar()
    restored = decode_state(encode_state(cluster.state))
    assert restored.calendars["lunch"] == cluster.state.calendars["lunch"]
    assert restored.digest() == cluster.state.digest()


def test_a_snapshot_of_a_version_without_calendars_can_be_read():
    data = encode_state(Cluster().state)
    fields = msgspec.msgpack.decode(data[1:])
    del fields["calendars"]
    restored = decode_state(data[:1] + msgspec.msgpack.encode(fields))
    assert restored.calendars == {}
