"""The other end of NOTIFY_SOCKET, as systemd has it."""

import contextlib
import socket
import time


class NotifySocket:
    """Receives what a daemon says about itself; use as a context manager."""

    def __init__(self, address: str) -> None:
        """Take a path, or `@name` for an abstract one."""
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.heard: list[dict[str, str]] = []

    def __enter__(self):
        return self

    def __exit__(self, *_error) -> None:
        self._socket.close()

    def messages(self) -> list[dict[str, str]]:
        """Take what has arrived; returns all messages since the beginning."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(65536).decode().split("\n")
                self.heard.append(dict(line.split("=", 1) for line in lines))
        return self.heard

    def forget(self) -> None:
        """Take what has arrived and begin anew."""
        self.messages()
        self.heard = []

    def wait(self, name: str, text: str = "", *, seconds: float = 60) -> dict[str, str]:
        """Return the first message with that name and, within its value, that text."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self.messages():
                if text in message.get(name, "") and name in message:
                    return message
            assert time.monotonic() < deadline, f"no {name}={text} in {self.heard}"
            time.sleep(0.05)
