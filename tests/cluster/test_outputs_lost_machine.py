"""The machine that runs a job loses its power: daemon, runner, shim and script end at once."""

import contextlib
import json
import shutil
import signal
import time

import psutil
import pytest
from fleet import Fleet, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SCRIPT = "while :; do date +%s.%N; sleep 0.05; done\n"
LOST_SECONDS = 60


def cut_power(node):
    """End everything that runs on a node, as at once as can be: nobody says goodbye."""
    daemon = psutil.Process(node.process.pid)
    doomed = [daemon, *daemon.children(recursive=True)]
    for meta in node.data_dir.glob("runs/*/meta"):
        with contextlib.suppress(psutil.NoSuchProcess):
            shim = psutil.Process(json.loads(meta.read_text())["pid"])
            doomed += [shim, *shim.children(recursive=True)]
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    at = time.time()
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    node.process.wait(10)
    psutil.wait_procs(doomed, timeout=10)
    return at


def output(node, run_id, **query):
    words = "".join(f"&{name}={value}" for name, value in query.items())
    answer = node.call("GET", f"/api/v1/runs/{run_id}/log?stale=allow{words}", timeout_seconds=30)
    assert answer.status == 200, answer.body
    return answer.body


def start_printing(fleet, **fields):
    job = {"name": "printer", "script": SCRIPT, "schedule": "@manual", **fields}
    fleet["n1"].post("/api/v1/jobs", job)
    run_id = fleet["n1"].post("/api/v1/jobs/printer/run", {})["id"]
    run = fleet.wait_run(run_id, "running")
    wait_for(lambda: output(fleet["n1"], run_id).count(b"\n") >= 60, 30, "some output")
    return run


def gauge(node, name):
    lines = node.call("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_what_was_printed_a_second_before_the_power_went_is_kept_and_agreed(tmp_path, disk):
    with Fleet(tmp_path) as fleet:
        run = start_printing(fleet)
        run_id, machine = run["id"], fleet[run["node"]]
        confirmed = machine.get(f"/api/v1/runs/{run_id}")["log"]["confirmed_bytes"]
        assert confirmed > 0
        cut_at = cut_power(machine)
        others = fleet.alive()

        # Readable at once, through every other node.
        for node in others:
            last = float(output(node, run_id).splitlines()[-1])
            assert last > cut_at - 1

        # Agreed, once the run counts as lost: the copies are equal and nothing confirmed is gone.
        fleet.wait_run(run_id, "lost", seconds=LOST_SECONDS + 40)
        where = f"/api/v1/runs/{run_id}"
        wait_for(lambda: others[0].get(where)["log"]["sha256"], 20, "an agreed output")
        wait_for(lambda: len(others[0].get(where)["log"]["copies"]) == 2, 20, "equal copies")
        agreed = others[0].get(where)["log"]
        assert agreed["recovered"] == "quorum"
        assert agreed["bytes"] >= confirmed
        first, second = (output(node, run_id) for node in others)
        assert first == second
        assert len(first) == agreed["bytes"]

        # The machine is back.
        if disk == "lost":
            for name in ("logs", "ledger", "runs"):
                shutil.rmtree(machine.data_dir / name)
            (machine.data_dir / "agent.journal").unlink(missing_ok=True)
        machine.start()
        fleet.wait_ready()
        wait_for(lambda: len(machine.get(where)["log"]["copies"]) == 3, 60, "three equal copies")
        whole = output(machine, run_id)
        assert whole.startswith(first)
        assert all(output(node, run_id) == whole for node in others)
        assert len(whole) == machine.get(where)["log"]["bytes"]
        if disk == "lost":
            assert whole == first
        assert gauge(machine, "croncord_output_copies") == 1
        assert gauge(machine, "croncord_output_copies_missing") == 0


def test_when_another_attempt_took_over_the_first_one_ends_where_the_others_agreed(tmp_path):
    with Fleet(tmp_path) as fleet:
        run = start_printing(fleet, delivery="at_least_once")
        run_id, machine = run["id"], fleet[run["node"]]
        cut_power(machine)
        others = fleet.alive()
        where = f"/api/v1/runs/{run_id}"
        taken_over = lambda: others[0].get(where)["attempts"]  # noqa: E731 - asked again and again
        wait_for(taken_over, LOST_SECONDS + 40, "a second attempt")
        wait_for(lambda: taken_over()[0]["log"]["sha256"], 20, "an agreed output of the first")
        agreed = taken_over()[0]["log"]
        machine.start()
        fleet.wait_ready()
        others[0].post(f"{where}/kill", {})
        fleet.wait_run(run_id, "killed")
        wait_for(lambda: len(machine.get(where)["log"]["copies"]) == 3, 30, "copies of the second")

        def is_equal():
            found = {output(node, run_id, attempt=1) for node in fleet.nodes}
            return len(found) == 1 and len(found.pop()) == agreed["bytes"]

        wait_for(is_equal, 60, "the first attempt to be the same everywhere")
