"""What the engine needs of a snapshot store, and where a snapshot lies in the log."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec


class SnapshotMeta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Position of a snapshot: it stands for all entries up to `index`."""

    index: int
    term: int
    previous_term: int
    """Term of the entry before `index`."""
    members: dict[str, str]
    """The voters as of `index`, with their addresses."""


class SnapshotReader(Protocol):
    """A snapshot being sent; stays readable when a newer one replaces it."""

    index: int
    digest: bytes
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""

    def close(self) -> None:
        """Release it."""


class SnapshotStore(Protocol):
    """Keeps the newest snapshot. Called on the engine's thread only; long work is done elsewhere.

    States are opaque here: the store is given functions that encode and decode them.
    """

    @property
    def is_writing(self) -> bool:
        """Whether a snapshot is being written, or its end was not polled yet."""

    @property
    def is_verifying(self) -> bool:
        """Whether a received snapshot is being checked, or the result was not polled yet."""

    def load(self) -> tuple[SnapshotMeta, Any] | None:
        """Return the newest snapshot, decoded. Raises StoreError when it is damaged."""

    def write(self, meta: SnapshotMeta, encode: Callable[[], Iterable[bytes]]) -> None:
        """Begin to write a snapshot."""

    def poll_written(self) -> int | None:
        """Return the index of a snapshot whose writing has ended since the last call."""

    def open_reader(self) -> SnapshotReader | None:
        """Open the newest snapshot for sending, if there is one."""

    def receive(self, index: int, digest: bytes, size: int, offset: int, data: bytes) -> int:
        """Take a chunk; returns the offset that is wanted next."""

    def poll_received(self) -> tuple[SnapshotMeta, Any] | None:
        """Return a received snapshot once it is complete and verified."""

    def publish_received(self) -> None:
        """Make the received snapshot the newest one, durably."""

    def discard_received(self) -> None:
        """Throw the received snapshot away."""
