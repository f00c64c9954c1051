import re

import pytest
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await office.job("backup", schedule="0 3 * * *", timezone="Europe/Berlin")
        await visitor.sign_in("viewer")
        yield visitor


async def test_a_runs_page_leads_to_its_story(visitor):
    run = await visitor.office.ran("backup")
    page = await visitor.text(f"/runs/{run}")
    link = re.search(r'href="(/jobs/backup/why\?at=[^"]+)"', page)[1]
    page = await visitor.text(link)
    check_html(page)
    assert page.count("<h1") == 1
    assert f'href="/runs/{run}"' in page
    assert "Now and next" in page


async def test_a_time_on_the_jobs_clock_that_never_was_is_explained(visitor):
    page = await visitor.text("/jobs/backup/why?at=2027-03-28T02:30")
    check_html(page)
    assert "Europe/Berlin" in page
    assert 'value="2027-03-28T' in page


async def test_without_a_time_it_tells_what_holds_it_now(visitor):
    page = await visitor.text("/jobs/backup/why")
    check_html(page)
    assert "What about backup?" in page
    assert "The next tick is" in page


async def test_what_is_no_time_is_said_next_to_the_field(visitor):
    page = await visitor.text("/jobs/backup/why?at=<soon>", status=422)
    check_html(page)
    assert 'id="at-error"' in page
    assert "&lt;soon&gt;" in page
