"""Three real nodes whose cluster secret is changed while they work: docs/security.md, step by step."""

import time
from datetime import datetime, timedelta

import pytest
from fleet import TOKEN, Fleet, wait_for
from tls_fleet import croncord
from wire_ends import End, turn_until

from croncord.peer_auth import PeerSigner

pytestmark = pytest.mark.cluster

OLD = b"a secret for tests only, 32 chars"
NEW = b"the secret that comes after, long"
VALUE = "sealed-all-the-time"
CALL = "/internal/v1/ledger/days"


class ChangingFleet(Fleet):
    """Nodes that are restarted one after the other with other secrets."""

    def __init__(self, directory):
        super().__init__(directory)
        self.new = directory / "new-secret"
        self.new.write_bytes(NEW)
        self.new.chmod(0o600)
        self.old = directory / "secret"

    def use(self, node, secret, accepted=None):
        """Give a node other secrets, from its next start on."""
        arguments = node._arguments
        if "--accept-secret-file" in arguments:
            at = arguments.index("--accept-secret-file")
            arguments = arguments[:at] + arguments[at + 2 :]
        at = arguments.index("--secret-file") + 1
        arguments = [*arguments[:at], str(secret), *arguments[at + 1 :]]
        node._arguments = arguments + (["--accept-secret-file", str(accepted)] if accepted else [])

    def roll(self, secret, accepted=None):
        """Restart one node after the other; each has to take part again, and all have to run a job."""
        for node in self.nodes:
            assert node.stop() == 0
            self.use(node, secret, accepted)
            node.start()
            self.wait_ready()
        run_everywhere(self)


def run_everywhere(fleet):
    """Have each node run a script that needs the secret, and see its output through another."""
    node = fleet.nodes[0]
    before = {run["id"] for run in node.get("/api/v1/runs?job=everywhere")["items"]}
    node.post("/api/v1/jobs/everywhere/run")

    def ended():
        runs = [
            run
            for run in node.get("/api/v1/runs?job=everywhere")["items"]
            if run["id"] not in before and run["finished_at"]
        ]
        return len(runs) == 3 and runs

    for run in wait_for(ended, 60, "a run on each node"):
        assert run["state"] == "succeeded", run
        for each in fleet.nodes:
            answer = each.call("GET", f"/api/v1/runs/{run['id']}/log")
            assert answer.body == f"{len(VALUE)} characters\n".encode()


def signed_with(secret, node, number):
    """Call a node as another node would; returns the status."""
    headers = PeerSigner(secret).headers(
        "GET", node.url, CALL, body=b"", now_ms=time.time_ns() // 1_000_000, nonce=f"n{number}"
    )
    return node.call("GET", CALL, **headers).status


def is_let_in(secret, node):
    """Whether who has that secret is connected on the port of consensus."""
    end = End("n0", secret)
    try:
        end.knows_address(node.name, node.raft)
        return turn_until(lambda: end.connected, end, turns=1000)
    finally:
        end.transport.destroy()


def test_the_secret_is_changed_while_ticks_go_on_and_the_old_one_is_refused(tmp_path):
    with ChangingFleet(tmp_path) as fleet:
        node = fleet.nodes[0]
        witness = tmp_path / "witness"
        witness.touch()
        node.call("PUT", "/api/v1/secrets/VALUE", {"value": VALUE})
        everywhere = {"script": 'echo "${#VALUE} characters"\n', "secrets": ["VALUE"]}
        node.post(
            "/api/v1/jobs", {"name": "everywhere", "target": {"every_node": True}, **everywhere}
        )
        node.post(
            "/api/v1/jobs",
            {
                "name": "tick",
                "schedule": "* * * * * *",
                "overlap": "allow",
                "script": f'test "$VALUE" && echo "$CRONCORD_NOMINAL_TIME" >> {witness}\n',
                "secrets": ["VALUE"],
            },
        )
        wait_for(witness.read_text, 20, "the first line")
        run_everywhere(fleet)

        fleet.roll(fleet.old, fleet.new)
        fleet.roll(fleet.new, fleet.old)
        done = croncord("secret", "reseal", "--url", node.url, "--token", TOKEN)
        assert (done.returncode, done.stdout.split(";")[0]) == (0, "Sealed 1 anew")
        run_everywhere(fleet)
        fleet.roll(fleet.new)

        # A quick machine has changed it in less than the time that is looked at.
        wait_for(lambda: len(witness.read_text().split()) > 12, 30, "enough ticks")
        node.post("/api/v1/jobs/tick/pause")
        time.sleep(2)
        told = sorted(datetime.fromisoformat(line) for line in witness.read_text().split())
        seconds = (told[-1] - told[0]).total_seconds()
        assert told == [told[0] + timedelta(seconds=n) for n in range(int(seconds) + 1)]
        assert seconds > 10
        assert node.get("/api/v1/secrets")["items"][0]["is_readable"]

        for number, each in enumerate(fleet.nodes):
            assert signed_with(NEW, each, number) == 200
            assert signed_with(OLD, each, number) == 401
        assert not is_let_in(OLD, fleet.leader())
        stale = fleet.followers()[0]
        assert stale.stop() == 0
        fleet.use(stale, fleet.old)
        stale.start()
        wait_for(lambda: "another cluster secret" in stale.log.read_text(), 30, "it told")
        assert stale.call("GET", "/readyz").status == 503
        stale.kill()
        fleet.use(stale, fleet.new)
        stale.start()
        fleet.wait_ready()
        for each in fleet.nodes:
            assert "Traceback" not in each.log.read_text()
