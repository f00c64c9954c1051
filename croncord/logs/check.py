"""Reads stores through and says what is damaged: `python -m croncord.logs.check WHAT ROOT [DAY]`.

A process of its own, since a page that is broken may kill the one that follows it. What it finds is
printed, one line each:

    output KEY     what is stored of that output is damaged (hexadecimal)
    sound          the last line: all was read, and besides those outputs nothing is wrong

Without the last line the file itself is broken. WHAT is `structure`, which follows every page that
holds keys and looks at the end of every value, or `content`, which decompresses every output of a
day and compares it with its row, at most at `BYTES_PER_SECOND`.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from croncord.logs.block_table import after_block, blocks_from
from croncord.logs.blocks import DamagedError, decode_block, decode_header
from croncord.logs.days import BLOCKS
from croncord.logs.disk import (
    JOURNAL,
    ROWS,
    SETTINGS,
    UNSEALED,
    row_value,
    row_values,
    unpack_inline,
)
from croncord.logs.keys import KEY_BYTES, LogRow, block_offset, day_of, day_start, unpack_row
from croncord.logs.store import Store

BYTES_PER_SECOND: Final = 16 * 1024 * 1024
"""Compressed bytes that a scrub reads: what it takes from a disk, and about 5 % of a core."""
INDEX_TABLES: Final = (JOURNAL, ROWS, UNSEALED, SETTINGS)
SOUND: Final = "sound"
OUTPUT: Final = "output"

_ROWS_AT_ONCE = 500
_NICE = 19


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit status."""
    what, root, *rest = arguments
    os.nice(_NICE)
    if what == "structure":
        check_structure(Path(root))
    else:
        for raw_key in check_content(Path(root), rest[0]):
            print(OUTPUT, raw_key.hex(), flush=True)  # noqa: T201 - this is a program
    print(SOUND, flush=True)  # noqa: T201 - this is a program
    return 0


def check_structure(path: Path) -> None:
    """Follow everything in one environment. Raises DamagedError, or dies of it."""
    tables = INDEX_TABLES if path.name == "index" else (BLOCKS,)
    store = Store(path, tables, read_only=True)
    for table in tables:
        with store.read() as reading:
            last = b""
            for key, value in reading.from_key(table, b""):
                if key <= last:
                    raise DamagedError(f"{path} is damaged: keys out of order")
                last = key
                _ = value[-1:]
    store.close()


def check_content(root: Path, day: str) -> Iterator[bytes]:
    """Yield the keys of the outputs of a day that are damaged; `all` inlined ones included."""
    index = Store(root / "index", INDEX_TABLES, read_only=True)
    blocks = Store(root / day, [BLOCKS], read_only=True) if (root / day).is_dir() else None
    pace = _Pace()
    first = day_start(day)
    while rows := _rows(index, first, day):
        for raw_key, value in rows:
            if not _is_sound(blocks, raw_key, value, pace) and _row(index, raw_key) == value:
                yield raw_key
        first = rows[-1][0] + b"\0"
    index.close()
    if blocks is not None:
        blocks.close()


def _rows(index: Store, first: bytes, day: str) -> list[tuple[bytes, bytes]]:
    rows: list[tuple[bytes, bytes]] = []
    with index.read() as reading:
        for raw_key, value in row_values(reading, first):
            if len(rows) == _ROWS_AT_ONCE or day_of(raw_key) != day:
                break
            rows.append((raw_key, value))
    return rows


def _row(index: Store, raw_key: bytes) -> bytes | None:
    with index.read() as reading:
        return row_value(reading, raw_key)


def _is_sound(blocks: Store | None, raw_key: bytes, value: bytes, pace: "_Pace") -> bool:
    try:
        row = unpack_row(value)
        if row.inline:
            return len(unpack_inline(row)) == row.size
        end = 0 if blocks is None else _sound_end(blocks, raw_key, pace)
    except DamagedError:
        return False
    return _covers(row, end)


def _covers(row: LogRow, end: int) -> bool:
    """Whether blocks up to `end` are all there should be; one not sealed may have any length."""
    return end == row.size if row.sealed else True


def _sound_end(blocks: Store, raw_key: bytes, pace: "_Pace") -> int:
    """Return where the blocks of an output end. Raises DamagedError for a bad one or a hole."""
    end = 0
    key = raw_key
    while True:
        with blocks.read() as reading:
            found = next(blocks_from(reading, key), None)
        if found is None or not found[0].startswith(raw_key) or len(found[0]) <= KEY_BYTES:
            return end
        if block_offset(found[0]) != end:
            raise DamagedError("a block is missing")
        end += decode_header(found[1]).size
        decode_block(found[1])
        pace.read(len(found[1]))
        key = after_block(found[0])


class _Pace:
    """Spreads the reading over time."""

    def __init__(self) -> None:
        self._debt_seconds = 0.0

    def read(self, size: int) -> None:
        self._debt_seconds += size / BYTES_PER_SECOND
        if self._debt_seconds > 0.1:
            time.sleep(self._debt_seconds)
            self._debt_seconds = 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
