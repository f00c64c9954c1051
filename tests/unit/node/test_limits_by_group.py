"""What a run's control group does: real ones, on a machine that lets us make them."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from croncord.node.group import Group
from croncord.node.kill import look

PYTHON = f"#!{sys.executable}\n"
MEGABYTE = 1024 * 1024


def needs(home, role: str) -> None:
    if home.places("any", [role]).get(role) is None:
        pytest.skip(f"no controller {role} here: {home.lacking}")


def groups_left(home) -> list[str]:
    places = home.places("any", ["memory", "pids", "cpu"])
    places = {Path(place).parent for role, place in places.items() if role != "outside"}
    found = [entry for place in places if place.exists() for entry in place.iterdir()]
    return sorted(str(entry) for entry in found if entry.is_dir())


async def test_a_run_has_a_group_of_its_own_that_is_gone_when_it_has_ended(grouped_bench):
    key = await grouped_bench.launch("echo ready; sleep 600")
    await grouped_bench.logs.until_output(key, b"ready")
    (group,) = groups_left(grouped_bench.groups)
    assert key.run_id in group
    assert sorted(Group({"members": group}).pids()) == sorted(grouped_bench.processes_of(key))

    await grouped_bench.runner.kill(key, grace_seconds=0)
    end = await grouped_bench.runner.wait(key)
    assert (end.outcome, end.survivors) == ("killed", ())
    assert groups_left(grouped_bench.groups) == []
    home = Path(group).parent
    assert not home.exists() or (home / "cgroup.subtree_control").read_text().strip()


async def test_processor_time_is_that_of_the_whole_tree_also_when_nobody_waited_for_it(
    grouped_bench,
):
    work = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)"
    key = await grouped_bench.launch(f'{sys.executable} -c "{work}" & disown; exec sleep 600')
    await grouped_bench.logs.until_output(key, b"done")
    await grouped_bench.runner.kill(key, grace_seconds=0)
    end = await grouped_bench.runner.wait(key)
    assert end.cpu_seconds > 0.1


async def test_more_memory_than_allowed_ends_the_whole_tree_with_the_reason(grouped_bench):
    needs(grouped_bench.groups, "memory")
    script = "sleep 600 & " + sys.executable + " -c \"x = b'x' * (200 << 20)\"; sleep 600"
    key, end = await grouped_bench.run(script, memory_bytes=64 * MEGABYTE)
    assert end.outcome == "limit_memory"
    assert "more memory than its limit of 67108864" in end.detail
    assert grouped_bench.processes_of(key) == []


async def test_a_script_that_hides_that_a_child_ran_out_of_memory_is_told_all_the_same(
    grouped_bench,
):
    needs(grouped_bench.groups, "memory")
    script = sys.executable + " -c \"x = b'x' * (200 << 20)\"; exit 0"
    _, end = await grouped_bench.run(script, memory_bytes=64 * MEGABYTE)
    assert end.outcome == "limit_memory"


async def test_memory_within_the_limit_is_left_in_peace(grouped_bench):
    script = PYTHON + "x = b'x' * (20 << 20)\n"
    _, end = await grouped_bench.run(script, memory_bytes=200 * MEGABYTE)
    assert (end.outcome, end.exit_code, end.detail) == ("exited", 0, "")


async def test_the_kernel_refuses_one_process_too_many_also_to_root(grouped_bench):
    needs(grouped_bench.groups, "pids")
    script = PYTHON + (
        "import os, time\nfor _ in range(50):\n    if not os.fork():\n        time.sleep(60)\n"
    )
    key, end = await grouped_bench.run(script, processes=10)
    assert end.outcome == "limit_processes"
    assert "more processes and threads than its limit of 10" in end.detail
    assert grouped_bench.processes_of(key) == []


async def test_a_script_gets_its_share_of_the_processor_and_no_more(grouped_bench):
    needs(grouped_bench.groups, "cpu")
    script = "for i in 1 2; do while :; do :; done & done; wait"
    _, end = await grouped_bench.run(
        script, cpu_percent=20, timeout_seconds=2, kill_grace_seconds=0
    )
    assert end.outcome == "timed_out"
    seconds = (end.finished_at - end.started_at).total_seconds()
    assert end.cpu_seconds < 0.4 * seconds


async def test_a_node_without_control_groups_refuses_a_share_of_the_processor(bench):
    _, end = await bench.run("true", cpu_percent=20)
    assert end.outcome == "start_failed"
    assert "limits.cpu_percent cannot be held on this node" in end.detail


async def test_what_survives_its_shim_with_a_clean_environment_is_found(grouped_bench, tmp_path):
    pids = tmp_path / "pids"
    script = (
        f"env -i setsid bash -c 'echo $$ > {pids}; exec sleep 600' >&- 2>&- &\n"
        f"while [ ! -s {pids} ]; do sleep 0.01; done; kill -9 $PPID; exec env -i sleep 600"
    )
    _, end = await grouped_bench.run(script, kill_grace_seconds=0)
    assert (end.outcome, end.survivors) == ("runner_killed", ())
    hidden = look(int(pids.read_text()))
    assert hidden is None or not hidden.is_alive


async def test_a_group_that_a_left_child_lives_in_is_removed_later(grouped_bench):
    key, end = await grouped_bench.run("sleep 600 >&- 2>&- & exit 0")
    assert "were left alone" in end.detail
    await grouped_bench.runner.forget(key)
    assert len(groups_left(grouped_bench.groups)) == 1

    (left,) = grouped_bench.processes_of(key)
    os.kill(left, signal.SIGKILL)
    while grouped_bench.processes_of(key):
        await asyncio.sleep(0.01)
    key, _ = await grouped_bench.run("true")
    await grouped_bench.runner.forget(key)
    assert groups_left(grouped_bench.groups) == []


async def test_a_node_that_comes_back_removes_empty_groups_and_keeps_those_of_its_runs(
    grouped_bench,
):
    key = await grouped_bench.launch("echo ready; sleep 600")
    await grouped_bench.logs.until_output(key, b"ready")
    Group(grouped_bench.groups.places("gone.1", [])).make(
        {"memory_bytes": None, "processes": None, "cpu_percent": None}
    )
    assert len(groups_left(grouped_bench.groups)) == 2
    await grouped_bench.runner.stop()
    grouped_bench.runner = grouped_bench.fresh_runner()
    assert await grouped_bench.runner.start() == [key]

    assert [key.run_id in group for group in groups_left(grouped_bench.groups)] == [True]
    await grouped_bench.runner.kill(key, grace_seconds=0)
    end = await grouped_bench.runner.wait(key)
    assert (end.outcome, end.survivors) == ("killed", ())


async def test_a_group_that_cannot_be_made_costs_the_run_nothing_but_a_note(grouped_bench):
    home = Path(grouped_bench.groups.places("x", [])["members"]).parent
    home.mkdir(exist_ok=True)
    (home / "cgroup.max.descendants").write_text("0")
    _, end = await grouped_bench.run("exit 3")
    assert (end.outcome, end.exit_code) == ("exited", 3)
    assert "it ran without a control group" in end.detail
