"""Entries of a crontab as jobs: names that stay the same, fields of the API, and words."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

from croncord.crontab.command import script
from croncord.crontab.lines import Assignment, Entry, Line, Refusal
from croncord.explain import explain

_LONGEST_NAME = 60
_NAMING_WORDS = 2
_UNTELLING = re.compile(
    r"""
    '[^']*' | "[^"]*" | `[^`]*` | \$\([^)]*\)     # quoted text, what other commands print
    | (?<!\S)\#.*                               # comments
    | (?<!\S)\[\s[^\]]*\] | \btest\s[^&|;]*     # tests
    | \bcommand\s+-v\s+\S+ | >\s*\S+           # is it there, where the output goes
    | (?<!\S)\w+=\S*                           # variables
    """,
    re.VERBOSE,
)
_BREAKS = re.compile(r"[\s;&|<>()\[\]{}\"'`$!=]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        bash cd command cron dash dev do done echo elif else env exec exit export fi flock for if in
        ionice log nice nohup null perl php python python3 sh sleep sudo test then time timeout true
        umask while
        """,
    )
)
"""Words that tell nothing about what a command is for."""


def job_fields(
    lines: Iterable[Line], *, file: str, timezone: str, user: str = ""
) -> list[tuple[Entry, dict[str, Any]]]:
    """Return each entry with the fields of its job, named as the API names them.

    `file` is where the crontab came from, for names and descriptions; `timezone` is that of the
    machine; `user` owns a crontab without user column. Runs may overlap, as cron lets them. The
    names are made from file and command, so importing again meets the same jobs; where two
    entries would share a name, later ones get a mark drawn from their line.
    """
    taken: set[str] = set()
    found = []
    for entry in lines:
        if not isinstance(entry, Entry):
            continue
        name = _free_name(entry, file, taken)
        taken.add(name)
        fields: dict[str, Any] = {
            "name": name,
            "description": f"From {file}, line {entry.line}: {entry.text.strip()}",
            "schedule": [entry.schedule],
            "timezone": entry.timezone or timezone,
            "script": script(entry.command, entry.stdin, entry.shell),
            "user": entry.user or user,
            "environment": dict(entry.environment),
            "overlap": "allow",
        }
        if entry.home:
            fields["working_directory"] = entry.home
        if entry.jitter_seconds:
            fields["jitter_seconds"] = entry.jitter_seconds
        found.append((entry, fields))
    return found


def _free_name(entry: Entry, file: str, taken: set[str]) -> str:
    name = _name(entry, file)
    if name not in taken:
        return name
    seed = f"{entry.schedule}\n{entry.user}\n{entry.command}\n{entry.stdin}"
    marked = f"{name}-{blake2b(seed.encode(), digest_size=2).hexdigest()}"
    copies = (f"{marked}-{n}" for n in range(2, len(taken) + 3))
    return marked if marked not in taken else next(c for c in copies if c not in taken)


def _name(entry: Entry, file: str) -> str:
    """Make a name such as `certbot-renew` from the file and the telling words of the command."""
    stem = _plain(PurePath(file).name.removesuffix(".crontab").removesuffix(".txt")) or "crontab"
    telling = [
        plain
        for word in _BREAKS.split(_UNTELLING.sub(" ", entry.command))
        if not word.startswith("-")
        and (plain := _plain(word.rstrip("/").rsplit("/", 1)[-1].removesuffix(".sh")))
        and not plain.isdigit()
    ]
    rare = [word for word in telling if word.lower() not in _COMMON and word != stem]
    words = list(dict.fromkeys(rare))[:_NAMING_WORDS] or telling[:1]
    return "-".join([stem, *words])[:_LONGEST_NAME].rstrip("-._")


def _plain(word: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-._")


def describe(line: Line) -> str:
    """Say what was understood of a line, in one sentence; notes follow in brackets."""
    if isinstance(line, Refusal):
        return f"Line {line.line} is not imported: {line.reason}."
    notes = f" ({'; '.join(line.notes)})" if line.notes else ""
    if isinstance(line, Assignment):
        return f"Line {line.line} sets {line.name} to {line.value!r} for the lines below.{notes}"
    return f"Line {line.line}: {_sentence(line)}.{notes}"


def _sentence(entry: Entry) -> str:
    when = explain(entry.schedule)
    zone = f" ({entry.timezone})" if entry.timezone else ""
    late = f", up to {entry.jitter_seconds // 60} minutes late" if entry.jitter_seconds else ""
    who = f" as {entry.user}" if entry.user else ""
    parts = [f"{when}{zone}{late}, {entry.shell} runs `{entry.command.strip()}`{who}"]
    parts.append(f"in {entry.home}" if entry.home else "in the user's home directory")
    if entry.stdin:
        count = entry.stdin.count("\n")
        parts.append(f"with {count} line{'s' if count > 1 else ''} on its standard input")
    if entry.environment:
        parts.append(f"with {', '.join(sorted(entry.environment))} set")
    return ", ".join(parts)
