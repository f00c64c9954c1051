"""Who comes in, and how."""

from datetime import UTC, datetime, timedelta

import pytest
from desks import ADMIN, ADMIN_TOKEN, OPERATOR, PASSWORD, VIEWER, Office, fast_directory

from croncord.clock import ManualClock
from croncord.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotReady,
    Unauthenticated,
)
from croncord.service.sessions import SESSION_SECONDS
from croncord.service.throttle import Throttled
from croncord.service.who import Who

HERE = "127.0.0.1"


@pytest.fixture
async def timed():
    clock = ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
    with fast_directory() as path:
        office = await Office.open(path, clock=clock)
        yield office
        await office.close()


async def test_the_admin_token_of_the_node_opens_everything(office):
    who = await office.desk.access.authenticate_token(ADMIN_TOKEN, HERE)
    assert (who.name, who.role, who.address) == ("token:admin", "admin", HERE)


@pytest.mark.parametrize("token", ["", "x", ADMIN_TOKEN + "x", ADMIN_TOKEN[:-1], "\udcff", "é"])
async def test_an_unknown_token_opens_nothing(office, token):
    with pytest.raises(Unauthenticated):
        await office.desk.access.authenticate_token(token, HERE)


async def test_a_token_is_shown_once_and_kept_as_a_digest(office):
    access, people = office.desk.access, office.desk.people
    made = await people.create_token(ADMIN, {"name": "deploy", "role": "operator"})
    who = await access.authenticate_token(made["token"], HERE)
    assert (who.name, who.role) == ("token:deploy", "operator")
    (listed,) = (await people.tokens(ADMIN))["items"]
    assert "token" not in listed
    assert made["token"] not in str(office.replica.state.tokens.copy_entries())
    await people.revoke_token(ADMIN, made["id"])
    with pytest.raises(Unauthenticated):
        await access.authenticate_token(made["token"], HERE)
    with pytest.raises(NotFound):
        await people.revoke_token(ADMIN, made["id"])


async def test_a_token_ends_when_it_was_said_to(timed):
    access, people = timed.desk.access, timed.desk.people
    ends = (timed.clock.now() + timedelta(hours=1)).isoformat()
    made = await people.create_token(ADMIN, {"name": "deploy", "expires_at": ends})
    await access.authenticate_token(made["token"], HERE)
    await timed.clock.advance(3600)
    with pytest.raises(Unauthenticated, match="expired"):
        await access.authenticate_token(made["token"], HERE)
    with pytest.raises(Invalid, match="expires_at: lies in the past"):
        await people.create_token(ADMIN, {"name": "old", "expires_at": ends})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "role": "god"}, "role"),
        ({"name": "a", "roles": "admin"}, "roles"),
        ({"name": "a", "expires_at": "later"}, "expires_at"),
    ],
)
async def test_a_wrong_token_is_refused_with_the_field(office, fields, field):
    with pytest.raises(Invalid) as caught:
        await office.desk.people.create_token(ADMIN, fields)
    assert [e.field for e in caught.value.errors] == [field]


async def test_only_admins_see_and_change_who_may_come_in(office):
    access, people = office.desk.access, office.desk.people
    for who in (VIEWER, OPERATOR):
        for ask in (
            people.tokens(who),
            people.create_token(who, {"name": "a"}),
            people.revoke_token(who, "x"),
            people.users(who),
            people.create_user(who, {"name": "a", "password": PASSWORD}),
            people.remove_user(who, "a"),
            access.make_link(who, "setup"),
        ):
            with pytest.raises(Forbidden):
                await ask


async def test_a_password_opens_a_session_that_names_its_user(office):
    await office.add_user("eve", "viewer")
    who, cookie = await office.desk.access.sign_in("eve", PASSWORD, HERE)
    again = office.desk.access.session(cookie, "10.0.0.9")
    assert (again.name, again.role, again.csrf) == ("user:eve", "viewer", who.csrf)
    assert len(again.csrf) > 20
    assert again.csrf not in cookie


async def test_two_sessions_have_different_csrf_tokens(office):
    await office.add_user("eve")
    first, _ = await office.desk.access.sign_in("eve", PASSWORD, HERE)
    second, _ = await office.desk.access.sign_in("eve", PASSWORD, HERE)
    assert first.csrf != second.csrf


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: "1." + c, lambda c: c[2:]])
async def test_a_cookie_that_was_tampered_with_is_no_session(office, change):
    await office.add_user("eve")
    _, cookie = await office.desk.access.sign_in("eve", PASSWORD, HERE)
    assert office.desk.access.session(change(cookie), HERE) is None


