"""Before the stores are opened: a file that would break this program is set aside.

A mark in the directory tells that the last life did not end properly. Then, and whenever the index
is shorter than its last page, files are read through in a process of their own first.
"""

import logging
import shutil
from pathlib import Path
from typing import Final

from croncord.errors import StoreError
from croncord.logs.days import DAMAGED
from croncord.logs.keys import is_day
from croncord.logs.soundness import is_short, is_sound

NEWEST_DAYS: Final = 2
"""So many days are checked before the start, the others by the scrub."""

_MARK = "in-use"
_log = logging.getLogger(__name__)


def mark_open(root: Path) -> None:
    """Note that the stores are in use; on a full disk the note may be missing."""
    try:
        (root / _MARK).touch()
    except OSError as error:
        _log.warning("%s: %s", root / _MARK, error)


def mark_closed(root: Path) -> None:
    """Note that they were closed properly."""
    (root / _MARK).unlink(missing_ok=True)


def check_before_open(root: Path) -> None:
    """Set aside what is broken. Raises StoreError when even that is refused."""
    index = root / "index"
    to_check = [index] if index.is_dir() and is_short(index) else []
    if (root / _MARK).exists():
        days = sorted(path for path in root.iterdir() if is_day(path.name))
        to_check = [index, *days[-NEWEST_DAYS:]]
    for path in to_check:
        if path.is_dir() and not is_sound(path):
            set_aside(path)


def set_aside_if_cut_short(path: Path) -> None:
    """Set the directory aside when its file is shorter than it says and cannot be read.

    Blocks. Raises StoreError when even that is refused.
    """
    if path.is_dir() and is_short(path) and not is_sound(path):
        set_aside(path)


def set_aside(path: Path) -> None:
    """Rename the directory of a damaged environment. Raises StoreError."""
    target = path.with_name(DAMAGED + path.name)
    try:
        shutil.rmtree(target, ignore_errors=True)
        path.rename(target)
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be set aside: {error}") from error
    _log.error("%s is set aside as %s; other nodes' copies fill the gap", path, target.name)
