"""The job form: preview while typing, errors next to their fields, and nothing typed is lost."""

import pytest
from browser_window import expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


async def test_the_preview_follows_the_typing_and_warns_of_clock_changes(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs/new")
    preview = page.locator("#preview")
    await page.get_by_label("Schedule", exact=True).fill("30 2 * * *")
    await expect(preview).to_contain_text("At 02:30 every day.")
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await expect(preview).to_contain_text("02:30 does not exist in Europe/Berlin")
    await expect(preview.get_by_role("listitem").first).to_contain_text("02:30 C")
    await button(page, "Every 5 minutes").click()
    await expect(preview).to_contain_text("Every 5 minutes.")


async def test_a_wrong_schedule_is_told_while_typing_and_when_saving_and_everything_stays(
    desk_window,
):
    desk_window.expect_status(422)
    page = desk_window.page
    await desk_window.go("/jobs/new")
    schedule = page.get_by_label("Schedule", exact=True)
    await page.get_by_label("Name", exact=True).fill("typed")
    await page.get_by_label("Script", exact=True).fill("echo 'kept & <sound>'\n")
    await page.get_by_label("Description").fill("also kept")
    await schedule.fill("0 25 * * *")
    await expect(page.locator("#preview")).to_contain_text("hour: 25 is not between 0 and 23")
    await expect(schedule).to_have_attribute("aria-invalid", "true")
    await button(page, "Save").click()
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("hour: 25 is not between 0 and 23")
    await expect(alert).to_be_focused()
    await alert.get_by_role("link", name="Schedule").click()
    await expect(schedule).to_be_focused()
    await expect(schedule).to_have_value("0 25 * * *")
    await expect(page.get_by_label("Name", exact=True)).to_have_value("typed")
    await expect(page.get_by_label("Script", exact=True)).to_have_value("echo 'kept & <sound>'\n")
    await expect(page.get_by_label("Description")).to_have_value("also kept")


async def test_check_finds_what_is_wrong_without_saving(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill("by hand")
    await button(page, "Check").click()
    check = page.locator("#check")
    await expect(check).to_contain_text("a job named 'by hand' exists already")
    await expect(check).to_contain_text("match now: n1, n2")
    await expect(page).to_have_url(desk_window.base + "/jobs/new")


async def test_text_that_was_not_saved_is_offered_again(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs/new")
    await page.get_by_label("Script", exact=True).fill("echo hours of work\n")
    await page.wait_for_timeout(700)
    await desk_window.go("/jobs")
    await desk_window.go("/jobs/new")
    await button(page, "Bring it back").click()
    await expect(page.get_by_label("Script", exact=True)).to_have_value("echo hours of work\n")


async def test_the_theme_changes_without_losing_what_is_typed(desk_window):
    page = desk_window.page
    await desk_window.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill("typed")
    await page.get_by_label("You and how pages look").click()
    await button(page, "Dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.get_by_label("Name", exact=True)).to_have_value("typed")
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("You and how pages look")).to_be_focused()
    await desk_window.go("/jobs")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
