"""The launch ledger as a list, newest first."""

from typing import Any

from aiohttp import web

from croncord.errors import Invalid
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.web import auth
from croncord.web.format import TRIGGERS, look, reason_words
from croncord.web.pages.frame import Frame
from croncord.web.pages.moment import moment
from croncord.web.pages.paging import SIZE, shown
from croncord.web.pages.saved_views import views_of

_FILTERS = ("job", "state", "reason", "node", "trigger")


_WORDS: dict[str, dict[str, str]] = {
    "state": {state: look(state).word for state in RunState},
    "reason": {reason: reason_words(reason) for reason in Reason},
    "trigger": {trigger: TRIGGERS[trigger] for trigger in Trigger},
    "node": {},
}


class RunList:
    """`GET /runs`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get("/runs", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show a hundred runs."""
        who = auth.who(request)
        filters = {name: request.query.get(name, "") for name in _FILTERS}
        answer: dict[str, Any] = {"items": [], "next_cursor": None}
        problem = ""
        try:
            answer = await self._frame.desk.runs.list(
                who,
                job=filters["job"],
                state=filters["state"],
                reason=filters["reason"],
                node=filters["node"],
                trigger=filters["trigger"],
                since=moment(request.query, "since"),
                until=moment(request.query, "until"),
                limit=SIZE,
                cursor=request.query.get("cursor", ""),
            )
        except Invalid as error:
            problem = error.message
        nodes = await self._frame.desk.cluster.nodes(stale=True)
        context = {
            "runs": answer["items"],
            "filters": filters,
            "filtered": any(filters.values()) or "since" in request.query,
            "problem": problem,
            "words_for": _WORDS,
            "states": list(RunState),
            "reasons": list(Reason),
            "triggers": list(Trigger),
            "nodes": [node["name"] for node in nodes],
            "views": await views_of(self._frame, who, "runs", request.query),
            "pages": shown("/runs", request.query, answer),
        }
        return await self._frame.page(request, "runs.html", context)
