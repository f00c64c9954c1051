"""What a node of the simulated Raft group keeps over its lives."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Entry(NamedTuple):
    term: int
    kind: str
    """`command`, `members` or `noop`."""
    data: Any


@dataclass
class Disk:
    """What a node keeps: term and vote are written at once, entries are when they are synced."""

    term: int = 0
    vote: str | None = None
    base: int = 0
    base_term: int = 0
    base_members: tuple[str, ...] = ()
    image: tuple[bytes, ...] = ()
    log: list[Entry] = field(default_factory=list)
    synced: int = 0

    @property
    def last(self) -> int:
        return self.base + len(self.log)

    def term_at(self, index: int) -> int | None:
        if index == self.base:
            return self.base_term
        if self.base < index <= self.last:
            return self.log[index - self.base - 1].term
        return None

    def members(self) -> tuple[str, ...]:
        found = (entry.data for entry in reversed(self.log) if entry.kind == "members")
        return next(found, self.base_members)

    def crash(self, rng) -> None:
        """Lose some or all of what was not synced."""
        kept = rng.randint(self.synced, self.last) if self.last > self.synced else self.last
        del self.log[kept - self.base :]
        self.synced = self.last
