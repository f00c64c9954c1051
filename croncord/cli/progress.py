"""How far something long is: one line on the terminal that is written over; nothing elsewhere."""

import shutil
import sys
import time
from types import TracebackType
from typing import Final, Self

_EVERY_SECONDS: Final = 0.1
_BAR: Final = 24
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Progress:
    """Use it as a context manager; the line is wiped at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = sys.stderr.isatty()
        self._told_at = 0.0

    def __enter__(self) -> Self:
        return self

    def tell(self, done: float | None, text: str) -> None:
        """Show that `done` of 1 is done, None when nobody knows, and a few words."""
        now = time.monotonic()
        if not self._is_shown or now - self._told_at < _EVERY_SECONDS:
            return
        self._told_at = now
        if done is None:
            bar = ""
        else:
            full = round(min(max(done, 0), 1) * _BAR)
            bar = f"[{'#' * full}{'.' * (_BAR - full)}] {min(done, 1):4.0%} "
        line = f"{self._what} {bar}{text}"
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{line[:width]:<{width}}")
        sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_shown and self._told_at:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stderr.flush()


def byte_words(count: float) -> str:
    """Return a number of bytes as `1.5 MiB`."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
