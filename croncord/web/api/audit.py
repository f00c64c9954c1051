"""`/api/v1/audit`: who changed what, as pages of JSON, or all of it as NDJSON or CSV."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Literal

import msgspec
from aiohttp import web

from croncord.audit import AuditFilter
from croncord.model import Value
from croncord.service.views import Json, Time, View
from croncord.web.api.endpoint import Call, Endpoint, json_answer
from croncord.web.stream import send_bytes

NDJSON, CSV = "application/x-ndjson", "text/csv"
COLUMNS = ("index", "at", "by", "from", "action", "subject", "detail", "outcome")


class AuditQuery(Value, frozen=True, kw_only=True):
    """Which entries."""

    since: datetime | None = None
    """Inclusive."""
    until: datetime | None = None
    """Exclusive."""
    by: str = ""
    """`user:ada`, or only `ada`."""
    subject: str = ""
    """`job:backup`, or only `backup`."""
    action: str = ""
    """`job.edit`, or only `job`."""
    limit: int = 100
    cursor: str = ""
    format: Literal["", "json", "ndjson", "csv"] = ""
    """`ndjson` and `csv` give all entries at once; so does an `Accept` header with their type."""


class AuditView(View, frozen=True, kw_only=True, rename={"address": "from"}):
    """A change that was agreed or refused."""

    index: int
    at: Time
    by: str
    address: str
    """Where the request came from; told to admins only."""
    action: str
    subject: str
    detail: str
    outcome: str
    """`done`, or why it was refused."""


class AuditPage(View, frozen=True, kw_only=True):
    """A page of entries, newest first. It may be short although more follow."""

    items: list[AuditView]
    next_cursor: str | None


async def list_entries(call: Call[AuditQuery]) -> web.StreamResponse:
    """GET /audit."""
    query = call.query
    where = AuditFilter(
        since=query.since,
        until=query.until,
        by=query.by,
        subject=query.subject,
        action=query.action,
    )
    kind = query.format or _accepted(call.request)
    if kind in ("ndjson", "csv"):
        call.who.require("viewer")
        entries = call.desk.audit.all(call.who, where)
        headers = {
            "Content-Type": NDJSON if kind == "ndjson" else f"{CSV}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="audit.{kind}"',
        }
        lines = _ndjson(entries) if kind == "ndjson" else _csv(entries)
        return await send_bytes(call.request, web.StreamResponse(headers=headers), lines)
    page = await call.desk.audit.page(call.who, where, limit=query.limit, cursor=query.cursor)
    return json_answer(page)


def _accepted(request: web.Request) -> str:
    accept = request.headers.get("Accept", "")
    return "ndjson" if NDJSON in accept else "csv" if CSV in accept else ""


async def _ndjson(entries: AsyncGenerator[Json, None]) -> AsyncIterator[bytes]:
    async with aclosing(entries):
        async for entry in entries:
            yield msgspec.json.encode(entry) + b"\n"


async def _csv(entries: AsyncGenerator[Json, None]) -> AsyncIterator[bytes]:
    yield _row(COLUMNS)
    async with aclosing(entries):
        async for entry in entries:
            yield _row([_cell(str(entry[name])) for name in COLUMNS])


def _row(cells: tuple[str, ...] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(text: str) -> str:
    """Keep a spreadsheet from taking the text for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/audit",
        handler=list_entries,
        summary="Who changed what, newest first",
        query=AuditQuery,
        answer=AuditPage,
        also=(NDJSON, CSV),
    ),
)
