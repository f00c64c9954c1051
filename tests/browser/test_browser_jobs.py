"""What people do with jobs, in a real browser against a real node that runs the scripts."""

import asyncio
import re

import pytest
from browser_window import expect, window

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

COUNTING = "#!/bin/bash\nfor i in $(seq 500); do echo line $i; sleep 0.1; done\n"
NO_SCRIPTS = {"java_script_enabled": False}


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


async def create(watched, name, script, schedule="@manual"):
    page = watched.page
    await watched.go("/jobs")
    await button(page, "New job").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("Script", exact=True).fill(script)
    await page.get_by_label("Schedule", exact=True).fill(schedule)
    await button(page, "Save").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)


async def kill(page):
    await button(page, "Kill").click()
    await page.get_by_role("dialog").get_by_role("button", name="Kill").click()


async def delete(page):
    await button(page, "Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()


async def test_from_the_set_up_link_to_live_output_in_five_clicks(browser, node):
    link = node.post("/api/v1/setup-link")["url"]
    async with window(browser, node.url) as watched:
        page = watched.page
        await page.goto(link)
        await page.get_by_label("Name").fill("grace")
        await page.get_by_label("Password", exact=True).fill("a long enough password")
        await button(page, "Create the account").click()
        await expect(page.get_by_text("Welcome, grace")).to_be_visible()
        await create(watched, "first", COUNTING)
        await button(page, "Run now").click()
        log = page.get_by_role("log")
        await expect(log).to_contain_text("line 3\n")
        await kill(page)
        await expect(page.locator("main")).to_contain_text("no process is left")


async def test_create_watch_kill_and_delete(node_window):
    page = node_window.page
    await create(node_window, "counting", COUNTING)
    await button(page, "Run now").click()
    await expect(page).to_have_url(re.compile(r"/runs/[0-9a-v]{24}$"))
    log = page.get_by_role("log")
    await expect(log).to_contain_text("line 1\n")
    await expect(log).to_contain_text("line 12\n")
    await kill(page)
    main = page.locator("main")
    await expect(main).to_contain_text("Kill asked for")
    await expect(main).to_contain_text("TERM sent")
    await expect(main).to_contain_text("no process is left")
    await expect(page.locator(".head .badge")).to_have_text("Killed")
    await expect(button(page, "Kill")).to_have_count(0)
    await page.get_by_role("link", name="counting").click()
    await delete(page)
    await expect(page.get_by_text("counting is deleted.")).to_be_visible()
    await expect(page.locator("main")).not_to_contain_text("Run now: counting")


@pytest.mark.parametrize("node_window", [NO_SCRIPTS], indirect=True)
async def test_create_watch_kill_and_delete_without_scripts(node_window):
    page = node_window.page
    await create(node_window, "plain", COUNTING)
    await button(page, "Run now").click()
    log = page.get_by_role("log")
    for _ in range(100):
        if "line 2\n" in await log.text_content():
            break
        await page.wait_for_timeout(100)
        await page.get_by_role("link", name="Load again").click()
    await expect(log).to_contain_text("line 2\n")
    await kill(page)
    await expect(page.locator("main")).to_contain_text("Kill asked for")
    await page.get_by_role("link", name="plain").click()
    await button(page, "Pause").click()
    await expect(page.get_by_text("plain is paused")).to_be_visible()
    await button(page, "Resume").click()
    await delete(page)
    await expect(page.get_by_text("plain is deleted.")).to_be_visible()


async def test_a_windows_python_file_of_300_kb_is_uploaded_and_runs(node_window):
    page = node_window.page
    lines = ["#!/usr/bin/env python3", "import sys", "print('from a file', len(DATA := '''"]
    lines += [f"{number:06d} " + "x" * 60 for number in range(4500)]
    lines += ["''') > 300_000)", "sys.stdout.buffer.write(b'\\xff\\xfe raw\\n')"]
    body = "\r\n".join([*lines, ""]).encode()
    assert len(body) > 300_000
    await node_window.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill("uploaded")
    await page.get_by_label("Schedule", exact=True).fill("@manual")
    await page.get_by_label("Or upload a file").set_input_files(
        {"name": "report.py", "mimeType": "text/x-python", "buffer": body}
    )
    await expect(page.get_by_text("Windows line ends (CRLF) became LF")).to_be_visible()
    await expect(page.get_by_text("runs under /usr/bin/env python3")).to_be_visible()
    await button(page, "Save").click()
    await button(page, "Run now").click()
    await expect(page.locator(".head .badge")).to_have_text("Succeeded")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("from a file True")
    await expect(log).to_contain_text("\ufffd\ufffd raw")
    await page.get_by_role("link", name="uploaded").click()
    await delete(page)


@pytest.mark.parametrize("node_window", [NO_SCRIPTS], indirect=True)
async def test_a_file_is_uploaded_without_scripts_too(node_window):
    page = node_window.page
    await node_window.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill("uploaded plainly")
    await page.get_by_label("Schedule", exact=True).fill("@manual")
    await page.get_by_label("Or upload a file").set_input_files(
        {"name": "a.sh", "mimeType": "text/plain", "buffer": b"#!/bin/sh\r\necho from a.sh\r\n"}
    )
    await button(page, "Save").click()
    await expect(page.get_by_text("2 Windows line ends (CRLF) of a.sh became LF.")).to_be_visible()
    await button(page, "Run now").click()
    await page.wait_for_timeout(1000)
    await page.reload()
    await expect(page.get_by_role("log")).to_contain_text("from a.sh")


async def test_output_goes_on_while_its_node_restarts(node_window, node):
    page = node_window.page
    await create(node_window, "outlives", COUNTING)
    await button(page, "Run now").click()
    log = page.get_by_role("log")
    await expect(log).to_contain_text("line 2\n")
    await asyncio.to_thread(node.stop)
    await expect(page.get_by_text("does not answer.")).to_be_visible(timeout=10_000)
    await asyncio.to_thread(node.start)
    await expect(page.get_by_text("does not answer.")).to_be_hidden(timeout=30_000)
    seen = len(re.findall(r"line \d+\n", await log.text_content()))
    await expect(log).to_contain_text(f"line {seen + 20}\n", timeout=30_000)
    numbers = [int(number) for number in re.findall(r"line (\d+)\n", await log.text_content())]
    assert numbers == list(range(1, len(numbers) + 1))
    await kill(page)
    await expect(page.locator(".head .badge")).to_have_text("Killed", timeout=20_000)
    node_window.forgive("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
