"""Three etcd members on loopback, loaded by wrk through etcd's HTTP gateway.

Sync is on (etcd's default), TLS between members is off: the comparison favours etcd there. Each
request goes through HTTP and JSON, as etcd's own clients would go through gRPC.
"""

import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

LUA = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
  io.write(string.format("RESULT %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def is_available() -> bool:
    return all(shutil.which(program) for program in ("etcd", "etcdctl", "wrk"))


class Etcd:
    """Three members."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        self._directory = directory
        self._clients = [f"http://127.0.0.1:{port}" for port in ports[:3]]
        peers = [f"http://127.0.0.1:{port}" for port in ports[3:6]]
        cluster = ",".join(f"e{i}={peer}" for i, peer in enumerate(peers))
        self._processes = [
            subprocess.Popen(
                [
                    "etcd",
                    *("--name", f"e{i}", "--data-dir", str(directory / f"e{i}")),
                    *("--listen-client-urls", client, "--advertise-client-urls", client),
                    *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                    *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
                    *("--logger", "zap", "--log-level", "error"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for i, (client, peer) in enumerate(zip(self._clients, peers, strict=True))
        ]

    def leader(self) -> int:
        """Return which member leads."""
        for _ in range(100):
            for number, client in enumerate(self._clients):
                found = subprocess.run(
                    ["etcdctl", "--endpoints", client, "endpoint", "status", "-w", "json"],
                    capture_output=True,
                    env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/usr/local/bin"},
                    check=False,
                )
                try:
                    status = json.loads(found.stdout)[0]["Status"]
                except (ValueError, IndexError):
                    continue
                if status["leader"] == status["header"]["member_id"]:
                    return number
            time.sleep(0.2)
        raise RuntimeError("etcd found no leader")

    def load(self, *, at_leader: bool, in_flight: int, seconds: int, size: int) -> dict[str, float]:
        """Put one key over and over."""
        leader = self.leader()
        number = leader if at_leader else (leader + 1) % 3
        key, value = (base64.b64encode(b).decode() for b in (b"key", b"x" * size))
        script = self._directory / "put.lua"
        script.write_text(LUA % json.dumps({"key": key, "value": value}))
        found = subprocess.run(
            [
                *("wrk", "-t1", f"-c{in_flight}", f"-d{seconds}s", "-s", str(script)),
                f"{self._clients[number]}/v3/kv/put",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", found)
        assert match is not None, found
        requests, microseconds, p50, p99 = map(int, match.groups())
        return {
            "per_second": requests / microseconds * 1e6,
            "p50_ms": p50 / 1e3,
            "p99_ms": p99 / 1e3,
        }

    def stop(self) -> None:
        """End all members."""
        for process in self._processes:
            process.kill()
            process.wait()
