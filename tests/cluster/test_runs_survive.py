"""Fifty scripts go on while their daemons are killed, restarted in turn, and upgraded."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fleet import Fleet, FleetNode, wait_for

import croncord

pytestmark = pytest.mark.cluster

RUNS = 50
NEW_VERSION = "99.0.1"
SCRIPT = """echo $CRONCORD_RUN_ID >> {place}/started
n=0
while [ ! -e {place}/flag ]; do n=$((n+1)); echo line $n; sleep 1; done
echo $CRONCORD_RUN_ID $n >> {place}/ended
echo end $n
exit $CODE
"""


def upgraded(node: FleetNode, place: Path) -> None:
    """Start a node from another copy of the program."""
    command = [sys.executable, "-m", "croncord", "serve", *node._arguments]
    command += ["--name", node.name, "--data-dir", str(node.data_dir)]
    command += ["--http", node.url.removeprefix("http://"), "--raft", node.raft]
    with node.log.open("ab") as log:
        node.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place)


def new_program(place: Path) -> Path:
    place.mkdir()
    source = Path(croncord.__file__).parent
    shutil.copytree(source, place / "croncord", ignore=shutil.ignore_patterns("__pycache__"))
    init = place / "croncord" / "__init__.py"
    init.write_text(re.sub(r'(__version__ = )".*"', rf'\1"{NEW_VERSION}"', init.read_text()))
    return place


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def start_runs(fleet: Fleet, place: Path) -> dict[str, int]:
    """Start all scripts and return the exit status each will have."""
    script, node = SCRIPT.replace("{place}", str(place)), fleet["n1"]
    codes = {}
    for code in range(3):
        job = {"name": f"long-{code}", "script": script, "schedule": "@manual"}
        node.post("/api/v1/jobs", job | {"overlap": "allow", "environment": {"CODE": str(code)}})
    for index in range(RUNS):
        code = index % 3
        codes[node.post(f"/api/v1/jobs/long-{code}/run")["id"]] = code
    wait_for(lambda: len(lines(place / "started")) == RUNS, 30, "all scripts to run")
    return codes


def restart_hard(fleet: Fleet, node: FleetNode) -> None:
    node.kill()
    node.start()
    fleet.wait_ready()


def test_fifty_runs_outlive_kill_9_a_rolling_restart_and_an_upgrade(own_fleet, tmp_path):
    fleet, place = own_fleet, tmp_path / "place"
    place.mkdir()
    program = new_program(tmp_path / "upgrade")
    codes = start_runs(fleet, place)
    try:
        restart_hard(fleet, fleet.followers()[0])
        restart_hard(fleet, fleet.leader())
        for node in fleet.nodes:
            assert node.stop() == 0
            node.start()
            fleet.wait_ready()
        for node in fleet.nodes:
            assert node.stop() == 0
            upgraded(node, program)
            fleet.wait_ready()
    finally:
        (place / "flag").touch()
    ended = {run_id: fleet.wait_run(run_id, seconds=40) for run_id in codes}

    versions = {node["version"] for node in fleet["n1"].get("/api/v1/nodes")["items"]}
    assert versions == {NEW_VERSION}
    assert {run_id: run["exit_code"] for run_id, run in ended.items()} == codes
    told = Counter(run["state"] for run in ended.values())
    assert told == {"succeeded": 17, "failed": 33}
    assert {run["attempt"] for run in ended.values()} == {1}
    assert Counter(lines(place / "started")) == dict.fromkeys(codes, 1), "none ran twice"
    last = dict(line.split() for line in lines(place / "ended"))
    assert len(last) == RUNS
    for run_id in codes:
        count = int(last[run_id])
        expected = [*(f"line {n}" for n in range(1, count + 1)), f"end {count}"]
        log = fleet["n2"].call("GET", f"/api/v1/runs/{run_id}/log").body.decode()
        assert log.splitlines() == expected, run_id
    wait_for(lambda: not any(map(shims_of, fleet.nodes)), 10, "all shims to be gone")


def shims_of(node: FleetNode) -> list[int]:
    """Processes that live in the run directories of a node."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            directory = str((entry / "cwd").readlink()) if entry.name.isdigit() else ""
        except OSError:
            continue
        if directory.startswith(str(node.data_dir / "runs")):
            found.append(int(entry.name))
    return found
