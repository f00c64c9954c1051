"""Tells systemd, or whoever started this daemon, how it is: sd_notify(3) in plain socket code.

Datagrams of `NAME=value` lines go to the socket that NOTIFY_SOCKET names. Nobody answers, and nobody is
waited for. What cannot be sent, because the other end has not read for a while, is left out; `ready` and
`status` are owed then, and told with the next `settle`.
"""

import logging
import socket
from collections.abc import MutableMapping
from typing import Final, Self

log = logging.getLogger(__name__)

MICROSECONDS: Final = 1_000_000
_STATUS_CHARACTERS_MAX: Final = 300


class ServiceManager:
    """The other end of NOTIFY_SOCKET; without one, everything here does nothing."""

    def __init__(self, address: str = "", *, watchdog_seconds: float = 0.0) -> None:
        """Take the path of the socket, or `@name` of an abstract one."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_seconds = watchdog_seconds
        """Within so many seconds it wants to hear `alive` again, 0 for never."""
        self.was_told_ready = False
        self._owes_ready = False
        self._status = ""
        self._told_status = ""
        self._cannot_be_told = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> Self:
        """Read what is meant for the process `pid`, and take it away: children are not meant."""
        address = environment.pop("NOTIFY_SOCKET", "")
        interval = environment.pop("WATCHDOG_USEC", "")
        meant_for = environment.pop("WATCHDOG_PID", "") or str(pid)
        if not interval.isdecimal() or meant_for != str(pid):
            interval = "0"
        known = address if address.startswith(("/", "@")) else ""
        return cls(known, watchdog_seconds=int(interval) / MICROSECONDS if known else 0.0)

    @property
    def is_there(self) -> bool:
        """Whether anybody wants to know."""
        return bool(self._address)

    def ready(self) -> None:
        """Say that the start, or the reloading, is done."""
        self.was_told_ready = True
        self._owes_ready = True
        self.settle()

    def settle(self) -> None:
        """Say again what should be known and could not be sent."""
        if self._owes_ready and self._tell("READY=1"):
            self._owes_ready = False
        if self._told_status != self._status and self._tell(f"STATUS={self._status}"):
            self._told_status = self._status

    def reloading(self, monotonic_seconds: float) -> None:
        """Say that settings are read again; `ready` ends that."""
        if self.was_told_ready:
            stamp = int(monotonic_seconds * MICROSECONDS)
            self._tell("RELOADING=1", f"MONOTONIC_USEC={stamp}")

    def reloaded(self) -> None:
        """Say that reading again is done."""
        if self.was_told_ready:
            self.ready()

    def stopping(self) -> None:
        """Say that the daemon ends, of itself or because it was told to."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """Say that all is well; to be repeated within `watchdog_seconds`."""
        self._tell("WATCHDOG=1")

    def starting(self, seconds: float) -> None:
        """Ask for so many seconds more from now on: the start goes on, and takes its time."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * MICROSECONDS)}")

    def status(self, sentence: str) -> None:
        """Say in a line how the daemon is, for `systemctl status`; told when it changes."""
        self._status = " ".join(sentence.split())[:_STATUS_CHARACTERS_MAX]
        self.settle()

    def _tell(self, *lines: str) -> bool:
        if not self._address:
            return True
        message = "\n".join(lines).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
                unix.setblocking(False)
                unix.sendto(message, self._address)
        except OSError as error:
            if not self._cannot_be_told:
                self._cannot_be_told = True
                log.warning("the service manager cannot be told %s: %s", lines[0], error)
            return False
        self._cannot_be_told = False
        return True
