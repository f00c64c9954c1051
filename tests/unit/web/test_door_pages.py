import re
from urllib.parse import quote

import pytest
from desks import ADMIN, ADMIN_TOKEN, PASSWORD
from page_visitor import PAGES, check_html, visiting

FRAME_BUTTONS = {
    *("System", "Light", "Dark", "Job", "Mine", "UTC", "On", "Off", "Sign out", "Find"),
    *("List the shortcuts", "Close"),
}


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


@pytest.mark.parametrize("path", PAGES)
async def test_who_is_not_signed_in_is_asked_to_and_comes_back(visitor, path):
    answer = await visitor.get(path)
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/login")
    if path != "/":
        assert answer.headers["Location"] == f"/login?next={quote(path)}"
    page = await visitor.text(answer.headers["Location"])
    check_html(page)
    await visitor.office.add_user("ada")
    answer = await visitor.post("/login", name="ada", password=PASSWORD, next=path)
    assert answer.headers["Location"] == path


async def test_a_wrong_password_says_so_and_keeps_the_name(visitor):
    await visitor.office.add_user("ada")
    answer = await visitor.post("/login", name="ada", password="wrong")
    assert answer.status == 401
    page = await answer.text()
    assert "The name or the password is wrong." in page
    assert 'value="ada"' in page


async def test_after_signing_in_nobody_is_sent_to_another_site(visitor):
    await visitor.office.add_user("ada")
    answer = await visitor.post("/login", name="ada", password=PASSWORD, next="//evil.example/")
    assert answer.headers["Location"] == "/"


async def test_an_admins_token_signs_in_and_an_unknown_one_does_not(visitor):
    answer = await visitor.post("/login", token=ADMIN_TOKEN)
    assert answer.status == 303
    assert "Overview" in await visitor.text("/")
    answer = await visitor.post("/login", token="croncord_wrong")
    assert answer.status == 401


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_any_token_signs_in_with_its_role_until_it_is_revoked(visitor, role):
    secret = await visitor.office.add_token(role)
    assert (await visitor.post("/login", token=secret)).status == 303
    page = await visitor.text("/cluster")
    assert f'token a {role}</strong> <span class="soft small">{role}<' in page
    assert ("Pause the whole cluster?" in page) == (role == "admin")
    assert (await visitor.get("/jobs/new")).status == (403 if role == "viewer" else 200)
    tokens = (await visitor.office.desk.people.tokens(ADMIN))["items"]
    await visitor.office.desk.people.revoke_token(ADMIN, tokens[0]["id"])
    assert (await visitor.get("/cluster")).status == 303


async def test_guessing_tokens_is_slowed_down(visitor):
    for _ in range(5):
        assert (await visitor.post("/login", token="croncord_wrong")).status == 401
    answer = await visitor.post("/login", token=ADMIN_TOKEN)
    assert answer.status == 429
    assert "too many failed attempts" in (await answer.text()).lower()


async def test_the_set_up_link_makes_the_first_admin_once(visitor):
    link = await visitor.office.desk.access.make_link(None, "setup")
    page = await visitor.text(f"/setup?token={link}")
    check_html(page)
    assert "Create the account" in page
    answer = await visitor.post("/setup", token=link, name="ada", password="short")
    assert answer.status == 422
    assert 'value="ada"' in await answer.text()
    answer = await visitor.post("/setup", token=link, name="ada", password=PASSWORD)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert "Welcome, ada" in await visitor.text("/")
    assert "used already" in await visitor.text(f"/setup?token={link}", status=404)


async def test_a_sign_in_link_is_used_up_by_its_button_not_by_being_looked_at(visitor):
    link = await visitor.office.desk.access.make_link(None, "signin")
    for path in ("/login", "/setup"):
        assert "Sign in with the link" in await visitor.text(f"{path}?token={link}")
    assert (await visitor.post("/login", link=link)).status == 303
    assert (await visitor.post("/login", link=link)).status == 404


async def test_signing_out_ends_the_session_in_this_browser(visitor):
    await visitor.sign_in()
    assert (await visitor.post("/logout")).status == 303
    assert (await visitor.get("/jobs")).status == 303


async def test_a_change_without_the_csrf_token_is_refused(visitor):
    await visitor.office.job()
    await visitor.sign_in()
    visitor.csrf = "stolen"
    answer = await visitor.post("/jobs/backup/run")
    assert answer.status == 403
    check_html(await answer.text())
    assert (await visitor.office.desk.runs.list(ADMIN))["items"] == []


async def test_a_viewer_sees_no_button_that_would_be_refused(visitor):
    await visitor.office.job()
    run = await visitor.office.run()
    await visitor.office.launch(run["id"])
    await visitor.sign_in("viewer")
    for path in ("/", "/jobs", "/jobs/backup", f"/runs/{run['id']}", "/nodes", "/cluster"):
        html = await visitor.text(path)
        buttons = set(re.findall(r"<button[^>]*>(?:<svg.*?</svg>)?([A-Za-z ]+)</button>", html))
        assert buttons <= FRAME_BUTTONS, path
    answer = await visitor.get("/jobs/new")
    assert answer.status == 403
    assert "needs the role operator" in await answer.text()
