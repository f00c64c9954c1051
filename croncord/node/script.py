r"""From the text of a script to the bytes that run and the program that runs them.

What is repaired, because it would break and nobody can have meant it:

- a byte order mark at the beginning is removed: with it neither the kernel nor a shell sees `#!`;
- `\r\n` line ends become `\n` when the `#!` line has one (the kernel would look for a program
  called `bash\r`), or when all lines of a shell script have one. A shell script with mixed line
  ends is left alone: there somebody may have meant them.

The interpreter is started with the path of the script, as the kernel would do for `#!`. So the file
needs no permission to be executed, and a `noexec` file system does not matter.
"""

import codecs
import hashlib
import posixpath
from typing import Final, NamedTuple

DEFAULT_INTERPRETER: Final = "/bin/bash"

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
_BLANKS = b" \t"


class PreparedScript(NamedTuple):
    """A script ready to be written to disk."""

    content: bytes
    """The exact bytes that run."""
    sha256: str
    """Their digest, as lower-case hexadecimal."""
    command: tuple[str, ...]
    """The interpreter and its argument, if any; the script's path comes after them."""


def prepare_script(script: bytes) -> PreparedScript:
    """Repair what would break and find the interpreter."""
    content = script.removeprefix(codecs.BOM_UTF8)
    first_line = content.partition(b"\n")[0]
    named = _command(first_line)
    command = named or (DEFAULT_INTERPRETER,)
    is_broken = bool(named) and first_line.endswith(b"\r")
    if is_broken or (_is_shell(command) and _all_lines_end_in_crlf(content)):
        content = content.replace(b"\r\n", b"\n")
    return PreparedScript(content, hashlib.sha256(content).hexdigest(), command)


def _command(first_line: bytes) -> tuple[str, ...]:
    """Read a `#!` line as Linux does: a program, and all the rest as one argument."""
    if not first_line.startswith(b"#!"):
        return ()
    line = first_line[2:].rstrip(b"\r").strip(_BLANKS)
    ends = [at for at in (line.find(blank) for blank in (b" ", b"\t")) if at >= 0]
    end = min(ends, default=len(line))
    words = (line[:end], line[end:].strip(_BLANKS))
    return tuple(word.decode(errors="surrogateescape") for word in words if word)


def _is_shell(command: tuple[str, ...]) -> bool:
    names = {posixpath.basename(word) for part in command for word in part.split()}
    return bool(names & _SHELLS)


def _all_lines_end_in_crlf(content: bytes) -> bool:
    return b"\r\n" in content and content.count(b"\n") == content.count(b"\r\n")
