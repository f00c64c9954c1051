"""`/api/v1/calendars`."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from croncord.ical import BYTES_MAX
from croncord.model import CalendarSpec, Value
from croncord.service.calendars import CalendarView
from croncord.web.api.answers import CalendarList
from croncord.web.api.endpoint import Call, Endpoint, NoQuery, ReadQuery, json_answer, no_content

CALENDARS = "/api/v1/calendars"
CALENDAR = CALENDARS + "/{calendar}"


class ImportBody(Value, frozen=True, kw_only=True):
    """An iCalendar file, and what its events mean."""

    text: Annotated[str, msgspec.Meta(max_length=BYTES_MAX)]
    kind: Literal["blackout", "allowed"] = "blackout"
    timezone: str = "UTC"
    """Where times without a zone are, and days begin."""


async def list_calendars(call: Call[ReadQuery]) -> web.Response:
    """GET /calendars."""
    stale = bool(call.query.stale)
    return json_answer({"items": await call.desk.calendars.list(call.who, stale=stale)})


async def get(call: Call[ReadQuery]) -> web.Response:
    """GET /calendars/{calendar}."""
    name, stale = call.part("calendar"), bool(call.query.stale)
    return json_answer(await call.desk.calendars.get(call.who, name, stale=stale))


async def put(call: Call[NoQuery]) -> web.Response:
    """PUT /calendars/{calendar}."""
    name, fields = call.part("calendar"), await call.fields()
    return json_answer(await call.desk.calendars.put(call.who, name, fields))


async def import_file(call: Call[NoQuery]) -> web.Response:
    """POST /calendars/{calendar}/import."""
    body = await call.body(ImportBody)
    calendar = await call.desk.calendars.import_file(
        call.who, call.part("calendar"), body.text, kind=body.kind, timezone=body.timezone
    )
    return json_answer(calendar)


async def delete(call: Call[NoQuery]) -> web.Response:
    """DELETE /calendars/{calendar}."""
    await call.desk.calendars.delete(call.who, call.part("calendar"))
    return no_content()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=CALENDARS,
        handler=list_calendars,
        summary="List the calendars",
        query=ReadQuery,
        answer=CalendarList,
    ),
    Endpoint(
        method="GET",
        path=CALENDAR,
        handler=get,
        summary="Show a calendar and the jobs that keep to it",
        query=ReadQuery,
        answer=CalendarView,
    ),
    Endpoint(
        method="PUT",
        path=CALENDAR,
        handler=put,
        summary="Create or replace a calendar",
        role="operator",
        body=CalendarSpec,
        answer=CalendarView,
    ),
    Endpoint(
        method="POST",
        path=CALENDAR + "/import",
        handler=import_file,
        summary="Create or replace a calendar by the events of an iCalendar file",
        role="operator",
        body=ImportBody,
        answer=CalendarView,
    ),
    Endpoint(
        method="DELETE",
        path=CALENDAR,
        handler=delete,
        summary="Delete a calendar that no job names",
        role="operator",
        status=204,
    ),
)
