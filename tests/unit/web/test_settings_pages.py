"""Settings and audit as people without scripts use them."""

import re

import pytest
from desks import ADMIN, PASSWORD
from page_visitor import check_html, refused, visiting

SECRET = "s3cr3t-value"


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await visitor.sign_in("admin")
        yield visitor


async def note(visitor, answer):
    """Follow a form's answer to the settings and return the page."""
    assert answer.status == 303, await answer.text()
    assert answer.headers["Location"].startswith("/settings#")
    page = await visitor.text("/settings")
    check_html(page)
    return page


async def test_a_user_is_added_limited_signed_out_and_removed(visitor):
    state = visitor.office.replica.state
    fields = {"name": "zoë/1", "password": PASSWORD, "role": "operator"}
    page = await refused(await visitor.post("/settings/users", fields))
    assert "zoë/1" in page, "what was typed is kept"
    assert PASSWORD not in page
    fields |= {"name": "zoë", "grants": "operator: team-a, team-b\r\nviewer: *\r\n"}
    page = await note(visitor, await visitor.post("/settings/users", fields))
    assert "operator of team-a, team-b; viewer of all jobs" in page
    assert [(g.role, g.tags) for g in state.users["zoë"].grants] == [
        ("operator", ("team-a", "team-b")),
        ("viewer", ()),
    ]
    form = await visitor.text("/settings/users/zo%C3%AB")
    check_html(form)
    assert "operator: team-a, team-b\nviewer: *" in form
    page = await refused(
        await visitor.post("/settings/users/zo%C3%AB", role="viewer", grants="team-a")
    )
    assert "line 1 is not like" in page
    await note(visitor, await visitor.post("/settings/users/zo%C3%AB", role="viewer", grants=""))
    assert (state.users["zoë"].role, state.users["zoë"].grants) == ("viewer", ())
    await note(visitor, await visitor.post("/settings/users/zo%C3%AB/sign-out"))
    assert state.users["zoë"].epoch == 1
    await note(visitor, await visitor.post("/settings/users/zo%C3%AB/remove"))
    assert "zoë" not in state.users
    assert (await visitor.get("/settings/users/zo%C3%AB")).status == 404


async def test_a_token_is_shown_once_rotated_and_revoked(visitor):
    answer = await visitor.post(
        "/settings/tokens", name="ci", role="operator", expires="30", scope="run"
    )
    page = await answer.text()
    assert answer.status == 200
    check_html(page)
    secret = re.search(r'id="secret">([^<]+)<', page)[1]
    who = await visitor.office.desk.access.authenticate_token(secret, "")
    assert (who.name, who.scopes) == ("token:ci", ("run",))
    listed = await visitor.text("/settings")
    assert secret not in listed
    assert secret[:13] in listed
    (token,) = visitor.office.replica.state.tokens.values()
    assert token.expires_at is not None
    rotated = await (await visitor.post(f"/settings/tokens/{token.id}/rotate")).text()
    assert secret not in rotated
    await note(visitor, await visitor.post(f"/settings/tokens/{token.id}/revoke"))
    assert not visitor.office.replica.state.tokens
    await refused(await visitor.post("/settings/tokens", name="ci", role="viewer", scope="admin"))
    await refused(await visitor.post("/settings/tokens", name="ci", role="viewer", expires="x"))


async def test_a_secret_is_set_and_never_comes_back(visitor):
    page = await note(
        visitor, await visitor.post("/settings/secrets", name="TOKEN", value=SECRET, tags="a, b")
    )
    assert "TOKEN" in page
    assert SECRET not in page
    sealed = visitor.office.replica.state.secrets["TOKEN"]
    assert sealed.tags == ("a", "b")
    page = await refused(await visitor.post("/settings/secrets", name="x-y", value=SECRET))
    assert SECRET not in page
    assert 'value="x-y"' in page
    await visitor.office.job(secrets=["TOKEN"], tags=["a"])
    await refused(await visitor.post("/settings/secrets/TOKEN/delete"), 409)
    await note(visitor, await visitor.post("/settings/secrets/TOKEN/delete", force="true"))
    assert not visitor.office.replica.state.secrets


