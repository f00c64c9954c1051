"""Review, bulk actions and spreading, as a person does them."""

import pytest
from browser_window import expect
from desks import ADMIN

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
NO_SCRIPTS = {"java_script_enabled": False}


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("desk_window", [{}, NO_SCRIPTS], indirect=True, ids=["js", "no-js"])
async def test_a_change_is_reviewed_taken_back_and_saved_with_nothing_typed_again(
    desk_window, office, request
):
    page = desk_window.page
    name = f"reviewed {request.node.callspec.id}"
    await office.job(name, schedule="0 3 * * *", script="echo one\n")
    await desk_window.go(f"/jobs/{name}/edit")
    await page.get_by_label("Script", exact=True).fill("echo two\n")
    await page.get_by_label("Owner").fill("ops")
    await button(page, "Review changes").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Review the changes")
    await expect(page.get_by_label("How the script changes")).to_contain_text("+ echo two")
    await button(page, "Back to the form").click()
    await expect(page.get_by_label("Script", exact=True)).to_have_value("echo two\n")
    await expect(page.get_by_label("Owner")).to_have_value("ops")
    await button(page, "Review changes").click()
    await button(page, "Save").click()
    await expect(page.locator(".note")).to_contain_text("Saved as version 2.")
    assert (await office.desk.jobs.get(ADMIN, name))["script"] == "echo two\n"


async def test_ticked_jobs_stay_ticked_while_the_list_lives_and_are_paused_together(
    desk_window, office
):
    page = desk_window.page
    for name in ("bulk one", "bulk two"):
        await office.job(name, tags=["bulk"])
    await desk_window.go("/jobs?q=tag:bulk")
    await page.get_by_role("checkbox", name="bulk one").check()
    await page.get_by_role("checkbox", name="bulk two").focus()
    await page.keyboard.press("Enter")
    await office.ran("bulk two")
    await expect(page.get_by_role("row", name="bulk two")).to_contain_text("Succeeded")
    await expect(page.get_by_role("checkbox", name="bulk one")).to_be_checked()
    await page.get_by_role("button", name="Pause…").click()
    await button(page, "Pause 1 job").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("1 job was paused")
    assert (await office.desk.jobs.get(ADMIN, "bulk one"))["paused"]
    assert (await office.desk.runs.list(ADMIN, job="bulk one"))["items"] == []


@pytest.mark.parametrize("desk_window", [NO_SCRIPTS], indirect=True)
async def test_enter_on_a_box_starts_nothing_even_without_scripts(desk_window, office):
    page = desk_window.page
    await office.job("quiet one", tags=["quiet"])
    await desk_window.go("/jobs?q=tag:quiet")
    await page.get_by_role("checkbox", name="quiet one").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Pause 1 job?")
    assert (await office.desk.runs.list(ADMIN, job="quiet one"))["items"] == []
