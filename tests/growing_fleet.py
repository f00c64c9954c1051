"""A fleet that begins as one node and grows, shrinks and is repaired by its users' own commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fleet import TOKEN, Fleet, FleetNode, free_ports, wait_for


class GrowingFleet(Fleet):
    """One node at first; others join it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 1)

    def make_token(self, **fields) -> dict:
        return self.alive()[0].post("/api/v1/cluster/join-token", fields, expect=(201,))

    def machine(self, name: str, *arguments: str) -> FleetNode:
        """Return a machine with a free address that knows whom to join, and nothing else."""
        http, raft = free_ports(2)
        joins = [word for node in self.alive() for word in ("--join", node.url)]
        token_file = self.directory / f"{name}.join-token"
        return FleetNode(
            self, name, http, raft, [*joins, "--join-token-file", str(token_file), *arguments]
        )

    def give(self, node: FleetNode, token: str) -> None:
        (self.directory / f"{node.name}.join-token").write_text(token)

    def grow(self, name: str, *arguments: str) -> FleetNode:
        """Have a new machine join, and wait until it is as good as the others."""
        node = self.machine(name, *arguments)
        self.give(node, self.make_token()["token"])
        self.take(node)
        return node

    def take(self, node: FleetNode) -> None:
        """Start a machine as one of the fleet's nodes."""
        self.nodes = [other for other in self.nodes if other.name != node.name]
        self.nodes.append(node)
        node.start()
        wait_for(lambda: self.is_member(node), 40, f"{node.name} to be a member")

    def is_member(self, node: FleetNode) -> bool:
        if not node.is_alive:
            raise AssertionError(f"{node.name} ended:\n{node.log.read_text()[-2000:]}")
        try:
            if node.call("GET", "/readyz").status != 200:
                return False
            view = node.get(f"/api/v1/nodes/{node.name}")
        except (OSError, AssertionError):
            return False
        return view["state"] == "up" and view["role"] in ("leader", "follower")

    def roles(self, node: FleetNode | None = None) -> dict[str, str]:
        nodes = (node or self.alive()[0]).get("/api/v1/nodes")["items"]
        return {node["name"]: node["role"] for node in nodes}

    def forget(self, node: FleetNode) -> None:
        """It is no node of the fleet any more."""
        self.nodes.remove(node)

    def command(self, *words: str, answer: str = "") -> subprocess.CompletedProcess:
        """Run the command line, as somebody at one of the machines does."""
        environment = {
            **os.environ,
            "CRONCORD_URL": ",".join(node.url for node in self.alive()),
            "CRONCORD_TOKEN": TOKEN,
        }
        return subprocess.run(
            [sys.executable, "-m", "croncord", *words],
            env=environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def start_in_vain(node: FleetNode, seconds: float = 40) -> str:
    """Start a node that must refuse to; returns what it said."""
    node.log.write_text("")
    node.start()
    assert node.process.wait(seconds) == 2
    return node.log.read_text()


def wipe(node: FleetNode) -> None:
    """Give the machine an empty disk."""
    shutil.rmtree(node.data_dir)
