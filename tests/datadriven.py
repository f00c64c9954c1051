"""Transcripts as tests: text files of commands, each followed by what it printed.

    # a comment
    pass 2m
    ----
    12:00:00 n2 begins backup of 12:00:00

A command is one line, `name word key=value`; what is expected ends at an empty line. With `pytest
--rewrite` the files are written anew from what the commands print now; commit the difference only
when you understand it. The idea is that of cockroachdb/datadriven, as etcd/raft uses it.
"""

import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Command:
    """One command of a transcript."""

    line: int
    text: str
    expected: str

    @property
    def name(self) -> str:
        return shlex.split(self.text)[0]

    @property
    def words(self) -> list[str]:
        """Arguments without a key."""
        return [word for word in shlex.split(self.text)[1:] if "=" not in word]

    @property
    def options(self) -> dict[str, str]:
        """Arguments with a key."""
        words = [word for word in shlex.split(self.text)[1:] if "=" in word]
        return dict(word.split("=", 1) for word in words)


def read(path: Path) -> list[Command | str]:
    """Return commands and, as they are, the lines between them."""
    parts: list[Command | str] = []
    lines = iter(enumerate(path.read_text().splitlines(), 1))
    for number, line in lines:
        if not line or line.startswith("#"):
            parts.append(line)
            continue
        following = next(lines, (0, ""))[1]
        if following != "----":
            raise ValueError(f"{path}:{number}: {line!r} is not followed by ----")
        expected = []
        for _, text in lines:
            if not text:
                break
            expected.append(text)
        parts.append(Command(number, line, "\n".join(expected)))
    return parts


async def play(
    path: Path, handle: Callable[[Command], Awaitable[str]], *, rewrite: bool = False
) -> None:
    """Run a transcript. Raises AssertionError where it prints something else, unless it rewrites."""
    written: list[str] = []
    for part in read(path):
        if isinstance(part, str):
            written.append(part)
            continue
        printed = "\n".join(line for line in (await handle(part)).splitlines() if line)
        written += [part.text, "----", *printed.splitlines(), ""]
        assert rewrite or printed == part.expected, (
            f"{path.name}:{part.line}: {part.text}\n"
            f"expected:\n{part.expected}\n\nprinted:\n{printed}"
        )
    if rewrite:
        text = "\n".join(written).rstrip("\n") + "\n"
        path.write_text(text)  # noqa: ASYNC240 - nothing else runs meanwhile
