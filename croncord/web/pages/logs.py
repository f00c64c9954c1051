"""Search over the output of one run, of a job's runs, or of all; hits come while it searches.

The page is sent in parts, so it needs no script: its beginning at once, a block for each run with
hits as soon as the desk finds them, and at its end what was searched and which nodes were silent.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

from aiohttp import web

from croncord.errors import CronCordError, Invalid, NotFound
from croncord.service.views import Json
from croncord.service.who import Who
from croncord.web import auth
from croncord.web.ansi import plain_text
from croncord.web.pages.frame import Frame
from croncord.web.pages.moment import moment
from croncord.web.query import address
from croncord.web.stream import send_bytes

SIZE = 100
_RESULTS = "<!-- results -->"
"""Where the template is cut: everything typed is escaped, so it stands there once."""
_STREAMS = ("stdout", "stderr")


class Scope(NamedTuple):
    """Which outputs can be searched: a link that keeps everything else that was typed."""

    words: str
    href: str
    is_chosen: bool


class Line(NamedTuple):
    """A line that matches, or one around it, which has no address."""

    number: int
    href: str
    parts: list[str]
    """Its text; every second part is what was looked for."""


class LogSearch:
    """`GET /logs`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/logs", self.show)]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show the form, and below it what is found, as it is found."""
        who, query = auth.who(request), request.query
        if not query.get("q"):
            return await self._page(request, who)
        try:
            hits = self._search(who, query)
            first = await anext(hits)  # what is wrong with the query gets a proper answer
        except CronCordError as error:
            return await self._page(request, who, error)
        page = await self._page(request, who)
        assert page.text is not None
        before, _, after = page.text.partition(_RESULTS)
        response = web.StreamResponse(
            headers={"Content-Type": "text/html; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        response.cookies.update(page.cookies)
        return await send_bytes(
            request, response, self._parts(request, first, hits, before=before, after=after)
        )

    async def _page(
        self, request: web.Request, who: Who, error: CronCordError | None = None
    ) -> web.Response:
        query = request.query
        nodes = await self._frame.desk.cluster.nodes(stale=True)
        context = {
            "q": query.get("q", ""),
            "nodes": [node["name"] for node in nodes],
            "streams": _STREAMS,
            "scopes": await self._scopes(who, query),
            "error": error,
            "problems": _problems(error),
            "is_searching": bool(query.get("q")) and error is None,
        }
        status = error.status if error else 200
        return await self._frame.page(request, "logs.html", context, status=status)

    def _search(self, who: Who, query: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        stream = query.get("stream", "")
        return self._frame.desk.search.search(
            who,
            pattern=query.get("q", ""),
            regex=bool(query.get("regex")),
            job=query.get("job", "").strip(),
            node=query.get("node", ""),
            run=query.get("run", ""),
            stream="stdout" if stream == "stdout" else "stderr" if stream == "stderr" else "",
            since=moment(query, "since"),
            until=moment(query, "until"),
            limit=SIZE,
            cursor=query.get("cursor", ""),
        )

    async def _scopes(self, who: Who, query: Mapping[str, str]) -> list[Scope]:
        """Return this run, its job, and all, as far as the address names them."""
        job, run = query.get("job", "").strip(), query.get("run", "")
        scopes = [("Everything", {"job": "", "run": ""})]
        if run:
            try:
                job = str((await self._frame.desk.runs.get(who, run, stale=True))["job"])
            except NotFound:
                job = ""  # the search itself says that there is no such run
        if job:
            scopes.insert(0, (f"All runs of {job}", {"job": job, "run": ""}))
        if run:
            scopes.insert(0, ("This run", {"job": "", "run": run}))
        kept = {name: value for name, value in query.items() if name != "cursor"}
        return [
            Scope(words, address("/logs", {**kept, **where}), is_chosen=number == 0)
            for number, (words, where) in enumerate(scopes)
        ]

    async def _parts(
        self,
        request: web.Request,
        first: Json,
        hits: AsyncGenerator[Json, None],
        *,
        before: str,
        after: str,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the page: its beginning, a block per attempt with hits, the summary, its end."""
        yield before.encode()
        block: list[Json] = [first]
        found = "run" in first
        trouble: CronCordError | None = None
        try:
            async with aclosing(hits):
                async for hit in hits:
                    if _output(hit) != _output(block[0]):
                        yield self._block(request, block)
                        block = []
                    block.append(hit)
        except CronCordError as error:
            trouble = error  # the page says how far it came
        if trouble is not None and "run" in block[0]:
            yield self._block(request, block)
        onward = block[0].get("next_cursor") if trouble is None else None
        end = {
            "found": trouble is None and found,
            "summary": block[0] if trouble is None else None,
            "trouble": trouble,
            "onward": address("/logs", dict(request.query), cursor=onward) if onward else "",
        }
        yield self._render(request, "logs_end.html", end)
        yield after.encode()

    def _block(self, request: web.Request, hits: list[Json]) -> bytes:
        stream = request.query.get("stream", "")
        where = {"attempt": hits[0]["attempt"], "stream": stream if stream in _STREAMS else ""}
        path = f"/runs/{hits[0]['run']}"
        wanted = "" if request.query.get("regex") else request.query["q"]
        lines: dict[int, Line] = {}
        for hit in hits:
            lines |= {line.number: line for line in _around(hit) if line.number not in lines}
        for hit in hits:
            lines[hit["line"]] = Line(
                hit["line"],
                f"{address(path, where, at=hit['offset'])}#output",
                _parts_of(plain_text(hit["text"].encode()), wanted),
            )
        shown = [lines[number] for number in sorted(lines)]
        return self._render(request, "logs_hits.html", {"lines": shown, "run": hits[0]})

    def _render(self, request: web.Request, template: str, context: Mapping[str, Any]) -> bytes:
        return (self._frame.fragment(request, template, context).text or "").encode()


def _problems(error: CronCordError | None) -> dict[str, str]:
    """Return what is wrong, by field."""
    return {each.field: each.message for each in error.errors} if isinstance(error, Invalid) else {}


def _around(hit: Json) -> list[Line]:
    """Return the lines before and after a hit."""
    first = hit["line"] - len(hit["before"])
    texts = [*hit["before"], hit["text"], *hit["after"]]
    return [
        Line(first + index, "", [plain_text(text.encode())]) for index, text in enumerate(texts)
    ]


def _parts_of(text: str, wanted: str) -> list[str]:
    """Cut a line at what was looked for: before, it, between, it again, and so on."""
    pieces = text.split(wanted) if wanted else [text]
    parts = pieces[:1]
    for piece in pieces[1:]:
        parts += (wanted, piece)
    return parts


def _output(hit: Json) -> tuple[Any, Any]:
    return hit.get("run"), hit.get("attempt")
