"""Who a script runs as."""

import os
import pwd
from typing import Final, NamedTuple

from croncord.node.refusal import StartRefused

_FALLBACK_HOME: Final = "/"
_FALLBACK_SHELL: Final = "/bin/sh"
_NO_SHELLS = frozenset({"", "/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false"})


class Account(NamedTuple):
    """A user of this machine."""

    name: str
    home: str
    shell: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    is_other: bool
    """Whether the script's process has to change its user."""


def find_account(user: str) -> Account:
    """Return the account of that name, of this program's own user when it is empty.

    May ask a directory service: not for the event loop's thread. Raises StartRefused when there is
    no such user, or when this program may not start anything as another user.
    """
    own_uid = os.geteuid()
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(own_uid)
    except KeyError:
        if user:
            raise StartRefused(f"there is no user {user} on this machine") from None
        # A container may run under a number that has no name.
        own = str(own_uid)
        return Account(own, _FALLBACK_HOME, _FALLBACK_SHELL, own_uid, os.getegid(), (), False)
    is_other = entry.pw_uid != own_uid
    if is_other and own_uid != 0:
        raise StartRefused(
            f"CronCord does not run as root on this machine, so it cannot start a script as {user}"
        )
    return Account(
        name=entry.pw_name,
        home=entry.pw_dir or _FALLBACK_HOME,
        shell=_FALLBACK_SHELL if entry.pw_shell in _NO_SHELLS else entry.pw_shell,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)) if is_other else (),
        is_other=is_other,
    )
