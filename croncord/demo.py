"""`croncord demo`: a whole cluster on this machine, with sample jobs, that leaves nothing behind."""

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from yarl import URL

from croncord.cli.client import Client
from croncord.cli.connection import Connection
from croncord.cli.parser import Nouns, at_least_one
from croncord.config import HTTP_PORT
from croncord.errors import CronCordError, NotReady
from croncord.node.clearing import end_runs

NODES_MAX = 7
START_SECONDS = 60.0
STOP_SECONDS = 20.0

SAMPLES: tuple[dict[str, Any], ...] = (
    {
        "name": "heartbeat",
        "description": "Says every ten seconds where it runs.",
        "schedule": "*/10 * * * * *",
        "tags": ["demo"],
        "script": 'echo "alive on $CRONCORD_NODE at $(date -u +%T), fence $CRONCORD_FENCE"\n',
    },
    {
        "name": "nightly-report",
        "description": "A Python script on a schedule with a time zone.",
        "schedule": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "tags": ["demo", "report"],
        "script": "#!/usr/bin/env python3\nimport os, platform\n"
        'print("report from", platform.node(), "for", os.environ["CRONCORD_NOMINAL_TIME"])\n',
    },
    {
        "name": "slow-import",
        "description": "Takes a minute and a half; watch it live, or kill it.",
        "schedule": "*/3 * * * *",
        "overlap": "skip",
        "tags": ["demo"],
        "script": 'for i in $(seq 1 90); do echo "row batch $i of 90"; sleep 1; done\n',
    },
    {
        "name": "flaky-sync",
        "description": "Fails every other time, and is tried again on another node.",
        "schedule": "* * * * *",
        "retries": {"count": 1, "delay_seconds": 5, "other_node": True},
        "tags": ["demo"],
        "script": 'if [ $((RANDOM % 2)) = 0 ]; then echo "no route to upstream" >&2; exit 1; fi\n'
        "echo synced\n",
    },
    {
        "name": "disk-check",
        "description": "Runs on every node.",
        "schedule": "*/5 * * * *",
        "target": {"every_node": True},
        "tags": ["demo", "ops"],
        "script": "df -h / | tail -1\n",
    },
)


def add_parser(nouns: Nouns[Any]) -> None:
    """Add the command `demo`."""
    parser = nouns.add_parser(
        "demo",
        help="a whole cluster on this machine, to try",
        description="Run a whole cluster on this machine, with sample jobs. Ctrl-C ends it and "
        "removes everything.",
        epilog="examples:\n  croncord demo\n  croncord demo --nodes 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--nodes", type=at_least_one, default=3, metavar="N", help="how many; default 3"
    )
    parser.set_defaults(handler=_demo)


def _demo(args: argparse.Namespace) -> int:
    return asyncio.run(run_demo(min(args.nodes, NODES_MAX)))


