import asyncio
import json
import signal
import subprocess
import sys

import pytest
from desks import STDERR
from hypothesis import given
from hypothesis import strategies as st

from croncord.__main__ import main
from croncord.cli.run_log import last_lines
from croncord.cli.run_output import Piece
from croncord.errors import NoLeader


@pytest.fixture
def job(node):
    node.do(node.office.job("backup"))


async def next_run(office):
    """Return the id of the open run as soon as there is one."""
    while not office.replica.state.open_runs:
        await asyncio.sleep(0.01)
    return next(iter(office.replica.state.open_runs))


async def play(office, *output, state="succeeded"):
    """Be the node: take the next run, write, finish."""
    run = await next_run(office)
    await office.launch(run)
    for data in output:
        await office.write(run, data)
    await office.finish(run, state)


@pytest.mark.usefixtures("job")
def test_a_job_is_started_and_its_run_listed_and_shown(croncord, node):
    status, out, _ = croncord("job", "run", "backup", "--env", "A=1", "--node", "n2")
    assert status == 0
    run = out.split()[2]
    assert out == f"Started run {run} of backup.\n"
    assert node.state.open_runs[run].environment == {"A": "1"}
    assert node.state.open_runs[run].target == "n2"
    _, listed, _ = croncord("run", "list", "--state", "pending")
    assert listed.splitlines()[1].startswith(f"{run}  backup")
    assert croncord("job", "history", "backup")[1] == listed
    _, shown, _ = croncord("run", "show", run)
    assert shown.startswith("backup pending.\n")
    assert "token:admin" in shown


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("state", "status", "said"),
    [("succeeded", 0, "backup succeeded on n1"), ("failed", 1, "backup failed on n1")],
)
def test_waiting_for_a_run_tells_how_it_ended(croncord, node, state, status, said):
    playing = node.start(play(node.office, state=state))
    ended, out, _ = croncord("job", "run", "backup", "--wait")
    playing.result()
    assert ended == status
    assert out.startswith(said)


@pytest.mark.usefixtures("job")
def test_following_a_run_prints_its_output_alone_on_standard_output(croncord, node):
    playing = node.start(play(node.office, b"\xff\x00 one\r\n", b"two", state="failed"))
    status, out, err = croncord("job", "run", "backup", "--follow")
    playing.result()
    assert (status, out) == (1, "\\xff\x00 one\r\ntwo")
    assert err.startswith("Run ")
    assert "backup failed on n1" in err
    assert err.endswith(", exit status 1.\n")


@pytest.mark.usefixtures("job")
def test_the_answer_to_wait_can_be_json(croncord, node):
    playing = node.start(play(node.office))
    _, out, _ = croncord("job", "run", "backup", "--wait", "--json")
    playing.result()
    assert json.loads(out)["state"] == "succeeded"


EVERY_BYTE = bytes(range(256)) * 40


@pytest.fixture
def printed(node, capfdbinary):
    """Run a command and return the very bytes it prints."""

    def run(*arguments):
        capfdbinary.readouterr()
        assert main(arguments) == 0
        return capfdbinary.readouterr().out

    return run


@pytest.mark.usefixtures("job")
def test_output_comes_back_byte_for_byte(printed, node):
    run = node.do(node.office.ran("backup", EVERY_BYTE, b"caf\xc3", b"\xa9\n"))
    assert printed("run", "log", run) == EVERY_BYTE + "café\n".encode()
    assert printed("run", "log", "-f", run) == EVERY_BYTE + "café\n".encode()


@pytest.mark.usefixtures("job")
def test_one_stream_can_be_read_alone(printed, node):
    async def both(office):
        run = (await office.run("backup"))["id"]
        await office.launch(run)
        await office.write(run, b"out\n")
        await office.write(run, b"err\n", stream=STDERR)
        await office.finish(run)
        return run

    run = node.do(both(node.office))
    assert printed("run", "log", run) == b"out\nerr\n"
    assert printed("run", "log", "--stream", "stderr", run) == b"err\n"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("lines", "shown"),
    [("0", b""), ("1", b"7"), ("2", b"6\n7"), ("3", b"5\n6\n7"), ("99", b"1\n2\n3\n4\n5\n6\n7")],
)
def test_the_tail_has_exactly_that_many_lines(printed, node, lines, shown):
    run = node.do(node.office.ran("backup", b"1\n2\n3\n", b"4", b"\n5\n6\n", b"7"))
    assert printed("run", "log", "--tail", lines, run) == shown
    assert printed("run", "log", "--tail", lines, "-f", run) == shown


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\x01", b"\n"))), st.integers(0, 9))
def test_last_lines_are_those_of_the_whole(pieces, lines):
    whole = b"".join(pieces)
    kept = whole.split(b"\n")
    ended = kept and kept[-1] == b""
    wanted = kept[:-1] if ended else kept
    expected = b"\n".join(wanted[-lines:]) + (b"\n" if ended and wanted else b"") if lines else b""
    found = last_lines([Piece("stdout", data) for data in pieces], lines)
    assert b"".join(piece.data for piece in found) == expected


@pytest.mark.usefixtures("job")
def test_following_goes_on_after_the_node_was_away(printed, node):
    """The node stops serving in the middle and comes back; not a byte is lost or doubled."""
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))
    node.do(node.office.write(run, b"before\n"))

    async def restart():
        await asyncio.sleep(0.3)
        await node.shut_doors_here()
        await node.office.write(run, b"while away \xff\n")
        await asyncio.sleep(0.6)
        await node.open_doors_here()
        await asyncio.sleep(0.3)
        await node.office.write(run, b"after\n")
        await node.office.finish(run)

    restarting = node.start(restart())
    assert printed("run", "log", "-f", run) == b"before\nwhile away \xff\nafter\n"
    restarting.result()