@pytest.mark.parametrize("cookie", ["", ".", "1.", "1..", "1.e30.", "é", "1.\udcff.x", "1." * 9999])
async def test_garbage_is_no_session(office, cookie):
    assert office.desk.access.session(cookie, HERE) is None


async def test_a_session_ends_with_its_time(timed):
    await timed.add_user("eve")
    _, cookie = await timed.desk.access.sign_in("eve", PASSWORD, HERE)
    await timed.clock.advance(SESSION_SECONDS - 1)
    assert timed.desk.access.session(cookie, HERE)
    await timed.clock.advance(1)
    assert timed.desk.access.session(cookie, HERE) is None


async def test_a_session_follows_its_user(office):
    await office.add_user("eve", "admin")
    _, cookie = await office.desk.access.sign_in("eve", PASSWORD, HERE)
    await office.add_user("eve", "viewer", "another password")
    assert office.desk.access.session(cookie, HERE) is None, "the password was changed"
    _, cookie = await office.desk.access.sign_in("eve", "another password", HERE)
    assert office.desk.access.session(cookie, HERE).role == "viewer"
    await office.desk.people.remove_user(ADMIN, "eve")
    assert office.desk.access.session(cookie, HERE) is None, "the user was removed"


async def test_wrong_names_and_wrong_passwords_are_told_alike(office):
    await office.add_user("eve")
    for name, password in (("eve", "wrong"), ("nobody", PASSWORD), ("", ""), ("\udcff", "\udcff")):
        with pytest.raises(Unauthenticated, match="the name or the password is wrong"):
            await office.desk.access.sign_in(name, password, name or HERE)


async def test_guessing_is_slowed_down_and_the_wait_is_told(timed):
    await timed.add_user("eve")
    sign_in = timed.desk.access.sign_in
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await sign_in("eve", "wrong", HERE)
    with pytest.raises(Throttled) as caught:
        await sign_in("eve", PASSWORD, HERE)
    assert caught.value.retry_after_seconds == 1
    assert "Wait 1 seconds" in caught.value.hint
    with pytest.raises(Throttled):
        await sign_in("eve", PASSWORD, "10.0.0.9")  # the name is slow from anywhere
    with pytest.raises(Throttled):
        await sign_in("bob", PASSWORD, HERE)  # and the address for anybody
    await timed.clock.advance(1)
    await sign_in("eve", PASSWORD, HERE)


async def test_a_setup_link_makes_one_admin_and_signs_in(office):
    access, people = office.desk.access, office.desk.people
    secret = await access.make_link(None, "setup")
    assert access.link_purpose(secret) == "setup"
    for name, password, field in (("ada", "short", "password"), ("a/b", PASSWORD, "name")):
        with pytest.raises(Invalid) as caught:
            await access.set_up(secret, name, password, HERE)
        assert [e.field for e in caught.value.errors] == [field]
    who, cookie = await access.set_up(secret, "ada", PASSWORD, HERE)
    assert (who.name, who.role) == ("user:ada", "admin")
    assert access.session(cookie, HERE) == who
    with pytest.raises(NotFound, match="used already"):
        await access.set_up(secret, "bob", PASSWORD, HERE)
    assert [user["name"] for user in (await people.users(ADMIN))["items"]] == ["ada"]


async def test_a_taken_name_does_not_use_the_link_up(office):
    await office.add_user("ada")
    secret = await office.desk.access.make_link(None, "setup")
    with pytest.raises(Conflict):
        await office.desk.access.set_up(secret, "ada", PASSWORD, HERE)
    assert office.desk.access.link_purpose(secret) == "setup"


async def test_a_signin_link_opens_one_session(office):
    access = office.desk.access
    secret = await access.make_link(ADMIN, "signin")
    who, cookie = await access.use_link(secret, HERE)
    assert (who.name, who.role) == ("link:signin", "admin")
    assert access.session(cookie, HERE) == who
    with pytest.raises(NotFound):
        await access.use_link(secret, HERE)


async def test_a_link_is_good_for_its_purpose_only(office):
    access = office.desk.access
    setup = await access.make_link(None, "setup")
    with pytest.raises(NotFound, match="something else"):
        await access.use_link(setup, HERE)
    signin = await access.make_link(None, "signin")
    with pytest.raises(NotFound, match="something else"):
        await access.set_up(signin, "ada", PASSWORD, HERE)


