"""Every page in the states that are not every day's: empty, without a leader, stale, refused, crowded."""

from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from browser_window import expect, window
from crowds import LONG, crowd
from desks import PASSWORD, Office, fast_directory
from page_looks import look_at
from page_visitor import serving

from croncord.errors import NoLeader
from croncord.raft.solo import SoloReplica

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EMPTY = ["/", "/jobs", "/runs", "/day", "/logs", "/nodes", "/settings/notifications"]
CUT = ["/", "/jobs/new", "/cluster/drill", "/jobs/backup"]
CROWDED = ["/", "/jobs"]
"""Where many jobs make a difference."""


class Cut(SoloReplica):
    """A replica that can lose its leader, or hear nothing of it for a while."""

    state_of_things = ""

    def status(self):
        status = super().status()
        changed = {"contact_age_seconds": 73.0} if self.state_of_things else {}
        if self.state_of_things == "no leader":
            changed |= {"leader": None, "has_quorum": False}
        fields = {name: getattr(status, name) for name in status.__struct_fields__}
        return type(status)(**fields | changed)

    async def propose(self, command, **options):
        if self.state_of_things == "no leader":
            raise NoLeader("no majority of the nodes can be reached")
        return await super().propose(command, **options)

    async def barrier(self, **options):
        if self.state_of_things == "no leader":
            raise NoLeader("nobody leads")
        return await super().barrier(**options)


@asynccontextmanager
async def site():
    """Serve the pages of an office in which nothing is yet, and only ada works."""
    with fast_directory() as path:
        office = await Office.open(path, replica=Cut("n1"))
        await office.add_user("ada", "admin")
        async with serving(office):
            yield office


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(browser):
    """Give an office of its own, and a window on it that is signed in."""
    async with site() as office, window(browser, office.base) as watched:
        form = {"name": "ada", "password": PASSWORD}
        await watched.context.request.post(f"{office.base}/login", form=form)
        watched.office = office
        yield watched


async def test_pages_on_which_nothing_is_yet_invite_to_go_on(fresh):
    for path in EMPTY:
        await fresh.go(path)
        await look_at(fresh.page, path)
    await fresh.go("/")
    for words in ("Write the first one", "Nodes", "Set a channel"):
        await expect(
            fresh.page.locator("main").get_by_role("link", name=words, exact=True)
        ).to_be_visible()


@pytest.mark.parametrize(
    ("state_of_things", "said"),
    [("no leader", "No leader since"), ("stale", "last contact with the leader was")],
)
async def test_without_a_leader_and_on_an_old_copy_each_page_says_so(fresh, state_of_things, said):
    run = await _a_run(fresh.office)
    fresh.office.replica.state_of_things = state_of_things
    fresh.expect_status(503)
    paths = [*CUT, f"/runs/{run}"] if state_of_things == "no leader" else CUT[:1]
    for path in paths:
        await fresh.go(path)
        await expect(fresh.page.locator(".banner").first).to_contain_text(said)
        await look_at(fresh.page, path)


async def _a_run(office):
    await office.job("backup", schedule="30 2 * * *")
    return await office.ran("backup", b"done\n")


async def test_forms_that_are_refused_say_why_in_both_themes_and_when_zoomed(fresh):
    page = fresh.page
    fresh.expect_status(404, 409, 422, 503)
    await fresh.go("/jobs/new")
    await page.get_by_label("Schedule", exact=True).fill("99 * * * *")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").first).to_contain_text("99")
    await look_at(page, "a job")
    await fresh.go("/settings/notifications")
    await page.get_by_label("Port").fill("99999999")
    await page.get_by_role("button", name="Save the settings").click()
    await expect(page.get_by_role("alert").first).to_be_visible()
    await look_at(page, "notifications")
    fresh.office.replica.state_of_things = "no leader"
    await fresh.go("/jobs/new")
    await page.get_by_label("Name", exact=True).fill("kept")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").first).to_contain_text("Everything you typed is kept")
    await look_at(page, "no leader")


async def test_ten_thousand_jobs_are_sixty_rows_and_one_step_to_any(fresh):
    page = fresh.page
    assert await crowd(fresh.office, 10_000, strips=100) == 10_000
    for path in CROWDED:
        await fresh.go(path)
        await look_at(page, path)
    await fresh.go("/jobs")
    await expect(page.get_by_text("1–60 of 10,000 jobs")).to_be_visible(timeout=30_000)
    assert await page.locator("*").count() < 4000
    await page.get_by_label("Find jobs").fill("07777")
    await expect(page.get_by_text("1–1 of 1 jobs")).to_be_visible(timeout=30_000)
    await page.get_by_role("link", name=LONG % 7777).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(LONG % 7777, timeout=30_000)
