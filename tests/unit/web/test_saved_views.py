"""Saved views: a name for filters and order, each person's own, without scripts."""

import re
from html import unescape

import pytest
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await office.job("backup", tags=["prod"])
        await office.job("sync")
        await visitor.sign_in("viewer")
        yield visitor


def links(page):
    chips = re.search('<nav class="chips" aria-label="Saved views">.*?</nav>', page, re.DOTALL)
    found = (
        re.findall(r'<a href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?([^<]+)</a>', chips[0])
        if chips
        else []
    )
    return {word: unescape(href) for href, word in found}


async def test_a_filtered_list_is_saved_opened_and_forgotten(visitor):
    assert links(await visitor.text("/jobs")) == {}
    page = await visitor.text("/jobs?q=tag%3Aprod&sort=next_run&cursor=&at=0")
    form = await visitor.text(links(page)["Save view"])
    check_html(form)
    assert "q: tag:prod" in form
    query = unescape(re.search('name="query" value="([^"]+)"', form)[1])
    answer = await visitor.post("/views", listing="jobs", query=query, name="what <matters>")
    assert answer.headers["Location"] == "/jobs?q=tag%3Aprod&sort=next_run"
    page = await visitor.text("/jobs")
    check_html(page)
    href = links(page)["what &lt;matters&gt;"]
    page = await visitor.text(href)
    assert "1–1 of 1" in page
    assert "Save view" not in links(page)
    assert links(await visitor.text("/runs")) == {}
    kept = await visitor.text(links(page)["Manage"])
    check_html(kept)
    answer = await visitor.post("/views/forget", listing="jobs", name="what <matters>")
    assert answer.status == 303
    assert links(await visitor.text("/jobs")) == {}


async def test_views_of_runs_keep_times_and_are_nobody_elses(visitor):
    answer = await visitor.post(
        "/views", listing="runs", query="state=failed&since=2027-01-01&cursor=x", name="this year"
    )
    assert answer.headers["Location"] == "/runs?state=failed&since=2027-01-01"
    assert "this year" in links(await visitor.text("/runs"))
    await visitor.post("/logout")
    await visitor.sign_in("operator")
    assert links(await visitor.text("/runs")) == {}


async def test_a_wrong_name_comes_back_with_the_reason(visitor):
    answer = await visitor.post("/views", listing="jobs", query="state=failed", name="a/b")
    assert answer.status == 422
    page = await answer.text()
    check_html(page)
    assert "ust not contain `/`" in page
    assert 'value="a/b"' in page
    assert (await visitor.post("/views", listing="nodes", query="", name="x")).status == 404
    assert (await visitor.post("/views/forget", listing="jobs", name="x")).status == 404
