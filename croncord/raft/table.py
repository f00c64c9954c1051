"""A dictionary that knows a digest of its contents at every moment.

The digest is the sum, modulo 2**128, of one BLAKE2b hash per entry (an incremental multiset hash in
the manner of Bellare and Micciancio's AdHash), so a change costs one or two hashes whatever the size.
Two tables with equal contents have equal digests in whatever order they were filled.
"""

import hashlib
from collections.abc import Iterator, MutableMapping
from typing import TypeVar

import msgspec

V = TypeVar("V")

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_MODULUS = 1 << 128


def _entry_hash(key: str, value: object) -> int:
    digest = hashlib.blake2b(_encode((key, value)), digest_size=16).digest()
    return int.from_bytes(digest)


class Table(MutableMapping[str, V]):
    """String keys to immutable values."""

    __slots__ = ("_entries", "_hashes", "_sum")

    def __init__(self) -> None:
        self._entries: dict[str, V] = {}
        self._hashes: dict[str, int] = {}
        self._sum = 0

    @property
    def digest(self) -> int:
        """128-bit digest of all entries."""
        return self._sum

    def __getitem__(self, key: str) -> V:
        return self._entries[key]

    def __setitem__(self, key: str, value: V) -> None:
        new = _entry_hash(key, value)
        self._sum = (self._sum - self._hashes.get(key, 0) + new) % _MODULUS
        self._hashes[key] = new
        self._entries[key] = value

    def __delitem__(self, key: str) -> None:
        del self._entries[key]
        self._sum = (self._sum - self._hashes.pop(key)) % _MODULUS

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def copy_entries(self) -> dict[str, V]:
        """Return a shallow copy; the values are immutable."""
        return self._entries.copy()
