"""Shortcuts, their list and their switch; and the palette."""

import asyncio

import pytest
from browser_window import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def press(page, *keys):
    await expect(page.locator("html[data-ready]")).to_be_attached()
    for key in keys:
        await page.keyboard.press(key)


async def stands_on(page, name):
    """Wait until the link is the active element, also when the system gave another window focus."""
    async with asyncio.timeout(5):
        while await page.evaluate("document.activeElement?.textContent?.trim()") != name:
            await asyncio.sleep(0.05)


async def test_keys_lead_from_page_to_page(desk_window):
    page = desk_window.page
    await desk_window.go("/")
    await press(page, "g", "j")
    await expect(page).to_have_url(f"{desk_window.base}/jobs")
    await desk_window.go("/jobs/by%20hand")
    await press(page, "e")
    await expect(page).to_have_url(f"{desk_window.base}/jobs/by%20hand/edit")


async def test_keys_lead_from_row_to_row(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs?tag=prod")  # other tests make jobs of their own
    await press(page, "j")
    await stands_on(page, "crm-sync")
    await press(page, "j")
    await stands_on(page, "nightly backup")
    await press(page, "k")
    await stands_on(page, "crm-sync")
    await press(page, "Enter")
    await expect(page).to_have_url(f"{desk_window.base}/jobs/crm-sync")


async def test_no_key_acts_inside_a_field_and_none_starts_or_ends_anything(desk_window, office):
    page = desk_window.page
    await desk_window.go("/jobs")
    await press(page, "/")
    box = page.get_by_label("Find jobs")
    await expect(box).to_be_focused()
    await press(page, "c", "?", "g", "r")
    await expect(box).to_have_value("c?gr")
    await desk_window.go("/jobs/resting")
    await press(page, ".")
    await expect(page.get_by_role("button", name="Run now")).to_be_focused()
    await desk_window.go(f"/runs/{office.live_run}")
    await press(page, ".")
    await expect(page.get_by_role("dialog")).to_contain_text("Kill this run?")


async def test_the_list_tells_the_keys_of_this_page_and_a_switch_turns_all_off(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs/resting")
    await press(page, "?")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(keys).to_contain_text("Edit")
    await press(page, "Escape")
    await page.get_by_label("You and how pages look").click()
    await page.get_by_role("button", name="Off", exact=True).click()
    await expect(page.locator("body")).to_have_attribute("data-keys", "off")
    await press(page, "?")
    await expect(keys).to_be_hidden()
    await page.get_by_label("You and how pages look").click()
    await page.get_by_role("button", name="On", exact=True).click()


async def test_the_palette_goes_anywhere_by_typing_and_enter(desk_window):
    page = desk_window.page
    await desk_window.go("/nodes")
    await press(page, "Control+k")
    await expect(page.get_by_role("dialog").get_by_role("searchbox")).to_be_focused()
    await page.keyboard.type("nightly")
    await press(page, "Enter")
    await expect(page).to_have_url(f"{desk_window.base}/jobs/nightly%20backup")
    await press(page, "Control+k")
    await expect(page.get_by_role("dialog").get_by_role("link", name="Cluster")).to_be_visible()
    await press(page, "ArrowDown", "ArrowDown", "ArrowUp", "Enter")
    await expect(page).to_have_url(f"{desk_window.base}/")


@pytest.mark.parametrize("desk_window", [{"java_script_enabled": False}], indirect=True)
async def test_going_anywhere_works_without_scripts(desk_window):
    page = desk_window.page
    await desk_window.go("/")
    await page.get_by_role("link", name="Go to anything").click()
    await page.get_by_label("Page, job, node or run").first.fill("crm")
    await page.get_by_role("button", name="Find", exact=True).click()
    await page.get_by_role("link", name="crm-sync").click()
    await expect(page).to_have_url(f"{desk_window.base}/jobs/crm-sync")
