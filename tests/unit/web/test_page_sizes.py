"""Pages of lists stay small however much there is: `benchmarks/web/pages.py` has the large figures."""

from crowds import LONG, crowd
from page_visitor import check_html, visiting

LARGEST = 150_000
PATHS = [
    "/",
    "/jobs",
    "/jobs?state=failed",
    "/jobs?sort=last_run",
    "/runs",
    "/runs?state=failed",
    "/audit",
    "/day",
    "/find?q=copies",
    "/nodes",
    "/cluster",
    f"/jobs/{(LONG % 1).replace(' ', '%20')}",
]


async def test_no_page_of_a_list_is_over_150_kb_with_long_names_and_uneven_strips(office):
    assert await crowd(office, 1000, strips=90) == 1000
    async with visiting(office) as visitor:
        await visitor.sign_in()
        for path in PATHS:
            page = await visitor.text(path)
            check_html(page)
            assert len(page.encode()) < LARGEST, path
            assert path != "/jobs" or page.count('class="strip"') == 60
