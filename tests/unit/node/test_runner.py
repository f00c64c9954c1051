"""Real scripts under real shims: what comes back, and that nothing stays behind."""

# Tests may wait for a disk.
# ruff: noqa: ASYNC240

import ast
import asyncio
import hashlib
import os
import pwd
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from croncord.errors import Conflict, NotFound, StoreError
from croncord.frames import gap_bytes
from croncord.model import Messages
from croncord.node import supervision
from croncord.node.rundir import read_json
from croncord.ports import LogKey

PYTHON = f"#!{sys.executable}\n"


async def test_output_and_exit_status_come_back(bench):
    key, end = await bench.run("echo out; echo err >&2; exit 3")
    assert (end.outcome, end.exit_code, end.signal) == ("exited", 3, None)
    assert bench.logs.output(key, 1) == b"out\n"
    assert bench.logs.output(key, 2) == b"err\n"
    assert key in bench.logs.closed
    assert end.started_at <= end.finished_at
    assert end.cpu_seconds is not None
    assert end.max_rss_bytes > 0
    assert end.detail == ""


@pytest.mark.parametrize("changes", [{}, {"open_files": 64}], ids=["spawned", "forked"])
async def test_all_is_made_ready_ahead_and_the_script_starts_at_its_instant(bench, changes):
    instant, due = time.monotonic() + 0.3, time.time() + 0.3
    key, end = await bench.run('echo "$EPOCHREALTIME"', not_before=instant, **changes)
    assert float(bench.logs.output(key)) >= due - 0.01
    assert end.started_at.timestamp() >= due - 0.01


async def test_a_script_that_dies_of_a_signal_says_which(bench):
    _, end = await bench.run("kill -SEGV $$")
    assert (end.outcome, end.exit_code, end.signal) == ("exited", None, signal.SIGSEGV)


async def test_binary_output_comes_back_byte_for_byte(bench):
    script = (
        "import sys\n"
        "data = bytes(range(256)) * 4000 + b'\\xff\\xfe\\n\\r\\0'\nsys.stdout.buffer.write(data)\n"
    )
    key, end = await bench.run(PYTHON + script)
    assert end.exit_code == 0
    assert bench.logs.output(key) == bytes(range(256)) * 4000 + b"\xff\xfe\n\r\0"


async def test_a_large_script_with_dos_line_ends_and_a_python_shebang_runs(bench):
    filler = "".join(f"x{i} = {i}\r\n" for i in range(22_000))
    script = "#!/usr/bin/env python3\r\n" + filler + "print('sum', x1 + x21999)\r\n"
    assert len(script) > 300_000
    key, end = await bench.run(script)
    assert (end.exit_code, end.detail) == (0, "")
    assert bench.logs.output(key) == b"sum 22000\n"


async def test_the_bytes_that_ran_are_kept_with_their_digest(bench):
    key = await bench.launch("\ufeffecho hi\r\n")
    directory = bench.runs / f"{key.run_id}.{key.attempt}"
    await bench.runner.wait(key)
    assert (directory / "script").read_bytes() == b"echo hi\n"
    order = read_json(str(directory), "order")
    assert order["script_sha256"] == hashlib.sha256(b"echo hi\n").hexdigest()


async def test_a_script_needs_no_permission_to_be_executed(bench):
    key, end = await bench.run('test -x "$0" || true; stat -c %a "$0"')
    assert end.exit_code == 0
    assert bench.logs.output(key) == b"500\n"


@pytest.mark.parametrize(
    ("script", "changes", "sentence"),
    [
        ("#!/no/such/program\nx", {}, "there is no such file on this machine"),
        ("#!/etc/passwd\nx", {}, "Permission denied"),
        ("x", {"working_directory": "/no/such/place"}, "/no/such/place cannot be entered"),
        ("x", {"user": "nobody-of-that-name"}, "there is no user nobody-of-that-name"),
        ("x", {"environment": {"A": "x\0y"}}, "embedded null byte"),
        ("x", {"environment": {f"A{i}": "x" * 32768 for i in range(200)}}, "too large"),
    ],
)
async def test_a_script_that_cannot_start_says_why(bench, script, changes, sentence):
    key, end = await bench.run(script, **changes)
    assert end.outcome == "start_failed"
    assert sentence in end.detail
    assert (end.started_at, end.exit_code, end.signal) == (None, None, None)
    assert key in bench.logs.closed
    assert bench.processes_of(key) == []


