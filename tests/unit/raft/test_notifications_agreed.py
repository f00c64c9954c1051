"""Deliveries in the agreed state: made with the row, kept until confirmed, bounded, never doubled."""

from datetime import timedelta

import pytest
from builders import NOON, Cluster, at

from croncord.lifecycle import RunState
from croncord.model import Misfire, Retries
from croncord.notification import Channel, Notify, NotifySettings
from croncord.raft import watching
from croncord.raft.commands import DeleteJob, PauseJob
from croncord.raft.notify_commands import (
    DeleteChannel,
    DeliveryResult,
    PutChannel,
    RaiseAlarms,
    RecordDeliveries,
    SendTest,
    SetNotifySettings,
)
from croncord.raft.snapshot import decode_state, encode_state
from croncord.raft.state import ClusterState


def cluster_with(*channels, **settings):
    cluster = Cluster()
    for name in channels or ("ops",):
        put_channel(cluster, name)
    rule = NotifySettings(channels=channels or ("ops",), **settings)
    cluster.do(SetNotifySettings(at=cluster.now, settings=rule))
    return cluster


def put_channel(cluster, name):
    channel = Channel(name=name, kind="webhook", shown="", updated_at=NOON, updated_by="user:ada")
    cluster.do(PutChannel(at=cluster.now, channel=channel))


def ends(cluster, job, state, *, key="k", **fields):
    cluster.trigger(job, key=key)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState(state), **fields)
    return run


def told(cluster):
    return [(d.notice.kind, d.channel) for d in cluster.state.deliveries.values()]


def record(cluster, delivery, *, error="", reached=False, more=0, term=None):
    result = DeliveryResult(
        delivery_id=delivery.id, at=cluster.now, error=error, reached=reached, more=more
    )
    term = cluster.term if term is None else term
    command = RecordDeliveries(at=cluster.now, by="node:n1", term=term, results=(result,))
    return cluster.do(command)


def waiting(cluster):
    return list(cluster.state.deliveries.values())


def test_a_failure_and_its_end_are_told_to_every_channel_of_the_job():
    cluster = cluster_with("ops", "mail")
    job = cluster.add_job("job", "@manual")
    run = ends(cluster, job, "failed", excerpt="no space left")
    assert told(cluster) == [("failure", "ops"), ("failure", "mail")]
    notice = waiting(cluster)[0].notice
    assert (notice.run_id, notice.exit_code, notice.excerpt) == (run.id, 1, "no space left")
    assert notice.failures == 1
    ends(cluster, job, "succeeded", key="again")
    ends(cluster, job, "succeeded", key="and again")
    assert told(cluster)[2:] == [("recovery", "ops"), ("recovery", "mail")]
    assert job.id not in cluster.state.watches


def test_a_job_with_channels_of_its_own_tells_only_those():
    cluster = cluster_with("ops", "team")
    ends(cluster, cluster.add_job("a", "@manual", notify=Notify(channels=("team",))), "failed")
    ends(cluster, cluster.add_job("b", "@manual", notify=Notify(muted=True)), "failed", key="b")
    assert told(cluster) == [("failure", "team")]


def test_a_failure_that_is_tried_again_is_told_when_the_last_attempt_failed():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual", retries=Retries(count=1, delay_seconds=1))
    ends(cluster, job, "failed")
    assert told(cluster) == []
    cluster.run_until(cluster.now + timedelta(seconds=2))
    (run,) = cluster.claim_all()
    cluster.finish(run, RunState.FAILED)
    assert told(cluster) == [("failure", "ops")]


def test_the_late_truth_about_a_lost_run_is_told_too():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual")
    cluster.trigger(job)
    cluster.decide()
    (run,) = cluster.claim_all()
    cluster.silent[run.node] = 100
    cluster.decide()
    assert told(cluster) == [("lost", "ops")]
    cluster.finish(run, RunState.SUCCEEDED)
    assert told(cluster) == [("lost", "ops"), ("recovery", "ops")]


