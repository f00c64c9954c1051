"""Every door tried by those who may not come in: from the published interface, and from all routes.

Endpoints are taken from the OpenAPI document as it is served, pages from the application's own routes,
so that neither can be added without being tried here.
"""

import re
from datetime import timedelta

import pytest
from desks import ADMIN, PASSWORD
from page_visitor import visiting

from croncord.credentials import Token
from croncord.service.people import sha256
from croncord.web.api.openapi import describe
from croncord.web.api.table import ENDPOINTS
from croncord.web.parts import PUBLIC_PATHS

DOCUMENT = describe(ENDPOINTS)
ROLES = {"viewer": 0, "operator": 1, "admin": 2}


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            told = re.search(r"role (\w+)", operation.get("description", ""))
            if told:
                yield pytest.param(method.upper(), path, told[1], id=f"{method.upper()} {path}")


OPERATIONS = list(operations())
each_operation = pytest.mark.parametrize(("method", "path", "role"), OPERATIONS)


def filled(path):
    return re.sub(r"{\w+}", "0" * 24, path)


def test_only_health_checks_are_open():
    open_paths = {
        path
        for path, methods in DOCUMENT["paths"].items()
        for m in methods.values()
        if m.get("security") == []
    }
    assert open_paths == {"/healthz", "/readyz"}


async def credentials_that_are_none(office):
    """Yield headers that look like a way in and are none."""
    yield "nothing", {}
    yield "a wrong token", {"Authorization": "Bearer croncord_wrong"}
    now = office.clock.now()
    expired = Token(
        id="old",
        name="old",
        role="admin",
        sha256=sha256("expired"),
        created_at=now,
        created_by="",
        expires_at=now - timedelta(seconds=1),
    )
    await office.put_token(expired)
    yield "an expired token", {"Authorization": "Bearer expired"}
    made = await office.desk.people.create_token(ADMIN, {"name": "gone", "role": "admin"})
    await office.desk.people.revoke_token(ADMIN, made["id"])
    yield "a revoked token", {"Authorization": f"Bearer {made['token']}"}
    made = await office.desk.people.create_token(ADMIN, {"name": "turned", "role": "admin"})
    await office.desk.people.rotate_token(ADMIN, made["id"])
    yield "a rotated token", {"Authorization": f"Bearer {made['token']}"}
    await office.add_user("eve", "admin")
    who, cookie = await office.desk.access.sign_in("eve", PASSWORD, "")
    await office.desk.access.end_session(who, cookie)
    csrf = {"X-CSRF-Token": who.csrf}
    yield "a session that was signed out", {"Cookie": f"croncord_d0f631ca={cookie}", **csrf}
    _, cookie = await office.desk.access.sign_in("eve", PASSWORD, "")
    await office.desk.people.end_sessions(ADMIN, "eve")
    yield "a session ended everywhere", {"Cookie": f"croncord_d0f631ca={cookie}", **csrf}


async def test_no_endpoint_answers_to_credentials_that_are_none(door):
    async for name, headers in credentials_that_are_none(door.office):
        before = door.office.replica.state.digest()
        for case in OPERATIONS:
            method, path, _ = case.values
            answer = await door.ask(method, filled(path), role=None, headers=headers)
            assert answer.status == 401, (name, method, path)
            answer.close()
        assert door.office.replica.state.digest() == before


@each_operation
async def test_no_endpoint_does_for_a_smaller_role_what_a_greater_one_may(door, method, path, role):
    before = door.office.replica.state.digest()
    for smaller in ("viewer", "operator"):
        if ROLES[smaller] < ROLES[role]:
            answer = await door.ask(method, filled(path), role=smaller, json={})
            assert answer.status == 403, (smaller, await answer.text())
    assert door.office.replica.state.digest() == before


async def test_a_session_changes_nothing_without_its_csrf_token(door):
    cookie, _ = await door.cookie("admin")
    before = door.office.replica.state.digest()
    for case in OPERATIONS:
        method, path, _ = case.values
        if method != "GET":
            answer = await door.ask(method, filled(path), role=None, headers=cookie, json={})
            assert answer.status == 403, (method, path)
            assert "CSRF" in (await answer.json())["detail"]
    assert door.office.replica.state.digest() == before


def routes_of(app):
    """All that the application answers, as method and path."""
    for route in app.router.routes():
        path = route.resource.canonical
        if route.method not in {"HEAD", "*"} and not path.startswith("/api/v1/"):
            yield route.method, path


async def test_no_page_is_shown_and_no_form_is_taken_from_nobody(office):
    async with visiting(office) as visitor:
        tried = 0
        before = office.replica.state.digest()
        for method, path in routes_of(visitor.client.app):
            if path in PUBLIC_PATHS or path.startswith(("/static/", "/internal/")):
                continue
            answer = await visitor.client.request(
                method,
                filled(path),
                data={"a": "b"} if method == "POST" else None,
                allow_redirects=False,
            )
            assert answer.status in {303, 401}, (method, path, answer.status)
            if answer.status == 303:
                assert answer.headers["Location"].startswith("/login")
            tried += 1
        assert tried > 40
        assert office.replica.state.digest() == before


async def test_no_form_changes_anything_for_a_viewer_or_without_the_csrf_token(office):
    own = {"/preferences", "/logout", "/jobs/check", "/login", "/setup"}
    async with visiting(office) as visitor:
        await office.job()
        await visitor.sign_in("viewer")
        before = office.replica.state.digest()
        for method, path in routes_of(visitor.client.app):
            if method != "POST" or path in own:
                continue
            good = path.replace("{job}", "backup").replace("{action:", "{action}")
            good = re.sub(r"{action}[^/]*", "pause", good)
            answer = await visitor.client.post(filled(good), data={"a": "b"}, allow_redirects=False)
            assert answer.status == 403, ("no csrf", path, answer.status)
            if path == "/views":
                continue  # everybody may save views of their own
            answer = await visitor.post(filled(good), name="AB", value="long enough")
            assert answer.status in {403, 404, 422}, (path, answer.status)
        assert office.replica.state.digest() == before