async def test_an_interpreter_for_another_machine_says_so(bench, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF" + bytes(100))
    broken.chmod(0o755)
    _, end = await bench.run(f"#!{broken}\n")
    assert end.outcome == "start_failed"
    assert "is not a program this machine can run" in end.detail


async def test_the_environment_is_small_and_fixed_plus_what_the_job_says(bench):
    key, end = await bench.run(
        PYTHON + "import os\nprint(*sorted(f'{k}={v}' for k, v in os.environ.items()), sep='\\n')",
        environment={"GREETING": "grüß dich", "LANG": "C", "CRONCORD_JOB": "j"},
    )
    assert end.exit_code == 0
    found = dict(line.split("=", 1) for line in bench.logs.output(key).decode().splitlines())
    own = pwd.getpwuid(os.geteuid())
    found.pop("LC_CTYPE", None)  # Python adds it for itself when LANG is C
    assert found == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": own.pw_dir,
        "SHELL": found["SHELL"],
        "LOGNAME": own.pw_name,
        "USER": own.pw_name,
        "LANG": "C",
        "GREETING": "grüß dich",
        "CRONCORD_JOB": "j",
        "CRONCORD_RUN_ID": key.run_id,
        "CRONCORD_ATTEMPT": "1",
    }


async def test_a_script_inherits_three_descriptors_and_no_ignored_signal(bench):
    script = (
        "import os\n"
        "print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')))\n"
        "status = open('/proc/self/status').read().split()\n"
        "print([status[status.index(f'{name}:') + 1] for name in ('SigBlk', 'SigIgn')])\n"
        "print(os.readlink('/proc/self/fd/0'), oct(os.umask(0)), os.getsid(0) == os.getpid())\n"
    )
    key, _ = await bench.run(f"#!{sys.executable} -I\nimport signal\n{script}")
    lines = bench.logs.output(key).decode().splitlines()
    assert lines[0] == "[0, 1, 2, 3]", "3 is the one that listdir itself uses"
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25). Signals 32 and 33 are the C library's own;
    # who ignores them here came before us, and no program can change it.
    blocked, ignored = (int(mask, 16) for mask in ast.literal_eval(lines[1]))
    assert blocked == 0
    assert ignored & ~(1 << 31 | 1 << 32) == 1 << 12 | 1 << 24
    assert lines[2] == "/dev/null 0o22 True"


async def test_the_working_directory_is_home_unless_the_job_names_one(bench, tmp_path):
    (tmp_path / "sub").mkdir()
    home = {"HOME": str(tmp_path)}
    for wanted, expected in [
        ("", tmp_path),
        ("/usr", Path("/usr")),
        ("sub", tmp_path / "sub"),
        ("~/sub", tmp_path / "sub"),
        ("~", tmp_path),
    ]:
        key, _ = await bench.run("pwd", working_directory=wanted, environment=home)
        assert bench.logs.output(key).decode().strip() == str(expected)


async def test_a_home_that_is_missing_is_replaced_by_the_root_directory_and_noted(bench):
    key, end = await bench.run("pwd", working_directory="", environment={"HOME": "/no/home"})
    assert (end.outcome, bench.logs.output(key)) == ("exited", b"/\n")
    assert "the home directory /no/home cannot be entered" in end.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start scripts as somebody else")
async def test_a_script_of_another_user_runs_with_that_users_rights_and_groups(bench):
    key, end = await bench.run(
        'id -un; id -G; echo $HOME $USER; cat "$0" >/dev/null && echo readable; '
        "cat /etc/shadow >/dev/null 2>&1 || echo closed; touch /root/x 2>/dev/null || echo no",
        user="daemon",
    )
    assert (end.outcome, end.exit_code) == ("exited", 0)
    assert bench.logs.output(key).decode().splitlines() == [
        "daemon",
        "1",
        "/usr/sbin daemon",
        "readable",
        "closed",
        "no",
    ]
    script = Path(read_json(str(bench.runs / f"{key.run_id}.1"), "order")["script"])
    assert script.exists()
    await bench.runner.forget(key)
    assert not script.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start scripts as somebody else")
