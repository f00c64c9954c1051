"""The journal: what came in during one commit window, of all outputs, as one value. Pure.

An entry holds records back to back, compressed together. A record is a part of one output that is
not in a block yet.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from croncord.logs.blocks import DamagedError, compress, decompress
from croncord.logs.keys import KEY_BYTES

_LENGTH = struct.Struct(">Q")
_RECORD = struct.Struct(f">{KEY_BYTES}sQQI")


class Record(NamedTuple):
    """Whole frames of one output, and where they stand."""

    raw_key: bytes
    offset: int
    source_end: int
    data: bytes


def encode_entry(records: Iterable[Record]) -> bytes:
    """Return an entry as stored."""
    parts: list[bytes] = []
    for record in records:
        size = len(record.data)
        parts.append(_RECORD.pack(record.raw_key, record.offset, record.source_end, size))
        parts.append(record.data)
    raw = b"".join(parts)
    return _LENGTH.pack(len(raw)) + compress(raw)


def decode_entry(value: bytes) -> list[Record]:
    """Return the records of an entry. Raises DamagedError when it is damaged."""
    records: list[Record] = []
    try:
        raw = decompress(value[_LENGTH.size :], _LENGTH.unpack_from(value)[0])
        at = 0
        while at < len(raw):
            raw_key, offset, source_end, size = _RECORD.unpack_from(raw, at)
            at += _RECORD.size
            records.append(Record(raw_key, offset, source_end, raw[at : at + size]))
            at += size
    except struct.error as error:
        raise DamagedError(f"a journal entry is damaged: {error}") from error
    return records
