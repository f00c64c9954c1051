"""Dkron: what `GET /v1/jobs` answers, or jobs as files for its API.

What the fields mean is said in the documentation of Dkron 4. A job without tags runs on all nodes; a tag
`role: web:1` on one that has it, `role: web` on all that do.
"""

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from croncord.errors import ConfigError
from croncord.importing.dkron_schedule import go_seconds, read_schedule
from croncord.importing.found import Found, Refused, free_name, text_of, whole
from croncord.importing.timing import Bounded, Once, WallTimes

_OVERLAPS = {"": "allow", "allow": "allow", "forbid": "skip", "replace": "replace"}
_CONFIG = frozenset({"shell", "command", "env", "cwd", "timeout", "mem_limit_kb"})
_ZERO_TIME = "0001-01-01"

Record = Mapping[str, Any]


def read_dkron(data: bytes, *, name: str, timezone: str) -> list[Found]:
    """Return every job of a file; `timezone` is that of the old servers.

    Raises ConfigError when the file holds no jobs of Dkron.
    """
    try:
        value = json.loads(text_of(data, name))
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from None
    jobs = [value] if isinstance(value, dict) else value
    if (
        not isinstance(jobs, list)
        or not jobs
        or not all(isinstance(job, dict) and job.get("name") for job in jobs)
    ):
        raise ConfigError(
            f"{name} holds no jobs of Dkron",
            hint="Give the answer of /v1/jobs: curl http://dkron:8080/v1/jobs > jobs.json",
        )
    taken: set[str] = set()
    names = {str(job["name"]): free_name(str(job["name"]), taken, "2") for job in jobs}
    found = {str(job["name"]): _read(job, names, timezone) for job in jobs}
    while any(_check_parent(job, found) for job in jobs):
        pass  # a refusal passes on from parent to child
    return list(found.values())


def _read(job: Record, names: Mapping[str, str], timezone: str) -> Found:
    found = Found(str(job["name"]))
    fields: dict[str, Any] = {"name": names[str(job["name"])]}
    try:
        _take_command(job, fields)
        _take_schedule(job, fields, found, names, timezone)
        _take_target(job, fields)
        _take_concurrency(job, fields)
    except Refused as why:
        found.refusal, found.times = str(why), None
        return found
    fields["paused"] = bool(job.get("disabled"))
    shown = str(job.get("displayname") or "").strip()
    origin = f"From Dkron, job {job['name']}"
    fields["description"] = (f"{origin}: {shown}" if shown else origin)[:4000]
    owner, email = str(job.get("owner") or ""), str(job.get("owner_email") or "")
    if owner or email:
        fields["owner"] = " ".join(filter(None, (owner, f"<{email}>" if email else "")))[:128]
    _remark(job, found)
    found.fields = fields
    return found


def _take_concurrency(job: Record, fields: dict[str, Any]) -> None:
    concurrency = str(job.get("concurrency") or "")
    if concurrency not in _OVERLAPS:
        raise Refused(f"its concurrency is {concurrency!r}, which is not known")
    fields["overlap"] = _OVERLAPS[concurrency]
    fields["misfire"] = {"policy": "skip"}
    if whole(job, "retries"):
        fields["retries"] = {"count": whole(job, "retries"), "delay_seconds": 0}


def _remark(job: Record, found: Found) -> None:
    for name in sorted((job.get("processors") or {}).keys() - {"log"}):
        found.remarks.append(f"the processor {name} is not taken over: CronCord keeps the output")
    if job.get("metadata"):
        found.remarks.append("metadata is not taken over")
    if job.get("ephemeral"):
        found.remarks.append("it stays after its run: ephemeral is not known here")


def _take_command(job: Record, fields: dict[str, Any]) -> None:
    executor = str(job.get("executor") or "")
    if executor != "shell":
        raise Refused(f"its executor is {executor or '(none)'}; only shell is imported")
    config = job.get("executor_config") or {}
    odd = sorted(name for name in config.keys() - _CONFIG if config[name] not in ("", None))
    if odd:
        raise Refused(f"its executor_config has {', '.join(odd)}, which cannot be kept")
    command = str(config.get("command") or "")
    if not command.strip():
        raise Refused("it has no command")
    fields["script"] = _script(command, config)
    environment = [pair for pair in str(config.get("env") or "").split(",") if pair.strip()]
    if any("=" not in pair for pair in environment):
        raise Refused("its env is not NAME=value, separated by commas")
    if environment:
        pairs = (pair.strip().partition("=") for pair in environment)
        fields["environment"] = {name: value for name, _, value in pairs}
    if config.get("cwd"):
        fields["working_directory"] = str(config["cwd"])
    if config.get("timeout"):
        seconds = go_seconds(str(config["timeout"]))
        if seconds:
            fields["timeout_seconds"] = max(1, round(seconds))
    if whole(config, "mem_limit_kb"):
        fields["limits"] = {"memory_bytes": whole(config, "mem_limit_kb") * 1024}


def _script(command: str, config: Record) -> str:
    if str(config.get("shell") or "").lower() in ("1", "t", "true"):
        return f"#!/bin/sh\n{command}\n"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"its command: {error}") from None
    return f"#!/bin/sh\nexec {shlex.join(words)}\n"


def _take_schedule(
    job: Record, fields: dict[str, Any], found: Found, names: Mapping[str, str], timezone: str
) -> None:
    parent = str(job.get("parent_job") or "")
    if parent:
        if parent not in names:
            raise Refused(f"it runs after {parent}, which is not in the file")
        fields["after"] = [{"job": names[parent], "on": "success"}]
        fields["schedule"] = ["@manual"]
        return
    kept = read_schedule(str(job.get("schedule") or ""), str(job.get("timezone") or timezone))
    if kept.remark:
        found.remarks.append(kept.remark)
    fields |= {"schedule": [kept.expression], "timezone": kept.timezone, "dst": "every"}
    start, end = _instant(job, "starts_at"), _instant(job, "expires_at")
    if start:
        fields["start_at"] = start.isoformat()
    if end:
        fields["end_at"] = end.isoformat()
    if isinstance(kept.times, WallTimes | Once):
        found.times = Bounded(kept.times, start, end)


def _instant(job: Record, name: str) -> datetime | None:
    value = job.get(name)
    if not value or str(value).startswith(_ZERO_TIME):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Refused(f"its {name} is {value!r}, not a time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _take_target(job: Record, fields: dict[str, Any]) -> None:
    labels: dict[str, str] = {}
    counts: list[int] = []
    for tag, value in (job.get("tags") or {}).items():
        text, _, count = str(value).rpartition(":")
        if text and count.isdecimal():
            counts.append(int(count))
        else:
            text = str(value)
        labels[str(tag)] = text
    if counts and min(counts) != 1:
        raise Refused(f"it runs on {min(counts)} of the nodes with its tags; here on one or on all")
    target: dict[str, Any] = {"labels": labels} if labels else {}
    target["every_node"] = not counts
    fields["target"] = target


def _check_parent(job: Record, found: Mapping[str, Found]) -> bool:
    """Refuse a job whose parent is refused; returns whether that is new."""
    own, parent = found[str(job["name"])], found.get(str(job.get("parent_job") or ""))
    if parent is None or not parent.refusal or own.refusal:
        return False
    own.refusal = f"it runs after {parent.label}, which is not imported"
    own.fields = {}
    return True