async def test_a_script_of_another_user_lies_in_its_run_directory_when_that_is_reachable(bench):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o711)
        bench.runs = Path(place) / "runs"
        await bench.runner.stop()
        bench.runner = bench.fresh_runner()
        await bench.runner.start()
        key, end = await bench.run(
            'echo "$0"; cd "$(dirname "$0")"; for f in order spool result meta trouble; do '
            "cat $f >/dev/null 2>&1 && echo open $f; done; ls . 2>/dev/null; true",
            user="daemon",
        )
        assert (end.outcome, end.exit_code, end.detail) == ("exited", 0, "")
        script = bench.runs / f"{key.run_id}.1" / "script"
        assert bench.logs.output(key).decode() == f"{script}\n", "it sees its script and no more"


async def test_output_beyond_the_limit_is_cut_and_the_cut_is_marked(bench):
    key, end = await bench.run("head -c 3000000 /dev/zero", log_bytes=100_000)
    frames = bench.logs.frames(key)
    assert end.exit_code == 0
    assert len(bench.logs.output(key)) == 100_000
    assert sum(gap_bytes(frame) for frame in frames) == 2_900_000
    assert "2900000 bytes of output were dropped" in end.detail
    assert "the first 50000 bytes" in bench.logs.system(key)[0]


async def test_a_script_that_closes_its_output_and_lives_on_is_waited_for(bench):
    _, end = await bench.run("exec >&- 2>&-; sleep 0.3; exit 4")
    assert (end.outcome, end.exit_code) == ("exited", 4)
    assert (end.finished_at - end.started_at).total_seconds() > 0.25


async def test_a_child_that_keeps_the_pipe_does_not_hold_the_run_and_is_left_alone(bench):
    key, end = await bench.run("sleep 60 & echo $!")
    child = int(bench.logs.output(key))
    assert (end.outcome, end.exit_code) == ("exited", 0)
    assert f"1 processes it started still run and were left alone (pid {child})" in end.detail
    assert bench.processes_of(key) == [child]
    os.kill(child, signal.SIGKILL)


async def test_a_script_that_removes_its_own_directory_still_ends_with_its_result(bench):
    key, end = await bench.run('rm -rf "$(dirname "$0")"; echo gone; sleep 0.2; exit 6')
    assert (end.outcome, end.exit_code) == ("exited", 6)
    assert bench.logs.output(key) == b"gone\n"
    assert list(bench.runs.iterdir()) == []


async def test_a_script_that_removed_its_own_directory_can_be_ended(bench):
    key = await bench.launch('rm -rf "$(dirname "$0")"; echo gone; sleep 60')
    await bench.logs.until_output(key, b"gone")
    await bench.runner.kill(key, grace_seconds=5)
    assert (await bench.runner.wait(key)).outcome == "killed"
    assert bench.processes_of(key) == []


async def test_a_store_that_refuses_for_a_while_loses_nothing(bench, monkeypatch):
    monkeypatch.setattr(supervision, "_RETRY_SECONDS", 0.01)
    real, refusals = bench.logs.append, iter(range(5))

    async def append(*arguments):
        if next(refusals, None) is not None:
            raise StoreError("the disk is full")
        return await real(*arguments)

    bench.logs.append = append
    key, end = await bench.run("echo kept; exit 3")
    assert (end.exit_code, end.detail) == (3, "")
    assert bench.logs.output(key) == b"kept\n"


async def test_a_store_that_goes_on_refusing_does_not_hold_the_result_for_ever(bench, monkeypatch):
    monkeypatch.setattr(supervision, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "STORE_SECONDS", 0.05)

    async def append(*_):
        raise StoreError("the disk is full")

    bench.logs.append = append
    _, end = await bench.run("echo lost; exit 3")
    assert (end.outcome, end.exit_code) == ("exited", 3)
    assert end.detail == "its output could not be stored: the disk is full"


