"""Three real nodes and a browser while the leader dies, and then the majority."""

import asyncio

import pytest
from browser_window import expect, window
from fleet import TOKEN, Fleet, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.cluster,
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_a_form_outlives_the_leader_and_the_majority(browser, tmp_path):
    with Fleet(tmp_path, 3) as fleet:
        leader = fleet.leader()
        here, other = fleet.followers()
        async with window(browser, here.url) as watched:
            watched.expect_status(503)
            page = watched.page
            await watched.context.request.post(f"{here.url}/login", form={"token": TOKEN})
            await watched.go("/nodes")
            await expect(page.locator(".pill")).to_contain_text(f"leader {leader.name}")
            await expect(page.get_by_role("row", name=leader.name)).to_contain_text("leader")

            leader.kill()
            await expect(page.locator(".pill")).not_to_contain_text(
                f"leader {leader.name}", timeout=20_000
            )
            await expect(page.locator(".pill")).to_contain_text("· leader", timeout=20_000)
            row = page.get_by_role("row", name=leader.name)
            await expect(row).to_contain_text("Down", timeout=20_000)

            await watched.go("/jobs/new")
            await page.get_by_label("Name", exact=True).fill("typed before the fall")
            await page.get_by_label("Script", exact=True).fill("echo still here\n")
            other.kill()
            banner = page.get_by_text("No leader since")
            await expect(banner).to_be_visible(timeout=20_000)
            await page.get_by_role("button", name="Save").click()
            await expect(page.get_by_role("alert")).to_contain_text("Everything you typed is kept")
            await expect(page.get_by_label("Name", exact=True)).to_have_value(
                "typed before the fall"
            )
            await expect(page.get_by_label("Script", exact=True)).to_have_value("echo still here\n")

            other.start()
            await expect(banner).to_be_hidden(timeout=30_000)
            await page.get_by_role("button", name="Try again").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("typed before the fall")


async def test_a_drill_hands_leadership_over_and_accounts_for_every_tick(browser, tmp_path):
    with Fleet(tmp_path, 3) as fleet:
        leader, here = fleet.leader(), fleet.followers()[0]
        async with window(browser, here.url) as watched:
            page = watched.page
            await watched.context.request.post(f"{here.url}/login", form={"token": TOKEN})
            await watched.go("/jobs/new")
            await page.get_by_label("Name", exact=True).fill("steady")
            await page.get_by_label("Schedule", exact=True).fill("@every 2s")
            await page.get_by_label("Script", exact=True).fill("true\n")
            await page.get_by_role("button", name="Save").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("steady")
            await watched.go("/cluster/drill")
            await page.get_by_role("button", name="Hand over").click()
            await page.get_by_role("dialog").get_by_role("button", name="Hand over").click()
            head = page.locator(".head")
            await expect(head).to_contain_text(
                f"Leadership went from {leader.name}", timeout=20_000
            )
            rows = page.locator("tbody tr")
            await expect(rows.nth(3)).to_be_visible(timeout=30_000)
            await expect(rows.first).not_to_contain_text(f"node {leader.name},")
            await expect(page.locator(".tile").nth(3)).to_contain_text("0 twice, 0 jobs behind")


async def test_a_frozen_leader_is_replaced_comes_back_and_every_tick_has_one_row(browser, tmp_path):
    with Fleet(tmp_path, 3) as fleet:
        leader, here = fleet.leader(), fleet.followers()[0]
        body = {"name": "steady", "schedule": "@every 2s", "script": "true\n"}
        here.post("/api/v1/jobs", body)
        async with window(browser, here.url) as watched:
            page = watched.page
            await watched.context.request.post(f"{here.url}/login", form={"token": TOKEN})
            await watched.go("/cluster/drill")
            await page.get_by_role("button", name="Freeze").click()
            dialog = page.get_by_role("dialog")
            await expect(dialog.get_by_label("Node")).to_have_value(leader.name)
            await dialog.get_by_label("For").select_option("10")
            await dialog.get_by_role("button", name="Freeze").click()
            head = page.locator(".head")
            await expect(head).to_contain_text(f"{leader.name} was frozen for 10 s.")
            said = f"Leadership went from {leader.name}"
            await expect(head).to_contain_text(said, timeout=60_000)
            await asyncio.to_thread(
                wait_for, lambda: "the drill is over" in leader.log.read_text(), 90, "its return"
            )
            row = page.get_by_role("row", name=leader.name)
            await watched.go("/nodes")
            await expect(row).to_contain_text("Up", timeout=60_000)
            await page.go_back()
            await expect(page.locator("tbody tr").nth(3)).to_be_visible(timeout=60_000)
            await expect(page.locator(".tile").nth(3)).to_contain_text("0 twice, 0 jobs behind")
            assert "frozen for a drill: 10 s, asked by" in leader.log.read_text()
