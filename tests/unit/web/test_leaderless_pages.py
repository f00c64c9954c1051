import pytest
from desks import Office
from page_visitor import PAGES, check_html, visiting

from croncord.errors import NoLeader
from croncord.raft.solo import SoloReplica


class Leaderless(SoloReplica):
    """A replica whose majority can be taken away."""

    lost = False

    def status(self):
        status = super().status()
        if self.lost:
            return type(status)(
                **{f: getattr(status, f) for f in status.__struct_fields__}
                | {"leader": None, "has_quorum": False, "contact_age_seconds": 73.0}
            )
        return status

    async def propose(self, command, **options):
        if self.lost:
            raise NoLeader("no majority of the nodes can be reached")
        return await super().propose(command, **options)

    async def barrier(self, **_options):
        if self.lost:
            raise NoLeader("nobody leads")


@pytest.fixture
async def leaderless(tmp_path):
    office = await Office.open(tmp_path, replica=Leaderless("n1"))
    async with visiting(office) as visitor:
        await office.job()
        await visitor.sign_in()
        office.replica.lost = True
        yield visitor
    await office.close()


@pytest.mark.parametrize("path", PAGES)
async def test_without_a_leader_every_page_is_shown_and_says_so(leaderless, path):
    page = await leaderless.text(path)
    check_html(page)
    assert "No leader since" in page
    assert "changes are refused" in page


async def test_without_a_leader_a_form_keeps_everything_and_can_be_sent_again(leaderless):
    form = {"name": "kept", "schedule": "@daily", "script": "echo kept", "description": "also kept"}
    answer = await leaderless.post("/jobs/new", form)
    page = await answer.text()
    assert answer.status == 503
    assert 'value="kept"' in page
    assert "echo kept" in page
    assert 'value="also kept"' in page
    assert ">Try again</button>" in page
    leaderless.office.replica.lost = False
    assert (await leaderless.post("/jobs/new", form)).status == 303


async def test_without_a_leader_a_button_can_be_pressed_again(leaderless):
    answer = await leaderless.post("/jobs/backup/pause", next="/jobs")
    page = await answer.text()
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert '<form method="post" action="/jobs/backup/pause">' in page
    assert 'name="next" value="/jobs"' in page
    assert page.count(">Try again<") == 1
