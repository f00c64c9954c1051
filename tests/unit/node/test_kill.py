"""Ending trees of real processes: nothing of a run is left, and nothing else is touched."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from croncord.node import kill
from croncord.node.clearing import end_runs
from croncord.node.rundir import read_json
from croncord.ports import LogKey

PYTHON = f"#!{sys.executable} -I\n"

READY = "print('ready', flush=True)\n"
FAMILY = {
    "a background child": "sleep 60 &\necho ready\nwait",
    "a child in a session of its own": "setsid sleep 60 &\necho ready\nwait",
    "a child that ignores TERM": "(trap '' TERM; echo ready; while :; do sleep 1; done) & wait",
    "a main process that ignores TERM": "trap '' TERM\necho ready\nwhile :; do sleep 1; done",
    "a main process that stopped itself": "(sleep 0.05; echo ready) & kill -STOP $$",
    "a pipeline": "yes | sleep 60 &\necho ready\nwait",
    "a daemon that forked twice": (
        PYTHON + "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        " + READY + "        time.sleep(60)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    ),
    "a daemon that forked twice and cleaned its environment": (
        PYTHON + "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        " + READY + "        os.execve('/bin/sleep', ['sleep', '60'], {})\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    ),
    "a child in another process group": (
        PYTHON + "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    " + READY + "time.sleep(60)\n"
    ),
    "a zombie that nobody collects": (
        PYTHON + "import os, time\nif os.fork() == 0:\n    os._exit(0)\n" + READY + "time.sleep(60)"
    ),
    "a family that goes on forking, each child gone before it is found": (
        "trap '' TERM\nf() { sleep 0.01; f & }\n"
        "for i in 1 2 3 4 5 6 7 8 9 10; do f & done; echo ready; sleep 60"
    ),
}


def below(pid: int) -> set[int]:
    return {process.pid for process in kill.below([pid])}


def directory(bench, key: LogKey) -> str:
    return str(bench.runs / f"{key.run_id}.{key.attempt}")


def shim_pid(bench, key: LogKey) -> int:
    return read_json(directory(bench, key), "meta")["pid"]


@pytest.mark.parametrize("family", FAMILY)
async def test_a_kill_leaves_no_process_of(bench, family):
    key = await bench.launch(FAMILY[family])
    await bench.logs.until_output(key, b"ready")
    shim = shim_pid(bench, key)
    family_pids = below(shim)
    assert family_pids
    await bench.runner.kill(key, grace_seconds=0 if "trap '' TERM" in FAMILY[family] else 5)
    end = await bench.runner.wait(key)
    assert (end.outcome, end.survivors) == ("killed", ())
    assert end.signalled_at is not None
    assert not {pid for pid in family_pids if (p := kill.look(pid)) and p.is_alive}
    assert bench.processes_of(key) == []


async def test_term_lets_a_script_clean_up_within_the_grace(bench, tmp_path):
    key = await bench.launch(
        f"trap 'sleep 0.2; echo cleaned > {tmp_path}/witness; exit 7' TERM\n"
        "echo ready\nwhile :; do sleep 0.05; done"
    )
    await bench.logs.until_output(key, b"ready")
    await bench.runner.kill(key, grace_seconds=30)
    end = await bench.runner.wait(key)
    assert (end.outcome, end.exit_code, end.signal) == ("killed", 7, None)
    assert (tmp_path / "witness").read_text() == "cleaned\n"


async def test_a_second_kill_shortens_the_grace(bench):
    key = await bench.launch(FAMILY["a main process that ignores TERM"])
    await bench.logs.until_output(key, b"ready")
    await bench.runner.kill(key, grace_seconds=3600)
    await bench.runner.kill(key, grace_seconds=0)
    end = await bench.runner.wait(key)
    assert (end.outcome, end.signal) == ("killed", signal.SIGKILL)


async def test_a_script_is_ended_at_its_time_limit_and_keeps_what_it_printed(bench):
    key, end = await bench.run(
        "trap '' TERM\necho before; setsid sleep 60 & while :; do sleep 1; done",
        timeout_seconds=1,
        kill_grace_seconds=0,
    )
    assert (end.outcome, end.signal, end.survivors) == ("timed_out", signal.SIGKILL, ())
    assert bench.logs.output(key) == b"before\n"
    assert bench.processes_of(key) == []


async def test_a_kill_does_not_touch_another_run(bench):
    victim = await bench.launch("echo ready; sleep 60")
    neighbour = await bench.launch("echo ready; sleep 0.3; exit 0")
    await bench.logs.until_output(victim, b"ready")
    await bench.logs.until_output(neighbour, b"ready")
    await bench.runner.kill(victim, grace_seconds=0)
    assert (await bench.runner.wait(victim)).outcome == "killed"
    assert (await bench.runner.wait(neighbour)).outcome == "exited"


async def test_killing_what_has_ended_changes_nothing(bench):
    key, end = await bench.run("exit 3")
    await bench.runner.kill(key, grace_seconds=0)
    assert await bench.runner.wait(key) == end


async def test_a_kill_works_when_the_script_stopped_its_own_shim(bench):
    request = bench.request("kill -STOP $PPID; sleep 60")
    key = request.key
    launching = asyncio.create_task(bench.runner.launch(request))
    meta = None
    while not meta or kill.look(meta["pid"]).state != "T":
        await asyncio.sleep(0.01)
        meta = read_json(directory(bench, key), "meta")
    await bench.runner.kill(key, grace_seconds=5)
    await launching
    assert (await bench.runner.wait(key)).outcome == "killed"
    assert bench.processes_of(key) == []


async def test_a_script_whose_shim_is_killed_is_ended_and_called_lost(bench):
    key = await bench.launch("echo ready; setsid sleep 60 & sleep 60", kill_grace_seconds=0)
    await bench.logs.until_output(key, b"ready")
    os.kill(shim_pid(bench, key), signal.SIGKILL)
    end = await bench.runner.wait(key)
    assert end.outcome == "runner_killed"
    assert "the process that watched over it was killed" in end.detail
    assert end.started_at is not None
    assert bench.logs.output(key) == b"ready\n"
    assert bench.processes_of(key) == []


async def test_at_the_end_of_a_demo_nothing_is_left(bench):
    keys = [await bench.launch(FAMILY["a child that ignores TERM"]) for _ in range(3)]
    await bench.runner.stop()
    assert await end_runs(bench.runs, grace_seconds=0) == 3
    assert [bench.processes_of(key) for key in keys] == [[], [], []]
    assert await end_runs(bench.runs, grace_seconds=0) == 0


def test_a_process_is_recognised_by_pid_and_start_tick_together():
    child = subprocess.Popen(["sleep", "60"])
    try:
        process = kill.look(child.pid)
        assert kill.is_running(child.pid, process.started)
        assert not kill.is_running(child.pid, process.started + 1)
        kill.send(process._replace(started=process.started + 1), signal.SIGKILL)
        assert kill.is_running(child.pid, process.started), "a signal for another one hits nobody"
        kill.send(process, signal.SIGKILL)
        child.wait()
        kill.send(process, signal.SIGKILL)
        assert not kill.is_running(child.pid, process.started)
    finally:
        child.kill()
        child.wait()


def test_a_name_full_of_parentheses_and_spaces_does_not_confuse_the_process_table(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "60"])
    try:
        process = kill.look(child.pid)
        assert process.parent == os.getpid()
        assert process.state in "RSD"
    finally:
        child.kill()
        child.wait()


def test_without_lists_of_children_the_process_table_tells_the_same(monkeypatch):
    child = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"], start_new_session=True)
    try:
        while len(below(child.pid)) < 1:
            pass
        listed = below(os.getpid())
        monkeypatch.setattr(os.path, "exists", lambda _: False)
        assert below(os.getpid()) == listed
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_the_search_spares_the_searcher_and_its_ancestors(monkeypatch):
    marks = frozenset()  # every process carries no mark at all
    found = {process.pid for process in kill.find_processes(marks)}
    assert os.getpid() not in found
    assert os.getppid() not in found
    assert 1 not in found
