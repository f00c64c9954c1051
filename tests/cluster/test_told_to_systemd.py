"""What real nodes tell the service manager that started them."""

import os
import signal
import time

import pytest
from fleet import Fleet, free_ports
from notify_socket import NotifySocket

pytestmark = pytest.mark.cluster


def environment(other_end, *, watchdog_seconds=2):
    told = {"NOTIFY_SOCKET": other_end.address, "WATCHDOG_USEC": str(watchdog_seconds * 1_000_000)}
    return {**os.environ, **told}


def test_a_node_without_a_majority_has_started_and_says_what_it_lacks(tmp_path):
    with NotifySocket(str(tmp_path / "notify")) as other_end:
        fleet = Fleet(tmp_path)
        try:
            first, second, _ = fleet.nodes
            first.start(environment=environment(other_end))
            other_end.wait("READY", "1")
            other_end.wait("STATUS", "not ready: no leader is known; 1 of 3 voters reached")
            second.start()
            # Founding takes all members once.
            other_end.wait("STATUS", "not ready: no leader is known; 2 of 3 voters reached")
            fleet.nodes[2].start()
            fleet.wait_ready()
            other_end.wait("STATUS", "3 of 3 voters reached; 0 runs in hand here")
            other_end.forget()
            first.signal(signal.SIGHUP)
            assert "MONOTONIC_USEC" in other_end.wait("RELOADING")
            other_end.wait("READY")
            first.signal(signal.SIGTERM)
            other_end.wait("STOPPING")
            assert first.process.wait(60) == 0
        finally:
            fleet.__exit__()


def test_a_node_that_is_stopped_is_not_heard_of_and_its_scripts_know_nothing_of_it(tmp_path):
    with NotifySocket(f"@croncord-test-{os.getpid()}") as other_end:
        fleet = Fleet(tmp_path, 1)
        try:
            (node,) = fleet.nodes
            node.start(environment=environment(other_end))
            fleet.wait_ready()
            other_end.wait("WATCHDOG")
            node.post("/api/v1/jobs", {"name": "env", "schedule": "@manual", "script": "env"})
            run = fleet.wait_run(node.post("/api/v1/jobs/env/run", {})["id"])
            output = node.call("GET", f"/api/v1/runs/{run['id']}/log").body
            assert b"CRONCORD_RUN_ID" in output
            assert b"NOTIFY_SOCKET" not in output
            assert b"WATCHDOG" not in output
            node.signal(signal.SIGSTOP)
            time.sleep(0.2)  # what was under way arrives
            other_end.forget()
            time.sleep(2)
            assert other_end.messages() == []
            node.signal(signal.SIGCONT)
            other_end.wait("WATCHDOG")
        finally:
            fleet.__exit__()


def test_a_watchdog_s_signal_leaves_in_the_log_where_the_node_was(tmp_path):
    with Fleet(tmp_path, 1) as fleet:
        (node,) = fleet.nodes
        node.signal(signal.SIGABRT)
        assert node.process.wait(30) == -signal.SIGABRT
        log = node.log.read_text()
        assert "Fatal Python error: Aborted" in log
        assert "_run_once" in log, "the event loop's stack"


def test_a_node_that_nobody_lets_in_has_started_and_waits(tmp_path):
    with NotifySocket(str(tmp_path / "notify")) as other_end:
        nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
        fleet = Fleet(tmp_path, 1, "--join", nobody, "--secret-file", str(tmp_path / "secret"))
        (node,) = fleet.nodes
        try:
            node.start(environment=environment(other_end))
            other_end.wait("READY", "1")
            other_end.wait("STATUS", "waits to be let into the cluster")
            other_end.forget()
            other_end.wait("WATCHDOG")
            assert node.stop(60) == 0
            other_end.wait("STOPPING")
        finally:
            fleet.__exit__()
