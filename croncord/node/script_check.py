"""Finding syntax errors in a script without running it.

The interpreter only reads: `bash -n`, `sh -n`, and Python's own parser in a process of its own. Perl
and Ruby are not asked: their check runs parts of the script. Nothing here forbids anything; what
cannot be checked is not remarked upon.
"""

import asyncio
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Final

CHECK_SECONDS: Final = 2.0
FINDINGS_MAX: Final = 20
_AT_ONCE: Final = 2
_SHELL_ERROR = re.compile(rb"^[^\n]*?(?:line )?(\d+): (.*)$", re.MULTILINE)
_PYTHON_CHECK = """
import ast, sys, warnings
warnings.simplefilter("ignore")
try:
    ast.parse(sys.stdin.buffer.read(), "script")
except SyntaxError as error:
    print(f"line {error.lineno or 1}: {error.msg}", file=sys.stderr)
except (ValueError, RecursionError, MemoryError) as error:
    print(f"line 1: {error}", file=sys.stderr)
"""


class SyntaxChecker:
    """Checks scripts, at most two at once."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def check(self, script: str, language: str) -> Sequence[tuple[int, str]]:
        """Return line numbers from 1 and messages; nothing when there is no way to check.

        `language` is `bash`, `sh` or `python`. Takes at most about 2 seconds per turn.
        """
        command = _command(language)
        if command is None:
            return []
        async with self._turn:
            said = await _read(command, script.encode(errors="replace"))
        return [
            (int(line), message.decode(errors="replace").strip())
            for line, message in _SHELL_ERROR.findall(said)[:FINDINGS_MAX]
        ]


def _command(language: str) -> list[str] | None:
    if language == "python":
        return [sys.executable, "-I", "-S", "-c", _PYTHON_CHECK]
    shell = shutil.which(language, path="/bin:/usr/bin") if language in {"bash", "sh"} else None
    return None if shell is None else [shell, "-n"]


async def _read(command: Sequence[str], script: bytes) -> bytes:
    """Give the script on standard input; returns what was said on standard error."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            _, said = await process.communicate(script)
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said
