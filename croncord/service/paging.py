"""Lists in pages: a limit, and a cursor that says where the next page begins.

A cursor is the sort key and id of the last entry seen, so pages stay right while entries come and go.
"""

import base64
import binascii
from bisect import bisect_left
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from croncord.errors import FieldError, Invalid

T = TypeVar("T")

LIMIT_MAX = 1000


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place in a sorted list: entries without a key come last in either direction."""

    key: str | int | None
    id: str


def check_limit(limit: int) -> None:
    """Raise Invalid unless the limit is one a page may have."""
    if not 1 <= limit <= LIMIT_MAX:
        raise Invalid([FieldError("limit", f"must be a whole number from 1 to {LIMIT_MAX}")])


def page(
    entries: Iterable[tuple[str | int | None, str, T]],
    *,
    descending: bool,
    limit: int,
    cursor: str,
) -> tuple[list[T], str | None]:
    """Sort (key, id, value) and return the values after the cursor, and the next page's cursor.

    The keys must be of one kind and the ids unique. Raises Invalid when the cursor is not ours.
    """
    check_limit(limit)
    keyed: list[Any] = []
    rest: list[Any] = []
    for entry in entries:
        (rest if entry[0] is None else keyed).append(entry)
    # Ids are unique, so comparing never gets as far as the values.
    keyed.sort(reverse=descending)
    rest.sort(key=itemgetter(1))
    ordered = keyed + rest
    start = 0
    if cursor:
        seen = _decode(cursor)
        start = bisect_left(
            ordered, x=True, key=lambda entry: _is_after(entry, seen, descending=descending)
        )
    shown = ordered[start : start + limit]
    more = start + limit < len(ordered)
    next_cursor = _encode(Position(shown[-1][0], shown[-1][1])) if more else None
    return [value for _, _, value in shown], next_cursor


def _is_after(entry: tuple[Any, str, object], seen: Position, *, descending: bool) -> bool:
    key, entry_id, _ = entry
    if key is None or seen.key is None:
        if key is None and seen.key is None:
            return entry_id > seen.id
        return key is None
    if type(key) is not type(seen.key):
        raise _bad_cursor()
    if descending:
        return bool((key, entry_id) < (seen.key, seen.id))
    return bool((key, entry_id) > (seen.key, seen.id))


def _encode(position: Position) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")


def _decode(cursor: str) -> Position:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=Position)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None


def _bad_cursor() -> Invalid:
    return Invalid([FieldError("cursor", "is not one that this list gave; begin without a cursor")])
