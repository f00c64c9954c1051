"""Directories of ended attempts, kept with some of their files for the next ones.

A file system remembers for a while what was deleted, and looks through it whenever a file is made: ext4
gives a freed inode away again only after a minute or more. Where hundreds of runs come and go in a minute,
to make one file took half a millisecond of processor time instead of a hundredth. A run has nine.

Used again are files that every attempt has, emptied first: order, spool, result, trouble. Never the script,
which a process that was left behind may still be reading, nor what tells who took the directory.
"""

# Plain paths: this is done for every run, and pathlib would take as long as all the rest.
# ruff: noqa: PTH104, PTH108, PTH118, PTH208

import os
import shutil
import stat
from itertools import count
from pathlib import Path
from typing import Final

from croncord.node import rundir

KEPT_MAX: Final = 256
PREFIX: Final = ".spare-"

_REUSED = frozenset({rundir.ORDER, rundir.SPOOL, rundir.RESULT, rundir.TROUBLE})
_KNOWN = _REUSED | {rundir.SCRIPT, rundir.META, rundir.CONTROL, rundir.MAIN}


class Spares:
    """Spare directories among those of the attempts. Called from any thread; everything blocks."""

    def __init__(self, runs: Path) -> None:
        self._runs = str(runs)
        self._names: list[str] = []
        self._numbers = count()

    def keep(self, directory: Path) -> bool:
        """Keep the directory of an attempt that is over, shim and all; False: it is still there.

        One that holds anything else than every attempt has is not kept.
        """
        if len(self._names) >= KEPT_MAX or not _is_plain(str(directory)):
            return False
        name = os.path.join(self._runs, f"{PREFIX}{next(self._numbers)}")
        try:
            os.rename(directory, name)
        except OSError:
            return False
        try:
            _empty(name)
        except OSError:
            shutil.rmtree(name, ignore_errors=True)
        else:
            self._names.append(name)
        return True

    def take(self, wanted: Path) -> bool:
        """Give a spare directory that name; returns whether there was one."""
        try:
            os.rename(self._names.pop(), wanted)
        except (IndexError, OSError):
            return False
        return True


def _is_plain(directory: str) -> bool:
    """Whether nothing is in it but what every attempt has, and nobody else has a name for it."""
    own = os.geteuid()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                about = entry.stat(follow_symlinks=False)
                is_file = stat.S_ISREG(about.st_mode) and about.st_nlink == 1
                if entry.name not in _KNOWN or about.st_uid != own:
                    return False
                if entry.name in _REUSED and not is_file:
                    return False
    except OSError:
        return False
    return True


def _empty(directory: str) -> None:
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name in _REUSED:
            os.truncate(path, 0)
        else:
            os.unlink(path)
