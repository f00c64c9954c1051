"""Tokens, cookies and CSRF at the door."""

import logging

import pytest
from aiohttp import web
from desks import PASSWORD
from web_clients import door_to

from croncord.errors import NoLeader, OutcomeUnknown
from croncord.web import auth

JOBS = "/api/v1/jobs"
GOOD = {"name": "a", "script": "true\n"}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "bearer x y", "Token x", "Bearer " + "x" * 600],
)
async def test_a_header_that_is_no_known_token_is_refused(door, header):
    status, body = await door.problem("GET", JOBS, role=None, headers={"Authorization": header})
    assert status == 401
    assert "x y" not in str(body)
    answer = await door.ask("GET", JOBS, role=None, headers={"Authorization": header})
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_session_reads_without_csrf_and_changes_with_it(door):
    cookie, csrf = await door.cookie("operator")
    read = await door.ask("GET", JOBS, role=None, headers=cookie)
    assert read.status == 200
    status, body = await door.problem("POST", JOBS, role=None, headers=cookie, json=GOOD)
    assert (status, "CSRF" in body["detail"]) == (403, True)
    for wrong in ("", "x", csrf[:-1], "é"):
        status, _ = await door.problem(
            "POST", JOBS, role=None, headers={**cookie, "X-CSRF-Token": wrong}, json=GOOD
        )
        assert status == 403
    done = await door.ask(
        "POST", JOBS, role=None, headers={**cookie, "X-CSRF-Token": csrf}, json=GOOD
    )
    assert done.status == 201
    assert (await done.json())["updated_by"] == "user:the operator"


async def test_the_csrf_token_of_another_session_does_not_help(door):
    cookie, _ = await door.cookie("operator")
    _, csrf = await door.cookie("viewer")
    headers = {**cookie, "X-CSRF-Token": csrf}
    assert (await door.problem("POST", JOBS, role=None, headers=headers, json=GOOD))[0] == 403


async def test_a_session_has_the_role_of_its_user(door):
    cookie, csrf = await door.cookie("viewer")
    headers = {**cookie, "X-CSRF-Token": csrf}
    status, body = await door.problem("POST", JOBS, role=None, headers=headers, json=GOOD)
    assert (status, "needs the role operator" in body["detail"]) == (403, True)


async def form_page(request):
    who = auth.who(request)
    return web.json_response({"who": who.name, "field": (await request.post()).get("field")})


async def test_a_form_carries_the_csrf_token_in_a_field(office):
    async with door_to(office, extra_routes=[web.post("/form", form_page)]) as door:
        cookie, csrf = await door.cookie("operator")
        for options in (
            {"data": {"field": "x", "csrf_token": csrf}},
            {"data": {"field": "x"}, "headers": {"X-CSRF-Token": csrf}},
        ):
            headers = {**cookie, **options.pop("headers", {})}
            answer = await door.ask("POST", "/form", role=None, headers=headers, **options)
            assert await answer.json() == {"who": "user:the operator", "field": "x"}
        status, _ = await door.problem(
            "POST", "/form", role=None, headers=cookie, data={"csrf_token": "wrong"}
        )
        assert status == 403


@pytest.mark.parametrize("tls", [False, True])
async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(office, tls):
    async def login(request):
        _, cookie = await office.desk.access.sign_in("ada", PASSWORD, "here")
        response = web.Response(text="in")
        auth.begin_session(request, response, cookie)
        return response

    async def logout(request):
        response = web.Response(text="out")
        auth.end_session(request, response)
        return response

    await office.add_user("ada")
    pages = [web.post("/login", login), web.get("/setup", logout)]
    async with door_to(office, extra_routes=pages, tls=tls) as door:
        answer = await door.ask("POST", "/login", role=None)
        set_cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in set_cookie
        assert "SameSite=Strict" in set_cookie
        assert "Path=/" in set_cookie
        assert ("Secure" in set_cookie) is tls
        assert set_cookie.startswith("__Host-croncord_") is tls
        assert "Strict-Transport-Security" not in answer.headers  # on the machine itself
        public = await door.ask("GET", "/setup", role=None, headers={"Host": "n1"})
        assert ("Strict-Transport-Security" in public.headers) is tls
        gone = await door.ask("GET", "/setup", role=None)
        assert "Max-Age=0" in gone.headers["Set-Cookie"]


