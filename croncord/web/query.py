"""What a list page was asked for: the search box's syntax and addresses that keep it. Pure.

    backup tag:prod state:failed node:web-1 "two words"

Words with a known name before a colon are filters, everything else is text to find. The address
of a page is its state: filters are query parameters, so links and bookmarks work.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

_WORD = re.compile(r'(?:([A-Za-z]+):)?(?:"([^"]*)"?|(\S+))')
_NAMES = {
    "tag": "tag",
    "state": "state",
    "status": "state",
    "node": "node",
    "paused": "paused",
}


_TAKEN = frozenset({"new", "preview", "check", "bulk"})


class JobSearch(NamedTuple):
    """Filters of the job list, as the service takes them."""

    q: str = ""
    tag: str = ""
    state: str = ""
    node: str = ""

    def text(self) -> str:
        """Write it back into the search box."""
        words = [self.q] if self.q else []
        for name in ("tag", "state", "node"):
            value = getattr(self, name)
            if value:
                words.append(f'{name}:"{value}"' if " " in value else f"{name}:{value}")
        return " ".join(words)

    def terms(self) -> list[tuple[str, str]]:
        """Return each term as written, and the search without it."""
        found = [(name, value) for name, value in self._asdict().items() if value]
        return [
            (JobSearch(**{name: value}).text(), self._replace(**{name: ""}).text())
            for name, value in found
        ]


def parse_search(text: str) -> JobSearch:
    """Read the search box. Nothing is an error: an unknown name is plain text."""
    words: list[str] = []
    found: dict[str, str] = {}
    for match in _WORD.finditer(text):
        name = _NAMES.get((match[1] or "").lower(), "")
        value = match[2] if match[2] is not None else match[3]
        if name == "paused":
            if value.lower() in {"yes", "true", "1"}:
                found["state"] = "paused"
        elif name:
            found[name] = value
        else:
            words.append(f"{match[1]}:{value}" if match[1] else value)
    return JobSearch(q=" ".join(words), **found)


def job_search(query: Mapping[str, str]) -> JobSearch:
    """Read the job list's address: the box `q`, overridden by the parameters of the chips."""
    typed = parse_search(query.get("q", ""))
    return typed._replace(
        **{name: query[name] for name in ("tag", "state", "node") if query.get(name)}
    )


def spread(expression: str) -> str:
    """Let a job's hash choose the minute of `0 3 * * *`; other expressions stay as they are."""
    minute, _, rest = expression.strip().partition(" ")
    return f"H {rest}" if minute.isdecimal() and len(rest.split()) == 4 else expression


def address(path: str, parameters: Mapping[str, str], /, **changes: str | int | None) -> str:
    """Return the path with those parameters after the changes; empty values are left out."""
    merged: dict[str, str | int | None] = {**parameters, **changes}
    kept = {k: v for k, v in merged.items() if v not in ("", None)}
    return f"{path}?{urlencode(kept)}" if kept else path


def job_path(name: str, job_id: str) -> str:
    """Return the address of a job's page; a job named as one of our own pages goes by its id."""
    return f"/jobs/{job_id if name in _TAKEN else quote(name, safe='')}"


def local_path(target: str, default: str = "/") -> str:
    """Return a path of this site to go on to, or the default when it would lead elsewhere."""
    if not target.startswith("/") or target.startswith("//"):
        return default
    if any(c in target for c in "\\\r\n\t") or not target.isprintable():
        return default
    return target
