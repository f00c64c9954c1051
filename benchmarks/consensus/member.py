"""One node of the benchmark: a RaftReplica that loads itself when told to.

Reads one JSON request per line: {"do": "status"} or
{"do": "load", "in_flight": n, "seconds": s, "bytes": b}. Writes one JSON answer per line.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from croncord.credentials import User
from croncord.raft.access_commands import PutUser
from croncord.raft.replica import RaftReplica
from croncord.tls.certificate import Identity, TlsFiles
from croncord.tls.identity import NodeTls


def command(number: int, size: int) -> PutUser:
    now = datetime.now(UTC)
    user = User(name=f"user-{number % 64}", role="viewer", password="x" * size, created_at=now)
    return PutUser(at=now, user=user)


async def load(replica: RaftReplica, in_flight: int, seconds: int, size: int) -> dict[str, float]:
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def propose(worker: int) -> None:
        number = worker
        while (begin := time.perf_counter()) < end:
            await replica.propose(command(number, size), timeout_seconds=30)
            took.append(time.perf_counter() - begin)
            number += in_flight

    begin = time.perf_counter()
    await asyncio.gather(*(propose(worker) for worker in range(in_flight)))
    elapsed = time.perf_counter() - begin
    took.sort()
    return {
        "per_second": len(took) / elapsed,
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[len(took) * 99 // 100] * 1e3,
    }


def certificate(name: str, directory: Path) -> NodeTls:
    node = directory / name
    files = TlsFiles(cert=node / "cert.pem", key=node / "key.pem", ca=directory / "ca.pem")
    return NodeTls(files, Identity(name=name, host="127.0.0.1"), datetime.now(UTC))


async def main() -> None:
    name, directory, members = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    replica = RaftReplica(
        name=name,
        listen=members[name],
        members=members,
        data_dir=directory,
        secret=b"the secret of the benchmark",
        tls=certificate(name, Path(sys.argv[4])) if len(sys.argv) > 4 else None,
    )
    await replica.start()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        if request["do"] == "load":
            answer = await load(replica, request["in_flight"], request["seconds"], request["bytes"])
        else:
            status = replica.status()
            answer = {"role": status.role, "term": status.term, "quorum": status.has_quorum}
        print(json.dumps(answer), flush=True)
    await replica.stop()


if __name__ == "__main__":
    asyncio.run(main())