async def test_limits_per_label_are_lines(visitor):
    await note(visitor, await visitor.post("/settings/label-limits", limits="gpu=a 2\r\n\r\nz=1 0"))
    assert visitor.office.replica.state.label_limits.copy_entries() == {"gpu=a": 2, "z=1": 0}
    page = await refused(await visitor.post("/settings/label-limits", limits="gpu 2 x"))
    assert "gpu 2 x" in page
    await refused(await visitor.post("/settings/label-limits", limits="gpu 2"))
    await note(visitor, await visitor.post("/settings/label-limits", limits=""))
    assert not visitor.office.replica.state.label_limits


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_who_is_no_admin_sees_themselves_and_can_leave_everywhere(office, role):
    async with visiting(office) as visitor:
        await visitor.sign_in(role)
        page = await visitor.text("/settings")
        check_html(page)
        assert "Sign out everywhere" in page
        assert "API tokens" not in page
        assert ("Secrets" in page) == (role == "operator")
        for path in ("users", "tokens", "secrets", "label-limits", "users/x/remove"):
            answer = await visitor.post(f"/settings/{path}", name="AB", value="long enough")
            assert answer.status in {403, 422}, path
        assert (await visitor.get("/settings/users/x")).status == 403
        assert (await visitor.post("/logout", everywhere="yes")).status == 303
        assert (await visitor.get("/settings")).status == 303


async def test_the_audit_page_tells_who_did_what(visitor):
    await visitor.post("/settings/secrets", name="TOKEN", value=SECRET)
    await visitor.office.job("<b>job")
    page = await visitor.text("/audit")
    check_html(page)
    assert "secret:TOKEN" in page
    assert "the-admin" in page
    assert "127.0.0.1" in page
    assert "<b>job" not in page
    assert SECRET not in page
    assert "job.create" not in await visitor.text("/audit?action=secret")
    assert "No change matches" in await visitor.text("/audit?by=nobody")
    assert "is not a time" in await visitor.text("/audit?since=yesterday")
    assert "secret:TOKEN" in await visitor.text("/audit?since=2026-01-01")
    for link in re.findall(r'href="(/api/v1/audit[^"]*)"', page):
        assert (await visitor.get(link.replace("&amp;", "&"))).status == 200


async def test_the_audit_page_leads_to_older_entries(visitor):
    for number in range(105):
        await visitor.office.desk.calendars.put(ADMIN, f"c{number}", {"dates": ["12-25"]})
    page = await visitor.text("/audit?action=calendar")
    assert "calendar:c104" in page
    older = re.search(r'rel="next" href="([^"]+)"', page)[1].replace("&amp;", "&")
    page = await visitor.text(older)
    assert "calendar:c4" in page
    assert "calendar:c104" not in page


NEW = "a better password"


async def test_who_is_signed_in_changes_their_password_and_stays_signed_in(office):
    async with visiting(office) as visitor:
        await visitor.sign_in("viewer")
        _, elsewhere = await office.desk.access.sign_in("the-viewer", PASSWORD, "")
        page = await visitor.text("/settings")
        check_html(page)
        assert page.count('type="password"') == 3
        good = {"current_password": PASSWORD, "password": NEW, "password_again": NEW}
        for wrong, told in (
            ({"current_password": "a guess"}, "is not the password of that user"),
            ({"password_again": "another"}, "the two passwords differ"),
            ({"password": "short", "password_again": "short"}, "at least 8 characters"),
        ):
            page = await refused(await visitor.post("/settings/password", good | wrong))
            assert told in page
            assert NEW not in page
            assert PASSWORD not in page
        await note(visitor, await visitor.post("/settings/password", good))
        assert office.desk.access.session(elsewhere, "") is None
        await office.desk.access.sign_in("the-viewer", NEW, "")


async def test_a_signed_in_program_keeps_its_session_too(office):
    async with visiting(office) as visitor:
        await visitor.sign_in("viewer")
        answer = await visitor.client.put(
            "/api/v1/users/the-viewer/password",
            json={"current_password": PASSWORD, "password": NEW},
            headers={"X-CSRF-Token": visitor.csrf},
        )
        assert answer.status == 204
        await visitor.text("/settings")


async def test_a_session_of_a_link_has_no_password_to_change(office):
    async with visiting(office) as visitor:
        secret = await office.desk.access.make_link(ADMIN, "signin")
        assert (await visitor.post("/login", link=secret)).status == 303
        assert 'type="password" required autocomplete="current-password"' not in (
            await visitor.text("/settings")
        )
