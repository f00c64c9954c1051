"""`/metrics`: figures in Prometheus' text format, as this node sees them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from aiohttp import web

from croncord.figures import Family, Measure, counter, exposition
from croncord.web.api.endpoint import Call, Endpoint, NoQuery

_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_DOORS: Final = (
    ("/api/", "api"),
    ("/internal/", "internal"),
    ("/static/", "static"),
    ("/metrics", "metrics"),
    ("/healthz", "health"),
    ("/readyz", "health"),
)


class RequestTally:
    """Counts requests since the process began."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()

    def count(self, method: str, path: str, status: int) -> None:
        """Count a request; odd methods count as one, and so do all pages."""
        known = method if method in _METHODS else "other"
        door = next((name for prefix, name in _DOORS if path.startswith(prefix)), "page")
        self._requests[door, known, status] += 1

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        yield counter(
            "croncord_http_requests_total",
            "Requests answered by this node, by what was asked for",
            [
                ({"route": route, "method": method, "status": str(status)}, count)
                for (route, method, status), count in sorted(self._requests.items())
            ],
        )


REQUESTS: web.AppKey[RequestTally] = web.AppKey("requests", RequestTally)
MEASURES: web.AppKey[Sequence[Measure]] = web.AppKey("measures", Sequence)
"""What the parts of the node measure that no desk knows: set by the daemon."""


async def metrics(call: Call[NoQuery]) -> web.Response:
    """GET /metrics."""
    families = [*call.desk.figures.families(call.who), *call.request.app[REQUESTS].families()]
    for measure in call.request.app.get(MEASURES, ()):
        families += measure()
    body = ("\n".join(exposition(families)) + "\n").encode()
    return web.Response(body=body, headers={"Content-Type": _TYPE})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Figures in Prometheus' text format",
        answer=bytes,
    ),
)
