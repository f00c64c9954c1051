"""The process that shims are forked from: small, single-threaded, with everything imported.

The daemon starts it with one end of a socket pair and sends directories; the zygote forks a shim
for each. It lives exactly as long as the other end of that socket: when the daemon is gone, so is
the zygote, while its shims go on. A daemon that comes back starts a fresh one, so a zygote is
never older than the program that uses it.

    to the zygote    a directory
    from the zygote  JSON {"event": "ready" | "failed" | "gone", "directory", "detail", "meta"}

`ready` is sent by the shim itself, when its script runs or its result says why not; `meta` is then
what the shim wrote into that file.

Why not fork in the daemon: a fork copies its page tables (20 ms at 500 MB against 1 ms here), and
the daemon has threads and open LMDB environments, which must not be forked.
"""

# Plain paths: this is loaded for every shim, where pathlib costs memory and buys nothing.
# ruff: noqa: PTH100, PTH120

import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, Final

if not __package__:  # run by path: then only the standard library is in sight
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from croncord.node.kill import boot_id
from croncord.node.shim import become_shim
from croncord.node.spawn import IGNORED

MESSAGE_BYTES: Final = 16 * 1024


class Zygote:
    """Forks a shim for every directory it is sent."""

    def __init__(self, daemon: socket.socket) -> None:
        self._daemon = daemon
        self._children: dict[int, str] = {}

    def serve(self) -> None:
        """Serve until the daemon's end is closed."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(self._daemon, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 512)
                elif not self._serve_one():
                    return
            self._reap()

    def _serve_one(self) -> bool:
        try:
            directory = self._daemon.recv(MESSAGE_BYTES).decode(errors="surrogateescape")
        except ConnectionError:  # the daemon died without reading the last word
            directory = ""
        if not directory:
            return False
        try:
            pid = os.fork()
        except OSError as error:
            self._tell("failed", directory, f"no process could be made for it: {error.strerror}")
            return True
        if pid:
            self._children[pid] = directory
        else:
            self._leave(directory)
        return True

    def _leave(self, directory: str) -> None:
        """In the forked child: never come back."""
        signal.set_wakeup_fd(-1)
        try:
            # Keep the socket for the word that all is ready, close what else the zygote holds.
            os.dup2(self._daemon.fileno(), 3, inheritable=False)
            os.closerange(4, os.sysconf("SC_OPEN_MAX"))
            self._daemon.detach()
            self._daemon = socket.socket(fileno=3)
            become_shim(directory, functools.partial(self._tell_last, directory))
        # The zygote's loop must not run twice; the trace is for whoever reads `trouble`.
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)

    def _tell_last(self, directory: str, failure: str, meta: dict[str, Any]) -> None:
        self._tell("failed" if failure else "ready", directory, failure, meta)
        self._daemon.close()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._tell("gone", self._children.pop(pid, ""))

    def _tell(
        self, event: str, directory: str, detail: str = "", meta: dict[str, Any] | None = None
    ) -> None:
        message = {"event": event, "directory": directory, "detail": detail, "meta": meta}
        with contextlib.suppress(ConnectionError):  # the daemon is gone; the next recv says so
            self._daemon.send(json.dumps(message).encode())


def main() -> None:
    """Serve on the descriptor named by the first argument."""
    # Whoever started the daemon may have had some ignored: no script is to inherit that.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):  # the C library keeps two for itself
            signal.signal(number, signal.SIG_IGN if number in IGNORED else signal.SIG_DFL)
    boot_id()  # once, not in every shim
    # Objects that exist now are shared with every shim as long as nobody touches them.
    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
