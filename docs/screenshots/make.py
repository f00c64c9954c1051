"""Make the pictures of the README and the docs: a demo cluster, seen by a real Chromium.

.venv/bin/python docs/screenshots/make.py
"""

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = {"width": 1280, "height": 800}
PAGES = {
    "overview": "/",
    "jobs": "/jobs",
    "new-job": "/jobs/new",
    "job": "/jobs/heartbeat",
    "runs": "/runs",
    "logs": "/logs?q=fence",
    "drill": "/cluster/drill",
    "why": "/jobs/heartbeat/why",
    "day": "/day",
    "nodes": "/nodes",
    "cluster": "/cluster",
}
WARM_UP_SECONDS = 75
"""So that there are finished, failed and running runs to see."""


async def main() -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "croncord", "demo"), stdout=asyncio.subprocess.PIPE
    )
    try:
        link = await _sign_in_link(demo)
        await asyncio.sleep(WARM_UP_SECONDS)
        async with async_playwright() as playwright:
            chromium = os.environ.get("CRONCORD_CHROMIUM") or shutil.which("chromium")
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            await _shoot(browser, link)
            await browser.close()
    finally:
        demo.send_signal(signal.SIGINT)
        await demo.wait()


async def _sign_in_link(demo: asyncio.subprocess.Process) -> str:
    assert demo.stdout is not None
    async for line in demo.stdout:
        found = re.search(rb"http\S+/login\?token=\S+", line)
        if found:
            return found[0].decode()
    raise SystemExit("the demo did not start")


async def _shoot(browser: Browser, link: str) -> None:
    address = link.partition("/login")[0]
    context = await browser.new_context(viewport=SIZE, reduced_motion="reduce", locale="en-GB")
    page = await context.new_page()
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_load_state()
    for name, path in PAGES.items():
        await _picture(page, address + path, HERE / f"{name}.png")
    await page.goto(f"{address}/runs?job=slow-import")
    await page.locator("tr:not(:has-text('Skipped')) a[href^='/runs/']").first.click()
    await page.wait_for_load_state()
    await _picture(page, page.url, HERE / "run.png")
    await page.goto(f"{address}/jobs/heartbeat/edit")
    await page.get_by_label("Schedule", exact=True).fill("*/10 * * * *")
    await page.get_by_role("button", name="Review changes").click()
    await page.wait_for_load_state()
    await page.screenshot(path=HERE / "review.png")
    await page.goto(address)
    await page.keyboard.press("Control+k")
    await page.wait_for_timeout(800)
    await page.screenshot(path=HERE / "palette.png")
    await page.emulate_media(color_scheme="dark")
    await _picture(page, address + "/", HERE / "overview-dark.png")
    await context.close()


async def _picture(page: Page, address: str, file: Path) -> None:
    await page.goto(address)
    await page.wait_for_timeout(800)
    await page.screenshot(path=file)


if __name__ == "__main__":
    asyncio.run(main())
