"""How far something long is: one line on a terminal's standard error; nothing elsewhere."""

import shutil
import sys
import time
from types import TracebackType
from typing import Final, Self

from croncord.cli import words

_EVERY_SECONDS: Final = 0.1
_BAR: Final = 24


class _Line:
    """A line that is written over and gone in the end. Used as a context manager."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def _show(self, text: str) -> None:
        if self._is_shown:
            room = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{words.clip(words.printable(text), room)}")
            sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show("")


class Steps(_Line):
    """Counts along."""

    def __init__(self, doing: str, total: int) -> None:
        super().__init__()
        self._doing = doing
        self._total = total
        self._done = 0

    def step(self, what: str) -> None:
        """Say that the next one has begun."""
        self._done += 1
        self._show(f"{self._doing} {self._done}/{self._total}: {what}")


class Progress(_Line):
    """Draws how much is done, where that is known."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._told_at = 0.0

    def tell(self, done: float | None, text: str) -> None:
        """Show that `done` of 1 is done, None when nobody knows, and a few words."""
        now = time.monotonic()
        if now - self._told_at < _EVERY_SECONDS:
            return
        self._told_at = now
        bar = ""
        if done is not None:
            full = round(min(max(done, 0), 1) * _BAR)
            bar = f"[{'#' * full}{'.' * (_BAR - full)}] {min(done, 1):4.0%} "
        self._show(f"{self._what} {bar}{text}")