async def test_public_pages_are_open_and_others_are_not(office):
    async def page(_request):
        return web.Response(text="hello")

    paths = ("/login", "/setup", "/static/x.css", "/internal/v1/x", "/", "/jobs", "/loginx")
    routes = [web.get(path, page) for path in paths]
    async with door_to(office, extra_routes=routes) as door:
        for path in paths:
            answer = await door.ask("GET", path, role=None)
            open_to_all = path in {"/login", "/setup", "/static/x.css", "/internal/v1/x"}
            assert answer.status == (200 if open_to_all else 401), path
        wrong = {"Authorization": "Bearer wrong"}
        assert (await door.ask("GET", "/login", role=None, headers=wrong)).status == 200


async def test_problems_of_pages_are_shown_by_the_pages(office):
    async def show(request, problem):
        return web.Response(text=f"<h1>{problem.title}</h1>", status=problem.status)

    async def broken(_request):
        raise RuntimeError("secret detail")

    async def busy(_request):
        raise NoLeader("no leader")

    async def moved(_request):
        raise web.HTTPSeeOther("/elsewhere")

    routes = [web.get("/login", broken), web.get("/setup", busy), web.get("/favicon.ico", moved)]
    async with door_to(office, extra_routes=routes, error_page=show) as door:
        answer = await door.ask("GET", "/login", role=None)
        assert (answer.status, await answer.text()) == (500, "<h1>Internal error</h1>")
        answer = await door.ask("GET", "/setup", role=None)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        answer = await door.ask("GET", "/favicon.ico", role=None, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/elsewhere")
        assert (await door.ask("GET", "/nothing", role=None)).status == 401
        assert (await door.ask("GET", "/nothing")).status == 404
        status, _ = await door.problem("GET", "/api/v1/nothing")
        assert status == 404


async def test_a_fault_of_ours_is_told_as_a_number_that_stands_in_the_log(office, caplog):
    async def broken(_request):
        raise RuntimeError("secret detail")

    async def lost(_request):
        raise OutcomeUnknown("not confirmed in time")

    routes = [web.get("/api/v1/broken", broken), web.post("/api/v1/lost", lost)]
    async with door_to(office, extra_routes=routes) as door:
        status, body = await door.problem("GET", "/api/v1/broken")
        assert status == 500
        assert "secret detail" not in str(body)
        number = body["hint"].rstrip(".").split()[-1]
        (record,) = [r for r in caplog.records if number in r.getMessage()]
        assert "secret detail" in str(record.exc_info[1])
        status, body = await door.problem("POST", "/api/v1/lost")
        assert (status, body["outcome"]) == (504, "unknown")


async def test_no_secret_stands_in_the_log(door, caplog):
    caplog.set_level(logging.DEBUG)
    cookie, csrf = await door.cookie("operator")
    headers = {**cookie, "X-CSRF-Token": csrf}
    await door.ask("POST", JOBS, role=None, headers=headers, json=GOOD)
    await door.ask("GET", "/setup?token=a-one-time-secret", role=None)
    await door.ask("POST", "/api/v1/users", json={"name": "zoe", "password": PASSWORD})
    made = await door.ask("POST", "/api/v1/tokens", json={"name": "t"})
    secret = (await made.json())["token"]
    await door.ask("GET", JOBS, role=None, headers={"Authorization": "Bearer wrong-but-secret"})
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "POST /api/v1/jobs 201" in text
    assert "user:the operator" in text
    for hidden in (
        *door.tokens.values(),
        PASSWORD,
        secret,
        csrf,
        cookie["Cookie"],
        "one-time",
        "wrong-but",
    ):
        assert hidden not in text


async def test_a_line_in_the_log_cannot_be_forged_by_a_path(door, caplog):
    caplog.set_level(logging.INFO)
    await door.ask("GET", "/api/v1/jobs/a%0aGET%20/forged%20200")
    assert not [r for r in caplog.records if "\n" in r.getMessage()]


async def test_login_failures_are_throttled_with_retry_after(office):
    async def login(_request):
        await office.desk.access.sign_in("ada", "wrong", "here")

    await office.add_user("ada")
    async with door_to(office, extra_routes=[web.post("/login", login)]) as door:
        for _ in range(5):
            assert (await door.ask("POST", "/login", role=None)).status == 401
        answer = await door.ask("POST", "/login", role=None)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
