"""Committed commands per second and their latency, ours beside etcd's, in the same run.

    python benchmarks/consensus/run.py [--rounds 3] [--seconds 2] [--bytes 200]

Ours: three processes on loopback, journal synced, connections encrypted; a command counts when it
is applied on the node it was proposed on. Rounds alternate; printed are medians over the rounds
with the least and the greatest, and how ours compares with etcd's round by round: the ratio of
throughputs (more is better) and of median latencies (less is better).
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etcd import Etcd, is_available

from croncord.tls.directory import Directory, NodeWish

IN_FLIGHT = (1, 32, 512)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Ours:
    """Three nodes."""

    def __init__(self, directory: Path, ports: list[int], *more: str) -> None:
        members = {f"n{i}": f"127.0.0.1:{port}" for i, port in enumerate(ports[:3])}
        member = str(Path(__file__).with_name("member.py"))
        self._processes = [
            subprocess.Popen(
                [sys.executable, member, name, str(directory / name), json.dumps(members), *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for name in members
        ]

    @staticmethod
    def _ask(process: subprocess.Popen[str], **request: object) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    def load(self, *, at_leader: bool, in_flight: int, seconds: int, size: int) -> dict[str, float]:
        """Propose on the leader or a follower."""
        for _ in range(100):
            for process in self._processes:
                status = self._ask(process, do="status")
                if (status["role"] == "leader") == at_leader and status["quorum"]:
                    return self._ask(
                        process, do="load", in_flight=in_flight, seconds=seconds, bytes=size
                    )
            time.sleep(0.1)
        raise RuntimeError("no leader")

    def stop(self) -> None:
        """End all nodes."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


class OursUnderTls(Ours):
    """Three nodes with certificates."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        tls = directory / "tls"
        wishes = [NodeWish(f"n{number}") for number in range(3)]
        Directory(tls, datetime.now(UTC)).provide(wishes, days=1)
        super().__init__(directory, ports, str(tls))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--no-etcd", action="store_true")
    options = parser.parse_args()
    systems: dict[str, Any] = {"croncord": Ours}
    if options.tls:
        systems["under TLS"] = OursUnderTls
    if options.no_etcd:
        pass
    elif is_available():
        systems["etcd"] = Etcd
    else:
        print("etcd, etcdctl or wrk is missing: measuring only ours")
    results: dict[tuple[bool, int, str], list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name, system in systems.items():
            with tempfile.TemporaryDirectory() as directory:
                running = system(Path(directory), free_ports(6))
                try:
                    for at_leader in (True, False):
                        for in_flight in IN_FLIGHT:
                            found = running.load(
                                at_leader=at_leader,
                                in_flight=in_flight,
                                seconds=options.seconds,
                                size=options.bytes,
                            )
                            results.setdefault((at_leader, in_flight, name), []).append(found)
                finally:
                    running.stop()
    print(f"load average {os.getloadavg()}, {os.cpu_count()} cores, {options.bytes} bytes")
    print(f"{'at':8} {'in flight':>9} {'system':>8} {'per s':>24} {'p50 ms':>20} {'p99 ms':>24}")
    for (at_leader, in_flight, name), found in sorted(results.items(), reverse=True):
        columns = [
            spread([one[key] for one in found]) for key in ("per_second", "p50_ms", "p99_ms")
        ]
        where = "leader" if at_leader else "follower"
        print(f"{where:8} {in_flight:9} {name:>8} ", end="")
        print(f"{columns[0]:>24} {columns[1]:>20} {columns[2]:>24}")
    if "etcd" in systems:
        print_ratios(results)


def spread(values: list[float]) -> str:
    """Return median, least and greatest."""
    digits = 0 if max(values) > 100 else 2
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def print_ratios(results: dict[tuple[bool, int, str], list[dict[str, float]]]) -> None:
    """Print ours over etcd's, round by round."""
    for at_leader, in_flight, name in sorted(results, reverse=True):
        if name != "etcd":
            continue
        pairs = list(
            zip(
                results[at_leader, in_flight, "croncord"],
                results[at_leader, in_flight, "etcd"],
                strict=True,
            )
        )
        ratios = {
            key: spread([ours[key] / theirs[key] for ours, theirs in pairs])
            for key in ("per_second", "p50_ms")
        }
        where = "leader" if at_leader else "follower"
        print(
            f"{where:8} {in_flight:9}: throughput {ratios['per_second']} x etcd's, "
            f"p50 {ratios['p50_ms']} x etcd's"
        )


if __name__ == "__main__":
    main()
