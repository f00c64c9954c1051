"""Runs that outlive the daemon: killed and started again, it tells the truth about all of them."""

# Tests may wait for a disk.
# ruff: noqa: ASYNC240

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from croncord.frames import END, HEADER_BYTES
from croncord.node import kill, order, rundir
from croncord.ports import LogKey

DAEMON = """
    import asyncio, sys
    sys.path.insert(0, sys.argv[2])
    from conftest import Bench
    from pathlib import Path
    from croncord.ports import LogKey

    async def main():
        bench = Bench(Path(sys.argv[1]))
        await bench.runner.start()
        for n, script in enumerate(sys.argv[3:]):
            await bench.runner.launch(bench.request(script, key=LogKey(f"{bench.PREFIX}{n}", 1)))
        print("up", flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


@pytest.fixture
def daemon_killed_with(bench):
    """Start scripts in a daemon of their own and kill it with -9 when all of them run."""

    def start(*scripts: str) -> list[LogKey]:
        source = textwrap.dedent(DAEMON).replace("{bench.PREFIX}", prefix(bench))
        here = str(Path(__file__).parent)
        daemon = subprocess.Popen(
            [sys.executable, "-c", source, str(bench.runs.parent), here, *scripts],
            stdout=subprocess.PIPE,
        )
        try:
            assert daemon.stdout.readline() == b"up\n"
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        return [LogKey(f"{prefix(bench)}{n}", 1) for n in range(len(scripts))]

    return start


def prefix(bench) -> str:
    return f"run{os.getpid()}xd"


async def restart(bench) -> list[LogKey]:
    await bench.runner.stop()
    bench.runner = bench.fresh_runner()
    return await bench.runner.start()


def directory(bench, key) -> str:
    return str(bench.runs / f"{key.run_id}.{key.attempt}")


async def test_runs_go_on_while_the_daemon_is_dead_and_end_with_their_true_result(
    bench, daemon_killed_with
):
    count = "for i in $(seq 40); do echo line $i; sleep 0.01; done; "
    keys = daemon_killed_with(count + "exit 7", "echo quick; exit 3", count + "kill -9 $$")
    await asyncio.sleep(0.1)
    assert await restart(bench) == keys
    ends = [await bench.runner.wait(key) for key in keys]
    assert [(e.outcome, e.exit_code, e.signal) for e in ends] == [
        ("exited", 7, None),
        ("exited", 3, None),
        ("exited", None, 9),
    ]
    lines = b"".join(b"line %d\n" % i for i in range(1, 41))
    assert [bench.logs.output(key) for key in keys] == [lines, b"quick\n", lines]


async def test_a_restart_in_the_middle_of_the_output_neither_loses_nor_doubles_any(bench):
    key = await bench.launch("for i in $(seq 60); do echo line $i; sleep 0.01; done")
    for wanted in (b"line 10\n", b"line 20\n", b"line 30\n"):
        await bench.logs.until_output(key, wanted)
        assert await restart(bench) == [key]
    assert (await bench.runner.wait(key)).exit_code == 0
    assert bench.logs.output(key) == b"".join(b"line %d\n" % i for i in range(1, 61))


async def test_a_kill_works_after_the_daemon_came_back(bench, daemon_killed_with):
    (key,) = daemon_killed_with("trap '' TERM; setsid sleep 60 & while :; do sleep 1; done")
    await restart(bench)
    await bench.runner.kill(key, grace_seconds=0)
    end = await bench.runner.wait(key)
    assert (end.outcome, end.survivors) == ("killed", ())
    assert bench.processes_of(key) == []


async def test_a_result_is_kept_until_it_is_forgotten(bench):
    key, end = await bench.run("echo hi; exit 3")
    held = bench.logs.held[key]
    for _ in range(3):
        assert await restart(bench) == [key]
        assert await bench.runner.wait(key) == end
        assert bench.logs.held[key] == held
    await bench.runner.forget(key)
    assert await restart(bench) == []


async def test_the_zygote_ends_with_the_daemon_and_the_shim_stays(bench, daemon_killed_with):
    (key,) = daemon_killed_with("sleep 60")
    meta = rundir.read_json(directory(bench, key), "meta")
    assert kill.is_running(meta["pid"], meta["started"])
    parent = kill.look(meta["pid"]).parent
    while "zygote" in Path(f"/proc/{parent}/cmdline").read_text():
        await asyncio.sleep(0.01)
        parent = kill.look(meta["pid"]).parent


async def test_a_machine_that_restarted_leaves_a_lost_run_with_the_output_so_far(bench):
    key = await bench.launch("echo one; echo two; sleep 60")
    await bench.logs.until_output(key, b"two")
    await bench.runner.stop()
    bench.end_everything()
    meta = rundir.read_json(directory(bench, key), "meta")
    rundir.write_json(directory(bench, key), "meta", meta | {"boot": "another"})
    spool = bench.runs / f"{key.run_id}.1" / "spool"
    with spool.open("ab") as file:
        file.write(b"\x01\0\0\x10torn")
    for _ in range(2):
        assert await restart(bench) == [key]
        end = await bench.runner.wait(key)
        assert (end.outcome, end.exit_code) == ("lost", None)
        assert end.detail == "the machine was restarted while it ran"
    assert bench.logs.output(key) == b"one\ntwo\n"
    assert [f.stream for f in bench.logs.frames(key)].count(END) == 1


@pytest.mark.parametrize("damage", ["shorter", "missing", "zeros"])
async def test_a_spool_the_disk_lost_does_not_harm_what_the_store_holds(bench, damage):
    key = await bench.launch("echo one; sleep 0.05; echo two; sleep 60")
    await bench.logs.until_output(key, b"two")
    await bench.runner.stop()
    bench.end_everything()
    held = bench.logs.held[key]
    spool = bench.runs / f"{key.run_id}.1" / "spool"
    if damage == "missing":
        spool.unlink()
    elif damage == "shorter":
        spool.write_bytes(held[: HEADER_BYTES + 2])
    else:
        spool.write_bytes(held + bytes(500))
    for _ in range(2):
        await restart(bench)
        assert (await bench.runner.wait(key)).outcome == "runner_killed"
        assert bench.logs.held[key].startswith(held)
        assert [f.stream for f in bench.logs.frames(key)].count(END) == 1


async def test_an_attempt_that_was_ordered_and_never_started_is_dropped_for_good(bench, tmp_path):
    request = bench.request(f"touch {tmp_path}/witness")
    await bench.run("true")
    path = order.write_order(bench.runs, request, 0)
    assert rundir.take(str(path), {}), "the daemon takes it first"
    await bench.runner._forker.fork(path)
    assert not (tmp_path / "witness").exists(), "so the shim starts nothing"
    await bench.runner.stop()
    (path / "meta").unlink()
    bench.runner = bench.fresh_runner()
    assert request.key not in await bench.runner.start()
    assert not path.exists()


def test_the_first_to_take_a_directory_has_it(tmp_path):
    assert [rundir.take(str(tmp_path), {"n": n}) for n in range(3)] == [True, False, False]
    assert json.loads((tmp_path / "meta").read_text()) == {"n": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["meta"]
