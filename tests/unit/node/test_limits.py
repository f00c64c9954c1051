"""What a job's limits and priorities do to real scripts, and what its run says then."""

import os
import sys
from datetime import timedelta

import pytest

from croncord.frames import gap_bytes
from croncord.node import usage
from croncord.node.results import result_of

PYTHON = f"#!{sys.executable}\n"
MEGABYTE = 1024 * 1024
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change users")


def reason_of(end):
    result = result_of(end, ahead=timedelta())
    return result.state, result.reason


async def test_a_script_that_takes_too_much_memory_is_ended_and_says_so(bench):
    script = "import time\nx = bytearray(120 * 1024 * 1024)\nx[::4096] = b'x' * len(x[::4096])\n"
    key, end = await bench.run(PYTHON + script + "time.sleep(60)", memory_bytes=60 * MEGABYTE)
    assert reason_of(end) == ("failed", "limit_memory")
    assert "more than its limit of 62914560" in end.detail
    assert end.max_rss_bytes > 60 * MEGABYTE
    assert bench.processes_of(key) == []


async def test_the_memory_of_the_whole_tree_counts_and_not_that_of_one_process(bench):
    child = (
        f"{sys.executable} -c \"import time; x = bytearray(b'x') * 30000000; time.sleep(60)\" &\n"
    )
    _, end = await bench.run(child * 4 + "wait", memory_bytes=80 * MEGABYTE)
    assert end.outcome == "limit_memory"
    assert end.max_rss_bytes > 80 * MEGABYTE


async def test_memory_that_children_share_is_not_counted_for_each(bench):
    script = (
        "import os, time\nx = bytearray(b'x') * 40_000_000\n"
        "for _ in range(4):\n    if not os.fork():\n        time.sleep(1)\n        os._exit(0)\n"
        "time.sleep(1)\n"
    )
    _, end = await bench.run(PYTHON + script, memory_bytes=120 * MEGABYTE)
    assert (end.outcome, end.exit_code) == ("exited", 0)


async def test_more_processes_than_allowed_end_the_run(bench):
    _, end = await bench.run("for i in 1 2 3 4 5 6; do sleep 60 & done; wait", processes=4)
    assert reason_of(end) == ("failed", "limit_processes")
    assert "more than its limit of 4" in end.detail


@needs_root
async def test_another_users_script_cannot_start_more_processes_than_allowed(bench):
    script = (
        "import os, signal\nchildren = []\ntry:\n    while len(children) < 200:\n"
        "        pid = os.fork()\n        if not pid:\n            signal.pause()\n"
        "        children.append(pid)\nexcept BlockingIOError:\n    pass\n"
        "print(len(children), flush=True)\n"
        "for pid in children:\n    os.kill(pid, 9)\n"
    )
    key, end = await bench.run("#!/usr/bin/python3\n" + script, processes=20, user="daemon")
    assert end.outcome in ("exited", "limit_processes")
    if end.outcome == "exited":
        assert 15 <= int(bench.logs.output(key)) <= 20
    await bench.runner.forget(key)


async def test_open_files_umask_and_nice_are_those_of_the_job(bench):
    key, end = await bench.run(
        "ulimit -n; umask; nice", open_files=77, umask=0o077, nice=7, ionice="idle"
    )
    assert (end.exit_code, bench.logs.output(key)) == (0, b"77\n0077\n7\n")


@pytest.mark.parametrize(
    ("wanted", "told"), [("idle", b"idle"), ("best-effort:6", b"best-effort: prio 6")]
)
async def test_the_disk_priority_is_that_of_the_job(bench, wanted, told):
    key, _ = await bench.run("ionice -p $$", ionice=wanted)
    assert bench.logs.output(key).strip() == told


async def test_head_and_tail_of_a_long_output_are_kept_with_the_cut_between(bench):
    key, end = await bench.run("seq 100000", log_bytes=2000)
    whole = b"".join(b"%d\n" % n for n in range(1, 100_001))
    assert end.outcome == "exited"
    assert bench.logs.output(key) == whole[:1000] + whole[-1000:]
    gaps = [gap_bytes(frame) for frame in bench.logs.frames(key) if gap_bytes(frame)]
    assert gaps == [len(whole) - 2000]


async def test_a_job_may_want_to_be_ended_when_it_prints_too_much(bench):
    key, end = await bench.run("yes", log_bytes=100_000, on_limit="kill")
    assert reason_of(end) == ("failed", "limit_log")
    assert len(bench.logs.output(key)) == 100_000
    assert bench.processes_of(key) == []


async def test_the_peak_is_that_of_the_whole_tree(bench):
    child = (
        f"{sys.executable} -c \"import time; x = bytearray(b'x') * 30000000; time.sleep(1)\" &\n"
    )
    _, end = await bench.run(child * 3 + "wait")
    assert end.max_rss_bytes > 90_000_000


async def test_processor_time_of_children_that_were_left_behind_counts(bench, tmp_path):
    work = f"for ((i = 0; i < 300000; i++)); do :; done; touch {tmp_path}/done; exec sleep 600"
    script = f"(exec >&- 2>&-; {work}) & while [ ! -e {tmp_path}/done ]; do sleep 0.02; done"
    key, end = await bench.run(script)
    assert end.cpu_seconds > 0.1
    for pid in bench.processes_of(key):
        os.kill(pid, 9)


def test_a_process_that_is_gone_uses_nothing():
    assert usage.cpu_seconds([2**22 + 1]) == 0
    assert usage.measure(2**22 + 1) == (0, 0)
    assert usage.threads_of_user(os.getuid()) >= 1
    assert usage.threads_of_user(4_000_000) == 0
