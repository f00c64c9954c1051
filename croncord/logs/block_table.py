"""Blocks as keys of an environment: cut so that LMDB's pages are full and none is hard to place.

A value of more than about 2,000 bytes gets pages of its own, which must lie side by side in the file:
once outputs of all sizes have come and gone the free pages are scattered, and the file grows though
half of it is free. So a block is stored as pieces that fill one page each, and its rest in small ones
that share pages with others. That took a store under churn from 1.6 to 1.2 times what is in it.

    output, offset               the first piece, with the block's header
    output, offset, 1, 2, …      the others, two bytes

A block that an earlier version stored in one piece reads the same.
"""

from collections.abc import Iterator
from typing import Final

from croncord.logs.days import BLOCKS
from croncord.logs.keys import BLOCK_KEY_BYTES
from croncord.logs.store import Reading, Writing

PAGE_BYTES: Final = 4080
"""What a page of 4096 bytes holds of a value that has it to itself."""
PIECE_BYTES: Final = 500

_NUMBER_BYTES: Final = 2


def put_block(writing: Writing, key: bytes, value: bytes) -> None:
    """Store a block; one that has the same key is replaced."""
    writing.delete_prefix(BLOCKS, key)
    for number, piece in enumerate(_pieces(value)):
        suffix = number.to_bytes(_NUMBER_BYTES, "big") if number else b""
        writing.put(BLOCKS, key + suffix, piece)


def _pieces(value: bytes) -> Iterator[bytes]:
    full = len(value) // PAGE_BYTES * PAGE_BYTES
    for start in range(0, full, PAGE_BYTES):
        yield value[start : start + PAGE_BYTES]
    for start in range(full, len(value), PIECE_BYTES):
        yield value[start : start + PIECE_BYTES]


def blocks_from(reading: Reading, key: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and blocks in order, from the first block not below `key`."""
    head, pieces = b"", list[bytes]()
    for found, piece in reading.from_key(BLOCKS, key):
        if pieces and found.startswith(head) and len(found) > BLOCK_KEY_BYTES:
            pieces.append(piece)
            continue
        if pieces:
            yield head, b"".join(pieces)
        head, pieces = found, [piece]
    if pieces:
        yield head, b"".join(pieces)


def block_below(reading: Reading, key: bytes) -> tuple[bytes, bytes] | None:
    """Return the last block that begins below `key`, which is that of a block, or above one."""
    item = reading.below(BLOCKS, key)
    if item is None:
        return None
    return next(blocks_from(reading, item[0][:BLOCK_KEY_BYTES]), None)


def after_block(key: bytes) -> bytes:
    """Return a key above a block and not above the next."""
    return key + b"\xff" * (_NUMBER_BYTES + 1)
