"""Finds lines that match a regular expression, in a process that can be killed.

Python's `re` may take for ever on an unlucky expression and holds the interpreter meanwhile. Started
by path, without site packages, so it knows the standard library only. Everything on its pipes is a
length in four bytes, big endian, and so many bytes: first the expression, then texts; each text is
answered with the offsets of the matching lines' beginnings, four bytes each.
"""

import re
import resource
import struct
import sys

MEMORY_BYTES = 512 * 1024 * 1024
HITS_MAX = 1000
_SIZE = struct.Struct(">I")


def matching_lines(pattern: re.Pattern[bytes], text: bytes) -> list[int]:
    """Return where the lines begin that the expression matches, each line taken by itself."""
    starts: list[int] = []
    at = 0
    while at <= len(text) and len(starts) < HITS_MAX:
        found = pattern.search(text, at)
        if found is None:
            break
        start = text.rfind(b"\n", at, found.start()) + 1 or at
        end = text.find(b"\n", found.start())
        end = len(text) if end < 0 else end
        # A match that goes beyond its line is looked for once more within it.
        if start < len(text) and (
            found.end() <= end or pattern.search(text[start:end]) is not None
        ):
            starts.append(start)
        at = end + 1
    return starts


def _read() -> bytes | None:
    header = sys.stdin.buffer.read(_SIZE.size)
    return sys.stdin.buffer.read(_SIZE.unpack(header)[0]) if header else None


def main() -> None:
    """Answer until there is nothing more to read."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    pattern = re.compile(_read() or b"", re.MULTILINE)
    while (text := _read()) is not None:
        starts = matching_lines(pattern, text)
        answer = b"".join(map(_SIZE.pack, starts))
        sys.stdout.buffer.write(_SIZE.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
