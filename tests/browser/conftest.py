"""Chromium in front of real pages: over a desk in this process, and over real node processes.

`browser_window` is imported inside the fixtures: it skips where the extra `browser` is missing, and a
conftest cannot be skipped.
"""

import pytest
import pytest_asyncio
from desks import PASSWORD, STDERR, Office, fast_directory
from fleet import TOKEN, Fleet
from page_visitor import serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    from browser_window import chromium  # noqa: PLC0415  # see above

    async with chromium() as browser:
        yield browser


# --- a desk in this process, with something in every state -------------------------------------------


async def fill(office):
    """Make jobs and runs in every state that a page shows."""
    await office.add_user("ada", "admin")
    script = "#!/usr/bin/env python3\nprint('hello')\n"
    await office.job(
        "nightly backup",
        schedule="30 2 * * *",
        timezone="Europe/Berlin",
        tags=["prod", "backup"],
        description="Dumps the customer database.",
        script=script,
        environment={"DATABASE": "crm"},
        retries={"count": 2},
    )
    await office.job("crm-sync", schedule=["*/15 * * * *", "@daily"], tags=["prod"])
    await office.job("by hand", schedule="@manual", overlap="allow")
    await office.job("resting", schedule="@hourly", paused=True)
    for _ in range(4):
        await office.ran("nightly backup", b"\x1b[32mok\x1b[0m\n")
    run = await office.run("crm-sync")
    await office.launch(run["id"], node="n1")
    await office.write(run["id"], b"\x1b[1;31merror:\x1b[0m <disk full>\n", stream=STDERR)
    await office.finish(run["id"], "failed", excerpt="error: disk full\n")
    office.failed_run = run["id"]
    lost = await office.run("nightly backup")
    await office.launch(lost["id"])
    await office.lose(lost["id"])
    live = await office.run("by hand")
    await office.launch(live["id"])
    await office.write(live["id"], b"line 1\nline 2\n")
    office.live_run = live["id"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def office():
    with fast_directory() as path:
        office = await Office.open(path)
        await fill(office)
        async with serving(office):
            yield office


@pytest_asyncio.fixture(loop_scope="session")
async def desk_window(browser, office, request):
    """Give a window on the desk's pages, signed in; parametrise it with options of the browser."""
    from browser_window import window  # noqa: PLC0415  # see above

    async with window(browser, office.base, **getattr(request, "param", {})) as watched:
        form = {"name": "ada", "password": PASSWORD}
        await watched.context.request.post(f"{office.base}/login", form=form)
        yield watched


# --- real nodes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """Run a cluster of one: a real process that runs real scripts."""
    with Fleet(tmp_path_factory.mktemp("node"), 1) as fleet:
        yield fleet.nodes[0]


@pytest_asyncio.fixture(loop_scope="session")
async def node_window(browser, node, request):
    """Give a window on the real node's pages, signed in with the admin's token."""
    from browser_window import window  # noqa: PLC0415  # see above

    async with window(browser, node.url, **getattr(request, "param", {})) as watched:
        await watched.context.request.post(f"{node.url}/login", form={"token": TOKEN})
        yield watched
