"""Takes secrets out of output as it is written down: `***` stands for each.

Literal values only: what a script encodes (Base64, a hash, a part) is not recognised. Of a value with
several lines each longer line is masked by itself too. Imported by the shim: standard library only.
"""

import re
from collections.abc import Iterable
from typing import Final

STARS: Final = b"***"
CHARACTERS_MIN: Final = 4
"""A shorter value would be found everywhere."""
_LINE_BYTES_MIN: Final = 8
_LOOK_BYTES: Final = 16


class Mask:
    """One stream: bytes go in as they come, in pieces that end anywhere.

    What may be the beginning of a secret is held back until the next piece, or the end, tells.
    """

    def __init__(self, values: Iterable[str]) -> None:
        known = {form for value in values for form in _forms(value)}
        self._known = sorted(known, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._known))) if known else None
        firsts = b"".join(sorted({form[:1] for form in known}))
        self._beginning = re.compile(b"[" + re.escape(firsts) + b"]") if known else None
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what may be written down now."""
        if self._pattern is None or not data:
            return data
        data = self._held + data
        told: list[bytes] = []
        at = 0
        while True:
            open_at = self._open_at(data, at)
            found = self._pattern.search(data, at)
            if found is None or found.start() >= open_at:
                break
            told += (data[at : found.start()], STARS)
            at = found.end()
        told.append(data[at:open_at])
        self._held = data[open_at:]
        return b"".join(told)

    def end(self) -> bytes:
        """Return what was held back: nothing more comes."""
        held, self._held = self._held, b""
        return held if self._pattern is None else self._pattern.sub(STARS, held)

    def _open_at(self, data: bytes, start: int) -> int:
        """Return from where on the data may be the beginning of a secret; its end if nowhere."""
        assert self._beginning is not None
        first = max(start, len(data) - len(self._known[0]) + 1)
        for beginning in self._beginning.finditer(data, first):
            at = beginning.start()
            left = len(data) - at
            look = data[at : at + _LOOK_BYTES]
            for form in self._known:
                if len(form) <= left:
                    break  # the longest come first
                if form.startswith(look) and form.startswith(data[at:]):
                    return at
        return len(data)


def _forms(value: str) -> list[bytes]:
    whole = value.encode(errors="surrogateescape")
    lines = [line.strip() for line in whole.splitlines()]
    return [whole, *(line for line in lines if len(lines) > 1 and len(line) >= _LINE_BYTES_MIN)]