async def test_a_link_expires(timed):
    secret = await timed.desk.access.make_link(None, "signin")
    await timed.clock.advance(15 * 60)
    with pytest.raises(NotFound):
        timed.desk.access.link_purpose(secret)
    with pytest.raises(NotFound):
        await timed.desk.access.use_link(secret, HERE)


async def test_nothing_is_signed_before_the_cluster_has_its_key(office):
    await office.add_user("eve")
    office.replica.state.session_key = b""
    with pytest.raises(NotReady):
        await office.desk.access.sign_in("eve", PASSWORD, HERE)
    assert office.desk.access.session("1.e30.x", HERE) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": PASSWORD}, "name"),
        ({"name": "a"}, "password"),
        ({"name": "a", "password": "short"}, "password"),
        ({"name": "a", "password": "x" * 1025}, "password"),
        ({"name": "a", "password": PASSWORD, "role": "god"}, "role"),
        ({"name": "a\u202e", "password": PASSWORD}, "name"),
    ],
)
async def test_a_wrong_user_is_refused_with_the_field(office, fields, field):
    with pytest.raises(Invalid) as caught:
        await office.desk.people.create_user(ADMIN, fields)
    assert [e.field for e in caught.value.errors] == [field]


async def test_users_are_created_once_and_their_passwords_never_shown(office):
    access, people = office.desk.access, office.desk.people
    made = await people.create_user(ADMIN, {"name": "zoe", "password": PASSWORD, "role": "viewer"})
    assert set(made) == {"name", "role", "grants", "created_at"}
    with pytest.raises(Conflict):
        await people.create_user(ADMIN, {"name": "zoe", "password": PASSWORD})
    await access.sign_in("zoe", PASSWORD, HERE)
    assert PASSWORD not in str(office.replica.state.users.copy_entries())


async def test_a_signed_out_session_is_worthless_wherever_its_cookie_is(office):
    await office.add_user("eve")
    access = office.desk.access
    who, cookie = await access.sign_in("eve", PASSWORD, HERE)
    _, other = await access.sign_in("eve", PASSWORD, HERE)
    await access.end_session(who, cookie)
    assert access.session(cookie, HERE) is None
    assert access.session(other, HERE).name == "user:eve"
    await access.end_session(who, cookie)
    await access.end_session(who, "nonsense")


async def test_ended_sessions_are_forgotten_when_their_cookies_have_expired(timed):
    await timed.add_user("eve")
    access, state = timed.desk.access, timed.replica.state
    for _ in range(3):
        who, cookie = await access.sign_in("eve", PASSWORD, HERE)
        await access.end_session(who, cookie)
    assert len(state.ended_sessions) == 3
    await timed.clock.advance(SESSION_SECONDS)
    who, cookie = await access.sign_in("eve", PASSWORD, HERE)
    await access.end_session(who, cookie)
    assert len(state.ended_sessions) == 1


async def test_signing_out_everywhere_ends_all_sessions_of_that_user_only(office):
    for name in ("eve", "bob"):
        await office.add_user(name)
    access, people = office.desk.access, office.desk.people
    eve, mine = await access.sign_in("eve", PASSWORD, HERE)
    _, also_mine = await access.sign_in("eve", PASSWORD, HERE)
    bob, his = await access.sign_in("bob", PASSWORD, HERE)
    with pytest.raises(Forbidden):
        await people.end_sessions(bob, "eve")
    await people.end_sessions(eve, "eve")
    assert access.session(mine, HERE) is None
    assert access.session(also_mine, HERE) is None
    assert access.session(his, HERE)
    _, again = await access.sign_in("eve", PASSWORD, HERE)
    assert access.session(again, HERE)
    await people.end_sessions(ADMIN, "eve")
    assert access.session(again, HERE) is None
    with pytest.raises(NotFound):
        await people.end_sessions(ADMIN, "nobody")


