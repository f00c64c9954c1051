r"""The shim's side of its control socket, on which any number of daemons may listen.

    to the shim    `k SECONDS\n`  end the script with that grace
                   `r\n`          tell me when more has been written than there is now
    from the shim  `d`            more has been written
                   `t`            the first signal is sent
                   end of file    the shim is done

A listener is told of news once, until it asks again: a loud script costs one `d` for each time the
listener has read everything, not one for each frame.

Imported by the shim: standard library only.
"""

import contextlib
import functools
import select
import socket
from collections.abc import Callable


class Turnstile:
    """Waits for descriptors and calls who handles them; single-threaded."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], object]] = {}

    def add(self, descriptor: int, handler: Callable[[], object]) -> None:
        """Call the handler whenever the descriptor can be read or has ended."""
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Wait for it no longer."""
        del self._handlers[descriptor]
        self._poll.unregister(descriptor)

    def turn(self, wait_seconds: float | None) -> None:
        """Wait that long at most, None for ever, and handle what there is."""
        wait_ms = None if wait_seconds is None else int(max(0.0, wait_seconds) * 1000) + 1
        for descriptor, _ in self._poll.poll(wait_ms):
            handler = self._handlers.get(descriptor)
            if handler is not None:  # else an earlier handler of this turn removed it
                handler()


class Control:
    """Listens at a path; `on_kill` is called with the grace in seconds."""

    def __init__(self, path: str, turnstile: Turnstile, on_kill: Callable[[float], None]) -> None:
        self._turnstile = turnstile
        self._on_kill = on_kill
        self._listeners: dict[int, socket.socket] = {}
        self._told: set[int] = set()
        """Listeners that were told of news and have not asked again."""
        self._owed: set[int] = set()
        """Those of them for whom more was written meanwhile."""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        self._server.setblocking(False)
        turnstile.add(self._server.fileno(), self._accept)

    def tell_news(self) -> None:
        """Tell every listener that more has been written."""
        self._owed |= self._told
        for number in self._listeners.keys() - self._told:
            self._told.add(number)
            self._say(self._listeners[number], b"d")

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            listener, _ = self._server.accept()
            listener.setblocking(False)
            self._listeners[listener.fileno()] = listener
            self._told.add(listener.fileno())
            self._turnstile.add(listener.fileno(), functools.partial(self._hear, listener))

    def _hear(self, listener: socket.socket) -> None:
        try:
            said = listener.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if not said:
            self._hang_up(listener)
        for line in said.splitlines():
            if line == b"r":
                self._ask_again(listener)
            elif line.startswith(b"k ") and line[2:].isdigit():
                self._on_kill(float(line[2:]))
                self._say(listener, b"t")

    def _hang_up(self, listener: socket.socket) -> None:
        number = listener.fileno()
        self._turnstile.remove(number)
        del self._listeners[number]
        self._told.discard(number)
        self._owed.discard(number)
        listener.close()

    def _ask_again(self, listener: socket.socket) -> None:
        if listener.fileno() in self._owed:
            self._owed.discard(listener.fileno())
            self._say(listener, b"d")
        else:
            self._told.discard(listener.fileno())

    def _say(self, listener: socket.socket, word: bytes) -> None:
        # One that does not listen harms only itself; that it left is noticed by `_hear`.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            listener.send(word)