def test_ticks_that_were_missed_together_are_told_together():
    cluster = cluster_with()
    cluster.add_job("job", "* * * * *", misfire=Misfire(policy="skip"))
    cluster.now += timedelta(minutes=30)
    cluster.decide()
    missed = [row for row in cluster.rows if row.state == "missed"]
    assert len(missed) > 20
    (delivery,) = waiting(cluster)
    assert delivery.notice.kind == "missed"
    assert delivery.notice.more == len(missed) - 1


def test_what_was_missed_while_the_notice_was_on_its_way_is_told_by_another():
    cluster = cluster_with()
    cluster.add_job("job", "* * * * *", misfire=Misfire(policy="skip"))
    cluster.now += timedelta(minutes=30)
    cluster.decide()
    (delivery,) = waiting(cluster)
    record(cluster, delivery, more=5)
    (rest,) = waiting(cluster)
    assert rest.notice.more == delivery.notice.more - 5 - 1


def test_silence_is_told_once_and_then_its_end():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual", expect_within_seconds=60)

    def alarm():
        cluster.do(RaiseAlarms(at=cluster.now, term=cluster.term, late=(job.id,)))

    cluster.now = at(60)
    alarm()
    assert told(cluster) == []
    cluster.now = at(61)
    alarm()
    alarm()
    assert told(cluster) == [("late", "ops")]
    assert waiting(cluster)[0].notice.since == NOON
    ends(cluster, job, "succeeded")
    alarm()
    assert told(cluster) == [("late", "ops"), ("recovery", "ops")]
    cluster.now = at(61 + 62)
    alarm()
    assert told(cluster)[2:] == [("late", "ops")]


def test_a_pause_stops_the_clock_of_the_dead_mans_switch():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual", expect_within_seconds=60)
    for seconds, paused in ((30, True), (300, False)):
        cluster.now = at(seconds)
        cluster.do(PauseJob(at=cluster.now, job_id=job.id, paused=paused))
    cluster.now = at(359)
    cluster.do(RaiseAlarms(at=cluster.now, term=cluster.term, late=(job.id,)))
    assert told(cluster) == []


def test_a_run_that_goes_on_is_told_once():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual", notify=Notify(too_long_seconds=60))
    run = cluster.trigger(job)
    cluster.decide()
    cluster.claim_all()
    cluster.now = at(61)
    for _ in range(2):
        cluster.do(RaiseAlarms(at=cluster.now, term=cluster.term, too_long=(run.id,)))
    assert told(cluster) == [("too_long", "ops")]
    cluster.finish(cluster.state.open_runs[run.id], RunState.SUCCEEDED)
    assert told(cluster)[1:] == [("recovery", "ops")]
    assert len(cluster.state.watches) == 0


def test_what_failed_waits_longer_each_time_and_every_attempt_is_kept():
    cluster = cluster_with()
    ends(cluster, cluster.add_job("job", "@manual"), "failed")
    for wait in (15, 30, 60):
        record(cluster, waiting(cluster)[0], error="nobody there")
        assert waiting(cluster)[0].next_at == cluster.now + timedelta(seconds=wait)
    record(cluster, waiting(cluster)[0])
    assert waiting(cluster) == []
    (done,) = cluster.state.delivered.values()
    assert done.state == "delivered"
    assert [bool(attempt.error) for attempt in done.attempts] == [True, True, True, False]


def test_after_a_day_it_is_given_up_and_said_so():
    cluster = cluster_with()
    ends(cluster, cluster.add_job("job", "@manual"), "failed")
    cluster.now += timedelta(hours=25)
    record(cluster, waiting(cluster)[0], error="nobody there")
    (done,) = cluster.state.delivered.values()
    assert (done.state, done.detail) == ("dropped", "nobody took it for 24 hours")


def test_too_many_push_out_the_oldest_and_it_is_said(monkeypatch):
    monkeypatch.setattr(watching, "PENDING_MAX", 3)
    monkeypatch.setattr(watching, "FINISHED_KEPT", 2)
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual")
    runs = [ends(cluster, job, "failed", key=str(number)) for number in range(6)]
    assert [d.notice.run_id for d in waiting(cluster)] == [run.id for run in runs[3:]]
    dropped = list(cluster.state.delivered.values())
    assert [d.notice.run_id for d in dropped] == [run.id for run in runs[1:3]]
    assert {(d.state, d.detail) for d in dropped} == {
        ("dropped", "more than 3 notices were waiting")
    }


