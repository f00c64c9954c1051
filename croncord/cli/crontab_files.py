"""Which crontabs are meant, and what this machine's clock shows: the facts around a crontab."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from croncord.errors import ConfigError

SYSTEM_FILES = ("/etc/crontab", "/etc/cron.d")
STANDARD_INPUT = "-"
_SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
_READ_BY_CRON = re.compile(r"[A-Za-z0-9_-]+")
_ZONE_LINK = Path("/etc/localtime")
_ZONE_FILE = Path("/etc/timezone")


@dataclass(frozen=True)
class Crontab:
    """A crontab and what its place says about it."""

    path: str
    text: str
    system: bool
    """Whether it has a user column."""
    user: str
    """Whose it is, when its place says so."""


def find_crontabs(
    names: Iterable[str], *, system: bool, user: str = ""
) -> tuple[list[Crontab], list[str]]:
    """Return the crontabs of files and directories, and the files that cron would not read.

    /etc/crontab and /etc/cron.d have a user column whatever `system` says; files of cron's spool
    belong to the user they are named after. `-` is standard input. Raises ConfigError for what
    cannot be read.
    """
    found: list[Crontab] = []
    ignored: list[str] = []
    for name in names:
        path = Path(name)
        if name != STANDARD_INPUT and path.is_dir():
            for inner in sorted(p for p in path.iterdir() if p.is_file()):
                if _READ_BY_CRON.fullmatch(inner.name):
                    found.append(_read(str(inner), system=system, user=user))
                elif not inner.name.startswith("."):  # Debian's packages leave a .placeholder
                    ignored.append(str(inner))
        else:
            found.append(_read(name, system=system, user=user))
    return found, ignored


def _read(name: str, *, system: bool, user: str) -> Crontab:
    try:
        data = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as e:
        raise ConfigError(f"cannot read {name}: {e.strerror}") from e
    text = data.decode("utf-8", errors="surrogateescape")
    if name == STANDARD_INPUT:
        return Crontab("crontab", text, system, user)
    place = Path(name).absolute()
    if str(place) in SYSTEM_FILES or str(place.parent) in SYSTEM_FILES:
        return Crontab(name, text, system=True, user="")
    if str(place.parent) in _SPOOLS:
        return Crontab(name, text, system=False, user=user or place.name)
    return Crontab(name, text, system, user)


def machine_zone() -> str:
    """Return the name of the time zone in which cron on this machine reads its times.

    Raises ConfigError when the machine does not tell.
    """
    try:
        target = str(_ZONE_LINK.readlink())
    except FileNotFoundError:
        return "UTC"  # what the C library takes when there is no such file
    except OSError:
        target = ""  # a copy, not a link: Debian also writes the name down
    if "zoneinfo/" in target:
        return target.rpartition("zoneinfo/")[2]
    try:
        return _ZONE_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(
            "this machine does not tell the name of its time zone",
            hint="Name it, for instance --tz Europe/Berlin.",
        ) from e
