"""Real nodes for tests: `croncord serve` processes on loopback, asked over HTTP like a user would."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from croncord.node.group_home import remove_home

TOKEN = "fleet-token-0123456789"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class FleetNode:
    """One `croncord serve` process."""

    def __init__(self, fleet: "Fleet", name: str, http: int, raft: int, arguments: list[str]):
        self.fleet = fleet
        self.name = name
        self.url = f"http://127.0.0.1:{http}"
        self.raft = f"127.0.0.1:{raft}"
        self.data_dir = fleet.directory / name
        self.log = fleet.directory / f"{name}.log"
        self._arguments = arguments
        self.process: subprocess.Popen | None = None
        self.ca: Path | None = None
        """The authority that signed its certificate, once it has one."""

    def start(self, *, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "croncord", "serve", *self._arguments]
        command += ["--name", self.name, "--data-dir", str(self.data_dir)]
        command += ["--http", self.url.rpartition("/")[2], "--raft", self.raft]
        command += ["--bootstrap-token-file", str(self.fleet.token_file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self) -> None:
        """Pull the plug on the daemon: SIGKILL, no goodbye."""
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 20) -> int:
        """Ask it to end and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def call(self, method: str, path: str, body=None, *, timeout_seconds=10, **headers) -> Answer:
        """Make one request with the admin token; HTTP errors are answers too."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {TOKEN}")
        if data is not None and not isinstance(body, bytes):
            request.add_header("Content-Type", "application/json")
        for key, value in headers.items():
            request.add_header(key.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=timeout_seconds, context=self._trust()
            ) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def _trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca) if self.ca else None

    def get(self, path: str, **headers):
        """GET and return the JSON of a 200."""
        answer = self.call("GET", path, **headers)
        assert answer.status == 200, (path, answer.status, answer.body[:300])
        return answer.json()

    def post(self, path: str, body=None, *, expect=(200, 201, 202, 204)):
        """POST and return the JSON."""
        answer = self.call("POST", path, body if body is not None else {})
        assert answer.status in expect, (path, answer.status, answer.body[:500])
        return answer.json() if answer.body else None


class Fleet:
    """A cluster of real processes in a directory of its own; use as a context manager."""

    def __init__(self, directory: Path, count: int = 3, *arguments: str) -> None:
        self.directory = directory
        self.token_file = directory / "token"
        self.token_file.write_text(TOKEN)
        secret = directory / "secret"
        secret.write_text("a secret for tests only, 32 chars")
        secret.chmod(0o600)
        ports = free_ports(2 * count)
        names = [f"n{index + 1}" for index in range(count)]
        common = list(arguments)
        if count > 1:
            common += ["--secret-file", str(secret)]
            for index, name in enumerate(names):
                http, raft = ports[2 * index : 2 * index + 2]
                common += ["--peer", f"{name}=127.0.0.1:{raft},http://127.0.0.1:{http}"]
        self.nodes = [
            FleetNode(self, name, ports[2 * index], ports[2 * index + 1], common)
            for index, name in enumerate(names)
        ]

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        self.wait_ready()
        return self

    def __exit__(self, *_error) -> None:
        for node in self.nodes:
            if node.is_alive:
                with contextlib.suppress(ProcessLookupError):
                    node.signal(signal.SIGCONT)
                    node.signal(signal.SIGTERM)
        for node in self.nodes:
            if node.process is not None:
                try:
                    node.process.wait(15)
                except subprocess.TimeoutExpired:
                    node.kill()
            remove_home(node.data_dir / "runs")

    def __getitem__(self, name: str) -> FleetNode:
        return next(node for node in self.nodes if node.name == name)

    def alive(self) -> list[FleetNode]:
        return [node for node in self.nodes if node.is_alive]

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until every living node says it is caught up, knows all and has heard of the living."""
        for node in self.alive():
            wait_for(lambda node=node: self._is_ready(node), seconds, f"{node.name} ready")

    def _is_ready(self, node: FleetNode) -> bool:
        if not node.is_alive:
            raise AssertionError(f"{node.name} ended:\n{node.log.read_text()[-2000:]}")
        try:
            if node.call("GET", "/readyz").status != 200:
                return False
            known = node.get("/api/v1/nodes")["items"]
        except (OSError, AssertionError):
            return False
        heard = {each["name"] for each in known if each["cpu_percent"] is not None}
        return len(known) == len(self.nodes) and heard >= {each.name for each in self.alive()}

    def leader(self) -> FleetNode:
        """Return the living node that the living ones agree on."""

        def agreed():
            names = set()
            for node in self.alive():
                try:
                    names.add(node.get("/api/v1/cluster?stale=allow")["leader"])
                except (OSError, AssertionError):
                    return None
            if len(names) != 1 or None in names:
                return None
            found = self[names.pop()]
            return found if found.is_alive else None

        return wait_for(agreed, 60, "a leader that all agree on")

    def followers(self) -> list[FleetNode]:
        leader = self.leader()
        return [node for node in self.alive() if node is not leader]

    def wait_run(self, run_id: str, *states: str, node=None, seconds: float = 30) -> dict:
        """Wait until a run is in one of the states (any final one when none is named)."""
        final = states or (
            "succeeded",
            "failed",
            "timed_out",
            "killed",
            "skipped",
            "missed",
            "lost",
        )

        def reached():
            try:
                run = (node or self.alive()[0]).get(f"/api/v1/runs/{run_id}")
            except (OSError, AssertionError):
                return None
            return run if run["state"] in final else None

        return wait_for(reached, seconds, f"run {run_id} in {final}")


def wait_for(check, seconds: float, what: str):
    """Return the first true value of `check`, asked every 50 ms; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
