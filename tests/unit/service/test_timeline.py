import asyncio
from datetime import datetime, timedelta

from desks import ADMIN, VIEWER


def at(text):
    return datetime.fromisoformat(text)


async def test_outcomes_are_counted_by_half_hours_up_to_now(office):
    await office.job()
    for state in ("succeeded", "succeeded", "failed"):
        await office.ran(state=state)
    past = await office.desk.timeline.past(VIEWER)
    assert past["steps"][-1]["states"] == {"succeeded": 2, "failed": 1}
    assert all(step["states"] == {} for step in past["steps"][:-1])
    first, last = at(past["steps"][0]["at"]), at(past["steps"][-1]["at"])
    assert last - first == timedelta(hours=11, minutes=30)
    assert last <= office.clock.now() < last + timedelta(minutes=30)
    assert not past["is_partial"]


async def test_launches_are_counted_minute_by_minute_from_the_full_hour(office):
    await office.job("hourly", schedule="5 * * * *")
    await office.job("often", schedule="*/5 * * * *")
    await office.job("paused", schedule="5 * * * *", paused=True)
    await office.job("hand", schedule="@manual")
    ahead = await office.desk.timeline.ahead(VIEWER)
    assert at(ahead["since"]).minute == 0
    for hour in range(25):
        minutes = ahead["minutes"][hour * 60 : hour * 60 + 60]
        assert minutes[5] == 2
        assert [minute for minute, count in enumerate(minutes) if count] == list(range(0, 60, 5))
    assert (ahead["often"], ahead["collisions"]) == (0, [])


async def test_what_runs_more_than_once_a_minute_is_left_out_and_said(office):
    await office.job("breathless", schedule="@every 5s")
    ahead = await office.desk.timeline.ahead(VIEWER)
    assert (ahead["often"], sum(ahead["minutes"])) == (1, 0)


async def test_three_jobs_of_one_minute_collide_until_they_are_spread(office):
    for name in ("a", "b", "c"):
        await office.job(name, schedule="0 3 * * *")
    (collision, *rest) = (await office.desk.timeline.ahead(VIEWER))["collisions"]
    assert rest == []
    assert at(collision["at"]).hour == 3
    assert [job["name"] for job in collision["jobs"]] == ["a", "b", "c"]
    await office.desk.jobs.patch(ADMIN, "a", {"schedule": "H 4 * * *"})
    office.desk.timeline.forget_plan()
    assert (await office.desk.timeline.ahead(VIEWER))["collisions"] == []


async def test_who_looks_at_the_same_time_waits_for_one_count(office):
    await office.job("hourly", schedule="5 * * * *")
    timeline = office.desk.timeline
    answers = await asyncio.gather(*(timeline.ahead(VIEWER) for _ in range(5)))
    assert all(answer is answers[0] for answer in answers)


async def test_the_same_jobs_at_many_times_are_told_once_and_what_is_past_not_at_all(office):
    for name in ("a", "b", "c"):
        await office.job(name, schedule="*/15 * * * *")
    (collision,) = (await office.desk.timeline.ahead(VIEWER))["collisions"]
    assert 95 <= collision["times"] <= 100
    assert at(collision["at"]) >= office.clock.now() - timedelta(minutes=1)