@pytest.mark.usefixtures("job")
def test_following_from_the_tail_goes_on_where_the_tail_ended(printed, node):
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))
    node.do(node.office.write(run, b"1\n2\n3\n"))

    async def more():
        await asyncio.sleep(0.3)
        await node.office.write(run, b"4\n")
        await node.office.finish(run)

    writing = node.start(more())
    assert printed("run", "log", "-f", "--tail", "1", run) == b"3\n4\n"
    writing.result()


@pytest.mark.usefixtures("job")
def test_following_waits_for_a_run_that_has_not_started(printed, node):
    run = node.do(node.office.run("backup"))["id"]
    playing = node.start(play(node.office, b"late\n"))
    assert printed("run", "log", "--follow", run) == b"late\n"
    playing.result()


@pytest.mark.usefixtures("job")
def test_a_run_is_killed_once(croncord, node):
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))
    status, out, _ = croncord("run", "kill", run, "--grace", "3")
    assert (status, out) == (0, f"Asked for the end of run {run} of backup.\n")
    assert node.state.open_runs[run].kill.grace_seconds == 3
    assert "pending: the node has not confirmed it yet" in croncord("run", "show", run)[1]
    node.do(node.office.finish(run, "killed", signal=15))
    status, _, err = croncord("run", "kill", run)
    assert status == 6
    assert "ended" in err


@pytest.mark.usefixtures("job")
def test_waiting_for_a_kill_tells_when_it_is_done(croncord, node):
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))

    async def die():
        while node.state.open_runs[run].kill is None:
            await asyncio.sleep(0.01)
        await node.office.finish(run, "killed", signal=9)

    dying = node.start(die())
    status, out, _ = croncord("run", "kill", run, "--wait")
    dying.result()
    assert status == 0
    assert out.startswith("backup killed")


@pytest.mark.usefixtures("job")
def test_a_shown_run_has_its_result_and_its_output_size(croncord, node):
    run = node.do(node.office.ran("backup", b"line\n" * 3, state="failed"))
    _, out, _ = croncord("run", "show", run)
    assert out.startswith("backup failed on n1 after ")
    assert "15 B in 3 lines" in out


@pytest.mark.usefixtures("job")
def test_runs_are_filtered(croncord, node):
    good = node.do(node.office.ran("backup"))
    bad = node.do(node.office.ran("backup", state="failed"))

    def ids(*options):
        return [r["id"] for r in json.loads(croncord("run", "list", "--json", *options)[1])]

    assert set(ids()) == {good, bad}
    assert ids("--state", "failed") == [bad]
    assert ids("--since", "2100-01-01") == []
    assert len(ids("--limit", "1")) == 1
    assert croncord("run", "list", "--node", "n2")[2] == "No runs match.\n"


def start_program(*arguments):
    command = [sys.executable, "-m", "croncord", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.usefixtures("job")
def test_ctrl_c_while_following_ends_quietly(node):
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))
    node.do(node.office.write(run, b"begun\n"))
    with start_program("run", "log", "-f", run) as program:
        assert program.stdout.readline() == b"begun\n"
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=20) == (b"", b"")
    assert program.returncode == 130


@pytest.mark.usefixtures("job")
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(node):
    run = node.do(node.office.ran("backup", *[EVERY_BYTE] * 40))
    with start_program("run", "log", run) as program:
        program.stdout.read(10)
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


def test_a_table_whose_reader_is_gone_ends_quietly_too(node):
    node.do(node.office.job("a"))
    with start_program("job", "list") as program:
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


def test_following_goes_through_all_attempts(node, capfdbinary):
    node.do(node.office.job("flaky", retries={"count": 1, "delay_seconds": 0}))

    async def fail_once():
        run = await next_run(node.office)
        await node.office.launch(run)
        await node.office.write(run, b"first\n")
        await node.office.finish(run, "failed")
        await node.office.launch(run)
        await node.office.write(run, b"second\n", attempt=2)
        await node.office.finish(run, attempt=2)
        return run

    failing = node.start(fail_once())
    status = main(["job", "run", "flaky", "--follow"])
    run = failing.result()
    out, err = capfdbinary.readouterr()
    assert (status, out) == (0, b"first\nsecond\n")
    assert b"attempt 2:\n" in err
    assert main(["run", "log", run]) == 0
    assert capfdbinary.readouterr().out == b"second\n"
    assert main(["run", "log", "--attempt", "1", run]) == 0
    assert capfdbinary.readouterr().out == b"first\n"


def test_a_read_without_a_leader_says_whose_copy_it_is(croncord, node, monkeypatch):
    node.do(node.office.job("a"))

    async def nobody_leads(*, timeout_seconds=0):
        raise NoLeader("no majority")

    monkeypatch.setattr(node.office.replica, "barrier", nobody_leads)
    status, out, err = croncord("job", "list")
    assert status == 0
    assert out.splitlines()[1].startswith("a ")
    assert err == "note: there is no leader; this is n1's own copy, 0.0 s old\n"


@pytest.mark.usefixtures("job")
def test_output_that_was_cut_short_is_told_as_such(croncord, node):
    run = node.do(node.office.run("backup"))["id"]
    node.do(node.office.launch(run))
    node.do(node.office.write(run, b"and then\n"))
    losing = node.start(node.office.lose(run))
    status, out, err = croncord("run", "log", "-f", run)
    losing.result()
    assert (status, out, err) == (0, "and then\n", "note: the end of the output is missing\n")