async def test_a_rotated_token_has_a_new_secret_and_the_same_reach(office):
    access, people = office.desk.access, office.desk.people
    grants = [{"role": "operator", "tags": ["team-a"]}]
    made = await people.create_token(ADMIN, {"name": "ci", "grants": grants, "scopes": ["run"]})
    _, cookie = await access.sign_in_token(made["token"], HERE)
    again = await people.rotate_token(ADMIN, made["id"])
    assert again["token"] != made["token"]
    assert again["token"].startswith(again["prefix"])
    assert again["rotated_at"]
    with pytest.raises(Unauthenticated):
        await access.authenticate_token(made["token"], HERE)
    assert access.session(cookie, HERE) is None, "the old secret began it"
    who = await access.authenticate_token(again["token"], HERE)
    assert (who.grants[0].tags, who.scopes) == (("team-a",), ("run",))
    with pytest.raises(NotFound):
        await people.rotate_token(ADMIN, "nope")


async def test_a_user_s_role_grants_and_password_change_at_once(office):
    access, people = office.desk.access, office.desk.people
    await office.add_user("eve", "operator")
    _, cookie = await access.sign_in("eve", PASSWORD, HERE)
    grants = [{"role": "viewer", "tags": ["team-a"]}]
    await people.change_user(ADMIN, "eve", {"grants": grants})
    assert access.session(cookie, HERE).is_limited
    assert not access.session(cookie, HERE).may_some_job("run")
    assert (await people.change_user(ADMIN, "eve", {"grants": []}))["role"] == "viewer"
    await people.change_user(ADMIN, "eve", {"role": "admin"})
    assert access.session(cookie, HERE).may("admin")
    await people.change_user(ADMIN, "eve", {"password": "another password"})
    assert access.session(cookie, HERE) is None
    for fields in ({"role": "admin", "grants": grants}, {"password": "short"}, {"name": "x"}):
        with pytest.raises(Invalid):
            await people.change_user(ADMIN, "eve", fields)
    with pytest.raises(NotFound):
        await people.change_user(ADMIN, "nobody", {"role": "viewer"})


async def test_long_lists_of_tokens_and_users_come_in_pages(office):
    people = office.desk.people
    for number in range(5):
        await people.create_token(ADMIN, {"name": f"t{number}"})
        await office.add_user(f"u{number}")
    for ask in (people.tokens, people.users):
        first = await ask(ADMIN, limit=3)
        rest = await ask(ADMIN, limit=3, cursor=first["next_cursor"])
        names = [it["name"][1:] for it in first["items"] + rest["items"]]
        assert names == ["0", "1", "2", "3", "4"]
        assert (first["total"], rest["next_cursor"]) == (5, None)


async def test_a_user_changes_their_own_password_with_the_present_one(office):
    access, state = office.desk.access, office.replica.state
    await office.add_user("eve", "viewer")
    eve, mine = await access.sign_in("eve", PASSWORD, HERE)
    _, other = await access.sign_in("eve", PASSWORD, "192.0.2.9")
    new = "a better password"
    for fields, field in (
        ({"current_password": "wrong password", "password": new}, "current_password"),
        ({"current_password": PASSWORD, "password": "short"}, "password"),
    ):
        with pytest.raises(Invalid) as caught:
            await access.change_password(eve, "eve", fields)
        assert [error.field for error in caught.value.errors] == [field]
    assert access.session(mine, HERE)
    again = await access.change_password(
        eve, "eve", {"current_password": PASSWORD, "password": new}
    )
    assert access.session(mine, HERE) is None
    assert access.session(other, HERE) is None
    assert access.session(again, HERE).name == "user:eve"
    await access.sign_in("eve", new, HERE)
    assert new not in str(state.users.copy_entries())


async def test_guessing_the_present_password_is_slowed_down_like_signing_in(timed):
    access = timed.desk.access
    await timed.add_user("eve")
    eve, _ = await access.sign_in("eve", PASSWORD, HERE)
    wrong = {"current_password": "a guess", "password": "a better password"}
    for name in ("eve", "eve", "nobody", "eve", "eve"):
        with pytest.raises(Invalid, match="current_password"):
            await access.change_password(eve, name, wrong)
    with pytest.raises(Throttled):
        await access.change_password(eve, "eve", wrong)
    with pytest.raises(Throttled):
        await access.sign_in("eve", PASSWORD, HERE)


async def test_a_token_that_may_only_read_changes_no_password(office):
    await office.add_user("eve")
    reader = Who("token:reader", "admin", HERE, scopes=("read",))
    with pytest.raises(Forbidden, match="scope"):
        await office.desk.access.change_password(
            reader, "eve", {"current_password": PASSWORD, "password": "a better password"}
        )
