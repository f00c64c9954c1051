"""The last lines of what a script printed, kept while its output is handed over."""

from collections.abc import Iterable
from typing import Final

from croncord.frames import Frame, shown

LINES: Final = 10
CHARACTERS: Final = 2000
_BYTES = 4 * (CHARACTERS + 1)
"""A character has at most four, and the first one may be cut."""


class Excerpt:
    """What a run's row shows of its output. Feed it every frame in order."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, frames: Iterable[Frame]) -> None:
        """Add what comes next."""
        self._kept = (self._kept + b"".join(map(shown, frames)))[-_BYTES:]

    def text(self) -> str:
        """Return the last lines."""
        lines = self._kept.decode(errors="replace").splitlines()[-LINES:]
        return "\n".join(lines)[-CHARACTERS:]
