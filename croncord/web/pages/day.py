"""The next 24 hours, minute by minute: where launches collide, and a click that spreads them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiohttp import web
from markupsafe import Markup

from croncord.schedule import zone_info
from croncord.web import auth
from croncord.web.charts import minute_strip
from croncord.web.format import instant
from croncord.web.pages.frame import Frame
from croncord.web.query import spread

_HOURS = 24


class Hour(NamedTuple):
    """A row of the heat map."""

    at: datetime
    word: str
    launches: int
    busiest: str
    """The fullest minute, empty when there is none."""
    strip: Markup


class DayPage:
    """`GET /day`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/day", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Show planned launches from this hour on."""
        ahead = await self._frame.desk.timeline.ahead(auth.who(request))
        hours = hours_of(ahead, self._frame.choices(request).zone)
        collisions = [
            {**it, "spreadable": [job for job in it["jobs"] if _can_spread(job)]}
            for it in ahead["collisions"]
        ]
        context = {
            "hours": hours,
            "collisions": collisions,
            "often": ahead["often"],
            "total": sum(hour.launches for hour in hours),
        }
        return await self._frame.page(request, "day.html", context)


def hours_of(ahead: Mapping[str, Any], zone: str) -> list[Hour]:
    """Cut the minutes into hours; the fullest minute of all is the darkest."""
    since = instant(ahead["since"])
    assert since is not None
    minutes: list[int] = ahead["minutes"][: _HOURS * 60]
    top = max(minutes, default=0)
    found = []
    for index in range(_HOURS):
        part = minutes[index * 60 : index * 60 + 60]
        at = since + timedelta(hours=index)
        local = at.astimezone(zone_info(zone))
        most = max(part)
        busiest = ""
        if most:
            minute = local + timedelta(minutes=part.index(most))
            busiest = f"{most:,} at {minute:%H:%M}"
        label = f"{sum(part):,} launches, most: {busiest}" if most else "no launches"
        found.append(
            Hour(at, f"{local:%a %H:%M}", sum(part), busiest, minute_strip(part, top, label=label))
        )
    return found


def _can_spread(job: Mapping[str, Any]) -> bool:
    return any(spread(expr) != expr for expr in job["schedule"])
