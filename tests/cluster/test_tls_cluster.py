"""Three real nodes under TLS: they do all they do without it, and refuse who does not belong."""

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from datetime import datetime, timedelta

import pytest
from fleet import TOKEN, wait_for
from growing_fleet import GrowingFleet, start_in_vain
from tls_fleet import TlsFleet, arguments_of, croncord, init_tls, refuses_plain_http

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    with TlsFleet(tmp_path_factory.mktemp("tls")) as running:
        yield running


def serial_shown(node):
    """Return the serial number of the certificate that the node shows on its web port."""
    host, _, port = node.url.rpartition("/")[2].partition(":")
    context = ssl.create_default_context(cafile=node.ca)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as shown,
    ):
        return shown.getpeercert()["serialNumber"]


def metric(node, name):
    text = node.call("GET", "/metrics").body.decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def _certified(shown):
    return shown if shown["certificate_expires_at"] else None


def test_a_job_is_created_runs_on_each_node_and_its_output_is_read_through_others(certified):
    fleet = certified
    fields = {
        "name": "everywhere",
        "script": 'echo "hello from $CRONCORD_NODE"\n',
        "schedule": "@manual",
        "target": {"every_node": True},
    }
    fleet["n2"].post("/api/v1/jobs", fields)
    fleet["n3"].post("/api/v1/jobs/everywhere/run")

    def all_done():
        runs = fleet["n1"].get("/api/v1/runs?job=everywhere&state=succeeded")["items"]
        return runs if len(runs) == 3 else None

    runs = wait_for(all_done, 30, "three runs")
    assert {run["node"] for run in runs} == {"n1", "n2", "n3"}
    for run in runs:
        path = f"/api/v1/runs/{run['id']}"
        wait_for(lambda path=path: len(fleet["n1"].get(path)["log"]["copies"]) == 3, 20, "copies")
        for node in fleet.nodes:
            log = node.call("GET", f"{path}/log").body
            assert log == f"hello from {run['node']}\n".encode()
    for node in fleet.nodes:
        assert node.get("/api/v1/logs/search?q=hello")["nodes_not_answering"] == []
        path = f"/api/v1/nodes/{node.name}"
        shown = wait_for(  # told with the vitals, which may not have come yet
            lambda node=node, path=path: _certified(node.get(path)), 20, "vitals of all nodes"
        )
        assert shown["http"] == node.url
        assert shown["state"] == "up"
        assert shown["certificate_expires_at"] > "2027"


def test_curl_and_the_command_line_reach_it_and_others_are_told_what_to_do(certified):
    fleet, node = certified, certified["n1"]
    assert fleet.curl(node, "/api/v1/cluster").json()["quorum"]
    ask = ("cluster", "status", "--url", node.url)
    given = croncord(*ask, "--token", TOKEN, "--ca", fleet.tls / "ca.pem")
    assert given.stdout.startswith("All is well")
    local = croncord(*ask, CRONCORD_DATA_DIR=str(node.data_dir))
    assert local.stdout.startswith("All is well"), local.stderr
    unknown = croncord(*ask, "--token", TOKEN, CRONCORD_DATA_DIR=str(fleet.directory))
    assert unknown.returncode == 3
    assert "--ca FILE" in unknown.stderr
    plain = croncord(
        "cluster", "status", "--token", TOKEN, "--url", node.url.replace("https", "http")
    )
    assert plain.returncode == 2
    assert "https://" in plain.stderr
    assert "HTTPS" in refuses_plain_http(node.url)
    refused = subprocess.run(["curl", "-sS", node.url], capture_output=True, check=False)
    assert b"certificate" in refused.stderr


def test_a_signed_in_browser_has_a_cookie_for_https_only(certified):
    node = certified["n1"]
    link = node.post("/api/v1/signin-link")["url"]
    assert link.startswith("https://")
    page = certified.curl(
        node, "/login", "-i", "-d", f"link={link.partition('token=')[2]}"
    ).body.decode()
    cookie = re.search(r"(?im)^set-cookie: (.*)$", page)[1]
    assert cookie.startswith("__Host-croncord_")
    assert "Secure" in cookie


def test_a_renewed_certificate_is_taken_on_hup_while_a_script_runs(certified):
    fleet, node = certified, certified["n1"]
    script = "echo begun; sleep 4; echo done\n"
    target = {"nodes": ["n1"]}
    node.post(
        "/api/v1/jobs",
        {"name": "long", "script": script, "schedule": "@manual", "target": target},
    )
    run = node.post("/api/v1/jobs/long/run")["id"]
    before, pid = serial_shown(node), node.process.pid
    left = metric(node, "croncord_certificate_expires_seconds")
    init_tls(fleet.tls, "--renew", "--name", "n1", "--days", "500")
    assert serial_shown(node) == before
    node.signal(signal.SIGHUP)
    wait_for(lambda: serial_shown(node) != before, 10, "the new certificate")
    assert metric(node, "croncord_certificate_expires_seconds") > left + 86400
    # The other nodes' next connections to it, on both ports, meet the new certificate.
    others = [other for other in fleet.nodes if other is not node]
    for other in others:
        assert other.get("/api/v1/nodes/n1")["state"] == "up"
    assert fleet.wait_run(run, node=others[0])["state"] == "succeeded"
    assert node.process.pid == pid
    assert node.is_alive
    log = node.log.read_text()
    assert "new connections use the certificate that ends" in log

    good = (fleet.tls / "n1/cert.pem").read_bytes()
    (fleet.tls / "n1/cert.pem").write_text("half a file")
    shown = serial_shown(node)
    node.signal(signal.SIGHUP)
    wait_for(lambda: "the certificate in use is kept" in node.log.read_text(), 10, "the refusal")
    assert serial_shown(node) == shown
    (fleet.tls / "n1/cert.pem").write_bytes(good)


