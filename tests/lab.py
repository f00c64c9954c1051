"""Hosts to roll out to, and what an operator does with them: playbooks, curl, pulling plugs.

The hosts come from a program that is named by CRONCORD_TEST_HOSTS and understands

    up N             start hosts node1 … nodeN that answer to ssh; print `inventory: PATH` at the end
    down             take them away
    exec CMD…        run a command on this machine where the hosts' addresses can be reached
    ssh NODE CMD…    run a command on a host
    kill NODE        pull its plug;   boot NODE   start it again
    cut A B          drop all packets between two hosts;   heal   removes every cut
    pause NODE       freeze everything on a host;   resume NODE   goes on

whether it makes them from containers, virtual machines or a rack.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

PLAYBOOKS = Path(__file__).parents[1] / "deploy" / "ansible"
HTTP_PORT = 8470
ENDED = ("succeeded", "failed", "timed_out", "killed", "skipped", "missed", "lost")


class Answer(NamedTuple):
    """What a node answered."""

    status: int
    body: bytes
    headers: dict[str, str]
    """Names in lower case."""

    def json(self):
        return json.loads(self.body)


class Host(NamedTuple):
    """A line of the inventory."""

    name: str
    address: str


class Recap(NamedTuple):
    """The last lines of a playbook run, summed over the hosts."""

    changed: int
    failed: int
    unreachable: int
    output: str


class Lab:
    """The hosts, from bare to removed."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.token_file = directory / "admin.token"
        self.tls = directory / "tls"
        """The authority that the first roll-out makes."""
        self.inventory = Path()
        self.hosts: list[Host] = []

    def up(self, count: int) -> None:
        said = self.run("up", str(count)).stdout
        self.inventory = Path(re.search(r"^inventory: (.+)$", said, re.MULTILINE)[1])
        found = re.findall(r"^(\S+) ansible_host=(\S+)", self.inventory.read_text(), re.MULTILINE)
        self.hosts = [Host(*each) for each in found]

    def down(self) -> None:
        self.run("down")

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        ended = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        assert not check or ended.returncode == 0, f"{arguments}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def cut(self, one: Host, other: Host) -> None:
        """Let no packet pass between two hosts."""
        self.run("cut", one.name, other.name)

    def cut_one_way(self, sender: Host, receiver: Host) -> None:
        """Let no packet of one host reach another."""
        self.ssh(receiver, f"iptables -A INPUT -s {sender.address} -j DROP")

    def heal(self) -> None:
        """End all cuts."""
        self.run("heal")

    def ssh(self, host: Host, command: str) -> str:
        return self.run("ssh", host.name, command).stdout

    def play(self, playbook: str, *options: str, wheel: Path | None = None, **variables) -> Recap:
        """Run a playbook as an operator would."""
        given = {
            "croncord_token_path": str(self.token_file),
            "croncord_tls_dir": str(self.tls),
            **variables,
        }
        if wheel is not None:
            given["croncord_wheel"] = str(wheel)
            given["croncord_wheelhouse"] = os.environ["CRONCORD_TEST_WHEELHOUSE"]
        ansible = os.environ.get("CRONCORD_TEST_ANSIBLE") or shutil.which("ansible-playbook")
        assert ansible, "there is no ansible-playbook; see tests/rollout/run.sh"
        command = ["env", f"ANSIBLE_CONFIG={PLAYBOOKS / 'ansible.cfg'}", "ANSIBLE_NOCOLOR=1"]
        command += [ansible, "-i", str(self.inventory), str(PLAYBOOKS / playbook)]
        command += ["--extra-vars", json.dumps(given), *options]
        said = self.run("exec", *command, check=False).stdout
        sums = [
            sum(int(number) for number in re.findall(rf"\b{what}=(\d+)", said))
            for what in ("changed", "failed", "unreachable")
        ]
        assert "PLAY RECAP" in said, said
        return Recap(*sums, said)

    def call(self, host: Host, method: str, path: str, body=None, *options: str) -> Answer:
        """Make one request with curl; status 0 stands for no answer, or one that broke off."""
        if body is not None:
            options += ("--header", "Content-Type: application/json", "--data", json.dumps(body))
        token = self.token_file.read_text().strip()
        return self.curl(
            host, path, "--request", method, "--header", f"Authorization: Bearer {token}", *options
        )

    def curl(self, host: Host, path: str, *options: str) -> Answer:
        """Run curl as it is given."""
        command = ["curl", "--silent", "--max-time", "10", "--dump-header", "/dev/stderr"]
        command += [
            "--cacert",
            str(self.ca_file),
            "--write-out",
            "\n%{http_code}",
            *options,
            self.url(host) + path,
        ]
        ended = subprocess.run([self.program, "exec", *command], capture_output=True, check=False)
        content, _, status = ended.stdout.rpartition(b"\n")
        lines = [line.partition(": ") for line in ended.stderr.decode().splitlines()]
        headers = {name.lower(): value for name, _, value in lines}
        return Answer(int(status) if ended.returncode == 0 else 0, content, headers)

    def get(self, host: Host, path: str):
        answer = self.call(host, "GET", path)
        assert answer.status == 200, (host, path, answer)
        return answer.json()

    @property
    def ca_file(self) -> Path:
        return self.tls / "ca.pem"

    def url(self, host: Host) -> str:
        return f"https://{host.address}:{HTTP_PORT}"

    def is_ready(self, host: Host) -> bool:
        return self.call(host, "GET", "/readyz").status == 200

    def leader(self) -> Host:
        """Return the host that leads, once somebody knows."""

        def found():
            for host in self.hosts:
                answer = self.call(host, "GET", "/api/v1/cluster?stale=allow")
                if answer.status == 200 and answer.json()["leader"]:
                    return next(h for h in self.hosts if h.name == answer.json()["leader"])
            return None

        return wait_for(found, 60, "a leader")

    def wait_run(self, host: Host, run_id: str, *states: str) -> dict:
        """Wait until a run is in one of the states (any final one when none is named)."""

        def reached():
            answer = self.call(host, "GET", f"/api/v1/runs/{run_id}")
            run = answer.json() if answer.status == 200 else {}
            return run if run.get("state") in (states or ENDED) else None

        return wait_for(reached, 180, f"run {run_id} in {states or ENDED}")


def wait_for(check, seconds: float, what: str):
    """Return the first true value of `check`, asked twice a second; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.5)
    return found
