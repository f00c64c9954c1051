"""Names to addresses without making the engine's thread wait."""

import ipaddress
import queue
import socket
import threading
import time
from typing import Any, Final

from croncord.errors import ConfigError

FRESH_SECONDS: Final = 30.0
Target = tuple[socket.AddressFamily, Any]


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port". Raises ConfigError."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{address!r} is no address", hint="Write it as host:port.")
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether an address can only be reached from this machine."""
    host, _port = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Resolver:
    """Looks host names up on a thread of its own; numeric addresses need none."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Target | None]] = {}
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._pending: set[str] = set()
        self._thread: threading.Thread | None = None

    def resolve(self, address: str) -> Target | None:
        """Return where to connect to, or None while that is not known."""
        host, port = split_address(address)
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            return self._look_up(address)
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        return family, (host, port)

    def _look_up(self, address: str) -> Target | None:
        at, target = self._known.get(address, (0.0, None))
        if (target is None or time.monotonic() - at > FRESH_SECONDS) and (
            address not in self._pending
        ):
            self._pending.add(address)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="raft-dns", daemon=True)
                self._thread.start()
            self._asked.put(address)
        return target

    def _work(self) -> None:
        while (address := self._asked.get()) is not None:
            host, port = split_address(address)
            target: Target | None = None
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                target = (found[0][0], found[0][4])
            except OSError:
                pass  # unknown for now: asked again with the next attempt to connect
            self._known[address] = (time.monotonic(), target)
            self._pending.discard(address)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._asked.put(None)
