"""Cronicle: its data export (`control.sh export`) or the answer of its API `get_schedule`.

An export is lines of `key - JSON`; events are in the pages `global/schedule/N`, what they name by id in
`global/categories/N` and `global/server_groups/N`. What the fields mean is said in the API reference of
Cronicle 0.9 ("Event Data Format", "Event Timing Object"): a wall time must be in every list that there
is, days and weekdays both, and the scheduler looks once a minute.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from croncord.errors import ConfigError, ScheduleError
from croncord.importing.found import Found, Refused, free_name, text_of, whole
from croncord.importing.timing import WallTimes
from croncord.schedule import zone_info

_LINE = re.compile(r"(\S+) - (\{.*\})")
_RANGES = {
    "minutes": (0, 59),
    "hours": (0, 23),
    "days": (1, 31),
    "months": (1, 12),
    "weekdays": (0, 6),
}
_ALL_GROUPS = frozenset({"", "allgrp"})
_STRATEGIES = {
    "random": "random",
    "round_robin": "spread",
    "least_cpu": "least_loaded",
    "least_mem": "least_loaded",
}
_QUEUE_OURS = 100
_WINDOW_SECONDS_MAX = 366 * 86400
_LOG_BYTES_MIN = 1024
_LOG_BYTES_MAX = 1 << 30

Record = Mapping[str, Any]


def read_cronicle(data: bytes, *, name: str, timezone: str) -> list[Found]:
    """Return every event of a file; `timezone` is that of the old servers.

    Raises ConfigError when the file is neither an export nor a schedule of Cronicle.
    """
    events, categories, groups = _records(text_of(data, name), name)
    taken: set[str] = set()
    names = {
        str(event.get("id")): free_name(
            str(event.get("title") or event.get("id") or ""), taken, str(event.get("id") or "2")
        )
        for event in events
    }
    found = {
        str(event.get("id")): _read(event, names, categories, groups, timezone) for event in events
    }
    for event in events:
        _chain(event, found, names)
    return list(found.values())


def _records(text: str, name: str) -> tuple[list[Record], dict[str, Record], dict[str, Record]]:
    pages: dict[str, list[Record]] = {"schedule": [], "categories": [], "server_groups": []}
    stripped = text.lstrip()
    if stripped.startswith(("{", "[")):
        try:
            value = json.loads(stripped)
        except ValueError as error:
            raise ConfigError(f"{name} is not JSON: {error}") from None
        rows = value.get("rows") if isinstance(value, dict) else value
        pages["schedule"] = rows if isinstance(rows, list) else []
    else:
        for line in text.splitlines():
            match = _LINE.fullmatch(line.strip())
            parts = match[1].split("/") if match else []
            if match and len(parts) == 3 and parts[0] == "global" and parts[1] in pages:
                try:
                    page = json.loads(match[2])
                except ValueError as error:
                    raise ConfigError(f"{name}: {match[1]} is not JSON: {error}") from None
                pages[parts[1]] += page.get("items", [])
    events: list[Record] = [row for row in pages["schedule"] if isinstance(row, dict)]
    if not events or not all("plugin" in row or "timing" in row for row in events):
        raise ConfigError(
            f"{name} holds no events of Cronicle",
            hint="Give what `control.sh export` wrote, or the answer of /api/app/get_schedule/v1.",
        )
    categories = {str(row.get("id")): row for row in pages["categories"]}
    groups = {str(row.get("id")): row for row in pages["server_groups"]}
    return events, categories, groups


def _read(
    event: Record,
    names: Mapping[str, str],
    categories: Mapping[str, Record],
    groups: Mapping[str, Record],
    timezone: str,
) -> Found:
    found = Found(str(event.get("title") or event.get("id")))
    fields: dict[str, Any] = {"name": names[str(event.get("id"))]}
    try:
        _take_script(event, fields)
        _take_timing(event, fields, found, timezone)
        _take_target(event, fields, found, groups)
        _take_concurrency(event, fields, found)
        _take_limits(event, fields, found)
    except Refused as why:
        found.refusal, found.times = str(why), None
        return found
    notes = str(event.get("notes") or "").strip()
    origin = f"From Cronicle, event {event.get('id')}"
    fields["description"] = (f"{origin}: {notes}" if notes else origin)[:4000]
    category = categories.get(str(event.get("category")), {}).get("title") or event.get("category")
    if category and category != "general":
        fields["tags"] = [str(category)[:128]]
    fields["paused"] = not _is_on(event.get("enabled", 1))
    for name in ("notify_success", "notify_fail", "web_hook"):
        if event.get(name):
            found.remarks.append(f"{name} ({event[name]}) is not taken over")
    found.fields = fields
    return found


def _is_on(value: Any) -> bool:
    return value not in (0, "0", False, None, "")


def _take_script(event: Record, fields: dict[str, Any]) -> None:
    plugin = str(event.get("plugin") or "")
    if plugin != "shellplug":
        raise Refused(f"it runs the plugin {plugin or '(none)'}; only shell scripts are imported")
    params = event.get("params")
    script = params.get("script") if isinstance(params, dict) else None
    if not script:
        raise Refused("it has no script")
    fields["script"] = str(script)


def _take_timing(event: Record, fields: dict[str, Any], found: Found, timezone: str) -> None:
    timing = event.get("timing")
    fields["schedule"] = ["@manual"]
    if timing is None or timing is False or timing == "":
        return
    if not isinstance(timing, dict):
        raise Refused(f"its timing is {timing!r}, not an object")
    unknown = timing.keys() - _RANGES.keys() - {"years"}
    if unknown:
        raise Refused(f"its timing has {', '.join(sorted(unknown))}, which is not known here")
    zone_name = str(event.get("timezone") or timezone)
    try:
        zone = zone_info(zone_name)
    except ScheduleError as error:
        raise Refused(f"its timezone: {error.message}") from None
    lists = {name: _numbers(timing, name, *bounds) for name, bounds in _RANGES.items()}
    all_days, all_weekdays = (
        len(lists[name]) == high - low + 1
        for name, (low, high) in _RANGES.items()
        if name in ("days", "weekdays")
    )
    if not all_days and not all_weekdays:
        raise Refused(
            "it asks for days of the month and weekdays that must both match, which no cron "
            "expression says; use one of them and a calendar for the other"
        )
    columns = [_column(lists[name], *_RANGES[name]) for name in _RANGES]
    fields["schedule"] = [" ".join(columns)]
    fields["timezone"] = zone_name
    fields["dst"] = "every"
    years = _years(timing)
    if years:
        fields["start_at"], fields["end_at"] = (
            datetime(year, 1, 1, tzinfo=zone).astimezone(UTC).isoformat()
            for year in (min(years), max(years) + 1)
        )
    found.times = WallTimes(
        zone=zone,
        minutes=lists["minutes"],
        hours=lists["hours"],
        days=lists["days"],
        months=lists["months"],
        weekdays=lists["weekdays"],
        years=years or None,
    )


def _numbers(timing: Record, name: str, low: int, high: int) -> frozenset[int]:
    values = timing.get(name)
    if values is None or values == []:
        return frozenset(range(low, high + 1))
    if not isinstance(values, list):
        raise Refused(f"{name} of its timing is {values!r}, not a list")
    numbers = frozenset(whole({name: value}, name) for value in values)
    outside = [n for n in sorted(numbers) if not low <= n <= high]
    if outside:
        raise Refused(f"{name} of its timing holds {outside[0]}; {low} to {high} are possible")
    return numbers


def _years(timing: Record) -> frozenset[int]:
    if not timing.get("years"):
        return frozenset()
    years = _numbers(timing, "years", 1970, 2199)
    if max(years) - min(years) + 1 != len(years):
        raise Refused("its years are not in a row, and a job has one beginning and one end")
    return years


def _column(numbers: frozenset[int], low: int, high: int) -> str:
    """Return a field of a cron expression, ranges as ranges."""
    if len(numbers) == high - low + 1:
        return "*"
    parts: list[str] = []
    ordered = sorted(numbers)
    start = previous = ordered[0]
    for number in [*ordered[1:], -1]:
        if number == previous + 1:
            previous = number
            continue
        parts.append(str(start) if start == previous else f"{start}-{previous}")
        start = previous = number
    return ",".join(parts)


def _take_target(
    event: Record, fields: dict[str, Any], found: Found, groups: Mapping[str, Record]
) -> None:
    target: dict[str, Any] = {}
    wanted = str(event.get("target") or "")
    group = groups.get(wanted)
    if wanted not in _ALL_GROUPS and group is not None:
        title = str(group.get("title") or wanted)
        target["labels"] = {"group": title}
        found.remarks.append(
            f"it runs on machines with the label group={title}: give it to those of the server "
            f"group {wanted} (serve --label)"
        )
    elif wanted not in _ALL_GROUPS and wanted.endswith("grp"):
        target["labels"] = {"group": wanted}
        found.remarks.append(f"it runs on machines with the label group={wanted}: give it to them")
    elif wanted not in _ALL_GROUPS:
        target["nodes"] = [wanted]
    if _is_on(event.get("multiplex")):
        target["every_node"] = True
        if whole(event, "stagger"):
            found.remarks.append("stagger is not kept: it starts on all machines at once")
    else:
        algo = str(event.get("algo") or "random")
        target["strategy"] = _STRATEGIES.get(algo, "least_loaded")
        if algo not in _STRATEGIES:
            found.remarks.append(f"the algorithm {algo} becomes least_loaded")
    fields["target"] = target


def _take_concurrency(event: Record, fields: dict[str, Any], found: Found) -> None:
    most = whole(event, "max_children", 1)
    catches_up = _is_on(event.get("catch_up"))
    queues = _is_on(event.get("queue")) or catches_up
    if most == 0:
        fields["overlap"] = "allow"
    elif most > 1:
        fields["overlap"] = "allow"
        lock = re.sub(r"[^A-Za-z0-9_.-]+", "-", fields["name"]).strip("-.") or "job"
        fields["locks"] = [f"{lock[:100]}:{most}"]
        if not queues:
            found.remarks.append(f"at most {most} run at once: a further one waits, not dropped")
    elif not queues:
        fields["overlap"] = "skip"
    else:
        length = 0 if catches_up else whole(event, "queue_max")
        fields["overlap"] = "queue_one" if length == 1 else "queue_all"
        if length not in (0, 1, _QUEUE_OURS):
            found.remarks.append(f"{_QUEUE_OURS} runs may wait, not {length}")
    if catches_up:
        fields["misfire"] = {"policy": "run_all", "window_seconds": _WINDOW_SECONDS_MAX}
    else:
        fields["misfire"] = {"policy": "skip"}


def _take_limits(event: Record, fields: dict[str, Any], found: Found) -> None:
    timeout = whole(event, "timeout")
    if timeout:
        fields["timeout_seconds"] = timeout
    retries = whole(event, "retries")
    if retries:
        fields["retries"] = {"count": retries, "delay_seconds": whole(event, "retry_delay")}
    limits: dict[str, Any] = {}
    memory = whole(event, "memory_limit")
    if memory:
        limits["memory_bytes"] = memory
        if whole(event, "memory_sustain"):
            found.remarks.append(
                "memory_limit holds at once, not only when it is exceeded for long"
            )
    log = whole(event, "log_max_size")
    if log:
        limits |= {
            "log_bytes": min(max(log, _LOG_BYTES_MIN), _LOG_BYTES_MAX),
            "on_limit": "kill",
        }
    if whole(event, "cpu_limit"):
        found.remarks.append("cpu_limit is not kept: see limits.cpu_percent, which slows down")
    if limits:
        fields["limits"] = limits


def _chain(event: Record, found: Mapping[str, Found], names: Mapping[str, str]) -> None:
    """Put what an event starts when it ends into the job that is started."""
    for name, on in (("chain", "success"), ("chain_error", "failure")):
        following = str(event.get(name) or "")
        if not following:
            continue
        own, other = found[str(event.get("id"))], found.get(following)
        if own.refusal and other is not None and not other.refusal:
            other.remarks.append(f"{own.label} starts it after its {on}, and is not imported")
        elif other is None or other.refusal:
            own.remarks.append(f"{name} is not kept: the event {following} is not imported")
        else:
            after = {"job": names[str(event.get("id"))], "on": on}
            other.fields.setdefault("after", []).append(after)
