"""The options of `job create` and `job edit`, and the fields of a job that they mean."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from croncord.cli.parser import at_least_one, duration, instant, pair
from croncord.errors import FieldError, Invalid
from croncord.model import SCRIPT_BYTES_MAX, Delivery, DstPolicy, Overlap, Strategy
from croncord.notification import JOB_KINDS
from croncord.validation import decode_script

_MISFIRE_POLICIES = ("skip", "run_once", "run_all")

# Options that set one field: option, field (a dot leads into a nested one), how it is read, help.
_SINGLE: tuple[tuple[str, str, Callable[[str], Any], str, str], ...] = (
    ("--tz", "timezone", str, "ZONE", "IANA time zone of the schedule; default UTC"),
    ("--description", "description", str, "TEXT", ""),
    ("--owner", "owner", str, "WHO", "whom to ask about this job"),
    ("--start-at", "start_at", instant, "TIME", "no tick before this time"),
    ("--end-at", "end_at", instant, "TIME", "no tick after this time"),
    ("--jitter", "jitter_seconds", duration, "DURATION", "start up to this much later"),
    ("--working-directory", "working_directory", str, "DIR", ""),
    ("--user", "user", str, "NAME", "run as this user; the node must run as root"),
    ("--misfire-window", "misfire.window_seconds", duration, "DURATION", "how late is too late"),
    ("--misfire-max-runs", "misfire.max_runs", at_least_one, "N", "run_all: the newest N only"),
    ("--misfire-per-minute", "misfire.per_minute", at_least_one, "N", "how fast to catch up"),
    (
        "--pause-after-failures",
        "pause_after_failures",
        at_least_one,
        "N",
        "pause after so many failed runs in a row",
    ),
    (
        "--expect-within",
        "expect_within_seconds",
        duration,
        "DURATION",
        "somebody is told when nothing succeeded for so long",
    ),
    (
        "--notify-too-long",
        "notify.too_long_seconds",
        duration,
        "DURATION",
        "somebody is told of a run that takes longer",
    ),
    ("--timeout", "timeout_seconds", duration, "DURATION", "end a run that takes longer"),
    ("--grace", "kill_grace_seconds", duration, "DURATION", "time between TERM and KILL"),
    ("--retries", "retries.count", int, "N", "try a failed run again this often"),
    ("--retry-delay", "retries.delay_seconds", duration, "DURATION", ""),
    ("--log-bytes", "limits.log_bytes", at_least_one, "N", "keep at most this much output"),
    ("--keep-runs", "retention.runs", at_least_one, "N", "forget runs beyond the newest N"),
    ("--keep-days", "retention.days", at_least_one, "N", "forget runs older than N days"),
    ("--keep-bytes", "retention.bytes", at_least_one, "N", "forget old runs beyond N of output"),
    (
        "--memory-bytes",
        "limits.memory_bytes",
        at_least_one,
        "N",
        "end a run that takes more memory",
    ),
    ("--cpu-percent", "limits.cpu_percent", at_least_one, "N", "100 is one whole processor"),
    ("--processes", "limits.processes", at_least_one, "N", "at most N processes and threads"),
    ("--open-files", "limits.open_files", at_least_one, "N", "at most N in each process"),
    ("--umask", "umask", str, "MASK", "three octal digits; default 022"),
    ("--nice", "nice", int, "N", "-20 to 19; below 0 the node must run as root"),
    ("--ionice", "ionice", str, "CLASS", "none, idle, best-effort:0 to best-effort:7"),
)
_CHOICES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("--dst", "dst", get_args(DstPolicy), "what clock changes do to ticks"),
    ("--overlap", "overlap", get_args(Overlap), "when the run before is still going"),
    ("--misfire", "misfire.policy", _MISFIRE_POLICIES, "what becomes of ticks that were missed"),
    ("--delivery", "delivery", get_args(Delivery), "may a lost run be launched again?"),
    ("--on-limit", "limits.on_limit", ("truncate", "kill"), "when it prints more than --log-bytes"),
    ("--strategy", "target.strategy", get_args(Strategy), "how a node is picked"),
)
# Options that may be given several times.
_REPEATED: tuple[tuple[str, str, str, str], ...] = (
    ("--schedule", "schedule", "EXPR", "when it is due; repeatable; default @manual"),
    ("--tag", "tags", "TAG", "repeatable"),
    ("--lock", "locks", "NAME[:N]", "held while it runs, by N runs at once; repeatable"),
    ("--secret", "secrets", "NAME", "a secret to be given; repeatable"),
    ("--calendar", "calendars", "NAME", "times to keep to; repeatable"),
    ("--notify-channel", "notify.channels", "NAME", "who is told; repeatable"),
    ("--notify-on", "notify.on", "|".join(JOB_KINDS), "what is told; repeatable"),
    ("--node", "target.nodes", "NAME", "a node that may run it; repeatable; default: any"),
)
_PAIRS: tuple[tuple[str, str, str], ...] = (
    ("--env", "environment", "a variable for the script; repeatable"),
    ("--label", "target.labels", "a label that the node must have; repeatable"),
)


def add_field_options(parser: argparse.ArgumentParser, *, new: bool) -> None:
    """Add one option for each thing that can be said about a job; a new one needs a script."""
    group = parser.add_argument_group("the job")
    group.add_argument(
        "--script",
        metavar="FILE|-",
        required=new,
        help="file with the script; - reads standard input",
    )
    for option, field, metavar, about in _REPEATED:
        group.add_argument(option, dest=field, action="append", metavar=metavar, help=about)
    for option, field, about in _PAIRS:
        group.add_argument(
            option, dest=field, action="append", type=pair, metavar="KEY=VALUE", help=about
        )
    for option, field, read, metavar, about in _SINGLE:
        group.add_argument(option, dest=field, type=read, metavar=metavar, help=about)
    for option, field, choices, about in _CHOICES:
        shown = "|".join(choices)
        group.add_argument(option, dest=field, choices=choices, metavar=shown, help=about)
    group.add_argument(
        "--after",
        dest="after",
        action="append",
        type=dependency,
        metavar="JOB[:success|failure|always]",
        help="run after each run of that job, by default if it succeeded; repeatable",
    )
    group.add_argument(
        "--every-node",
        dest="target.every_node",
        action=argparse.BooleanOptionalAction,
        help="run on every matching node, not on one of them",
    )
    group.add_argument(
        "--on-join",
        dest="target.on_join",
        action=argparse.BooleanOptionalAction,
        help="also run once on each matching node when it joins",
    )
    group.add_argument(
        "--notify-muted",
        dest="notify.muted",
        action=argparse.BooleanOptionalAction,
        help="tell nobody anything",
    )
    group.add_argument(
        "--paused",
        dest="paused",
        action=argparse.BooleanOptionalAction,
        help="no ticks until it is resumed",
    )


def fields_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that the options set, nested as the API has them; reads the script.

    Raises Invalid when the script cannot be read.
    """
    given = {option: value for option, value in vars(args).items() if value is not None}
    fields: dict[str, Any] = {}
    for name in _names():
        if name in given:
            _set(fields, name, given[name])
    for _, name, _ in _PAIRS:
        if name in given:
            _set(fields, name, dict(given[name]))
    if args.script is not None:
        fields["script"] = read_script(args.script)
    return fields


def _names() -> list[str]:
    return [
        *(row[1] for row in _SINGLE),
        *(row[1] for row in _CHOICES),
        *(row[1] for row in _REPEATED),
        "after",
        "target.every_node",
        "target.on_join",
        "notify.muted",
        "paused",
    ]


def dependency(text: str) -> dict[str, str]:
    """Read `JOB` or `JOB:failure`."""
    name, colon, condition = text.rpartition(":")
    if not colon or condition not in ("success", "failure", "always"):
        return {"job": text}
    return {"job": name, "on": condition}


def _set(fields: dict[str, Any], name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        fields = fields.setdefault(part, {})
    fields[last] = value


def read_script(source: str) -> str:
    """Return the text of the script file, or of standard input for `-`, line ends and all.

    Raises Invalid on field `script` when it cannot be read, is too large or is not UTF-8.
    """
    at_most = 2 * SCRIPT_BYTES_MAX + 1  # enough to see that it is too long
    try:
        if source == "-":
            data = sys.stdin.buffer.read(at_most)
        else:
            with Path(source).open("rb") as file:
                data = file.read(at_most)
    except OSError as e:
        raise Invalid([FieldError("script", f"cannot read {source}: {e.strerror}")]) from e
    return decode_script(data)
