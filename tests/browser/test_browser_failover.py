"""A browser on each of three nodes while the leader is killed: what pages say, and what was typed."""

import asyncio
import contextlib
import time

import pytest
from browser_window import expect, window
from fleet import TOKEN, Fleet

pytestmark = [
    pytest.mark.browser,
    pytest.mark.cluster,
    pytest.mark.asyncio(loop_scope="session"),
]
PATIENCE_MS = 90_000


async def typing(stack, browser, node):
    """Open a form on this node and fill it in."""
    watched = await stack.enter_async_context(window(browser, node.url))
    page = watched.page
    await watched.context.request.post(f"{node.url}/login", form={"token": TOKEN})
    await watched.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill(f"typed on {node.name}")
    await page.get_by_label("Script", exact=True).fill(f"echo {node.name}\n")
    return watched


async def save(page, node):
    await page.get_by_role("button", name="Save").click()
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text(f"typed on {node.name}", timeout=PATIENCE_MS)


async def test_every_page_tells_recovers_and_saves_what_was_typed(browser, tmp_path):
    with Fleet(tmp_path, 3) as fleet:
        leader = fleet.leader()
        others = fleet.followers()
        async with contextlib.AsyncExitStack() as stack:
            windows = {n.name: await typing(stack, browser, n) for n in fleet.nodes}
            leader.kill()
            dead = windows[leader.name]
            silent = dead.page.get_by_text(f"{leader.name} does not answer.")
            new = await asyncio.to_thread(fleet.leader)
            begun = time.monotonic()
            for node in others:
                pill = windows[node.name].page.locator(".pill")
                await expect(pill).to_contain_text(f"leader {new.name}", timeout=PATIENCE_MS)
            print(f"pages name the new leader after {time.monotonic() - begun:.1f} s")  # noqa: T201 - a figure
            for node in others:
                await save(windows[node.name].page, node)

            await expect(silent).to_be_visible(timeout=PATIENCE_MS)
            for node in others:
                await expect(dead.page.get_by_role("link", name=node.name)).to_be_visible()
            await dead.page.get_by_role("button", name="Save").click()
            await expect(dead.page.get_by_label("Script", exact=True)).to_have_value(
                f"echo {leader.name}\n"
            )
            leader.start()
            await asyncio.to_thread(fleet.wait_ready, 90)
            await expect(silent).to_be_hidden(timeout=PATIENCE_MS)
            await save(dead.page, leader)
            dead.forgive("ERR_CONNECTION", "Failed to load resource", "ERR_EMPTY", "ERR_INCOMPLETE")
            for node in others:
                windows[node.name].expect_status(503)
        jobs = fleet.nodes[0].get("/api/v1/jobs")["items"]
        assert {job["name"] for job in jobs} == {f"typed on n{n}" for n in (1, 2, 3)}
