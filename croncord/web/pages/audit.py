"""Who changed what: the audit trail as a list, newest first."""

from typing import Any

from aiohttp import web

from croncord.audit import AuditFilter
from croncord.errors import Invalid
from croncord.web import auth
from croncord.web.pages.frame import Frame
from croncord.web.pages.moment import moment
from croncord.web.pages.paging import SIZE, shown
from croncord.web.query import address

_TEXTS = ("by", "subject", "action")
_TIMES = ("since", "until")
NOUNS = (
    "job",
    "run",
    "calendar",
    "secret",
    "user",
    "token",
    "session",
    "link",
    "node",
    "cluster",
    "view",
)


class AuditPage:
    """`GET /audit`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/audit", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show a hundred entries."""
        who = auth.who(request)
        filters = {name: request.query.get(name, "").strip() for name in (*_TEXTS, *_TIMES)}
        answer: dict[str, Any] = {"items": [], "next_cursor": None}
        problem = ""
        try:
            where = AuditFilter(
                **{name: filters[name] for name in _TEXTS},
                since=moment(filters, "since"),
                until=moment(filters, "until"),
            )
            cursor = request.query.get("cursor", "")
            answer = await self._frame.desk.audit.page(who, where, limit=SIZE, cursor=cursor)
        except Invalid as error:
            problem = error.message
        context = {
            "entries": answer["items"],
            "filters": filters,
            "filtered": any(filters.values()),
            "problem": problem,
            "nouns": NOUNS,
            "pages": shown("/audit", request.query, answer),
            "export": {
                kind: address("/api/v1/audit", filters, format=kind) for kind in ("csv", "ndjson")
            },
        }
        return await self._frame.page(request, "audit.html", context)
