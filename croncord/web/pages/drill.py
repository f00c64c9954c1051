"""A failover drill: leadership is handed over or a node frozen; then every tick is accounted for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from croncord.errors import FieldError, Invalid
from croncord.web import auth
from croncord.web.format import instant
from croncord.web.pages.frame import Frame, see_other, utc_now_text
from croncord.web.query import address

WINDOW = timedelta(seconds=60)
_BEFORE = timedelta(seconds=2)
FREEZE_SECONDS = (5, 10, 20, 30)
_ROWS_MAX = 1000
_BY_SCHEDULE = frozenset({"schedule", "catch_up", "every_node"})


class Account(NamedTuple):
    """What became of the ticks of the drill's minute."""

    rows: list[dict[str, Any]]
    launched: int
    waiting: int
    not_run: int
    """Skipped or missed, by a rule."""
    doubles: int
    """Ticks with more rows than they should have."""
    latest_ms: int | None
    is_partial: bool


class DrillPage:
    """`/cluster/drill`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get("/cluster/drill", self.show),
            web.post("/cluster/drill", self.begin),
            web.post("/cluster/drill/freeze", self.freeze),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Explain the drill, or report on the one whose beginning the address names."""
        who = auth.who(request)
        who.require("admin")
        desk = self._frame.desk
        start = _start(request.query.get("since", ""))
        cluster = await desk.cluster.show(who, stale=True)
        voters = [node["name"] for node in cluster["nodes"] if node["role"] != "observer"]
        context: dict[str, Any] = {
            "cluster": cluster,
            "voters": voters,
            "start": start,
            "before": request.query.get("from", "")[:128],
            "term": request.query.get("term", "")[:12],
            "frozen": request.query.get("frozen", "")[:128],
            "seconds": request.query.get("seconds", "")[:4],
            "lengths": FREEZE_SECONDS,
            "account": None,
        }
        if start is not None:
            page = await desk.runs.list(
                who, since=start - _BEFORE, until=start + WINDOW, limit=_ROWS_MAX, stale=True
            )
            context["account"] = account(page["items"], is_partial=bool(page["next_cursor"]))
            context["is_over"] = desk.clock.now() >= start + WINDOW
            context["until"] = start + WINDOW
        return await self._frame.page(request, "drill.html", context)

    async def begin(self, request: web.Request) -> web.Response:
        """Hand leadership over, and go on to the report."""
        report = await self._report(request)
        await self._frame.desk.cluster.transfer_leader(auth.who(request))
        return see_other(report)

    async def freeze(self, request: web.Request) -> web.Response:
        """Freeze the chosen node, and go on to the report."""
        post = await request.post()
        node, seconds = str(post.get("node", "")), str(post.get("seconds", ""))
        if not seconds.isdecimal() or len(seconds) > 4:
            raise Invalid([FieldError("seconds", f"{seconds[:64]!r} is not a number")])
        report = await self._report(request)
        done = await self._frame.desk.drills.freeze(
            auth.who(request), node, {"seconds": int(seconds)}
        )
        return see_other(f"{report}&{urlencode({'frozen': node, 'seconds': done['seconds']})}")

    async def _report(self, request: web.Request) -> str:
        """Return the address of the report of a drill that begins now."""
        desk = self._frame.desk
        before = await desk.cluster.show(auth.who(request), stale=True)
        where = {"from": before["leader"] or "", "term": before["term"]}
        return address("/cluster/drill", {}, since=utc_now_text(desk.clock.now()), **where)


def account(rows: Iterable[Mapping[str, Any]], *, is_partial: bool) -> Account:
    """Account for the rows that the schedule made."""
    shown = [dict(row) for row in rows if row["trigger"] in _BY_SCHEDULE]
    states = Counter(row["state"] for row in shown)
    ticks = Counter(
        (row["job_id"], row["nominal_time"], row["target"], row["shard_index"]) for row in shown
    )
    late = [row["lateness_ms"] for row in shown if row["lateness_ms"] is not None]
    not_run = states["skipped"] + states["missed"]
    return Account(
        rows=shown,
        launched=len(shown) - states["pending"] - not_run,
        waiting=states["pending"],
        not_run=not_run,
        doubles=sum(1 for count in ticks.values() if count > 1),
        latest_ms=max(late, default=None),
        is_partial=is_partial,
    )


def _start(text: str) -> datetime | None:
    try:
        return instant(text)
    except ValueError:
        raise Invalid([FieldError("since", f"{text[:64]!r} is not a time")]) from None
