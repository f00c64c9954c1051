"""A browser window that is watched, for the tests in `tests/browser`.

An error in the console, an exception in a script, or a request to anywhere but loopback fails the test
that caused it. Importing this skips a test module where the extra `browser` is not installed, or fails
it where CRONCORD_REQUIRE_BROWSER is set.
"""

import asyncio
import os
import re
import shutil
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

try:
    from axe_playwright_python.async_playwright import Axe
    from playwright.async_api import async_playwright, expect
except ModuleNotFoundError as missing:
    if os.environ.get("CRONCORD_REQUIRE_BROWSER"):
        raise
    pytest.skip(f"the extra `browser` is not installed: {missing}", allow_module_level=True)

__all__ = ["Axe", "Watched", "chromium", "expect", "window"]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CLOSE_SECONDS = 10
WIDE = {"width": 1280, "height": 860}


@asynccontextmanager
async def chromium():
    """Start the system's Chromium."""
    program = os.environ.get("CRONCORD_CHROMIUM") or shutil.which("chromium")
    if program is None:
        message = "no Chromium: apt-get install chromium, or set CRONCORD_CHROMIUM"
        if os.environ.get("CRONCORD_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await _close(browser)


@dataclass
class Watched:
    """A browser window whose faults are collected."""

    context: object
    page: object
    base: str
    faults: list = field(default_factory=list)
    expected: set = field(default_factory=set)

    async def go(self, path):
        """Open a page of the site under test and return its status."""
        answer = await self.page.goto(self.base + path)
        return answer.status

    def expect_status(self, *statuses):
        """Say that pages of this test will answer with these."""
        self.expected |= set(statuses)

    def forgive(self, *parts):
        """Drop faults that this test brought about, by a part of their text."""
        self.faults[:] = [f for f in self.faults if not any(part in f for part in parts)]

    def note_console(self, message):
        status = re.search(r"the server responded with a status of (\d+)", message.text)
        if message.type == "error" and not (status and int(status[1]) in self.expected):
            self.faults.append(message.text)

    async def only_loopback(self, route):
        host = urlsplit(route.request.url).hostname
        if host in {"127.0.0.1", "localhost", "::1"}:
            await route.continue_()
        else:
            self.faults.append(f"left the machine: {route.request.url}")
            await route.abort()


@asynccontextmanager
async def window(browser, base, **options):
    """Open a window that is not signed in; fails on faults when it closes."""
    settings = {"reduced_motion": "reduce", "locale": "en-GB", "timezone_id": "Europe/Berlin"}
    context = await browser.new_context(**settings | {"viewport": WIDE} | options)
    watched = Watched(context, await context.new_page(), base)
    watched.page.on("pageerror", lambda error: watched.faults.append(str(error)))
    watched.page.on("console", watched.note_console)
    await context.route("**/*", watched.only_loopback)
    try:
        yield watched
    finally:
        await context.unroute_all(behavior="ignoreErrors")
        await _close(context)
    assert watched.faults == [], watched.faults


async def _close(thing):
    """Close a window or the browser. Chromium sometimes never says that a shared worker is gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await thing.close()
