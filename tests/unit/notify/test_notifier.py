"""Notices reach their channels, whatever fails on the way, and nothing else waits for them."""

import asyncio

from notify_stage import DOWN, REFUSED

from croncord.notification import Notify


async def test_a_failure_arrives_and_is_confirmed(stage):
    stage.join("n1", leads=True)
    await stage.fails()
    await stage.settle()
    assert stage.sink.kinds() == ["failure"]
    assert not stage.state.deliveries
    (done,) = stage.state.delivered.values()
    assert (done.state, done.attempts[0].by) == ("delivered", "node:n1")


async def test_a_follower_says_nothing(stage):
    stage.join("n2")
    await stage.fails()
    await stage.passes(30)
    assert stage.sink.calls == 0
    assert len(stage.state.deliveries) == 1


async def test_a_sink_that_is_down_for_ten_minutes_loses_nothing(stage):
    stage.join("n1", leads=True)
    stage.sink.fault = DOWN
    for _ in range(60):
        await stage.fails()
        await stage.passes(10, step=5)
    assert stage.sink.taken == []
    assert len(stage.state.deliveries) == 60
    waiting = [delivery.id for delivery in stage.state.deliveries.values()]
    tries = stage.sink.calls
    assert tries < 15, "a channel that is silent is left alone"
    stage.sink.fault = None
    await stage.passes(130, step=5)
    assert [delivery_id for _, _, delivery_id in stage.sink.taken] == waiting
    assert not stage.state.deliveries
    first = next(iter(stage.state.delivered.values()))
    assert first.attempts[0].error == "nobody there"


async def test_a_leader_that_dies_before_it_delivers_leaves_it_to_the_next(stage):
    stage.sink.slow = asyncio.get_running_loop().create_future()
    stage.join("n1", leads=True)
    stage.join("n2")
    await stage.fails()
    await stage.settle()
    assert stage.sink.calls == 1
    await stage.kill("n1")
    assert len(stage.state.deliveries) == 1
    stage.sink.slow = None
    stage.seats["n2"].lead(True)
    await stage.settle()
    assert stage.sink.kinds() == ["failure"]
    (done,) = stage.state.delivered.values()
    assert done.attempts[-1].by == "node:n2"


async def test_what_arrived_and_was_not_confirmed_comes_again_under_the_same_id(stage):
    seat = stage.join("n1", leads=True)
    gate = asyncio.get_running_loop().create_future()

    async def never(command, **_):
        await gate

    seat.propose = never
    await stage.fails()
    await stage.settle()
    assert stage.sink.kinds() == ["failure"]
    await stage.kill("n1")
    stage.join("n2", leads=True)
    await stage.settle()
    (first, second) = stage.sink.taken
    assert first == second
    assert not stage.state.deliveries


async def test_who_stops_leading_stops_speaking(stage):
    stage.sink.fault = DOWN
    seat = stage.join("n1", leads=True)
    await stage.fails()
    await stage.settle()
    seat.lead(False)
    await stage.passes(300, step=10)
    assert stage.sink.calls == 1


async def test_one_notice_that_is_refused_keeps_no_other_back(stage):
    stage.join("n1", leads=True)
    await stage.job("odd")
    stage.sink.fault = lambda delivery: REFUSED if delivery.notice.job == "odd" else None
    await stage.fails("odd")
    await stage.fails("job")
    await stage.settle()
    assert stage.sink.kinds() == ["failure"]
    (left,) = stage.state.deliveries.values()
    assert (left.notice.job, left.attempts[0].error) == ("odd", "answered 400")


async def test_a_slow_channel_keeps_no_other_back(stage):
    await stage.channel("team")
    await stage.job("other", notify=Notify(channels=("team",)))
    stage.join("n1", leads=True)
    stage.sink.slow = asyncio.get_running_loop().create_future()
    await stage.fails("job")
    await stage.settle()
    stage.sink.slow = None
    await stage.fails("other")
    await stage.settle()
    assert [name for name, _, _ in stage.sink.taken] == ["team"]


async def test_a_fault_of_ours_is_an_attempt_that_failed(stage, caplog):
    stage.join("n1", leads=True)
    stage.sink.fault = RuntimeError("oh")
    await stage.fails()
    await stage.settle()
    assert "handing a notice to ops broke" in caplog.text
    (left,) = stage.state.deliveries.values()
    assert left.tries == 1
    stage.sink.fault = None
    await stage.passes(20)
    assert stage.sink.kinds() == ["failure"]


async def test_silence_and_long_runs_are_noticed_by_the_leader(stage):
    await stage.job("quiet", expect_within_seconds=60)
    await stage.job("slow", notify=Notify(too_long_seconds=30))
    stage.join("n1", leads=True)
    run = await stage.starts("slow")
    await stage.passes(29)
    assert stage.sink.kinds() == []
    await stage.passes(7)
    assert stage.sink.kinds() == ["too_long"]
    await stage.passes(31)
    assert stage.sink.kinds() == ["too_long", "late"]
    await stage.passes(120, step=5)
    assert stage.sink.kinds() == ["too_long", "late"]
    await stage.ends(run, "succeeded")
    await stage.ends(await stage.starts("quiet"), "succeeded")
    await stage.settle()
    assert stage.sink.kinds()[2:] == ["recovery", "recovery"]
