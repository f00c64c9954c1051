import re

import pytest
from desks import STDERR
from page_visitor import PAGES, check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


@pytest.mark.parametrize("path", [*PAGES, "/jobs?q=nothing", "/runs?state=failed&node=n1"])
async def test_every_page_is_sound_html_without_anything_inline(visitor, path):
    await visitor.office.job()
    await visitor.office.ran("backup", b"\x1b[31mred\x1b[0m <b>\n")
    await visitor.sign_in()
    html = await visitor.text(path)
    check_html(html)
    assert html.count("<h1") == 1


async def test_a_runs_output_is_in_the_page_escaped_and_coloured(visitor):
    await visitor.office.job()
    run = await visitor.office.run()
    await visitor.office.launch(run["id"])
    await visitor.office.write(run["id"], b"\x1b[32mok\x1b[0m <script>alert(1)</script>\n")
    await visitor.office.write(run["id"], b"oh \xff\x00 no\n", stream=STDERR)
    await visitor.office.finish(run["id"], "failed")
    await visitor.sign_in()
    page = await visitor.text(f"/runs/{run['id']}")
    check_html(page)
    assert '<span class="f2">ok</span> &lt;script&gt;alert(1)&lt;/script&gt;' in page
    assert re.search('<span class="e"><a [^>]*>2</a>oh \ufffd\u2400 no\n</span>', page)
    assert "1</strong> – general error" in page
    assert "All of it" in page


async def test_a_long_output_shows_its_end_and_on_demand_its_beginning(visitor):
    await visitor.office.job()
    lines = [
        b"".join(b"line %d\n" % n for n in range(start, start + 500))
        for start in range(0, 6000, 500)
    ]
    run = await visitor.office.ran("backup", *lines)
    await visitor.sign_in()
    page = await visitor.text(f"/runs/{run}")
    assert "line 5999\n" in page
    assert "line 3999\n" not in page
    page = await visitor.text(f"/runs/{run}?first=1")
    assert "line 0\n" in page
    assert "line 2000\n" not in page


async def test_live_output_comes_as_events_that_can_be_resumed(visitor):
    await visitor.office.job()
    run = await visitor.office.run()
    await visitor.office.launch(run["id"])
    await visitor.office.write(run["id"], b"one\ntwo\nthr")
    await visitor.sign_in()
    page = await visitor.text(f"/runs/{run['id']}")
    place = re.search(r'data-place="([^"]+)"', page)[1]
    assert re.search(r"1</a>one\n<a [^>]*>2</a>two\n", page)
    stream = await visitor.get(f"/runs/{run['id']}/output?from={place}")
    assert stream.content_type == "text/event-stream"
    await visitor.office.write(run["id"], b"ee\nfour\n")
    await visitor.office.finish(run["id"])
    text = (await stream.content.read()).decode()
    assert text.count("3</a>three\\n") == 1
    assert "one\\n" not in text
    assert "event: end" in text
    last = re.findall(r"^id: (\S+)$", text, re.MULTILINE)[-1]
    again = await visitor.get(f"/runs/{run['id']}/output", headers={"Last-Event-ID": last})
    assert "event: lines" not in (await again.content.read()).decode()


async def test_the_drain_and_pause_buttons_do_what_they_say(visitor):
    await visitor.sign_in()
    assert (await visitor.post("/nodes/n2/drain")).headers["Location"] == "/nodes"
    page = await visitor.text("/nodes")
    assert "Draining" in page
    assert 'action="/nodes/n2/undrain"' in page
    await visitor.post("/nodes/n2/undrain")
    await visitor.post("/cluster/pause")
    assert "Paused: nothing new starts." in await visitor.text("/cluster")
    await visitor.post("/cluster/resume")
    assert "Paused:" not in await visitor.text("/cluster")


async def test_the_theme_and_the_kind_of_times_are_kept_by_the_server(visitor):
    await visitor.office.job("berlin", timezone="Europe/Berlin", schedule="30 2 * * *")
    await visitor.sign_in()
    assert '<html lang="en">' in await visitor.text("/")
    answer = await visitor.post("/preferences", theme="dark", next="/jobs/berlin")
    assert answer.headers["Location"] == "/jobs/berlin"
    page = await visitor.text("/jobs/berlin")
    assert '<html lang="en" data-theme="dark">' in page
    assert "02:30:00 C" in page
    await visitor.post("/preferences", times="utc")
    page = await visitor.text("/jobs/berlin")
    assert "02:30:00 C" not in page
    await visitor.post("/preferences", theme="<odd>")
    assert '<html lang="en" data-theme="dark">' in await visitor.text("/")


async def test_assets_may_be_kept_for_a_year_under_an_address_with_their_hash(visitor):
    page = await visitor.text("/login")
    for path in re.findall(r'"(/static/[^"#]+)', page):
        answer = await visitor.get(path)
        assert answer.status == 200, path
        assert "immutable" in answer.headers["Cache-Control"]
    old = re.sub(r"/static/\w+/", "/static/0123/", path)
    assert (await visitor.get(old)).headers["Cache-Control"] == "no-cache"
    assert (await visitor.get("/static/0123/passwd")).status == 404


async def test_a_missing_page_a_missing_job_and_a_wrong_method_are_told_as_pages(visitor):
    await visitor.office.job("backup")
    await visitor.sign_in()
    for path, words in (
        ("/nowhere", "nothing at this address"),
        ("/jobs/backpu", "Did you mean backup?"),
        ("/runs/" + "0" * 24, "No run has the id"),
    ):
        page = await visitor.text(path, status=404)
        check_html(page)
        assert words in page
    assert (await visitor.get("/jobs/backup/run")).status == 405
