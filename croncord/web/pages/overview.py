"""The first page: is anything wrong, what runs, what is next."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from croncord.web import auth
from croncord.web.charts import Quorum, stacks
from croncord.web.format import instant, stamp
from croncord.web.pages.frame import Frame, utc_now_text

_FAILURES = ("failed", "timed_out", "lost", "missed")
_DAY = timedelta(hours=24)
_LIMIT = 200


class Overview:
    """`GET /`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get("/", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show the pulse of everything."""
        who = auth.who(request)
        desk = self._frame.desk
        since = desk.clock.now() - _DAY
        running = await desk.runs.list(who, state="running", limit=_LIMIT)
        pending = await desk.runs.list(who, state="pending", limit=_LIMIT, stale=True)
        failures: list[dict[str, Any]] = []
        for state in _FAILURES:
            page = await desk.runs.list(who, state=state, since=since, limit=_LIMIT, stale=True)
            failures += page["items"]
        upcoming = await desk.jobs.list(who, sort="next_run", limit=12, stale=True)
        latest = await desk.runs.list(who, limit=10, stale=True)
        cluster = await desk.cluster.show(who, stale=True)
        voters = [node for node in cluster["nodes"] if node["role"] != "observer"]
        answering = sum(1 for node in voters if node["state"] != "down")
        zone = self._frame.choices(request).zone
        past, ahead = await desk.timeline.past(who), await desk.timeline.ahead(who)
        steps = half_hours(past, ahead)
        context = {
            "stacks": stacks(steps, title=lambda at: stamp(at, zone)),
            "step_minutes": past["step_minutes"],
            "now_at": now_at(past, desk.clock.now()),
            "is_partial": past["is_partial"],
            "cluster": cluster,
            "down": [node["name"] for node in cluster["nodes"] if node["state"] == "down"],
            "quorum": Quorum(len(voters) or 1, answering),
            "running": running["items"],
            "pending": pending["items"],
            "troubles": by_job(failures),
            "upcoming": [job for job in upcoming["items"] if job["next_run"]],
            "jobs_total": upcoming["total"],
            "latest": latest["items"],
        }
        return await self._frame.page(request, "overview.html", context)


def half_hours(
    past: Mapping[str, Any], ahead: Mapping[str, Any]
) -> list[tuple[str, dict[str, int]]]:
    """Put twelve hours of outcomes and twelve of plans behind each other; the plan begins after now."""
    steps = [(step["at"], dict(step["states"])) for step in past["steps"]]
    last, since = instant(steps[-1][0]), instant(ahead["since"])
    assert last is not None
    assert since is not None
    size = past["step_minutes"]
    for number in range(1, len(past["steps"]) + 1):
        at = last + timedelta(minutes=size * number)
        start = int((at - since).total_seconds()) // 60
        planned = sum(ahead["minutes"][max(0, start) : max(0, start + size)])
        steps.append((utc_now_text(at), {"planned": planned} if planned else {}))
    return steps


def now_at(past: Mapping[str, Any], now: datetime) -> float:
    """Return where now is on the timeline, in its units of ten per step."""
    since = instant(past["since"])
    assert since is not None
    return round((now - since).total_seconds() / 60 / float(past["step_minutes"]) * 10, 2)


def by_job(failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group failures by job: the newest run of each and how many there were, newest first."""
    groups: dict[str, dict[str, Any]] = {}
    for run in sorted(failures, key=lambda run: str(run["id"]), reverse=True):
        group = groups.setdefault(run["job_id"], {"run": run, "count": 0, "since": ""})
        group["count"] += 1
        group["since"] = run["nominal_time"]
    return list(groups.values())
