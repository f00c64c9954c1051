import json
import socket

import pytest

from croncord.cli.diagnosis import diagnose

NODE = {
    "name": "n1",
    "state": "up",
    "clock_offset_ms": 3,
    "version": "1.0",
    "tzdata": "2026.1",
    "disk": {"used_bytes": 10, "total_bytes": 100},
    "applied_index": 5000,
}


def cluster(*nodes, **changes):
    healthy = {
        "leader": "n1",
        "quorum": True,
        "voters": 3,
        "majority": 2,
        "survives": 1,
        "paused": False,
        "nodes": [NODE | {"name": f"n{i}"} | node for i, node in enumerate(nodes, start=1)],
    }
    return healthy | changes


@pytest.mark.parametrize(
    ("told", "check", "verdict", "words"),
    [
        (cluster({}, {}, {}, leader=None), "quorum", "bad", "2 of the 3 voters"),
        (cluster({}, {}, {}, quorum=False), "quorum", "bad", "nothing new is launched"),
        (cluster({}, voters=1, majority=1, survives=0), "spare", "warning", "Join two more"),
        (cluster({}, {}, voters=2, majority=2, survives=0), "spare", "warning", "Add one node"),
        (cluster({}, {}, {}, paused=True), "pause", "warning", "cluster resume"),
        (cluster({}, {"state": "down"}, {}), "nodes", "bad", "node remove n2"),
        (cluster({}, {"state": "draining"}, {}), "nodes", "warning", "node undrain n2"),
        (cluster({}, {"clock_offset_ms": -700}, {}), "clocks", "warning", "-700 ms"),
        (cluster({}, {"clock_offset_ms": 9000}, {}), "clocks", "bad", "gets no work"),
        (cluster({}, {"version": "1.1"}, {}), "versions", "warning", "1.0 on 2 nodes"),
        (cluster({}, {"tzdata": "2025.2"}, {}), "time zones", "warning", "2025.2 on 1 node"),
        (cluster({}, {"disk": {"used_bytes": 90, "total_bytes": 100}}), "disks", "warning", "90 %"),
        (cluster({}, {"disk": {"used_bytes": 99, "total_bytes": 100}}), "disks", "bad", "99 %"),
        (cluster({}, {"applied_index": 100}), "copies of the state", "warning", "4900 entries"),
    ],
)
def test_each_fault_is_named_with_what_to_do(told, check, verdict, words):
    findings = diagnose(told)
    [finding] = [f for f in findings if f.verdict != "ok"]
    assert (finding.check, finding.verdict) == (check, verdict)
    assert words in finding.message + finding.advice
    assert finding.advice


def test_what_was_never_heard_of_is_no_fault():
    unknown = {"clock_offset_ms": None, "disk": None, "applied_index": None}
    assert {finding.verdict for finding in diagnose(cluster(unknown, {}, {}))} == {"ok"}


def test_a_cluster_is_examined_through_any_node(croncord):
    status, out, _ = croncord("doctor")
    assert status == 0
    assert "is open" in out
    assert "n1 leads with a majority" in out
    assert "Join two more nodes: croncord cluster join-token" in out
    told = json.loads(croncord("doctor", "--json")[1])
    assert {finding["verdict"] for finding in told} == {"ok", "warning"}


def test_a_closed_port_is_bad_and_says_what_to_do(croncord):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status, out, _ = croncord("doctor", "--url", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert status == 1
    assert "Start the node there" in out


def test_a_refused_token_is_told_apart_from_a_closed_port(croncord):
    status, out, _ = croncord("doctor", "--token", "wrong-token-0123456789")
    assert status == 1
    assert "is open" in out
    assert "answer" in out
