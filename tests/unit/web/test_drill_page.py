import pytest
from page_visitor import check_html, visiting

from croncord.web.pages.drill import account


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


def row(**fields):
    plain = {"trigger": "schedule", "state": "succeeded", "lateness_ms": 40}
    keys = {"job_id": "j", "nominal_time": "t", "target": "", "shard_index": 0}
    return plain | keys | fields


def test_every_tick_is_accounted_for():
    found = account(
        [
            row(nominal_time="1"),
            row(nominal_time="2", state="running", lateness_ms=900),
            row(nominal_time="3", state="pending", lateness_ms=None),
            row(nominal_time="4", state="missed", lateness_ms=None),
            row(nominal_time="1", target="n2"),
            row(nominal_time="9", trigger="manual", state="failed"),
        ],
        is_partial=False,
    )
    assert (len(found.rows), found.launched, found.waiting, found.not_run) == (5, 3, 1, 1)
    assert (found.doubles, found.latest_ms) == (0, 900)
    assert account([row(), row()], is_partial=False).doubles == 1


async def test_only_admins_drill_and_nobody_alone(visitor):
    await visitor.sign_in("operator")
    assert (await visitor.get("/cluster/drill")).status == 403
    assert (await visitor.post("/cluster/drill")).status == 403
    await visitor.post("/logout")
    await visitor.sign_in("admin")
    page = await visitor.text("/cluster/drill")
    check_html(page)
    answer = await visitor.post("/cluster/drill")
    assert answer.status == 409
    assert "there is no other node to lead" in (await answer.text()).lower()


async def test_the_report_tells_the_ticks_of_its_minute(visitor):
    await visitor.sign_in()
    page = await visitor.text("/cluster/drill?since=2026-01-01T00:00:00Z&from=n9&term=3")
    check_html(page)
    assert "Leadership went from n9 (term 3) to n1" in page
    assert "No schedule had a tick." in page
    await visitor.text("/cluster/drill?since=soon", status=422)


async def test_who_freezes_a_node_is_told_why_not(visitor):
    await visitor.sign_in()
    for fields, status in (
        ({"node": "n9", "seconds": "5"}, 404),
        ({"node": "n2", "seconds": "long"}, 422),
        ({"node": "n2", "seconds": "99"}, 422),
        ({"node": "n1", "seconds": "5"}, 409),
    ):
        answer = await visitor.post("/cluster/drill/freeze", fields)
        assert answer.status == status, fields
        check_html(await answer.text())
    page = await visitor.text(
        "/cluster/drill?since=2026-01-01T00:00:00Z&from=n9&term=3&frozen=n9&seconds=5"
    )
    assert "n9 was frozen for 5 s." in page
