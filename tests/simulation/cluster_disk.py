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
    _members: tuple[str, ...] = ()
    _bounds: tuple[int, int] = (-1, -1)
    _end: Entry | None = None

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
        # Looked for in the whole log: only when it has another end or another beginning.
        bounds, end = (self.base, self.last), self.log[-1] if self.log else None
        if bounds != self._bounds or end is not self._end:
            found = (entry.data for entry in reversed(self.log) if entry.kind == "members")
            self._members = next(found, self.base_members)
            self._bounds, self._end = bounds, end
        return self._members

    def crash(self, rng) -> None:
        """Lose some or all of what was not synced."""
        kept = rng.randint(self.synced, self.last) if self.last > self.synced else self.last
        del self.log[kept - self.base :]
        self.synced = self.last
