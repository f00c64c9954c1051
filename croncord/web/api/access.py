"""`/api/v1/tokens`, `/api/v1/users`, `/api/v1/setup-link`."""

from datetime import timedelta

from aiohttp import web

from croncord.preview import iso_utc
from croncord.service.access import LINK_SECONDS, NewToken, NewUser
from croncord.web.api.answers import LinkAnswer, TokenAnswer, UserAnswer
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, json_answer, no_content

TOKENS = "/api/v1/tokens"
USERS = "/api/v1/users"


async def list_tokens(call: Call[NoQuery]) -> web.Response:
    """GET /tokens."""
    return json_answer(await call.desk.access.tokens(call.who))


async def create_token(call: Call[NoQuery]) -> web.Response:
    """POST /tokens."""
    token = await call.desk.access.create_token(call.who, await call.fields())
    return json_answer(token, status=201, headers={"Location": f"{TOKENS}/{token['id']}"})


async def revoke_token(call: Call[NoQuery]) -> web.Response:
    """DELETE /tokens/{id}."""
    await call.desk.access.revoke_token(call.who, call.part("id"))
    return no_content()


async def list_users(call: Call[NoQuery]) -> web.Response:
    """GET /users."""
    return json_answer(await call.desk.access.users(call.who))


async def create_user(call: Call[NoQuery]) -> web.Response:
    """POST /users."""
    user = await call.desk.access.create_user(call.who, await call.fields())
    return json_answer(user, status=201)


async def remove_user(call: Call[NoQuery]) -> web.Response:
    """DELETE /users/{name}."""
    await call.desk.access.remove_user(call.who, call.part("name"))
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
        path=TOKENS,
        handler=list_tokens,
        summary="List API tokens, without their secrets",
        role="admin",
        answer=list[TokenAnswer],
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
        answer=list[UserAnswer],
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
