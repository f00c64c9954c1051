"""Real processes, real disks, kill -9."""

import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

MEMBER = Path(__file__).with_name("raft_member.py")
pytestmark = pytest.mark.cluster


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Member:
    """One node process."""

    def __init__(self, name, directory, members):
        self.name = name
        self._command = [
            sys.executable,
            str(MEMBER),
            name,
            str(directory / name),
            "a shared secret",
            json.dumps(members),
        ]
        self._numbers = itertools.count()
        self._log = directory / f"{name}.log"
        self.start()

    def start(self):
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        assert self.process.stdout.readline() == "ready\n", self._log.read_text()

    def ask(self, do, **fields):
        number = next(self._numbers)
        self.process.stdin.write(json.dumps({"n": number, "do": do, **fields}) + "\n")
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer["n"] == number:
                return answer

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def members(tmp_path):
    addresses = {name: f"127.0.0.1:{free_port()}" for name in ("ada", "bob", "cyd")}
    nodes = {name: Member(name, tmp_path, addresses) for name in addresses}
    yield nodes
    for node in nodes.values():
        if node.process.poll() is None:
            node.close()


def leader_of(nodes):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for node in nodes:
            if node.ask("status")["role"] == "leader":
                return node
        time.sleep(0.05)
    raise AssertionError("no leader within 20 s")


def test_what_any_node_confirmed_survives_the_death_of_the_leader(members):
    for name, node in members.items():
        assert node.ask("put", id=f"from-{name}")["ok"]
    leader = leader_of(members.values())
    leader.kill()
    rest = [node for node in members.values() if node is not leader]
    for node in rest:
        assert node.ask("put", id=f"after-{node.name}")["ok"]
    leader.start()
    states = [node.ask("barrier") for node in members.values()]
    assert all(state["ok"] for state in states)
    expected = {f"from-{name}" for name in members} | {f"after-{node.name}" for node in rest}
    assert all(set(state["jobs"]) == expected for state in states)
    assert len({state["digest"] for state in states}) == 1


def test_nothing_is_lost_when_all_nodes_are_killed_at_once(members):
    nodes = list(members.values())
    for number in range(20):
        assert nodes[number % 3].ask("put", id=f"job-{number}")["ok"]
    nodes[0].ask("snapshot")
    for number in range(20, 30):
        assert nodes[number % 3].ask("put", id=f"job-{number}")["ok"]
    for node in nodes:
        node.kill()
    for node in nodes:
        node.start()
    states = [node.ask("barrier") for node in nodes]
    assert [len(state["jobs"]) for state in states] == [30, 30, 30]
    assert len({state["digest"] for state in states}) == 1


def test_leadership_can_be_handed_over_without_losing_a_command(members):
    leader = leader_of(members.values())
    term = leader.ask("status")["term"]
    answer = leader.ask("transfer")
    assert answer["role"] != "leader"
    assert leader.ask("put", id="after")["ok"]
    assert leader.ask("status")["term"] == term + 1