async def test_the_same_attempt_is_started_once(bench, tmp_path):
    request = bench.request(f"echo x >> {tmp_path}/witness; sleep 0.2")
    await asyncio.gather(*(bench.runner.launch(request) for _ in range(5)))
    await bench.runner.launch(request)
    await bench.runner.wait(request.key)
    assert (tmp_path / "witness").read_text() == "x\n"


async def test_an_attempt_nobody_knows_is_not_found(bench):
    for call in (
        bench.runner.wait(LogKey("x", 1)),
        bench.runner.kill(LogKey("x", 1), grace_seconds=0),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_running_attempt_cannot_be_forgotten_and_an_ended_one_leaves_nothing(bench):
    key = await bench.launch("sleep 60")
    with pytest.raises(Conflict):
        await bench.runner.forget(key)
    await bench.runner.kill(key, grace_seconds=0)
    await bench.runner.wait(key)
    await bench.runner.forget(key)
    assert list(bench.runs.iterdir()) == []


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_many_runs_at_once_leave_no_descriptor_open(bench):
    before = open_descriptors()
    runs = await asyncio.gather(*(bench.run(f"echo {i}") for i in range(40)))
    assert [bench.logs.output(key) for key, _ in runs] == [b"%d\n" % i for i in range(40)]
    assert open_descriptors() == before


async def test_a_zygote_that_dies_is_replaced_and_hurts_no_run(bench):
    running = await bench.launch("echo up; sleep 0.5; echo done")
    await bench.logs.until_output(running, b"up")
    old = bench.runner.zygote_pid
    os.kill(old, signal.SIGKILL)
    _, end = await bench.run("exit 5")
    assert end.exit_code == 5
    assert bench.runner.zygote_pid != old
    assert (await bench.runner.wait(running)).exit_code == 0
    assert bench.logs.output(running) == b"up\ndone\n"


async def test_a_long_path_to_the_runs_is_no_trouble(tmp_path, bench):
    bench.runs = tmp_path / ("d" * 120) / ("e" * 120)
    await bench.runner.stop()
    bench.runner = bench.fresh_runner()
    await bench.runner.start()
    key = await bench.launch("sleep 60")
    await bench.runner.kill(key, grace_seconds=0)
    assert (await bench.runner.wait(key)).outcome == "killed"


async def test_what_a_script_tells_about_itself_comes_back_with_its_result(bench):
    script = "echo ::progress 10; echo ::notice half >&2; printf '::pro'; sleep 0.1; "
    script += "echo gress 50; echo ::output file=x; echo ::unknown y; echo ::metric rows=7"
    key, end = await bench.run(script)
    assert end.messages == Messages(
        progress=50, metrics={"rows": 7}, notices=("half",), outputs={"file": "x"}
    )
    assert b"::progress 50\n" in bench.logs.output(key), "the lines stay in the output"


async def test_progress_is_known_while_the_script_runs_and_not_afterwards(bench, tmp_path):
    flag = tmp_path / "flag"
    script = f"echo ::progress 40; echo ready; while [ ! -e {flag} ]; do sleep 0.02; done"
    key = await bench.launch(script)
    silent = await bench.launch("sleep 600")
    await bench.logs.until_output(key, b"ready")
    assert bench.runner.progress() == {key.run_id: 40}
    flag.touch()
    await bench.runner.wait(key)
    assert bench.runner.progress() == {}
    await bench.runner.kill(silent, grace_seconds=0)


async def test_what_a_script_told_before_the_daemon_restarted_is_not_forgotten(bench):
    key = await bench.launch("echo ::notice before; echo ready; sleep 0.6; echo ::notice after")
    await bench.logs.until_output(key, b"ready")
    await bench.runner.stop()
    for _ in range(2):
        bench.runner = bench.fresh_runner()
        await bench.runner.start()
        assert (await bench.runner.wait(key)).messages.notices == ("before", "after")
        await bench.runner.stop()
