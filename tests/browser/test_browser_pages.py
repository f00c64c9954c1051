"""Every page: accessible in both themes, without sideways scrolling, alive, and usable by keyboard."""

import pytest
from browser_window import expect
from desks import ADMIN
from page_looks import PHONE, ZOOMED, violations, walk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PATHS = [
    "/",
    "/jobs",
    "/jobs?q=nothing",
    "/jobs/new",
    "/jobs/nightly%20backup",
    "/jobs/by%20hand",
    "/jobs/crm-sync/edit",
    "/runs",
    "/logs",
    "/logs?q=ok",
    "/logs?q=(&regex=true",
    "/nodes",
    "/cluster",
    "/find?q=crm",
    "/day",
    "/cluster/drill",
    "/audit",
    "/audit?by=nobody",
    "/settings",
    "/settings/notifications",
    "/views?listing=jobs&query=state%3Dfailed",
    "/cluster/drill?since=2026-01-01T00:00:00Z&from=n2&term=3",
    "/jobs/nightly%20backup/why",
    "/jobs/nightly%20backup/versions/1",
    "/jobs/missing",
]
THEMES = [{"color_scheme": "light"}, {"color_scheme": "dark"}]


def paths(office):
    return [*PATHS, f"/runs/{office.failed_run}", f"/runs/{office.live_run}"]


@pytest.mark.parametrize("desk_window", THEMES, indirect=True, ids=["light", "dark"])
async def test_axe_finds_nothing_on_any_page(desk_window, office):
    desk_window.expect_status(404, 422)
    page = desk_window.page
    for path in paths(office):
        await desk_window.go(path)
        assert await violations(page) == [], path
    await page.get_by_role("button", name="Kill").click()
    assert await violations(page) == [], "dialog"
    await desk_window.go("/jobs/new")
    await page.get_by_label("Schedule", exact=True).fill("99 * * * *")
    await page.get_by_role("button", name="Save").click()
    assert await violations(page) == [], "errors in the form"
    await page.get_by_label("You and how pages look").click()
    assert await violations(page) == [], "menu"
    await desk_window.context.clear_cookies()
    await desk_window.go("/login")
    assert await violations(page) == [], "login"


async def test_no_page_scrolls_sideways_on_a_narrow_phone_or_at_200_percent(desk_window, office):
    desk_window.expect_status(404, 422)
    for path in paths(office):
        await desk_window.go(path)
        for size in (ZOOMED, PHONE):
            await desk_window.page.set_viewport_size(size)
            width = await desk_window.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], (path, size)


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/nightly%20backup", "/runs", "/nodes"])
async def test_tab_comes_to_everything_and_the_focus_is_always_seen(desk_window, path):
    await desk_window.go(path)
    await walk(desk_window.page, path)


@pytest.mark.parametrize("desk_window", [{"forced_colors": "active"}], indirect=True)
async def test_states_stay_visible_with_forced_colours(desk_window):
    await desk_window.go("/jobs")
    strip = desk_window.page.get_by_role("img", name="Last 5 runs: 4 succeeded, 1 lost")
    await expect(strip).to_be_visible()
    await expect(desk_window.page.get_by_text("Failed").first).to_be_visible()


async def test_the_filter_follows_the_typing_keeps_the_focus_and_the_address(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs")
    box = page.get_by_label("Find jobs")
    await box.press_sequentially("tag:backup", delay=20)
    await expect(page.get_by_text("1–1 of 1 jobs")).to_be_visible()
    await expect(page).to_have_url(desk_window.base + "/jobs?q=tag%3Abackup")
    await expect(box).to_be_focused()
    await expect(box).to_have_value("tag:backup")
    await page.reload()
    await expect(page.get_by_text("1–1 of 1 jobs")).to_be_visible()


async def test_a_dialog_asks_first_keeps_the_focus_and_gives_it_back(desk_window, office):
    page = desk_window.page
    await desk_window.go(f"/runs/{office.live_run}")
    kill = page.get_by_role("button", name="Kill", exact=True)
    await kill.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Let it run")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(kill).to_be_focused()
    assert (await office.desk.runs.get(ADMIN, office.live_run))["kill"] is None


async def test_the_first_tab_offers_to_skip_to_the_content(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_a_page_shows_what_happens_while_it_is_open(desk_window, office):
    page = desk_window.page
    await desk_window.go("/jobs/resting")
    await expect(page.locator(".tile .badge")).to_have_text("Paused")
    await office.desk.jobs.resume(ADMIN, "resting")
    await expect(page.locator(".tile .badge")).to_have_text("Waiting", timeout=10_000)
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    await office.desk.jobs.pause(ADMIN, "resting")
    await expect(page.locator(".tile .badge")).to_have_text("Paused", timeout=10_000)


async def test_output_with_colours_arrives_while_one_watches(desk_window, office):
    page = desk_window.page
    run = await office.run("by hand")
    await office.launch(run["id"])
    await desk_window.go(f"/runs/{run['id']}")
    await office.write(run["id"], b"\x1b[32mgreen\x1b[0m <i>\nProceed? ")
    log = page.get_by_role("log")
    await expect(log.locator(".f2")).to_have_text("green")
    await expect(log).to_contain_text("green <i>\nProceed? ")
    await office.write(run["id"], b"yes\n")
    await expect(log).to_contain_text("Proceed? yes\n")
    await office.finish(run["id"], "failed")
    await expect(page.locator(".head .badge")).to_have_text("Failed", timeout=10_000)
    await expect(page.locator("main")).to_contain_text("general error")


async def test_nine_tabs_with_live_output_are_all_alive(desk_window, office):
    pages = [desk_window.page]
    pages += [await desk_window.context.new_page() for _ in range(8)]
    for page in pages:
        await page.goto(f"{desk_window.base}/runs/{office.live_run}")
        await expect(page.get_by_role("log")).to_contain_text("line 2\n")
    await office.write(office.live_run, b"for all\n")
    for page in pages:
        await expect(page.get_by_role("log")).to_contain_text("for all\n", timeout=10_000)
    tenth = await desk_window.context.new_page()
    await tenth.goto(f"{desk_window.base}/jobs")
    await expect(tenth.get_by_role("heading", level=1)).to_have_text("Jobs")
