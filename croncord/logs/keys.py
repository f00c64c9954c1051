"""Keys and rows of the output store, as bytes. Pure.

An output's key is the 15 bytes of its run id and its attempt in two bytes. The first six bytes of a
run id are the run's nominal time, so keys sort by time and tell the day they belong to.
"""

import base64
import re
import struct
import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from croncord.errors import FieldError, Invalid
from croncord.logs.blocks import DamagedError
from croncord.model import LogInfo
from croncord.ports import LogKey

KEY_BYTES: Final = 17
BLOCK_KEY_BYTES: Final = KEY_BYTES + 8
ATTEMPT_MAX: Final = 0xFFFF

_STAMP_BYTES = 6
_RUN_ID = re.compile(r"[0-9a-v]{24}")
_DAY = re.compile(r"blocks-\d{8}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_U64 = struct.Struct(">Q")


class LogRow(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What the index holds of one output."""

    started_ms: int
    journal_from: int
    """Journal entries below this sequence belong to a deleted output of the same key."""
    sealed: bool = False
    size: int = 0
    """Framed bytes, once sealed."""
    source_end: int = 0
    """Where its writer would go on, once sealed."""
    info: LogInfo = LogInfo()
    inline: bytes = b""
    """The whole output, packed, when it is small."""
    fenced: bool = False
    """Nothing is taken from its writer any more: it was counted when the output was recovered."""


_row_encoder = msgspec.msgpack.Encoder()
_row_decoder = msgspec.msgpack.Decoder(LogRow)
_CHECKED = struct.Struct(">BI")
_MARK = 0xC1
"""No msgpack value begins so: it tells a row with a checksum from what was written before."""


def pack_row(row: LogRow) -> bytes:
    """Return the row as stored."""
    return with_check(_row_encoder.encode(row))


def unpack_row(data: bytes) -> LogRow:
    """Return the row. Raises DamagedError when it is damaged."""
    body = without_check(data)
    try:
        return _row_decoder.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedError(f"what is stored of an output is damaged: {error}") from error


def with_check(body: bytes) -> bytes:
    """Return a msgpack value with a checksum in front: LMDB has none."""
    return _CHECKED.pack(_MARK, zlib.crc32(body)) + body


def without_check(data: bytes) -> bytes:
    """Return what `with_check` was given. Raises DamagedError when it is not that any more."""
    if data[:1] != bytes([_MARK]):
        return data
    body = data[_CHECKED.size :]
    if len(data) < _CHECKED.size or _CHECKED.unpack_from(data)[1] != zlib.crc32(body):
        raise DamagedError("a stored value is damaged: its checksum is wrong")
    return body


def pack_run(run_id: str) -> bytes:
    """Return the 15 bytes of a run id. Raises Invalid when it is none."""
    if not _RUN_ID.fullmatch(run_id):
        text = "must be 24 characters of base32hex"
        raise Invalid([FieldError("run", text)], hint="Copy the id from a list of runs.")
    return base64.b32hexdecode(run_id.upper())


@lru_cache(maxsize=4096)
def pack(key: LogKey) -> bytes:
    """Return the key as stored, 17 bytes. Raises Invalid when no output can have it."""
    if not 0 <= key.attempt <= ATTEMPT_MAX:
        raise Invalid([FieldError("attempt", f"must be between 0 and {ATTEMPT_MAX}")])
    return pack_run(key.run_id) + key.attempt.to_bytes(2, "big")


def unpack(raw: bytes) -> LogKey:
    """Return the key that `pack` made these bytes of."""
    run_id = base64.b32hexencode(raw[:-2]).decode().lower()
    return LogKey(run_id, int.from_bytes(raw[-2:], "big"))


def day_of(raw: bytes) -> str:
    """Return the name of the block environment of that output's UTC day, `blocks-YYYYMMDD`."""
    stamp = min(int.from_bytes(raw[:_STAMP_BYTES], "big"), _LAST_MILLISECOND)
    return f"blocks-{_EPOCH + timedelta(milliseconds=stamp):%Y%m%d}"


def day_start(name: str, *, days_later: int = 0) -> bytes:
    """Return a key not above any output of the day that an environment is named after."""
    start = datetime.strptime(name, "blocks-%Y%m%d").replace(tzinfo=UTC)
    start += timedelta(days=days_later)
    return max(0, (start - _EPOCH) // timedelta(milliseconds=1)).to_bytes(_STAMP_BYTES, "big")


def is_day(name: str) -> bool:
    """Whether that is the name of a block environment."""
    return _DAY.fullmatch(name) is not None


def pack_number(number: int) -> bytes:
    """Return a number as a key that sorts like it, 8 bytes."""
    return _U64.pack(number)


def unpack_number(data: bytes) -> int:
    """Return the number that `pack_number` made these bytes of."""
    value: int = _U64.unpack(data)[0]
    return value


def block_key(raw: bytes, offset: int) -> bytes:
    """Return the key of the block of that output that begins at that offset."""
    return raw + _U64.pack(offset)


def block_offset(key: bytes) -> int:
    """Return the offset in a block's key."""
    return unpack_number(key[KEY_BYTES:BLOCK_KEY_BYTES])
