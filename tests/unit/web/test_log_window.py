"""The part of an output that a run's page holds."""

import re

import pytest
from page_visitor import check_html, visiting

LINES = 6000


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await office.job()
        text = b"".join(
            b"line %d%s\n" % (n, b" \x1b[31mNee\x1b[0mdle" if n % 1000 == 500 else b"")
            for n in range(1, LINES + 1)
        )
        visitor.run = await office.ran("backup", text)
        await visitor.sign_in()
        yield visitor


def shown(page):
    return [int(number) for number in re.findall(r"<a id=L(\d+) ", page)]


def link(page, word):
    return re.search(rf'href="([^"]+)"[^>]*>{word}<', page)[1].replace("&amp;", "&").split("#")[0]


async def test_lines_are_numbered_from_the_first_and_lead_to_what_is_before_and_after(visitor):
    page = await visitor.text(f"/runs/{visitor.run}")
    check_html(page)
    assert (shown(page)[0], shown(page)[-1]) == (4001, 6000)
    page = await visitor.text(link(page, "Load earlier lines"))
    assert (shown(page)[0], shown(page)[-1]) == (2001, 4000)
    page = await visitor.text(link(page, "Later lines"))
    assert (shown(page)[0], shown(page)[-1]) == (4001, 6000)
    page = await visitor.text(link(page, "From the beginning"))
    assert (shown(page)[0], shown(page)[-1]) == (1, 2000)
    assert "Load earlier lines" not in page


async def test_finding_goes_through_all_lines_without_minding_case_or_colours(visitor):
    page = await visitor.text(f"/runs/{visitor.run}?find=needle")
    check_html(page)
    assert "Line 500 is 1 of 6 with" in page
    assert shown(page)[0] == 497
    assert page.count('class="hit"') == 2, "the marked lines of this window: 500, 1500"
    page = await visitor.text(link(page, "Next"))
    assert "Line 1,500 is 2 of 6 with" in page
    page = await visitor.text(link(page, "Previous"))
    assert "Line 500 is 1 of 6 with" in page


async def test_what_is_not_there_is_said_and_the_end_is_shown(visitor):
    page = await visitor.text(f"/runs/{visitor.run}?find=<none>")
    check_html(page)
    assert "No line has <strong" in page
    assert "&lt;none&gt;" in page
    assert shown(page)[-1] == LINES


@pytest.mark.parametrize(
    "query", ["first=99999", "first=-1", "first=x", "hit=0", "find=", "first="]
)
async def test_an_odd_address_shows_the_end(visitor, query):
    assert shown(await visitor.text(f"/runs/{visitor.run}?{query}"))[-1] == LINES


async def test_a_live_run_shows_its_progress_and_its_stream_goes_on_with_the_next_number(visitor):
    run = (await visitor.office.run())["id"]
    await visitor.office.launch(run)
    await visitor.office.write(run, b"start\n::progress 40\nworking\n")
    page = await visitor.text(f"/runs/{run}")
    check_html(page)
    assert '<progress max="100" value="40"' in page
    place = re.search(r'data-place="([^"]+)"', page)[1]
    await visitor.office.write(run, b"70%\nlast\n")
    answer = await visitor.get(f"/runs/{run}/output?from={place}&once=1")
    text = await answer.text()
    assert "id=L4 href=#L4" in text
    assert '"progress":70' in text
    await visitor.office.finish(run)
    assert re.search(r"data-log-progress hidden", await visitor.text(f"/runs/{run}"))


async def test_a_part_in_the_middle_is_not_mixed_with_what_comes_live(visitor):
    run = (await visitor.office.run())["id"]
    await visitor.office.launch(run)
    await visitor.office.write(run, b"x\n" * 5000)
    page = await visitor.text(f"/runs/{run}?first=1")
    assert shown(page)[-1] == 2000
    assert "data-place" not in page
    page = await visitor.text(f"/runs/{run}?first=4000")
    assert shown(page)[-1] == 5000
    assert "data-place" in page
