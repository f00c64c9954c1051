"""Ten minutes of fuzzed bytes on the Raft port: nothing changes, nothing crashes, memory is flat.

    python tests/soak/raft_fuzz.py --minutes 10

Three node processes on loopback agree on commands at a low rate, while strangers connect to all of
them and send random bytes, announce huge frames, stop halfway, drip, and repeat real greetings
with changed bits. Others know the secret: they complete the handshake under a name that is no
member's and then send garbage, sealed garbage, and messages with a wrong or missing field. (What
they could say in well-formed messages is believed: consensus assumes that members do not lie.)
Prints memory and descriptors per minute; exit status 1 when a term changed, a command was not
confirmed, a process ended, states differ, or memory grew by more than a tenth after the first
minute.
"""

# ruff: noqa: T201 - a tool talks to people on standard output

import argparse
import asyncio
import contextlib
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "raft"))

from raft_group import agree, group

from croncord.raft.wire import messages
from croncord.raft.wire.handshake import PROOF_BYTES, Handshake

SECRET = b"a shared secret"
JOBS = 50
REPORT_SECONDS = 60
GROWTH_ALLOWED = 1.1


class Stranger:
    """One attacker; what it does is drawn from its own generator."""

    def __init__(self, seed: int, ports: list[int]) -> None:
        self.rng, self.ports = random.Random(seed), ports
        self.done: Counter = Counter()
        self.stopping = False

    def run(self) -> None:
        """Attack until told to stop."""
        tricks = (
            self.random_bytes,
            self.huge_frame,
            self.halfway,
            self.drips,
            self.changed_greeting,
            self.raw_garbage_inside,
            self.sealed_garbage,
            self.spoiled_messages,
        )
        while not self.stopping:
            trick = self.rng.choice(tricks)
            with contextlib.suppress(OSError), self.connect() as sock:
                trick(sock)
                self.done[trick.__name__] += 1

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.rng.choice(self.ports)), timeout=2)
        sock.settimeout(2)
        return sock

    def random_bytes(self, sock: socket.socket) -> None:
        sock.sendall(self.rng.randbytes(self.rng.choice([1, 4, 5, 100, 5_000, 100_000])))

    def huge_frame(self, sock: socket.socket) -> None:
        length = self.rng.choice([1025, 2**16, 2**24 + 1, 2**31, 2**32 - 1])
        sock.sendall(struct.pack(">I", length) + self.rng.randbytes(10_000))

    def halfway(self, sock: socket.socket) -> None:
        hello = self.handshake().hello
        whole = struct.pack(">I", len(hello)) + hello
        sock.sendall(whole[: self.rng.randrange(len(whole) + 1)])
        time.sleep(self.rng.choice([0.0, 0.1, 1.0]))

    def drips(self, sock: socket.socket) -> None:
        for _ in range(self.rng.randrange(20)):
            sock.sendall(self.rng.randbytes(1))
            time.sleep(0.01)

    def changed_greeting(self, sock: socket.socket) -> None:
        hello = bytearray(self.handshake().hello)
        for _ in range(self.rng.choice([1, 1, 5])):
            hello[self.rng.randrange(len(hello))] ^= 1 << self.rng.randrange(8)
        sock.sendall(struct.pack(">I", len(hello)) + hello + self.rng.randbytes(PROOF_BYTES))
        sock.recv(4096)

    # -- these know the secret ---------------------------------------------------------------

    def handshake(self) -> Handshake:
        name = f"eve{self.rng.randrange(1000)}"
        return Handshake(name=name, address="127.0.0.1:1", secret=SECRET, is_client=True)

    def enter(self, sock: socket.socket):
        """Complete a handshake; returns the cipher for what is sent."""
        mine = self.handshake()
        sock.sendall(struct.pack(">I", len(mine.hello)) + mine.hello)
        (length,) = struct.unpack(">I", self.take(sock, 4))
        mine.receive_hello(self.take(sock, length))
        mine.check_proof(self.take(sock, PROOF_BYTES))
        sock.sendall(mine.proof())
        return mine.ciphers()[0]

    @staticmethod
    def take(sock: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = sock.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def raw_garbage_inside(self, sock: socket.socket) -> None:
        self.enter(sock)
        self.random_bytes(sock)

    def seal(self, cipher, body: bytes) -> bytes:
        header = struct.pack(">I", len(body) + cipher.overhead)
        return header + cipher.seal(body, header)

    def sealed_garbage(self, sock: socket.socket) -> None:
        cipher = self.enter(sock)
        for _ in range(self.rng.randrange(1, 5)):
            sock.sendall(self.seal(cipher, self.rng.randbytes(self.rng.randrange(2_000))))

    def spoiled_messages(self, sock: socket.socket) -> None:
        cipher = self.enter(sock)
        kind = self.rng.choice([kind for kind, fields in messages.FIELDS.items() if fields])
        message = {name: self.value(types) for name, types in messages.FIELDS[kind].items()}
        if kind == "append_entries":
            message |= {"prevLogIdx": 1, "prevLogTerm": 1, "entries": []}
        spoiled = self.rng.choice(sorted(message))
        if self.rng.random() < 0.3:
            del message[spoiled]
        else:
            message[spoiled] = self.rng.choice([{"a": 1}, 1.5, -1, [[b"x", 7, 7]], [[[]]], None])
            if (message[spoiled] is None) and kind == "read_index":
                message[spoiled] = "none"
        if kind == "append_entries" and "prevLogIdx" not in message:
            message["term"] = "without this field it is a heartbeat"
        sock.sendall(self.seal(cipher, messages.encode({"type": kind, **message})))
        sock.recv(1)

    def value(self, types):
        kind = types[0] if isinstance(types, tuple) else types
        return {
            int: self.rng.choice([0, 1, 2, 5, 1_000, 2**32, 2**62]),
            bool: self.rng.random() < 0.5,
            str: self.rng.choice(["", "ada", "bob", "eve", "127.0.0.1:9", "x" * 500]),
            bytes: self.rng.randbytes(self.rng.randrange(100)),
            list: [],
        }[kind]


class Memory:
    """Memory and descriptors of the nodes."""

    def __init__(self, nodes) -> None:
        self._processes = {name: psutil.Process(node.process.pid) for name, node in nodes.items()}
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def sample(self) -> str:
        """Note and describe them."""
        self.last = {n: p.memory_info().rss / 2**20 for n, p in self._processes.items()}
        self.first = self.first or self.last
        return ", ".join(
            f"{name} {self.last[name]:.1f} MiB {process.num_fds()} descriptors"
            for name, process in self._processes.items()
        )

    def grew(self) -> bool:
        return any(self.last[name] > GROWTH_ALLOWED * self.first[name] for name in self.first)


async def run(minutes: float, strangers: int, seed: int, directory: Path) -> int:
    """Run the fuzzing; returns the exit status."""
    async with group(directory) as nodes:
        answers = [await node.ask("barrier", 30) for node in nodes.values()]
        begin = {answer["term"] for answer in answers}
        ports = [int(a.rsplit(":", 1)[1]) for a in next(iter(nodes.values()))._members.values()]
        attackers = [Stranger(seed + number, ports) for number in range(strangers)]
        threads = [threading.Thread(target=attacker.run) for attacker in attackers]
        for thread in threads:
            thread.start()
        try:
            memory, refused, confirmed = await put_meanwhile(nodes, 60 * minutes)
        finally:
            for attacker in attackers:
                attacker.stopping = True
            for thread in threads:
                await asyncio.to_thread(thread.join)
        jobs = await agree(nodes.values())
        end = {(await node.ask("status"))["term"] for node in nodes.values()}
    done = sum((attacker.done for attacker in attackers), Counter())
    print(f"connections: {done.total()}, {dict(done)}")
    print(f"terms {begin} before, {end} after; {confirmed} commands confirmed, {refused} not")
    foreign = [job for job in jobs if not job.startswith("fuzz-")]
    print(f"states equal; jobs that nobody put: {foreign}; versions {sum(jobs.values())}")
    grew = memory.grew()
    print("memory grew" if grew else "memory is flat")
    is_broken = begin != end or refused or foreign or sum(jobs.values()) != confirmed or grew
    return 1 if is_broken else 0


async def put_meanwhile(nodes, seconds):
    """Put jobs and watch memory until the time is over."""
    begin, reported = time.monotonic(), 0.0
    memory, refused, confirmed = Memory(nodes), 0, 0
    while time.monotonic() < begin + seconds:
        for node in nodes.values():
            answer = await node.ask("put", 30, id=f"fuzz-{confirmed % JOBS}")
            refused += not answer["ok"]
            confirmed += answer["ok"]
        await asyncio.sleep(1)  # few: what is agreed takes memory too
        minutes = (time.monotonic() - begin) / 60
        if time.monotonic() - reported > REPORT_SECONDS and minutes > min(1, seconds / 120):
            reported = time.monotonic()
            print(
                f"{minutes:5.1f} min, {memory.sample()}, load {os.getloadavg()[0]:.1f}", flush=True
            )
    print(f"  end    , {memory.sample()}", flush=True)
    return memory, refused, confirmed


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--strangers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="croncord-raft-fuzz-") as directory:
        return asyncio.run(run(options.minutes, options.strangers, options.seed, Path(directory)))


if __name__ == "__main__":
    sys.exit(main())
