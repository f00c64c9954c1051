"""What a snapshot holds, written and read in slices.

    frame: length (4 bytes) | msgpack
    first frame: [version, applied request ids, the state's plain fields, outcomes of requests]
    further frames: [table, {key: value, ...}], a few hundred entries each, in the table's order

One call that encodes a hundred thousand jobs would hold the interpreter for half a second, and the
heartbeats with it. Slices of about a millisecond let every other thread run in between.
"""

import gc
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, get_type_hints

import msgspec

from croncord.raft.requests import AppliedRequests
from croncord.raft.sharing import share_entry
from croncord.raft.snapshot import StateCopy
from croncord.raft.state import ClusterState

IMAGE_VERSION: Final = 1
ENTRIES_PER_SLICE: Final = 256
_LENGTH: Final = struct.Struct(">I")

Restored = tuple[ClusterState, AppliedRequests]

_encoder = msgspec.msgpack.Encoder()


class _Head(msgspec.Struct, frozen=True, array_like=True):
    version: int
    requests: list[bytes]
    fields: dict[str, msgspec.Raw]
    outcomes: list[tuple[bytes, bytes]] = []


class _Slice(msgspec.Struct, frozen=True, array_like=True):
    table: str
    entries: msgspec.Raw


_head_decoder = msgspec.msgpack.Decoder(_Head)
_slice_decoder = msgspec.msgpack.Decoder(_Slice)
_types = get_type_hints(StateCopy)
_table_decoders = {name: msgspec.msgpack.Decoder(_types[name]) for name in ClusterState().tables()}
_field_decoders = {
    name: msgspec.msgpack.Decoder(kind)
    for name, kind in _types.items()
    if name not in _table_decoders
}


def encode_image(
    copy: StateCopy, requests: list[bytes], outcomes: Sequence[tuple[bytes, bytes]] = ()
) -> Iterator[bytes]:
    """Yield the frames of a snapshot."""
    fields = {name: getattr(copy, name) for name in _field_decoders}
    yield _frame((IMAGE_VERSION, requests, fields, outcomes))
    for name in _table_decoders:
        entries: Iterator[tuple[str, Any]] = iter(getattr(copy, name).items())
        while part := dict(islice(entries, ENTRIES_PER_SLICE)):
            yield _frame((name, part))


def _frame(value: object) -> bytes:
    body = _encoder.encode(value)
    return _LENGTH.pack(len(body)) + body


def decode_image(parts: Iterable[bytes]) -> Restored:
    """Build a new state from a snapshot's bytes, in whatever parts they come.

    Raises ValueError (or msgspec's subclass of it) when they are not a snapshot.
    """
    frames = _frames(parts)
    head = _head_decoder.decode(next(frames, b""))
    if head.version != IMAGE_VERSION:
        raise ValueError(f"snapshot version {head.version} is not known; upgrade this node")
    state = ClusterState()
    for name, encoded in head.fields.items():
        if name not in _field_decoders:
            raise ValueError(f"a field {name} that this version does not know; upgrade")
        setattr(state, name, _field_decoders[name].decode(encoded))
    tables = state.tables()
    # A million new objects would set off full collections that stop every thread for seconds.
    collects = gc.isenabled()
    gc.disable()
    try:
        for frame in frames:
            part = _slice_decoder.decode(frame)
            table = tables[part.table]
            for key, value in _table_decoders[part.table].decode(part.entries).items():
                table[key] = share_entry(state.jobs, part.table, key, value)
        state.rebuild_indexes()
    except KeyError as error:
        raise ValueError(f"a table {error} that this version does not know; upgrade") from None
    finally:
        gc.freeze()  # nor are they looked at ever again: they live as long as the process
        if collects:
            gc.enable()
    return state, AppliedRequests(head.requests, head.outcomes)


def _frames(parts: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for part in parts:
        buffer += part
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            yield bytes(buffer[start + _LENGTH.size : end])
            start = end
        del buffer[:start]
    if buffer:
        raise ValueError("a frame is cut short")
