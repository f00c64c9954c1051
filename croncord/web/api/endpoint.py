"""An endpoint: where it is, who may call it, what goes in and what comes out.

The table of endpoints makes both the routes and the published interface, so the two agree.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
from aiohttp import web

from croncord.credentials import Role
from croncord.errors import Malformed
from croncord.fields import read_fields
from croncord.model import Value
from croncord.service import Desk, Who
from croncord.service.agreement import RepeatableRequest, repeatable
from croncord.web import auth
from croncord.web.api.body import read_object
from croncord.web.parts import DESK

Q = TypeVar("Q", bound=Value)
S = TypeVar("S", bound=msgspec.Struct)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
KEY_CHARACTERS_MAX = 128
_PLUS_LOST = re.compile(r"T\d\d:\d\d[\d:.]* \d\d:\d\d$")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


class NoQuery(Value, frozen=True, kw_only=True):
    """An endpoint that takes no query parameters."""


class ReadQuery(Value, frozen=True, kw_only=True):
    """Every read may be answered from the asked node's own copy on purpose."""

    stale: Literal["", "allow"] = ""


@dataclass(frozen=True)
class Call(Generic[Q]):
    """A request to an endpoint, with its query read."""

    request: web.Request
    desk: Desk
    query: Q

    @property
    def who(self) -> Who:
        """Who asks. Raises Unauthenticated."""
        return auth.who(self.request)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[name]

    async def fields(self, *, optional: bool = False) -> dict[str, Any]:
        """Return the body's JSON object; see `read_object`."""
        return await read_object(self.request, optional=optional)

    async def body(self, kind: type[S], *, optional: bool = False) -> S:
        """Return the body as a `kind`. Raises Malformed, Invalid."""
        return read_fields(kind, await self.fields(optional=optional))

    def if_match(self) -> int | None:
        """Return the version that `If-Match` asks for, None for any. Raises Malformed."""
        header = self.request.headers.get("If-Match")
        if header is None or header.strip() == "*":
            return None
        found = _ETAG.fullmatch(header.strip())
        if found is None:
            raise Malformed(
                f"If-Match: {header[:64]!r} is not the ETag of a job",
                hint='Send what GET gave as ETag, for instance "3" with its quotes.',
            )
        return int(found[1])


Handler = Callable[[Call[Any]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    method: Method
    path: str
    handler: Handler
    summary: str
    role: Role | None = "viewer"
    """None for endpoints that anybody may call."""
    query: type[Value] = NoQuery
    body: Any = None
    """Type of the JSON body; `bytes` for raw ones."""
    answer: Any = None
    """Type of the JSON answer; `bytes` for raw ones, None for none."""
    also: tuple[str, ...] = ()
    """Other media types that the answer may come in."""
    status: int = 200
    other_status: int | None = None
    """Another one that a success may have, such as 201 where something was made."""

    def route(self) -> web.RouteDef:
        """Return the route for the application. GET answers HEAD too."""
        if self.method == "GET":
            return web.get(self.path, self._handle, allow_head=True)
        return web.route(self.method, self.path, self._handle)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.role is not None:
            auth.who(request).require_some(self.role)
        query = read_fields(self.query, _parameters(request.query), from_text=True)
        call = Call(request, request.app[DESK], query)
        token = repeatable.set(_repeatable(request))
        try:
            return await self.handler(call)
        finally:
            repeatable.reset(token)


def _repeatable(request: web.Request) -> RepeatableRequest | None:
    """Return what a request with an idempotency key is known by. Raises Malformed."""
    key = request.headers.get("Idempotency-Key", "")
    if not key or request.method in auth.SAFE_METHODS:
        return None
    if len(key) > KEY_CHARACTERS_MAX or not key.isprintable():
        raise Malformed(f"Idempotency-Key: at most {KEY_CHARACTERS_MAX} printable characters")
    parts = (auth.caller_name(request), request.method, request.raw_path, key)
    return RepeatableRequest("\x00".join(parts))


def _parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters; a `+` in a time that was not escaped is put back."""
    return {
        name: value.replace(" ", "+") if _PLUS_LOST.search(value) else value
        for name, value in query.items()
        if value != ""
    }


def json_answer(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a JSON answer."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers=headers,
    )


def no_content() -> web.Response:
    """Return the answer that has no body."""
    return web.Response(status=204)
