"""`/api/v1/tokens`, `/api/v1/users`, `/api/v1/me`, `/api/v1/setup-link`."""

from datetime import timedelta

import msgspec
from aiohttp import web

from croncord.model import Value
from croncord.preview import iso_utc
from croncord.service.access import LINK_SECONDS, PasswordChange
from croncord.service.people import NewToken, NewUser, UserChange
from croncord.web import auth
from croncord.web.api.answers import (
    LinkAnswer,
    MeAnswer,
    TokenAnswer,
    TokenPage,
    UserAnswer,
    UserPage,
)
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer, no_content

TOKENS = "/api/v1/tokens"
USERS = "/api/v1/users"


class PageQuery(Value, frozen=True, kw_only=True):
    """Which page."""

    limit: int = 100
    cursor: str = ""


async def me(call: Call[NoQuery]) -> web.Response:
    """GET /me."""
    who = call.who
    fields = {"name": who.name, "role": who.role, "scopes": who.scopes}
    return json_answer(fields | {"grants": msgspec.to_builtins(who.grants)})


async def list_tokens(call: Call[PageQuery]) -> web.Response:
    """GET /tokens."""
    query = call.query
    people = call.desk.people
    return json_answer(await people.tokens(call.who, limit=query.limit, cursor=query.cursor))


async def create_token(call: Call[NoQuery]) -> web.Response:
    """POST /tokens."""
    token = await call.desk.people.create_token(call.who, await call.fields())
    return json_answer(token, status=201, headers={"Location": f"{TOKENS}/{token['id']}"})


async def rotate_token(call: Call[NoQuery]) -> web.Response:
    """POST /tokens/{id}/rotate."""
    return json_answer(await call.desk.people.rotate_token(call.who, call.part("id")))


async def revoke_token(call: Call[NoQuery]) -> web.Response:
    """DELETE /tokens/{id}."""
    await call.desk.people.revoke_token(call.who, call.part("id"))
    return no_content()


async def list_users(call: Call[PageQuery]) -> web.Response:
    """GET /users."""
    query = call.query
    people = call.desk.people
    return json_answer(await people.users(call.who, limit=query.limit, cursor=query.cursor))


async def create_user(call: Call[NoQuery]) -> web.Response:
    """POST /users."""
    user = await call.desk.people.create_user(call.who, await call.fields())
    return json_answer(user, status=201)


async def change_user(call: Call[NoQuery]) -> web.Response:
    """PATCH /users/{name}."""
    name, fields = call.part("name"), await call.fields()
    return json_answer(await call.desk.people.change_user(call.who, name, fields))


async def change_password(call: Call[NoQuery]) -> web.Response:
    """PUT /users/{name}/password."""
    name, fields = call.part("name"), await call.fields()
    cookie = await call.desk.access.change_password(call.who, name, fields)
    response = no_content()
    if call.who.csrf and call.who.name == f"user:{name}":
        auth.begin_session(call.request, response, cookie)
    return response


async def end_sessions(call: Call[NoQuery]) -> web.Response:
    """POST /users/{name}/sign-out."""
    await call.desk.people.end_sessions(call.who, call.part("name"))
    return no_content()


async def remove_user(call: Call[NoQuery]) -> web.Response:
    """DELETE /users/{name}."""
    await call.desk.people.remove_user(call.who, call.part("name"))
    return no_content()


async def setup_link(call: Call[NoQuery]) -> web.Response:
    """POST /setup-link."""
    return _link(call, "/setup", await call.desk.access.make_link(call.who, "setup"))


async def signin_link(call: Call[NoQuery]) -> web.Response:
    """POST /signin-link."""
    return _link(call, "/login", await call.desk.access.make_link(call.who, "signin"))


def _link(call: Call[NoQuery], page: str, secret: str) -> web.Response:
    expires_at = call.desk.clock.now() + timedelta(seconds=LINK_SECONDS)
    base = f"{call.request.scheme}://{call.request.host}"
    told = {"url": f"{base}{page}?token={secret}", "expires_at": iso_utc(expires_at)}
    return json_answer(told, status=201)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/me",
        handler=me,
        summary="Who asks, and what they may",
        answer=MeAnswer,
    ),
    Endpoint(
        method="GET",
        path=TOKENS,
        handler=list_tokens,
        summary="List API tokens, without their secrets",
        role="admin",
        query=PageQuery,
        answer=TokenPage,
    ),
    Endpoint(
        method="POST",
        path=TOKENS,
        handler=create_token,
        summary="Create an API token; its secret is in this answer only",
        role="admin",
        body=NewToken,
        answer=TokenAnswer,
        status=201,
    ),
    Endpoint(
        method="POST",
        path=TOKENS + "/{id}/rotate",
        handler=rotate_token,
        summary="Give a token a new secret, told in this answer only; the old one is worthless",
        role="admin",
        answer=TokenAnswer,
    ),
    Endpoint(
        method="DELETE",
        path=TOKENS + "/{id}",
        handler=revoke_token,
        summary="Revoke an API token",
        role="admin",
        status=204,
    ),
    Endpoint(
        method="GET",
        path=USERS,
        handler=list_users,
        summary="List users",
        role="admin",
        query=PageQuery,
        answer=UserPage,
    ),
    Endpoint(
        method="POST",
        path=USERS,
        handler=create_user,
        summary="Create a user",
        role="admin",
        body=NewUser,
        answer=UserAnswer,
        status=201,
    ),
    Endpoint(
        method="PATCH",
        path=USERS + "/{name}",
        handler=change_user,
        summary="Change role, grants or password; a new password ends the user's sessions",
        role="admin",
        body=UserChange,
        answer=UserAnswer,
    ),
    Endpoint(
        method="PUT",
        path=USERS + "/{name}/password",
        handler=change_password,
        summary="Choose another password, with the present one; ends the user's other sessions",
        body=PasswordChange,
        status=204,
    ),
    Endpoint(
        method="POST",
        path=USERS + "/{name}/sign-out",
        handler=end_sessions,
        summary="End all sessions of a user, in every browser",
        role="admin",
        status=204,
    ),
    Endpoint(
        method="DELETE",
        path=USERS + "/{name}",
        handler=remove_user,
        summary="Remove a user; their sessions end",
        role="admin",
        status=204,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/setup-link",
        handler=setup_link,
        summary="Make a one-time link for setting up an admin in a browser",
        role="admin",
        answer=LinkAnswer,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/signin-link",
        handler=signin_link,
        summary="Make a one-time link that signs a browser in as admin",
        role="admin",
        answer=LinkAnswer,
        status=201,
    ),
)
