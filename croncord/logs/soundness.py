"""Whether an LMDB file can be used at all: looked up without opening it in this process.

A page beyond the end of the file, or one that is broken, can kill the program that reads it.
"""

import logging
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

PATIENCE_SECONDS: Final = 30.0
"""A check that takes longer is broken off and the file used: the scrub looks again later."""
DATA_FILE: Final = "data.mdb"

_PAGE_SIZE = struct.Struct("=40xI")
_META = struct.Struct("=136xQQ")
"""Last page and transaction of a meta page, as LMDB 0.9 lays it out on 64-bit machines."""
_log = logging.getLogger(__name__)


def is_short(path: Path) -> bool:
    """Whether the file of an environment ends before its last page, or is gone.

    A page that was never written makes a sound file look so too; `is_sound` tells.
    """
    file = path / DATA_FILE
    try:
        with file.open("rb") as data:
            first = data.read(_META.size)
            if len(first) < _META.size:
                return True
            (page_size,) = _PAGE_SIZE.unpack_from(first)
            data.seek(page_size)
            second = data.read(_META.size)
            if len(second) < _META.size:
                return True
            newest = max(_META.unpack(first), _META.unpack(second), key=lambda meta: meta[1])
            return file.stat().st_size < (int(newest[0]) + 1) * int(page_size)
    except OSError:
        return True


def is_sound(path: Path) -> bool:
    """Whether all pages of an environment can be followed; looked up in another process."""
    command = [sys.executable, "-m", "croncord.logs.check", "structure", str(path)]
    try:
        result = subprocess.run(  # noqa: S603 - our own program, no shell
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        _log.warning("checking %s takes too long; it is used as it is", path)
        return True
    if result.stdout.splitlines()[-1:] == ["sound"]:
        return True
    _log.error("%s is damaged (%d): %s", path, result.returncode, result.stderr[-500:])
    return False
