"""`/metrics`: a few figures in Prometheus' text format, as this node sees them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from aiohttp import web

from croncord import __version__
from croncord.lifecycle import OPEN_STATES, RunState
from croncord.service import Desk
from croncord.service.events import Event
from croncord.web.api.endpoint import Call, Endpoint, NoQuery

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float]


class Counters:
    """What is counted since the process began."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._ended: Counter[str] = Counter()

    def request(self, method: str, status: int) -> None:
        """Count a request; odd methods count as one."""
        known = method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "other"
        self._requests[known, status] += 1

    def note(self, event: Event) -> None:
        """Count a run that became final."""
        if event["kind"] == "run" and event["state"] not in OPEN_STATES:
            self._ended[event["state"]] += 1

    def samples(self) -> Iterator[str]:
        """Yield the lines of these counters."""
        yield from _family(
            "croncord_http_requests_total",
            "counter",
            "Requests answered by this node",
            [
                ({"method": method, "status": str(status)}, count)
                for (method, status), count in sorted(self._requests.items())
            ],
        )
        yield from _family(
            "croncord_runs_ended_total",
            "counter",
            "Rows that became final while this node watched, on any node",
            [
                ({"state": state}, self._ended[state])
                for state in RunState
                if state not in OPEN_STATES
            ],
        )


COUNTERS: web.AppKey[Counters] = web.AppKey("counters", Counters)


GAUGES: web.AppKey[Mapping[str, tuple[str, Callable[[], float]]]] = web.AppKey("gauges", Mapping)
"""Figures that the daemon adds: what each is about, and how to measure it."""


async def metrics(call: Call[NoQuery]) -> web.Response:
    """GET /metrics."""
    lines = [*_gauges(call.desk), *call.request.app[COUNTERS].samples()]
    for name, (about, measure) in call.request.app.get(GAUGES, {}).items():
        lines += _family(name, "gauge", about, [({}, measure())])
    body = ("\n".join(lines) + "\n").encode()
    return web.Response(body=body, headers={"Content-Type": _TYPE})


def _gauges(desk: Desk) -> Iterator[str]:
    status, state = desk.replica.status(), desk.replica.state
    freshness = desk.cluster.freshness()
    open_runs = Counter(str(run.state) for run in state.open_runs.values())
    nodes = list(state.nodes.values())
    info = {"version": __version__, "node": desk.name}
    figures: dict[str, tuple[str, list[Sample]]] = {
        "croncord_info": ("Version and name of this node", [(info, 1)]),
        "croncord_is_leader": ("1 if this node leads", [({}, status.leader == desk.name)]),
        "croncord_has_leader": ("1 if a leader is known", [({}, freshness["has_leader"])]),
        "croncord_stale_seconds": ("Since a leader was heard", [({}, freshness["stale_seconds"])]),
        "croncord_term": ("Raft term", [({}, status.term)]),
        "croncord_commit_index": ("Agreed commands", [({}, status.commit_index)]),
        "croncord_applied_index": ("Applied commands", [({}, status.applied_index)]),
        "croncord_paused": ("1 if the cluster launches nothing", [({}, state.paused)]),
        "croncord_jobs": ("Jobs", [({}, len(state.jobs))]),
        "croncord_open_runs": (
            "Runs that have not ended",
            [({"state": str(each)}, open_runs[each]) for each in sorted(OPEN_STATES)],
        ),
        "croncord_voters": ("Nodes that vote", [({}, len(status.members))]),
        "croncord_node_up": (
            "1 if the node answers the leader",
            [({"name": node.name}, node.up) for node in nodes],
        ),
    }
    for name, (about, samples) in figures.items():
        yield from _family(name, "gauge", about, samples)


def _family(name: str, kind: str, about: str, samples: list[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inner}}} {float(value):.15g}" if inner else f"{name} {float(value):.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Figures in Prometheus' text format",
        answer=bytes,
    ),
)
