"""Lists in pages: what is shown, and the addresses before and after.

The service gives cursors that only lead on. The address therefore carries the trail of cursors that
led here, so that "Previous" works without scripts and from a bookmark.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from croncord.web.query import address

SIZE = 60
"""Rows of a page: with long names and thirty runs in each strip it stays under 150 kB."""
_TRAIL_MAX = 30


class Shown(NamedTuple):
    """What the pager says and where it leads; empty addresses mean no such page."""

    words: str
    previous: str
    next: str


def start_of(query: Mapping[str, str]) -> int:
    """Return how many entries come before this page, as the address says."""
    text = query.get("at", "")
    return min(int(text), 10_000_000) if text.isdecimal() and len(text) < 9 else 0


def shown(path: str, query: Mapping[str, str], answer: Mapping[str, Any]) -> Shown:
    """Describe the page of a list that the service answered."""
    start, count, total = start_of(query), len(answer["items"]), answer.get("total")
    cursor, following = query.get("cursor", ""), answer["next_cursor"]
    trail = [step for step in query.get("trail", "").split(".") if step]
    kept = {k: v for k, v in query.items() if k not in {"cursor", "at", "trail"}}
    previous = ""
    if cursor:
        before = trail[-1] if trail else ""
        at = max(0, start - SIZE) if before else 0
        previous = address(path, kept, cursor=before, at=at or None, trail=".".join(trail[:-1]))
    onward = ""
    if following:
        steps = [*trail, cursor] if cursor else trail
        onward = address(
            path, kept, cursor=following, at=start + count, trail=".".join(steps[-_TRAIL_MAX:])
        )
    of = f" of {total:,}" if total is not None else " and more" if following else ""
    words = f"{start + 1:,}–{start + count:,}{of}" if count else "0"
    return Shown(words=words, previous=previous, next=onward)