def test_a_node_of_another_authority_is_kept_out_on_both_ports(certified, tmp_path):
    """It has the secret, the right name and place; only its certificate is somebody else's."""
    fleet, node = certified, certified.followers()[0]
    leader = fleet.leader()
    init_tls(tmp_path, *("--name", node.name))
    term = leader.get("/api/v1/cluster")["term"]
    assert node.stop() == 0
    ours = node._arguments
    node._arguments = [*fleet.plain_arguments[node.name], *arguments_of(tmp_path, node.name)]
    node.start()
    try:
        wait_for(
            lambda: "not signed by this cluster's authority" in node.log.read_text(), 20, "it told"
        )
        down = f"/api/v1/nodes/{node.name}"
        wait_for(lambda: leader.get(down)["state"] == "down", 20, "it counted as down")
        status = leader.get("/api/v1/cluster")
        assert (status["leader"], status["term"], status["quorum"]) == (leader.name, term, True)
    finally:
        node.kill()
        node._arguments = ours
        node.start()
        fleet.wait_ready()


def test_strangers_on_both_ports_cost_nothing(certified):
    fleet, node = certified, certified["n2"]
    lines = len(node.log.read_text().splitlines())
    status = node.get("/api/v1/cluster")
    ports = [int(text.rpartition(":")[2]) for text in (node.url, node.raft)]
    strangers = []
    for _ in range(100):
        for port in ports:
            stranger = socket.create_connection(("127.0.0.1", port))
            strangers.append(stranger)
            with contextlib.suppress(ConnectionError):  # it may be shown the door in between
                if len(strangers) % 3:
                    stranger.sendall(b"\x16\x03\x01\x02\x00" + os.urandom(200))
                if len(strangers) % 7 == 0:
                    stranger.sendall(os.urandom(3000))
    for _ in range(20):
        assert node.get("/api/v1/cluster?stale=allow")["leader"] == status["leader"]
        time.sleep(0.05)
    for stranger in strangers:
        stranger.close()
    after = fleet["n1"].get("/api/v1/cluster")
    assert (after["leader"], after["term"]) == (status["leader"], status["term"])
    told = node.log.read_text().splitlines()[lines:]
    assert len([line for line in told if "caller" in line]) <= 1
    assert [line for line in told if "Traceback" in line or "ERROR" in line] == []


def test_a_running_cluster_moves_to_tls_by_two_rolling_restarts_and_back(tmp_path):
    with TlsFleet(tmp_path, certified=False) as fleet:
        node = fleet["n1"]
        witness = tmp_path / "witness"
        witness.touch()
        node.post(
            "/api/v1/jobs",
            {
                "name": "tick",
                "schedule": "* * * * * *",
                "overlap": "allow",
                "script": f'echo "$CRONCORD_NOMINAL_TIME" >> {witness}\n',
            },
        )
        wait_for(witness.read_text, 20, "the first line")
        for arguments in (("--tls-mode", "allow"), ()):
            for each in fleet.nodes:
                fleet.restart(each, *arguments)
        for each in fleet.nodes:
            assert each.get(f"/api/v1/nodes/{each.name}")["http"] == each.url
            assert each.url.startswith("https:")
            assert "HTTPS" in refuses_plain_http(each.url)
        node.post("/api/v1/jobs/tick/pause")
        time.sleep(2)
        told = sorted(datetime.fromisoformat(line) for line in witness.read_text().split())
        seconds = (told[-1] - told[0]).total_seconds()
        assert told == [told[0] + timedelta(seconds=n) for n in range(int(seconds) + 1)]
        assert seconds > 5
        fleet.restart(node, "--tls-mode", "allow")


def certify(node, tls, *arguments):
    node._arguments = [*node._arguments, *arguments]
    node.url = node.url.replace("http:", "https:")
    node.ca = tls / "ca.pem"


def test_a_machine_joins_with_its_own_certificate_and_is_told_the_authority(tmp_path):
    tls = tmp_path / "tls"
    init_tls(tls, "--name", "n1", "--name", "n2")
    fleet = GrowingFleet(tmp_path)
    certify(fleet["n1"], tls, *arguments_of(tls, "n1"))
    with fleet:
        without = fleet.machine("n3")
        fleet.give(without, fleet.make_token()["token"])
        assert "croncord cluster init-tls --name n3" in start_in_vain(without)
        second = fleet.machine("n2")
        certify(second, tls, *arguments_of(tls, "n2")[:4])
        fleet.give(second, fleet.make_token()["token"])
        fleet.take(second)
        assert (second.data_dir / "cluster-ca.pem").read_bytes() == (tls / "ca.pem").read_bytes()
        assert fleet.roles() == {"n1": "leader", "n2": "follower"}
        assert second.stop() == 0
        second.start()
        wait_for(lambda: fleet.is_member(second), 40, "the restarted node")