def test_a_leader_of_an_older_term_confirms_nothing():
    cluster = cluster_with()
    ends(cluster, cluster.add_job("job", "@manual"), "failed")
    cluster.do(RaiseAlarms(at=cluster.now, term=5))
    assert record(cluster, waiting(cluster)[0], term=4).refusal.code == "stale_term"
    assert len(waiting(cluster)) == 1


def test_a_channel_that_somebody_names_stays():
    cluster = cluster_with("ops")
    put_channel(cluster, "team")
    job = cluster.add_job("job", "@manual", notify=Notify(channels=("team",)))
    for name in ("ops", "team", "nobody"):
        assert cluster.do(DeleteChannel(at=cluster.now, name=name)).refusal
    ends(cluster, job, "failed")
    cluster.do(DeleteJob(at=cluster.now, job_id=job.id))
    assert cluster.do(DeleteChannel(at=cluster.now, name="team")).refusal is None
    assert waiting(cluster) == []
    assert [d.detail for d in cluster.state.delivered.values()] == ["its channel was deleted"]


@pytest.mark.parametrize("where", ["job", "settings"])
def test_a_channel_must_exist_to_be_named(where):
    cluster = Cluster()
    if where == "settings":
        rule = NotifySettings(channels=("nobody",))
        outcome = cluster.do(SetNotifySettings(at=NOON, settings=rule))
        assert outcome.refusal.field == "channels"
    else:
        with pytest.raises(AssertionError, match="no channel is named 'nobody'"):
            cluster.add_job("job", "@manual", notify=Notify(channels=("nobody",)))


def test_a_test_is_sent_once():
    cluster = cluster_with()
    for _ in range(2):
        cluster.do(SendTest(at=NOON, by="user:ada", delivery_id="t1", channel="ops"))
    assert told(cluster) == [("test", "ops")]


def test_all_of_it_is_in_the_digest_and_survives_a_snapshot():
    cluster = cluster_with()
    digests = {cluster.state.digest()}
    job = cluster.add_job("job", "@manual", expect_within_seconds=60)
    digests.add(cluster.state.digest())
    ends(cluster, job, "failed")
    digests.add(cluster.state.digest())
    record(cluster, waiting(cluster)[0])
    digests.add(cluster.state.digest())
    assert len(digests) == 4
    restored = decode_state(encode_state(cluster.state))
    restored.check()
    assert restored.digest() == cluster.state.digest()
    assert restored.notify_rule.channels == ("ops",)
    assert restored.delivered.keys() == cluster.state.delivered.keys()
    assert restored.watches[job.id].trouble == {"": "failure"}


def test_a_snapshot_from_before_notifications_loads():
    data = encode_state(ClusterState())
    for name in (b"channels", b"notify_settings", b"watches", b"deliveries", b"delivered"):
        key = bytes([0xA0 + len(name)]) + name + b"\x80"
        assert key in data
        data = data.replace(key, b"", 1)
    fields = data[1:4]
    assert fields[0] == 0xDE, "a map of 16 or more"
    data = data[:1] + b"\xde" + (int.from_bytes(fields[1:]) - 5).to_bytes(2) + data[4:]
    assert decode_state(data).notify_rule == NotifySettings()


def test_a_cluster_that_begins_with_a_backup_tells_no_old_news_and_silence_counts_anew():
    cluster = cluster_with()
    job = cluster.add_job("job", "@manual", expect_within_seconds=60)
    ends(cluster, job, "failed")
    watching.begin_anew(cluster.state, at(7200))
    cluster.state.check()
    assert waiting(cluster) == []
    (dropped,) = cluster.state.delivered.values()
    assert (dropped.state, dropped.detail) == (
        "dropped",
        "the cluster began anew with a backup",
    )
    cluster.now = at(7260)
    cluster.do(RaiseAlarms(at=cluster.now, term=cluster.term, late=(job.id,)))
    assert told(cluster) == []
    cluster.now = at(7261)
    cluster.do(RaiseAlarms(at=cluster.now, term=cluster.term, late=(job.id,)))
    assert told(cluster) == [("late", "ops")]
