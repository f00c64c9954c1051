"""Calendars: named sets of times that jobs keep to."""

from datetime import timedelta
from typing import Any

import msgspec

from croncord.calendars import read_calendar
from croncord.errors import FieldError, Invalid, NotFound
from croncord.ical import read_periods
from croncord.model import Calendar
from croncord.preview import iso_utc
from croncord.raft.commands import DeleteCalendar, PutCalendar
from croncord.service.agreement import Agreement
from croncord.service.lookup import seen_jobs
from croncord.service.views import Json, Rows, Time, View
from croncord.service.who import Who

_YEAR = timedelta(days=366)
_IMPORTED_YEARS = 5


class PeriodView(View, frozen=True, kw_only=True):
    """From an instant up to another."""

    start: Time
    end: Time


class CalendarView(View, frozen=True, kw_only=True):
    """A calendar and who uses it."""

    name: str
    kind: str
    description: str
    timezone: str
    dates: list[str]
    weekdays: list[str]
    times: list[str]
    periods: list[PeriodView]
    jobs: list[str]
    """Names of the jobs that keep to it; read only."""
    updated_at: Time
    updated_by: str


_READ_ONLY = frozenset({"jobs", "updated_at", "updated_by"})


class CalendarService:
    """What people do with calendars."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    async def list(self, who: Who, *, stale: bool = False) -> Rows:
        """Return all calendars by name."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        return [self._json(who, calendar) for _, calendar in sorted(agreed.calendars.items())]

    async def get(self, who: Who, name: str, *, stale: bool = False) -> Json:
        """Return one calendar. Raises NotFound."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        calendar = agreed.calendars.get(name)
        if calendar is None:
            raise NotFound(
                f"no calendar is named {name[:128]!r}", hint="See the list of calendars."
            )
        return self._json(who, calendar)

    async def put(self, who: Who, name: str, fields: Json) -> Json:
        """Create a calendar, or replace it; ticks that are decided stay as they are."""
        who.require("operator")
        tidy = {key: value for key, value in fields.items() if key not in _READ_ONLY}
        spec = read_calendar({"name": name} | tidy)
        if spec.name != name:
            message = f"is {spec.name!r}, but the address says {name!r}"
            raise Invalid([FieldError("name", message)])
        calendar: Calendar = await self._agreement.change(
            lambda at: PutCalendar(at=at, by=who.name, calendar=spec)
        )
        return self._json(who, calendar)

    async def import_file(
        self, who: Who, name: str, text: str, *, kind: str = "blackout", timezone: str = "UTC"
    ) -> Json:
        """Create or replace a calendar by the events of an iCalendar file.

        Recurring events are unrolled from a year ago to five years ahead; import again to go on.
        """
        who.require("operator")
        fields: dict[str, Any] = {"kind": kind, "timezone": timezone}
        # The rest of the definition is checked first, so that a wrong zone is not the file's fault.
        read_calendar({"name": name, "dates": ["01-01"]} | fields)
        now = self._agreement.now()
        periods = read_periods(text, timezone, now - _YEAR, now + _IMPORTED_YEARS * _YEAR)
        if not periods:
            raise Invalid([FieldError("text", "has no event from a year ago to five years ahead")])
        shown = [{"start": iso_utc(p.start), "end": iso_utc(p.end)} for p in periods]
        return await self.put(who, name, fields | {"periods": shown})

    async def delete(self, who: Who, name: str) -> None:
        """Delete a calendar. Raises Conflict while a job names it."""
        who.require("operator")
        await self._agreement.change(lambda at: DeleteCalendar(at=at, by=who.name, name=name))

    def _json(self, who: Who, calendar: Calendar) -> Json:
        spec = calendar.spec
        jobs = seen_jobs(self._agreement.state, who)
        view = CalendarView(
            name=spec.name,
            kind=spec.kind,
            description=spec.description,
            timezone=spec.timezone,
            dates=list(spec.dates),
            weekdays=list(spec.weekdays),
            times=list(spec.times),
            periods=[PeriodView(start=iso_utc(p.start), end=iso_utc(p.end)) for p in spec.periods],
            jobs=sorted(job.name for job in jobs if spec.name in job.spec.calendars),
            updated_at=iso_utc(calendar.updated_at),
            updated_by=calendar.updated_by,
        )
        fields: Json = msgspec.to_builtins(view)
        return fields
