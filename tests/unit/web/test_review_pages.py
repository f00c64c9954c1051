"""Before saving: what changes; after: versions, and the way back."""

import re
from html import unescape

import pytest
from desks import ADMIN
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await office.job("backup", schedule="0 3 * * *", script="echo one\n", tags=["prod"])
        await visitor.sign_in("operator")
        yield visitor


def hidden(page):
    form = page[page.index("data-unsaved") :]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in found}


async def form_of(visitor, **changes):
    page = await visitor.text("/jobs/backup/edit")
    fields = dict(re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', page))
    for name in ("target.nodes", "target.every_node", "retries.other_node", "paused"):
        fields.pop(name, None)
    return fields | {"schedule": "0 3 * * *", "script": "echo one\n"} | changes


async def job(visitor):
    return await visitor.office.desk.jobs.get(ADMIN, "backup")


async def test_a_review_tells_fields_script_and_ticks_and_saves_nothing(visitor):
    fields = await form_of(visitor, schedule="0 */6 * * *", script="echo <two>\n", tags="a, b")
    answer = await visitor.post("/jobs/backup/edit/review", fields)
    page = await answer.text()
    assert answer.status == 200
    check_html(page)
    for text in ("0 */6 * * *", "echo &lt;two&gt;", "New ticks: 4", "Ticks that go away: 1"):
        assert text in page, text
    assert (await job(visitor))["version"] == 1
    answer = await visitor.post("/jobs/backup/edit", hidden(page))
    assert answer.status == 303
    saved = await job(visitor)
    assert (saved["version"], saved["tags"]) == (2, ["a", "b"])
    assert saved["script"] == "echo <two>\n"


async def test_from_the_review_back_to_the_form_nothing_is_lost(visitor):
    fields = await form_of(visitor, script="mine\n", environment='A="x"\nB=1', timeout_seconds="2h")
    page = await (await visitor.post("/jobs/backup/edit/review", fields)).text()
    page = await (await visitor.post("/jobs/backup/edit/form", hidden(page))).text()
    check_html(page)
    assert "\nmine\n" in page
    assert 'name="timeout_seconds" value="2h"' in page
    assert "A=&#34;x&#34;\nB=1" in page
    assert (await visitor.get("/jobs/backup/edit/review")).headers["Location"].endswith("/edit")


async def test_wrong_fields_lead_from_the_review_to_the_form(visitor):
    fields = await form_of(visitor, schedule="99 * * * *", timeout_seconds="soon")
    answer = await visitor.post("/jobs/backup/edit/review", fields)
    page = await answer.text()
    assert answer.status == 422
    for name in ("schedule", "timeout-seconds"):
        assert f'id="f-{name}-error"' in page


async def test_a_conflict_shows_both_versions(visitor):
    fields = await form_of(visitor, description="mine", script="echo mine\n")
    await visitor.office.desk.jobs.patch(
        ADMIN, "backup", {"description": "theirs", "script": "echo theirs\n"}
    )
    answer = await visitor.post("/jobs/backup/edit", fields)
    page = await answer.text()
    assert answer.status == 412
    check_html(page)
    both = page[page.index('id="both"') :]
    for text in (">theirs</span>", ">mine</span>", "echo theirs", "echo mine"):
        assert text in both, text


async def test_an_earlier_version_is_compared_opened_and_restored(visitor):
    await visitor.office.desk.jobs.patch(ADMIN, "backup", {"script": "echo two\n", "tags": []})
    page = await visitor.text("/jobs/backup")
    assert 'href="/jobs/backup/versions/1"' in page
    page = await visitor.text("/jobs/backup/versions/1")
    check_html(page)
    assert "compared with the current version 2" in page
    assert '<span class="d-add">+ echo one' in page
    assert "\necho one\n" in await visitor.text("/jobs/backup/edit?version=1")
    path = "/jobs/backup/versions/1/restore"
    assert (await visitor.post(path, if_match="1")).status == 412
    assert (await visitor.post(path, if_match="2")).headers["Location"] == "/jobs/backup"
    restored = await job(visitor)
    assert (restored["version"], restored["script"], restored["tags"]) == (
        3,
        "echo one\n",
        ["prod"],
    )
    check_html(await visitor.text("/jobs/backup/versions/3"))
    assert "is not kept" in await visitor.text("/jobs/backup/versions/9", status=404)


async def test_a_viewer_may_compare_but_not_restore(visitor):
    await visitor.office.desk.jobs.patch(ADMIN, "backup", {"tags": []})
    await visitor.post("/logout")
    await visitor.sign_in("viewer")
    page = await visitor.text("/jobs/backup/versions/1")
    assert "Restore" not in page
    assert (await visitor.post("/jobs/backup/versions/1/restore")).status == 403
