"""One run: its steps and times, how it ended, its output while it is written, and its buttons."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from croncord.errors import NotFound
from croncord.lifecycle import OPEN_STATES
from croncord.web import auth
from croncord.web.format import duration, instant, person, seconds_between
from croncord.web.output import Output
from croncord.web.pages.frame import Frame, see_other
from croncord.web.pages.log_window import read_window, wanted_lines
from croncord.web.pages.output import wanted_attempt


class Step(NamedTuple):
    """Something that happened to the run, or is expected to."""

    word: str
    at: str | None
    """None for what has not happened yet."""
    remark: str
    tone: str


class RunPage:
    """`/runs/{run}` and what can be done there."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get("/runs/{run}", self.show),
            web.post("/runs/{run}/kill", self.kill),
            web.post("/runs/{run}/rerun", self.rerun),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the run; `?attempt=` an earlier one's output, `?first=` and `?find=` a part of it."""
        who = auth.who(request)
        desk = self._frame.desk
        run = await desk.runs.get(who, request.match_info["run"])
        output = await Output.find(desk, who, run["id"], attempt=wanted_attempt(request))
        attempt = output.key.attempt
        wanted = wanted_lines(dict(request.query))
        job = await self._job(request, run)
        is_open = run["state"] in OPEN_STATES
        window = await read_window(output, wanted, is_brief="X-Croncord-Live" in request.headers)
        progress = window.progress if window.progress is not None else run["messages"]["progress"]
        context = {
            "run": run,
            "progress": None if progress is None else round(progress),
            "job": job,
            "job_zone": self._frame.choices(request).zone_for(job["timezone"] if job else None),
            "is_open": is_open,
            "is_live": output.is_open,
            "attempt": attempt,
            "steps": list(steps(run)),
            "kill_steps": list(kill_steps(run)),
            "window": window,
            "wanted": wanted,
            "attempt_query": attempt if attempt != run["attempt"] else None,
        }
        return await self._frame.page(request, "run.html", context)

    async def kill(self, request: web.Request) -> web.Response:
        """Ask for its end; asking twice is harmless."""
        run = await self._frame.desk.runs.kill(auth.who(request), request.match_info["run"])
        return see_other(f"/runs/{run['id']}")

    async def rerun(self, request: web.Request) -> web.Response:
        """Run its job again and go to the new run."""
        run = await self._frame.desk.runs.rerun(auth.who(request), request.match_info["run"])
        return see_other(f"/runs/{run['id']}", "This is the new run.")

    async def _job(self, request: web.Request, run: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the run's job, None when it was deleted."""
        try:
            return await self._frame.desk.jobs.get(auth.who(request), run["job_id"], stale=True)
        except NotFound:
            return None


def steps(run: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the steps of a run's way, each with what it took since the one before."""
    is_open = run["state"] in OPEN_STATES
    past = [("Due", run["due_at"]), ("Decided", run["decided_at"])]
    past += [
        (word, run[name])
        for word, name in (
            ("Assigned", "assigned_at"),
            ("Claimed", "claimed_at"),
            ("Started", "started_at"),
        )
        if run[name]
    ]
    past.sort(key=lambda step: step[1])
    before = None
    for word, at in past:
        remark = "" if before is None else _since(before, at)
        if word == "Assigned" and run["node"]:
            remark = f"to {run['node']}, {remark}".removesuffix(", ")
        yield Step(word, at, remark, "mute" if word == "Due" else "run" if is_open else "ok")
        before = at
    if run["finished_at"]:
        tone = "ok" if run["state"] == "succeeded" else "bad" if _is_bad(run) else "warn"
        yield Step("Ended", run["finished_at"], _since(before, run["finished_at"]), tone)
    elif is_open:
        yield Step("Ends", None, "", "mute")


def kill_steps(run: Mapping[str, Any]) -> Iterator[Step]:
    """Yield how far a kill got: asked, told to the processes, gone for certain."""
    kill = run["kill"]
    if not kill:
        return
    by = f"by {person(kill['by'])}" if kill["by"] else kill["reason"].replace("_", " ")
    yield Step("Kill asked for", kill["requested_at"], by, "warn")
    grace = kill["grace_seconds"]
    if kill["signalled_at"]:
        left = "" if kill["confirmed_at"] else f"KILL follows after {grace} s"
        yield Step("TERM sent", kill["signalled_at"], left, "warn")
    elif not run["finished_at"]:
        where = run["node"] or "the cluster"
        yield Step("TERM", None, f"stored, and delivered as soon as {where} answers", "mute")
    if kill["confirmed_at"]:
        left = kill["survivors"]
        words = f"still alive: {', '.join(map(str, left))}" if left else "no process is left"
        yield Step(
            "Confirmed gone" if not left else "Not gone",
            kill["confirmed_at"],
            words,
            "bad" if left else "ok",
        )
    elif not run["finished_at"]:
        yield Step("Gone", None, "waiting for the proof", "mute")


def _since(before: str | None, at: str) -> str:
    passed = seconds_between(before, at)
    return "" if passed is None or instant(before) is None else f"+{duration(passed)}"


def _is_bad(run: Mapping[str, Any]) -> bool:
    return run["state"] in {"failed", "timed_out", "lost"}
