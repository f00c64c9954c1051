"""What every page has: the header with the cluster's pulse, banners, the viewer's choices, CSRF."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

import aiohttp_jinja2
import jinja2
from aiohttp import web

import croncord
from croncord.errors import ScheduleError, Unauthenticated
from croncord.explain import explain
from croncord.ports import RunLogs
from croncord.schedule import zone_info
from croncord.service import Desk
from croncord.service.who import Who
from croncord.web import auth, charts, format  # noqa: A004  # the module's name says it best
from croncord.web.pages.assets import Assets
from croncord.web.query import address, job_path

THEME, TIMES, KEYS = "croncord_theme", "croncord_times", "croncord_keys"
ZONE, NOTE = "croncord_zone", "croncord_note"
_YEAR_SECONDS = 365 * 86400
_NOTE_SECONDS = 60
_CHOICES = {
    THEME: ("auto", "light", "dark"),
    TIMES: ("job", "mine", "utc"),
    KEYS: ("on", "off"),
}


def setup_templates(app: web.Application) -> None:
    """Make the pages' templates, filters and assets known to the application."""
    filters: dict[str, Callable[..., Any]] = {
        "duration": format.duration,
        "bytes": format.byte_size,
        "offset": format.offset_words,
        "look": format.look,
        "reason": format.reason_words,
        "sentence": format.sentence,
        "notice_kind": format.notice_kind,
        "schedule_words": schedule_words,
    }
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("croncord.web", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        filters=filters,
    )


class Frame:
    """The parts behind the pages, and how a page is put together."""

    def __init__(self, desk: Desk, logs: RunLogs) -> None:
        self.desk = desk
        self.logs = logs
        self.assets = Assets()

    def choices(self, request: web.Request) -> "Choices":
        """Return how this browser wants to see things."""
        return Choices(request.cookies)

    async def page(
        self,
        request: web.Request,
        template: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
    ) -> web.Response:
        """Render a whole page; the note of the last action is shown once."""
        response = self.fragment(request, template, context, status=status)
        if NOTE in request.cookies and "X-Croncord-Live" not in request.headers:
            response.del_cookie(NOTE, path="/")
        return response

    def fragment(
        self,
        request: web.Request,
        template: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
    ) -> web.Response:
        """Render a template with what all templates may use."""
        merged = {**self._common(request), **(context or {})}
        return aiohttp_jinja2.render_template(template, request, merged, status=status)

    def _common(self, request: web.Request) -> dict[str, Any]:
        who = signed_in(request)
        now = self.desk.clock.now()
        choices = self.choices(request)
        return {
            "who": who,
            "csrf": who.csrf if who else "",
            "now": now,
            "pulse": Pulse(self.desk.cluster.freshness(), now),
            "choices": choices,
            "zone": choices.zone,
            "asset": self.assets.url,
            "address": address,
            "job_path": job_path,
            "here": request.path_qs,
            "path": request.path,
            "query": dict(request.query),
            "note": unquote(request.cookies.get(NOTE, ""))[:400],
            "croncord_version": croncord.__version__,
            "fmt": format,
            "charts": charts,
        }


FRAME = web.AppKey("frame", Frame)


class Choices:
    """Theme, times and shortcuts as this browser wants them, kept in cookies; unknown values are ignored."""

    def __init__(self, cookies: Mapping[str, str]) -> None:
        self.theme = _one_of(THEME, cookies)
        self.times = _one_of(TIMES, cookies)
        self.keys = _one_of(KEYS, cookies)
        self.own_zone = _known_zone(unquote(cookies.get(ZONE, "")))

    @property
    def zone(self) -> str:
        """The zone of lists and of everything that belongs to no job."""
        return "UTC" if self.times == "utc" else self.own_zone

    def zone_for(self, job_zone: str | None) -> str:
        """Return the zone of a page about one job."""
        return job_zone if self.times == "job" and job_zone else self.zone


def _one_of(name: str, cookies: Mapping[str, str]) -> str:
    value = cookies.get(name, "")
    return value if value in _CHOICES[name] else _CHOICES[name][0]


def _known_zone(name: str) -> str:
    try:
        zone_info(name)
    except ScheduleError:
        return "UTC"
    return name


class Pulse:
    """What this node knows about the cluster without asking anybody, for header and banners."""

    def __init__(self, freshness: Mapping[str, Any], now: datetime) -> None:
        self.node: str = freshness["node"]
        self.leader: str | None = freshness["leader"]
        self.has_leader: bool = freshness["has_leader"]
        self.stale_seconds = float(freshness["stale_seconds"])
        peers = {peer["name"]: peer for peer in freshness["peers"]}
        peers.setdefault(self.node, {"name": self.node, "http": "", "up": True})
        self.members = sorted(peers.values(), key=lambda peer: str(peer["name"]))
        self.up = sum(1 for peer in self.members if peer["up"])
        self.since = now - timedelta(seconds=self.stale_seconds)

    @property
    def others(self) -> list[dict[str, Any]]:
        """The other nodes whose pages can be opened."""
        return [peer for peer in self.members if peer["name"] != self.node and peer["http"]]


def signed_in(request: web.Request) -> Who | None:
    """Return who looks at the page, None when nobody is signed in."""
    try:
        return auth.who(request)
    except Unauthenticated:
        return None


def see_other(location: str, note: str = "") -> web.Response:
    """Answer a form: go on to that page, which shows the note once."""
    response = web.Response(status=303, headers={"Location": location})
    if note:
        response.set_cookie(
            NOTE, quote(note), max_age=_NOTE_SECONDS, path="/", httponly=True, samesite="Lax"
        )
    return response


def keep_choice(response: web.Response, name: str, value: str) -> None:
    """Keep a choice of the viewer if it is one."""
    if value in _CHOICES.get(name, ()):
        response.set_cookie(name, value, max_age=_YEAR_SECONDS, path="/", samesite="Lax")


def schedule_list(schedule: str | list[str]) -> list[str]:
    """Return the expressions of a job as the API gives them, one or several, as a list."""
    return [schedule] if isinstance(schedule, str) else list(schedule)


def schedule_words(job: Mapping[str, Any]) -> str:
    """Say a job's schedule in English; `H` is drawn from the job's id."""
    first, *more = (_words(expr, job["id"]) for expr in schedule_list(job["schedule"]))
    return "; ".join([first, *(text[:1].lower() + text[1:] for text in more)])


_words = lru_cache(maxsize=20_000)(explain)


def utc_now_text(now: datetime) -> str:
    """Return an instant for the `datetime` attribute."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
