"""Search over outputs as a page: it comes in parts, and says what it could not search."""

import re
from html import unescape

import pytest
from desks import STDERR
from page_visitor import check_html, visiting

from croncord.frames import STDOUT
from croncord.raft.commands import MarkNodes


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await office.job("backup")
        await office.job("sync")
        visitor.older = await office.ran("backup", b"starting\nerror: <disk> full\ndone\n")
        visitor.newer = await office.ran("sync", b"ERROR one\nerror: again\n")
        await visitor.sign_in()
        yield visitor


def links(page):
    return [unescape(href) for href in re.findall(r'<li><a href="([^"]+)" aria-label="Line', page)]


async def test_hits_come_newest_run_first_and_lead_to_their_lines(visitor):
    page = await visitor.text("/logs?q=error%3A")
    check_html(page)
    assert page.index("again") < page.index("&lt;disk&gt; full")
    assert "2 outputs searched" in page
    assert "<mark>error:</mark> &lt;disk&gt; full" in page
    newest, oldest = links(page)
    assert newest.startswith(f"/runs/{visitor.newer}?")
    shown = await visitor.text(oldest.split("#")[0])
    check_html(shown)
    marked = re.findall(r'<span class="hit">.*?</span>', shown, re.DOTALL)
    assert len(marked) == 1
    assert "full" in marked[0]


async def test_two_lines_around_a_hit_are_shown_once_and_gaps_between_them_are_marked(visitor):
    text = "".join(f"line {n}\n" for n in range(1, 21)).replace("line 7", "<b> 7 needle")
    await visitor.office.ran("backup", text.replace("line 8", "a needle").encode() + b"needle\n")
    page = await visitor.text("/logs?q=needle")
    check_html(page)
    lines = re.search(r'<ul class="lines">(.*?)</ul>', page, re.DOTALL)[1]
    assert re.findall(r'">(\d+)</a>', lines) == ["7", "8", "21"]
    assert re.findall(r"<span>(\d+)</span>", lines) == ["5", "6", "9", "10", "19", "20"]
    assert re.findall(r"data-gap><span>(\d+)", lines) == ["10"]
    assert "&lt;b&gt; 7 <mark>needle</mark>" in lines


NARROWER = {
    "q=error&regex=true": 2,
    "q=(%3Fi)error&regex=true": 3,
    "q=error&job=sync": 1,
    "q=error&job=nothing-like-it": 0,
    "q=error&node=n2": 0,
    "q=error&stream=stderr": 0,
    "q=error&since=2000-01-01&until=2090-01-01T00:00Z": 2,
    "q=error&since=2090-01-01": 0,
    "q=.": 0,
}


async def test_text_job_node_stream_and_time_narrow_it(visitor):
    for query, hits in NARROWER.items():
        page = await visitor.text(f"/logs?{query}")
        check_html(page)
        assert len(links(page)) == hits, query
        assert ("No line matches." in page) == (hits == 0), query


async def test_one_run_its_job_and_everything_are_a_click_apart(visitor):
    page = await visitor.text(f"/logs?q=error&run={visitor.older}")
    check_html(page)
    assert len(links(page)) == 1
    chips = re.search('<nav class="chips".*?</nav>', page, re.DOTALL)[0]
    assert re.findall(r">([^<\n]+)</a>", chips) == [
        "This run",
        "All runs of backup",
        "Everything",
    ]
    everything = unescape(re.findall('href="([^"]+)"', chips)[-1])
    assert len(links(await visitor.text(everything))) == 2


WRONG = {
    "q=(&regex=true": "is no regular expression",
    f"q={'x' * 501}": "must be 1 to 500 characters",
    "q=x&since=soon": "is not a time; write 2027-01-31",
    "q=x&cursor=nonsense": "is not one that a search gave",
}


async def test_what_is_wrong_is_said_and_what_was_typed_stays(visitor):
    for query, said in WRONG.items():
        page = await visitor.text(f"/logs?{query}", status=422)
        check_html(page)
        assert said in page
        assert f'value="{query.split("&")[0][2:]}"' in page


async def test_a_run_that_nobody_knows_is_a_page_too(visitor):
    page = await visitor.text(f"/logs?q=x&run={'0' * 24}", status=404)
    check_html(page)
    assert "No run has the id" in page


async def test_more_hits_than_a_page_go_on_and_none_is_told_twice(visitor):
    lines = b"".join(b"needle %d\n" % number for number in range(150))
    await visitor.office.ran("backup", lines)
    first = await visitor.text("/logs?q=needle")
    check_html(first)
    onward = unescape(re.search('rel="next" href="([^"]+)"', first)[1])
    second = await visitor.text(onward)
    assert (len(links(first)), len(links(second))) == (100, 50)
    assert not set(links(first)) & set(links(second))
    assert 'rel="next"' not in second


async def test_a_node_that_is_down_is_named(visitor, office):
    at, term = office.clock.now(), office.replica.state.term
    await office.do(MarkNodes(at=at, term=term, down=("n2",)))
    page = await visitor.text("/logs?q=error")
    check_html(page)
    assert "n2 did not answer." in page


async def test_the_line_is_found_among_two_streams_that_end_anywhere(visitor, office):
    run = await office.run("backup")
    await office.launch(run["id"])
    for data, stream in (
        (b"out 1\nout ", STDOUT),
        (b"err 1 and a long word\nerr", STDERR),
        (b"2\n", STDOUT),
        (b" 2\nneedle here\n", STDERR),
    ):
        await office.write(run["id"], data, stream=stream)
    await office.finish(run["id"])
    for query in ("", "&stream=stderr"):
        (href,) = links(await visitor.text(f"/logs?q=needle{query}"))
        page = await visitor.text(href.split("#")[0])
        marked = re.findall(r'<span class="e hit">.*?</span>', page, re.DOTALL)
        assert len(marked) == 1
        assert "needle here" in marked[0]


async def test_the_form_alone_says_what_it_does(visitor):
    page = await visitor.text("/logs")
    check_html(page)
    assert "Every line that any job wrote" in page
