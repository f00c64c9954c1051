"""`/api/v1/views`: filters and order of lists that the caller saved under names."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from croncord.errors import NotFound
from croncord.model import Value
from croncord.saved_views import QUERY_CHARACTERS_MAX
from croncord.service.views import View
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer, no_content

VIEWS = "/api/v1/views"
VIEW = VIEWS + "/{listing}/{view}"
_LISTINGS = ("jobs", "runs")


class ListQuery(ReadQuery, frozen=True, kw_only=True):
    """Which views."""

    listing: Literal["", "jobs", "runs"] = ""


class ViewBody(Value, frozen=True, kw_only=True):
    """What the view stands for."""

    query: Annotated[str, msgspec.Meta(max_length=QUERY_CHARACTERS_MAX)]
    """The query of the list's page or endpoint: `state=failed&q=backup`."""


class SavedViewAnswer(View, frozen=True, kw_only=True):
    """A saved view."""

    listing: str
    name: str
    query: str


class SavedViewList(View, frozen=True, kw_only=True):
    """The caller's views."""

    items: list[SavedViewAnswer]


async def list_views(call: Call[ListQuery]) -> web.Response:
    """GET /views."""
    stale = bool(call.query.stale)
    found = await call.desk.views.list(call.who, listing=call.query.listing, stale=stale)
    return json_answer({"items": found})


async def put(call: Call[NoQuery]) -> web.Response:
    """PUT /views/{listing}/{view}."""
    body = await call.body(ViewBody)
    listing = _listing(call)
    return json_answer(await call.desk.views.put(call.who, listing, call.part("view"), body.query))


async def delete(call: Call[NoQuery]) -> web.Response:
    """DELETE /views/{listing}/{view}."""
    await call.desk.views.delete(call.who, _listing(call), call.part("view"))
    return no_content()


def _listing(call: Call[NoQuery]) -> str:
    listing = call.part("listing")
    if listing not in _LISTINGS:
        raise NotFound(f"there are views of jobs and of runs, none of {listing[:64]!r}")
    return listing


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=VIEWS,
        handler=list_views,
        summary="List your saved views of jobs and runs",
        query=ListQuery,
        answer=SavedViewList,
    ),
    Endpoint(
        method="PUT",
        path=VIEW,
        handler=put,
        summary="Save a view, or replace it",
        body=ViewBody,
        answer=SavedViewAnswer,
    ),
    Endpoint(
        method="DELETE",
        path=VIEW,
        handler=delete,
        summary="Forget a saved view",
        status=204,
    ),
)
