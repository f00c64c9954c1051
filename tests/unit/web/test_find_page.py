import pytest
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


async def test_a_few_letters_lead_to_jobs_pages_nodes_and_runs(visitor):
    await visitor.office.job("nightly backup")
    run = await visitor.office.ran("nightly backup")
    await visitor.sign_in("operator")
    page = await visitor.text("/find?q=back")
    check_html(page)
    assert 'href="/jobs/nightly%20backup"' in page.split("data-found", 2)[1]
    assert 'href="/nodes#node-n2"' in await visitor.text("/find?q=n2")
    assert f'href="/runs/{run}"' in await visitor.text(f"/find?q={run}")
    assert "Nothing is called like that." in await visitor.text("/find?q=zzz")


async def test_more_jobs_than_are_shown_are_one_link_away(visitor):
    for number in range(12):
        await visitor.office.job(f"backup-{number}")
    await visitor.sign_in()
    page = await visitor.text("/find?q=backup")
    assert '<a href="/jobs?q=backup">4 more jobs</a>' in page


async def test_a_viewer_is_not_sent_where_nothing_may_be_done(visitor):
    await visitor.sign_in("viewer")
    assert "/jobs/new" not in await visitor.text("/find")
