"""Keys of the launch ledger, and which rows a filter asks for. Pure.

A row's key is its run id, 24 characters that sort by nominal time. An index key is the value, a
zero byte and the run id. Values too long for a key are replaced by their digest.
"""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from croncord.logs.blocks import DamagedError
from croncord.logs.keys import day_of, with_check, without_check
from croncord.logs.keys import pack_run as _pack_id
from croncord.model import Run, milliseconds
from croncord.ports import RunFilter

INDEXED: Final = ("job_id", "state", "reason", "node", "trigger")
"""Fields of `Run` and of `RunFilter` that have an index each."""
PAIR: Final = "job_state"
"""The index of both: a job that rarely fails would else be looked through from end to end."""

_VALUE_BYTES_MAX = 256
_ID_BYTES = 15
_AFTER_ALL = b"~"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Run)


_FIELDS = msgspec.structs.fields(Run)
_DEFAULTS = {
    field.name: field.default
    if field.default_factory is msgspec.NODEFAULT
    else field.default_factory()
    for field in _FIELDS
}


def pack_run(run: Run) -> bytes:
    """Return a row as stored: without the fields that say nothing, which are most."""
    told = {name: getattr(run, name) for name in _DEFAULTS}
    return with_check(
        _encoder.encode({name: value for name, value in told.items() if value != _DEFAULTS[name]})
    )


def unpack_run(data: bytes) -> Run:
    """Return a row. Raises DamagedError when it is damaged."""
    body = without_check(data)
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise DamagedError(f"a row of the ledger is damaged: {error}") from error


def stored_bytes(run: Run) -> int:
    """Return the bytes of output that a row stands for, all its attempts together."""
    return run.log.bytes + sum(attempt.log.bytes for attempt in run.attempts)


def index_prefix(value: str) -> bytes:
    """Return what the index keys of rows with that value begin with."""
    encoded = value.encode()
    if len(encoded) > _VALUE_BYTES_MAX or b"\0" in encoded:
        encoded = b"\x01" + hashlib.blake2b(encoded, digest_size=16).hexdigest().encode()
    return encoded + b"\0"


def index_keys(run: Run) -> Iterator[tuple[str, bytes]]:
    """Yield the index entries of a row: field and key. Empty fields have none."""
    for field in INDEXED:
        value = getattr(run, field)
        if value:
            yield field, index_prefix(str(value)) + run.id.encode()
    yield pair_key(run)


def pair_key(run: Run) -> tuple[str, bytes]:
    """Return a row's entry in the index of job and state."""
    return PAIR, index_prefix(run.job_id) + index_prefix(run.state) + run.id.encode()


def wanted_prefixes(where: RunFilter) -> list[tuple[str, bytes]]:
    """Return the index prefixes that a row must have all of."""
    wanted = {name: index_prefix(value) for name in INDEXED if (value := getattr(where, name))}
    if where.job_id and where.state:
        wanted = {PAIR: wanted.pop("job_id") + wanted.pop("state")} | wanted
    return list(wanted.items())


def bounds(where: RunFilter, before: str) -> tuple[bytes, bytes]:
    """Return the lowest run id asked for and the one all must be below, as keys.

    `since` belongs to the answer, `until` does not.
    """
    low = first_id(where.since) if where.since is not None else b""
    high = first_id(where.until) if where.until is not None else _AFTER_ALL
    if before:
        high = min(high, before.encode())
    return low, high


def day_of_id(run_id: str) -> str:
    """Return the UTC day of a run's nominal time, `YYYYMMDD`."""
    return day_of(_pack_id(run_id))[-8:]


def day_ids(day: str) -> tuple[str, str]:
    """Return the range of ids of a UTC day, `YYYYMMDD`: the first, and what all are below."""
    start = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    return first_id(start).decode(), first_id(start + timedelta(days=1)).decode()


def first_id(instant: datetime) -> bytes:
    """Return a key above all run ids of earlier nominal times and not above any other."""
    stamp = max(0, milliseconds(instant) + bool(instant.microsecond % 1000))
    raw = stamp.to_bytes(6, "big").ljust(_ID_BYTES, b"\0")
    return base64.b32hexencode(raw).lower()


def matches(run: Run, where: RunFilter) -> bool:
    """Whether a row is one that the filter asks for."""
    for field in INDEXED:
        wanted = getattr(where, field)
        if wanted and str(getattr(run, field) or "") != wanted:
            return False
    if where.job_ids is not None and run.job_id not in where.job_ids:
        return False
    low, high = bounds(where, "")
    return low <= run.id.encode() < high
