"""A form whose session had ended: what was typed survives signing in, without scripts."""

import html
import io
import re

import pytest
from desks import ADMIN, PASSWORD
from page_visitor import check_html, visiting

from croncord.web.pages.carry import CHARACTERS_MAX

SCRIPT = "#!/bin/bash\necho \"<é> & 'quotes'\"\n\n  indented\n"
JOB = {"name": "night", "schedule": "0 3 * * *", "script": SCRIPT, "timezone": "UTC"}


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        await visitor.sign_in("operator")
        yield visitor


async def end_session(visitor):
    await visitor.office.desk.people.end_sessions(ADMIN, "the-operator")


def fields_of(page, action):
    """Return what a form of a page would send, as a browser does."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    found = []
    for tag in re.finditer(
        r'<textarea hidden name="([^"]+)">\n?(.*?)</textarea>|<input type="hidden" name="([^"]+)" value="([^"]*)">',
        form[1],
        re.DOTALL,
    ):
        name, value = (tag[1], tag[2]) if tag[1] else (tag[3], tag[4])
        found.append((html.unescape(name), html.unescape(value)))
    return found


async def test_what_was_typed_is_sent_after_signing_in_again(visitor):
    await end_session(visitor)
    answer = await visitor.post("/jobs/new", JOB)
    page = await answer.text()
    assert answer.status == 401
    check_html(page)
    assert "Sign in to go on" in page
    wrong = await visitor.post(
        "/login", [*fields_of(page, "/login"), ("name", "the-operator"), ("password", "x")]
    )
    page = await wrong.text()
    assert (wrong.status, "wrong" in page) == (401, True)
    right = await visitor.post(
        "/login", [*fields_of(page, "/login"), ("name", "the-operator"), ("password", PASSWORD)]
    )
    page = await right.text()
    assert right.status == 200
    check_html(page)
    assert visitor.office.replica.state.job_named("night") is None, "nobody has pressed the button"
    sent = fields_of(page, "/jobs/new")
    assert dict(sent)["csrf_token"] not in ("", visitor.csrf)
    done = await visitor.client.post("/jobs/new", data=sent, allow_redirects=False)
    assert done.status == 303
    job = visitor.office.replica.state.job_named("night")
    assert job.spec.script == SCRIPT
    assert job.updated_by == "user:the-operator"


async def test_passwords_and_tokens_are_not_written_into_the_page(visitor):
    await end_session(visitor)
    answer = await visitor.post("/somewhere", name="zoe", password="hunter22", value="geheim")
    page = await answer.text()
    assert answer.status == 401
    assert "hunter22" not in page
    assert "geheim" not in page
    answer = await visitor.post(
        "/login", [*fields_of(page, "/login"), ("name", "the-operator"), ("password", PASSWORD)]
    )
    assert "password, value" in await answer.text()


async def test_nothing_is_carried_in_an_address(visitor):
    await end_session(visitor)
    answer = await visitor.post("/jobs/new", JOB)
    assert "Location" not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "https://evil.example/", "/logout", "/login", "/api/v1/jobs", "/\\a"],
)
async def test_a_carried_form_leads_only_to_our_own_pages(visitor, path):
    answer = await visitor.post(
        "/login",
        {"name": "the-operator", "password": PASSWORD, "carried_path": path, "carried.a": "b"},
    )
    assert answer.status == 303
    assert answer.headers["Location"] == "/"


async def test_too_much_to_carry_leads_to_the_sign_in_page(visitor):
    await end_session(visitor)
    body = io.BytesIO(b"name=night&script=" + b"x" * (CHARACTERS_MAX + 1))
    answer = await visitor.client.post(
        "/jobs/new",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        allow_redirects=False,
    )
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/login")


async def test_a_script_that_asks_in_the_background_is_not_given_a_form(visitor):
    await end_session(visitor)
    answer = await visitor.client.post(
        "/jobs/check", data=JOB, headers={"X-Croncord-Live": "1"}, allow_redirects=False
    )
    assert answer.status == 303


async def test_a_foreign_page_cannot_make_us_carry_anything(visitor):
    await end_session(visitor)
    answer = await visitor.client.post(
        "/jobs/new", data=JOB, headers={"Origin": "https://evil.example"}, allow_redirects=False
    )
    assert answer.status == 403


async def test_signing_out_makes_a_copied_cookie_worthless(visitor):
    (name, cookie) = next(
        (c.key, c.value) for c in visitor.client.session.cookie_jar if c.key.startswith("croncord_")
    )
    assert (await visitor.post("/logout")).status == 303
    copied = {"Cookie": f"{name}={cookie}"}
    answer = await visitor.client.get("/jobs", headers=copied, allow_redirects=False)
    assert answer.status == 303


async def test_signing_out_everywhere_ends_the_sessions_of_other_browsers(visitor):
    _, other = await visitor.office.desk.access.sign_in("the-operator", PASSWORD, "10.0.0.9")
    assert (await visitor.post("/logout", everywhere="yes")).status == 303
    assert visitor.office.desk.access.session(other, "10.0.0.9") is None