async def run_demo(count: int) -> int:
    """Run `count` nodes until TERM or INT; returns the exit status."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    directory = Path(tempfile.mkdtemp(prefix="croncord-demo-"))
    cluster = _DemoCluster(directory, count)
    try:
        await cluster.start(ended)
        if not ended.is_set():
            await cluster.fill()
            await cluster.announce()
            await cluster.watch(ended)
    finally:
        _say("Stopping; ending what still runs.")
        await cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


class _DemoCluster:
    """The nodes, as processes of this program."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._token = secrets.token_urlsafe(24)
        http = [_port(HTTP_PORT + index) for index in range(count)]
        raft = [_port(0) for _ in range(count)]
        self._urls = [f"http://127.0.0.1:{port}" for port in http]
        self._arguments = [
            [
                "--name",
                f"n{index + 1}",
                "--data-dir",
                str(directory / f"n{index + 1}"),
                "--http",
                f"127.0.0.1:{http[index]}",
                "--raft",
                f"127.0.0.1:{raft[index]}",
            ]
            for index in range(count)
        ]
        self._common: list[str] = []
        for name, content in (("secret", secrets.token_urlsafe(32)), ("token", self._token)):
            path = directory / name
            path.touch(mode=0o600)
            path.write_text(content, encoding="ascii")
        if count > 1:
            self._common += ["--secret-file", str(directory / "secret")]
            for index in range(count):
                self._common += [
                    "--peer",
                    f"n{index + 1}=127.0.0.1:{raft[index]},{self._urls[index]}",
                ]
        self._common += ["--bootstrap-token-file", str(directory / "token")]
        self._processes: list[asyncio.subprocess.Process] = []

    def _client(self) -> Client:
        urls = tuple(URL(url) for url in self._urls)
        return Client(Connection(urls=urls, token=self._token))

    async def start(self, ended: asyncio.Event) -> None:
        _say(f"Starting {len(self._arguments)} nodes in {self._directory} …")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CRONCORD_")}
        for arguments in self._arguments:
            with (self._directory / f"{arguments[1]}.log").open("ab") as log:
                self._processes.append(
                    await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "croncord", "serve", *arguments, *self._common),
                        stdout=log,
                        stderr=log,
                        env=environment,
                        # Ctrl-C is for this process: it ends the nodes in order.
                        start_new_session=True,
                    )
                )
        async with self._client() as client:
            try:
                async with asyncio.timeout(START_SECONDS):
                    while not ended.is_set() and not await self._all_joined(client):
                        await asyncio.sleep(0.2)
            except TimeoutError:
                raise NotReady(
                    f"the nodes did not come up within {START_SECONDS:g} s",
                    hint=f"Their logs: {self._last_words()}",
                ) from None

    async def _all_joined(self, client: Client) -> bool:
        dead = [process for process in self._processes if process.returncode is not None]
        if dead:
            raise NotReady("a node ended at once", hint=self._last_words())
        try:
            nodes = (await client.get("/api/v1/nodes"))["items"]
        except CronCordError:
            return False
        return len(nodes) == len(self._processes)

    def _last_words(self) -> str:
        logs = sorted(self._directory.glob("*.log"))
        return " | ".join(log.read_text(errors="replace").strip()[-300:] for log in logs)

    async def fill(self) -> None:
        """Create the sample jobs and start some, so that there is something to see."""
        async with self._client() as client:
            for sample in SAMPLES:
                await client.put(f"/api/v1/jobs/{sample['name']}", sample)
            for name in ("nightly-report", "slow-import", "disk-check"):
                await client.post(f"/api/v1/jobs/{name}/run", {})

    async def announce(self) -> None:
        async with self._client() as client:
            link = await client.post("/api/v1/signin-link", {})
        _say("")
        _say(f"CronCord is running on {', '.join(self._urls)}")
        _say(f"Sign in once with   {link['url']}")
        _say(
            f"From a terminal     export CRONCORD_URL={self._urls[0]} CRONCORD_TOKEN={self._token}"
        )
        _say("Ctrl-C ends it and leaves nothing behind.")

    async def watch(self, ended: asyncio.Event) -> None:
        """Wait for the signal; say when a node ends, as it does when somebody tries kill -9."""
        waits = {asyncio.create_task(ended.wait())}
        names = {}
        for arguments, process in zip(self._arguments, self._processes, strict=True):
            task = asyncio.create_task(process.wait())
            names[task] = arguments[1]
            waits.add(task)  # type: ignore[arg-type]  # results are not looked at
        while not ended.is_set() and len(waits) > 1:
            done, waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task in names:
                    _say(f"{names[task]} ended; the others go on as long as they are a majority.")
        for task in waits:
            task.cancel()

    async def stop(self) -> None:
        """End running scripts, then the nodes."""
        with contextlib.suppress(CronCordError):
            # Without a majority this cannot be agreed; the scripts are ended below all the same.
            async with self._client() as client, asyncio.timeout(STOP_SECONDS / 2):
                for name in [sample["name"] for sample in SAMPLES]:
                    await client.delete(f"/api/v1/jobs/{name}", {"kill": "true"})
                while (await client.get("/api/v1/runs", {"state": "running"}))["items"]:
                    await asyncio.sleep(0.2)
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._processes:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        for directory in self._directory.glob("*/runs"):
            await end_runs(directory, grace_seconds=0)


def _port(wanted: int) -> int:
    """Return the wanted port of the loopback, or a free one when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _port(0)
        port: int = probe.getsockname()[1]
        return port


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
