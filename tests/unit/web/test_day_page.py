"""The timeline on the overview and the page of the next day."""

import re

import pytest
from page_visitor import check_html, visiting

from croncord.web.charts import minute_strip, stacks


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


async def test_the_day_shows_collisions_and_spreads_them(visitor):
    for name in ("a", "b", "c"):
        await visitor.office.job(name, schedule="0 3 * * *")
    await visitor.sign_in("operator")
    page = await visitor.text("/day")
    check_html(page)
    assert page.count('<th scope="row"') == 24
    assert "Spread 3…" in page
    ids = re.findall(r'name="job" value="([^"]+)"', page)
    answer = await visitor.post("/jobs/bulk/spread", {"job": ids[0], "next": "/day"})
    assert "Spread 1 job?" in await answer.text()


async def test_a_viewer_sees_collisions_without_the_button(visitor):
    for name in ("a", "b", "c"):
        await visitor.office.job(name, schedule="0 3 * * *")
    await visitor.sign_in("viewer")
    page = await visitor.text("/day")
    assert "Many at once" in page
    assert "Spread" not in page


async def test_the_overview_shows_what_was_and_what_is_planned(visitor):
    await visitor.office.job("often", schedule="*/5 * * * *")
    await visitor.office.ran("often", state="failed")
    await visitor.sign_in()
    page = await visitor.text("/")
    check_html(page)
    assert page.count('class="s-planned"') == 24
    assert page.count('class="s-failed"') == 1
    assert '<td class="grow">1 failed</td>' in page
    link = re.search(r'<a href="(/runs\?since=[^"]+)" tabindex="-1"><title>[^<]*1 failed', page)[1]
    assert "often" in await visitor.text(link.replace("&amp;", "&"))


def test_a_failure_is_seen_beside_a_thousand_that_succeeded():
    (stack,) = stacks([("t", {"succeeded": 1000, "failed": 1})], title=str)
    states = {state: height for state, _, height in stack.parts}
    assert list(states) == ["succeeded", "failed"]
    assert states["failed"] >= 3
    assert stack.label == "t: 1,000 succeeded, 1 failed"


def test_the_fullest_minute_is_full_height_and_quiet_ones_are_low():
    svg = minute_strip([0, 1, 40], 40, label="<x>")
    assert 'class="h1" d="M6 15h5v5h-5z"' in svg
    assert 'class="h4" d="M12 0h5v20h-5z"' in svg
    assert "&lt;x&gt;" in svg
    assert 'class="h1"' in minute_strip([1], 1, label="")
