"""What the engine hands agreed entries to. Called on the engine's thread."""

from typing import Any, Protocol


class Machine(Protocol):
    """Receives what was agreed, in order, each entry once per life of the process."""

    def committed(self, index: int, term: int, entry: bytes) -> None:
        """Take the entry at `index`. Must neither fail nor wait."""

    def snapshot_wanted(self) -> None:
        """Have a snapshot taken: a node needs one and there is none. Called until there is."""

    def acceptable(self, entry: bytes) -> bool:
        """Whether an entry that another node forwarded can be read by this version."""

    def digest_announced(self, index: int, digest: str) -> None:
        """Compare the leader's digest of its state as of `index` with the own one."""

    def restored(self, index: int, state: Any) -> None:
        """Replace everything by a snapshot's state as of `index`."""
