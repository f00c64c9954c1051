"""Blocks: about 128 KiB of framed bytes, compressed, with counters to seek by. Pure.

A block begins and ends where a frame does. Header and content carry a checksum each: LMDB has none,
so this is what finds a damaged disk.
"""

import struct
import sys
import zlib
from typing import Final, NamedTuple

from croncord.errors import StoreError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES: Final = 128 * 1024
RAW_BYTES_MAX: Final = 1024 * 1024
"""No block is larger; the length is checked before anything is decompressed."""

_ZSTD = 1
_UNPACKED_BYTES_MAX = 1 << 30
_HEADER = struct.Struct(">BxxxIQQQII")
_CHECK = struct.Struct(">I")
_DATA = _HEADER.size + _CHECK.size
_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}
DAMAGED_HINT: Final = "Another node may hold a sound copy; check this disk."


class DamagedError(StoreError):
    """What is on disk is not what was written."""

    is_file = False
    """Whether the whole file is in doubt, not only a value in it."""


class DamagedFileError(DamagedError):
    """The structure of a store's file is broken: nothing in it can be relied on."""

    is_file = True


class BlockHeader(NamedTuple):
    """What can be known of a block without decompressing it."""

    size: int
    """Framed bytes in it."""
    source_end: int
    """Where the writer of the output stood after this block, in its own count."""
    bytes_before: int
    lines_before: int
    bytes: int
    """Bytes of output in it, without frame headers."""
    lines: int


def compress(raw: bytes) -> bytes:
    """Return the bytes compressed, with a checksum."""
    packed: bytes = zstd.compress(raw, options=_OPTIONS)
    return packed


def decompress(packed: bytes, size: int) -> bytes:
    """Return exactly `size` bytes. Raises DamagedError when they are damaged."""
    if size > _UNPACKED_BYTES_MAX:
        raise DamagedError("stored output is damaged: impossible length", hint=DAMAGED_HINT)
    try:
        decompressor = zstd.ZstdDecompressor()
        raw: bytes = decompressor.decompress(packed, max_length=size + 1)
    except zstd.ZstdError as error:
        raise DamagedError(f"stored output is damaged: {error}", hint=DAMAGED_HINT) from error
    if len(raw) != size or not decompressor.eof:
        raise DamagedError("stored output is damaged: wrong length", hint=DAMAGED_HINT)
    return raw


def encode_block(header: BlockHeader, raw: bytes) -> bytes:
    """Return a block as stored."""
    fields = _HEADER.pack(_ZSTD, *header)
    return fields + _CHECK.pack(zlib.crc32(fields)) + compress(raw)


def decode_header(value: bytes) -> BlockHeader:
    """Return a block's header. Raises DamagedError when it is damaged."""
    fields, check = value[: _HEADER.size], value[_HEADER.size : _DATA]
    if check != _CHECK.pack(zlib.crc32(fields)):
        raise DamagedError("stored output is damaged: block header", hint=DAMAGED_HINT)
    codec, *counts = _HEADER.unpack(fields)
    header = BlockHeader(*counts)
    if codec != _ZSTD or header.size > RAW_BYTES_MAX:
        raise DamagedError("stored output is damaged: impossible block", hint=DAMAGED_HINT)
    return header


def decode_block(value: bytes) -> bytes:
    """Return a block's framed bytes. Raises DamagedError when it is damaged."""
    header = decode_header(value)
    return decompress(value[_DATA:], header.size)
