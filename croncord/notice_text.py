"""A notice in words, and as the JSON that webhooks and commands are given. Pure."""

from datetime import datetime, timedelta
from typing import Any

from croncord.notification import Notice
from croncord.preview import iso_utc

_HOW = {"failed": "failed", "timed_out": "ran into its time limit"}


def headline(notice: Notice) -> str:
    """Return one sentence without a full stop, fit for the subject of a mail."""
    job = notice.job or "a job"
    sentences = {
        "failure": f"{job} {_HOW.get(notice.state, 'failed')}{_ending(notice)}{_row(notice)}",
        "recovery": f"{job} works again",
        "missed": f"{job} was missed{_because(notice)}"
        + (f", and {notice.more} more of its ticks" if notice.more else ""),
        "lost": f"{job} is lost: nobody knows how its run ended{_because(notice)}",
        "late": f"{job} is late: nothing has succeeded{_since(notice)}",
        "too_long": f"{job} takes too long: it has been running{_for(notice)}",
        "no_quorum": f"{notice.node} sees no majority of the cluster: nothing starts from here",
        "quorum": f"{notice.node} sees a majority of the cluster again",
        "test": "a test: notices arrive here",
    }
    return " ".join(sentences[notice.kind].split())


def text(notice: Notice, link: str = "") -> str:
    """Return all that is told, in lines; plain text."""
    lines = [f"CronCord: {headline(notice)}."]
    if notice.nominal_time is not None:
        where = f" on {notice.node}" if notice.node else ""
        lines.append(f"Due {_clock(notice.nominal_time)}{where}, attempt {max(1, notice.attempt)}.")
    if notice.detail:
        lines.append(f"By {notice.detail}." if notice.kind == "test" else notice.detail)
    if link:
        lines.append(link)
    if notice.excerpt.strip() and notice.kind in ("failure", "lost"):
        lines += ["", "The end of its output:", notice.excerpt.rstrip()]
    return "\n".join(lines)


def link_to(url: str, notice: Notice) -> str:
    """Return the address of the run's page, else of the job's; empty when there is none."""
    if not url:
        return ""
    if notice.run_id:
        return f"{url.rstrip('/')}/runs/{notice.run_id}"
    return f"{url.rstrip('/')}/jobs/{notice.job_id}" if notice.job_id else ""


def payload(delivery_id: str, notice: Notice, *, cluster_id: str, url: str) -> dict[str, Any]:
    """Return what a webhook is sent.

    `text` is what Slack's incoming webhooks show, and those that took over their form; `&`, `<` and
    `>` in it are escaped as Slack asks, so that no job's output can call a whole channel. The other
    fields are for programs. `id` is the same when a notice comes a second time.
    """
    link = link_to(url, notice)
    job, run = None, None
    if notice.job_id:
        job = {"id": notice.job_id, "name": notice.job, "failures_in_a_row": notice.failures}
    if notice.run_id:
        run = {
            "id": notice.run_id,
            "state": notice.state,
            "reason": notice.reason or None,
            "node": notice.node or None,
            "attempt": notice.attempt,
            "nominal_time": _iso(notice.nominal_time),
            "exit_code": notice.exit_code,
            "signal": notice.signal,
            "detail": notice.detail,
            "excerpt": notice.excerpt,
        }
    return {
        "text": _escaped(text(notice, link)),
        "id": delivery_id,
        "event": notice.kind,
        "at": iso_utc(notice.at),
        "cluster_id": cluster_id,
        "node": notice.node or None,
        "job": job,
        "run": run,
        "since": _iso(notice.since),
        "more": notice.more,
        "link": link or None,
    }


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else iso_utc(instant)


def _clock(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _ending(notice: Notice) -> str:
    if notice.signal is not None:
        return f" (signal {notice.signal})"
    if notice.exit_code:
        return f" (exit status {notice.exit_code})"
    return _because(notice)


def _row(notice: Notice) -> str:
    return f", {notice.failures} times in a row" if notice.failures > 1 else ""


def _because(notice: Notice) -> str:
    return f" ({notice.reason.replace('_', ' ')})" if notice.reason else ""


def _since(notice: Notice) -> str:
    return f" since {_clock(notice.since)}" if notice.since else ""


def _for(notice: Notice) -> str:
    """Tell the time since the tick was due; the notice does not hold when the run was claimed."""
    if notice.nominal_time is None:
        return ""
    passed = max(notice.at - notice.nominal_time, timedelta())
    return f" since {_clock(notice.nominal_time)} ({int(passed.total_seconds())} s)"
