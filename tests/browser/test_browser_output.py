"""A run's output in the browser: links to lines, what is earlier, the search, and very much of it."""

import pytest
from browser_window import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MANY = 100_000


async def started(office):
    run = await office.run("by hand")
    await office.launch(run["id"])
    return run["id"]


def lines(start, count):
    return b"".join(b"line %d\n" % number for number in range(start, start + count))


async def test_numbers_are_links_to_lines_and_ranges_also_to_lines_that_are_not_shown(
    desk_window, office
):
    page = desk_window.page
    run = await started(office)
    await office.write(run, lines(1, 6000))
    await office.finish(run)
    await desk_window.go(f"/runs/{run}")
    await page.locator("#L5990").click()
    await expect(page).to_have_url(f"{desk_window.base}/runs/{run}#L5990")
    await page.locator("#L5992").click(modifiers=["Shift"])
    await expect(page).to_have_url(f"{desk_window.base}/runs/{run}#L5990-L5992")
    await expect(page.locator(".log a.on")).to_have_count(3)
    await page.goto("about:blank")
    await desk_window.go(f"/runs/{run}#L100-L102")
    await expect(page.locator(".log a.on")).to_have_text(["100", "101", "102"])
    await expect(page.locator("#L100")).to_be_in_viewport()


async def test_earlier_lines_are_put_above_those_that_are_shown(desk_window, office):
    page = desk_window.page
    run = await started(office)
    await office.write(run, lines(1, 5000))
    await office.finish(run)
    await desk_window.go(f"/runs/{run}")
    earlier = page.get_by_role("link", name="Load earlier lines")
    for first in (1001, 1):
        await earlier.click()
        await expect(page.locator(".log a").first).to_have_text(str(first))
    await expect(earlier).to_be_hidden()
    await expect(page.locator(".log a")).to_have_count(5000)
    await expect(page).to_have_url(f"{desk_window.base}/runs/{run}")


async def test_keys_find_in_the_output_and_step_from_hit_to_hit(desk_window, office):
    page = desk_window.page
    run = await started(office)
    await office.write(run, lines(1, 3000))
    await office.finish(run)
    await desk_window.go(f"/runs/{run}")
    await page.keyboard.press("/")
    await page.keyboard.type("LINE 77")
    await page.keyboard.press("Enter")
    hits = page.locator(".hits")
    await expect(hits).to_contain_text("Line 77 is 1 of 11 with LINE 77")
    await page.wait_for_load_state()
    await page.keyboard.press("n")
    await expect(hits).to_contain_text("Line 770 is 2 of 11")
    await expect(page.locator("#L770")).to_be_in_viewport()
    await page.wait_for_load_state()
    await page.keyboard.press("Shift+N")
    await expect(hits).to_contain_text("Line 77 is 1 of 11")


async def test_a_hundred_thousand_lines_leave_the_page_alive(desk_window, office):
    page = desk_window.page
    run = await started(office)
    await desk_window.go(f"/runs/{run}")
    for start in range(1, MANY, 5000):
        await office.write(run, lines(start, 5000))
    await office.write(run, b"::progress 100\n")
    await expect(page.get_by_role("log")).to_contain_text(f"line {MANY}\n", timeout=30_000)
    await expect(page.get_by_role("progressbar")).to_have_attribute("value", "100")
    assert await page.locator("*").count() < 25_000
    await page.get_by_label("Wrap").check()
    await expect(page.get_by_role("log").locator("pre").first).to_have_css(
        "white-space", "pre-wrap"
    )
    await office.finish(run)
