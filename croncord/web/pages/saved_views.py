"""Saved views: names for the address of a list, shown above it; and the page where they are kept."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from croncord.errors import Conflict, CronCordError, Invalid, NotFound
from croncord.service.who import Who
from croncord.web import auth
from croncord.web.pages.frame import Frame, see_other
from croncord.web.query import address

_PARAMETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "jobs": ("q", "tag", "state", "node", "sort"),
        "runs": ("job", "state", "reason", "node", "trigger", "since", "until"),
    }
)


class Views(NamedTuple):
    """What a list shows about its views."""

    saved: list[tuple[str, str, bool]]
    """Name, address, and whether the list is that view now."""
    save: str
    """Where to save what the list shows now; empty when that is everything, or saved."""
    manage: str


async def views_of(frame: Frame, who: Who, listing: str, query: Mapping[str, str]) -> Views:
    """Return the caller's views of a list that shows what this query asks for."""
    now = kept_query(listing, query)
    found = await frame.desk.views.list(who, listing=listing, stale=True)
    items = [(v["name"], view_path(listing, v["query"]), v["query"] == now) for v in found]
    is_new = bool(now) and not any(is_it for _, _, is_it in items)
    manage = address("/views", {}, listing=listing)
    return Views(items, address("/views", {}, listing=listing, query=now) if is_new else "", manage)


def kept_query(listing: str, query: Mapping[str, str]) -> str:
    """Return what of a query is the view: filters and order, not the page of the list."""
    return urlencode([(name, query[name]) for name in _PARAMETERS[listing] if query.get(name)])


def view_path(listing: str, query: str) -> str:
    """Return the address that a view stands for."""
    return f"/{listing}?{query}" if query else f"/{listing}"


class SavedViewPages:
    """`/views`: save, and forget."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get("/views", self.show),
            web.post("/views", self.save),
            web.post("/views/forget", self.forget),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Ask for the name, and list those that there are."""
        auth.who(request)
        return await self._page(request, request.query)

    async def save(self, request: web.Request) -> web.Response:
        """Save it and go to the list."""
        fields = await _texts(request)
        listing = _listing(fields)
        query = kept_query(listing, dict(parse_qsl(fields.get("query", ""))))
        name = fields.get("name", "").strip()
        try:
            await self._frame.desk.views.put(auth.who(request), listing, name, query)
        except (Invalid, Conflict) as error:
            return await self._page(request, fields, error)
        return see_other(view_path(listing, query), f"Saved as {name}.")

    async def forget(self, request: web.Request) -> web.Response:
        """Forget it and stay."""
        fields = await _texts(request)
        listing, name = _listing(fields), fields.get("name", "")
        await self._frame.desk.views.delete(auth.who(request), listing, name)
        return see_other(address("/views", {}, listing=listing), f"{name} is forgotten.")

    async def _page(
        self, request: web.Request, fields: Mapping[str, str], error: CronCordError | None = None
    ) -> web.Response:
        listing = _listing(fields)
        query = kept_query(listing, dict(parse_qsl(fields.get("query", ""))))
        found = await self._frame.desk.views.list(auth.who(request), listing=listing, stale=True)
        wrong = [each.message for each in getattr(error, "errors", ())]
        context = {
            "listing": listing,
            "view_query": query,
            "terms": parse_qsl(query),
            "typed": fields.get("name", ""),
            "problem": "; ".join(wrong) or (error.message if error else ""),
            "views": [
                (v["name"], view_path(listing, v["query"]), parse_qsl(v["query"])) for v in found
            ],
            "back": view_path(listing, query),
        }
        status = error.status if error else 200
        return await self._frame.page(request, "views.html", context, status=status)


def _listing(fields: Mapping[str, str]) -> str:
    listing = fields.get("listing", "jobs")
    if listing not in _PARAMETERS:
        raise NotFound(f"there are views of jobs and of runs, none of {listing[:64]!r}")
    return listing


async def _texts(request: web.Request) -> dict[str, str]:
    return {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
