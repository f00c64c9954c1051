import re

import pytest
from desks import ADMIN
from page_visitor import check_html, visiting

from croncord.web.query import spread


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        for name in ("a", "b", "c"):
            await office.job(name, tags=["prod"] if name != "c" else [], schedule="0 3 * * *")
        await visitor.sign_in("operator")
        yield visitor


async def ids(visitor, *names):
    return [(await visitor.office.desk.jobs.get(ADMIN, name))["id"] for name in names]


async def states(visitor):
    items = (await visitor.office.desk.jobs.list(ADMIN))["items"]
    return {job["name"]: job["state"] for job in items}


async def post(visitor, action, fields):
    answer = await visitor.post(f"/jobs/bulk/{action}", fields)
    page = await answer.text()
    check_html(page)
    return answer.status, page


def hidden(page):
    form = page[page.index('action="/jobs/bulk/') :]
    return re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)


async def test_the_ticked_jobs_are_paused_after_a_page_that_names_them(visitor):
    (wanted,) = await ids(visitor, "b")
    status, page = await post(visitor, "pause", {"job": wanted})
    assert status == 200
    assert "Pause 1 job?" in page
    assert set((await states(visitor)).values()) == {"waiting"}
    _, page = await post(visitor, "pause", dict(hidden(page)))
    assert "1 job was paused" in page
    assert (await states(visitor)) == {"a": "waiting", "b": "paused", "c": "waiting"}


async def test_all_that_match_means_the_filter_as_it_is_when_the_answer_comes(visitor):
    _, page = await post(visitor, "pause", {"all": "1", "filter.q": "tag:prod"})
    assert "Pause 2 jobs?" in page
    assert "all that match" in page
    await visitor.office.job("late", tags=["prod"])
    _, page = await post(visitor, "pause", dict(hidden(page)))
    assert "3 jobs were paused" in page
    assert (await states(visitor))["c"] == "waiting"


async def test_deleting_wants_the_number_typed(visitor):
    fields = {"all": "1"}
    _, page = await post(visitor, "delete", fields)
    assert "Type 3 to delete 3 jobs" in page
    status, page = await post(visitor, "delete", fields | {"confirmed": "yes"})
    assert status == 422
    assert len(await states(visitor)) == 3
    _, page = await post(visitor, "delete", fields | {"confirmed": "3"})
    assert "3 jobs were deleted" in page
    assert await states(visitor) == {}


async def test_each_refusal_is_told_with_its_reason_and_the_others_are_done(visitor, monkeypatch):
    jobs = visitor.office.desk.jobs
    first = jobs.pause

    async def pause(who, ref):
        if ref == refused:
            await jobs.delete(who, ref)  # somebody else was faster
        return await first(who, ref)

    (refused,) = await ids(visitor, "b")
    monkeypatch.setattr(jobs, "pause", pause)
    _, page = await post(visitor, "pause", {"all": "1", "confirmed": "yes"})
    assert "2 jobs were paused, 1 refused" in page
    assert "No job" in page or "not exist" in page or "no job" in page


async def test_spreading_lets_the_hash_choose_the_minute(visitor):
    _, page = await post(visitor, "spread", {"all": "1"})
    assert "<code>0 3 * * *</code> → <code>H 3 * * *</code>" in page
    await post(visitor, "spread", dict(hidden(page)))
    assert (await visitor.office.desk.jobs.get(ADMIN, "a"))["schedule"] == "H 3 * * *"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0 3 * * *", "H 3 * * *"),
        ("59 */2 1 * 1-5", "H */2 1 * 1-5"),
        ("*/5 * * * *", "*/5 * * * *"),
        ("0,30 * * * *", "0,30 * * * *"),
        ("@daily", "@daily"),
        ("0 0 3 * * *", "0 0 3 * * *"),
    ],
)
def test_only_a_plain_minute_is_spread(before, after):
    assert spread(before) == after


async def test_nothing_ticked_is_said_and_a_viewer_is_refused(visitor):
    status, page = await post(visitor, "pause", {})
    assert status == 200
    assert "No job is chosen" in page
    assert (await visitor.get("/jobs/bulk/pause")).headers["Location"] == "/jobs"
    await visitor.post("/logout")
    await visitor.sign_in("viewer")
    status, _ = await post(visitor, "pause", {"all": "1", "confirmed": "yes"})
    assert status == 403
    assert "paused" not in (await states(visitor)).values()
