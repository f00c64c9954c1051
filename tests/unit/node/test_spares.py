"""Directories of ended runs are used again, and nothing of the old run is in them."""

import os

import pytest

from croncord.node import rundir
from croncord.node.order import directory_name, remove_directory, remove_drafts, write_order
from croncord.node.spares import PREFIX, Spares
from croncord.ports import LaunchRequest, LogKey

EVERY = (rundir.SPOOL, rundir.RESULT, rundir.TROUBLE, rundir.META, rundir.MAIN, rundir.CONTROL)


def order_of(runs, run, spares=None, script=b"true\n"):
    request = LaunchRequest(
        key=LogKey(run, 1),
        script=script,
        environment={},
        working_directory="",
        user="",
        timeout_seconds=None,
        kill_grace_seconds=0,
        log_bytes=1000,
    )
    return write_order(runs, request, 0, spares=spares)


@pytest.fixture
def spares(tmp_path):
    return Spares(tmp_path)


@pytest.fixture
def ended(tmp_path):
    """The directory of a run that is over."""
    directory = order_of(tmp_path, "old", script=b"echo old # and long\n" * 100)
    for name in EVERY:
        (directory / name).write_bytes(b"of the old run")
        (directory / name).chmod(0o600)
    return directory


def test_the_next_run_gets_the_files_and_finds_nothing_in_them(tmp_path, spares, ended):
    inodes = {path.name: path.stat().st_ino for path in ended.iterdir()}
    remove_directory(ended, spares)
    assert not ended.exists()
    directory = order_of(tmp_path, "new", spares)
    assert rundir.read_json(str(directory), rundir.ORDER)["run_id"] == "new"
    assert (directory / rundir.SCRIPT).read_bytes() == b"true\n"
    for name in (rundir.SPOOL, rundir.RESULT, rundir.TROUBLE):
        assert (directory / name).stat().st_size == 0
        assert (directory / name).stat().st_ino == inodes[name]
    left = {path.name for path in directory.iterdir()} - {rundir.ORDER, rundir.SCRIPT}
    assert left == {rundir.SPOOL, rundir.RESULT, rundir.TROUBLE}
    assert rundir.take(str(directory), {}), "nobody has taken it"


def test_a_script_that_somebody_still_reads_is_not_written_over(tmp_path, spares, ended):
    with (ended / rundir.SCRIPT).open("rb") as reader:
        remove_directory(ended, spares)
        order_of(tmp_path, "new", spares)
        assert reader.read() == b"echo old # and long\n" * 100


def linked(directory):
    os.link(directory / rundir.SPOOL, directory.parent / "another name")


def symlink(directory):
    (directory / rundir.RESULT).unlink()
    (directory.parent / "elsewhere").write_text("not yours")
    (directory / rundir.RESULT).symlink_to(directory.parent / "elsewhere")


def left_behind(directory):
    (directory / "core").write_text("dumped")


def below(directory):
    (directory / "cache").mkdir()


@pytest.mark.parametrize("strange", [linked, symlink, left_behind, below])
def test_a_directory_that_its_script_changed_is_removed(tmp_path, spares, ended, strange):
    strange(ended)
    remove_directory(ended, spares)
    assert not ended.exists()
    directory = order_of(tmp_path, "new", spares)
    assert {path.name for path in directory.iterdir()} == {rundir.ORDER, rundir.SCRIPT}
    if strange is symlink:
        assert (tmp_path / "elsewhere").read_text() == "not yours"


def test_what_is_spare_is_removed_at_the_next_start_and_is_no_run_until_then(
    tmp_path, spares, ended
):
    remove_directory(ended, spares)
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}0"]
    remove_drafts(tmp_path)
    assert list(tmp_path.iterdir()) == []
    directory = order_of(tmp_path, "new", spares)
    assert directory.name == directory_name(LogKey("new", 1)), "a spare one that is gone is no loss"
