"""A frozen process comes back by itself, also when one of the two that watch over it is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from croncord.node import freezer_worker
from croncord.node.freezer_worker import look


def wait_for_state(pid, letters):
    give_up_at = time.monotonic() + 30
    while look(pid)[0] not in letters:
        assert time.monotonic() < give_up_at, look(pid)
        time.sleep(0.01)


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["/bin/sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_it_stands_still_and_goes_on_though_a_watcher_and_the_request_die(sleeper):
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", freezer_worker.__file__, str(sleeper.pid), "0.5"]
    )
    wait_for_state(sleeper.pid, "T")
    (other,) = children(watcher.pid)
    for pid in (watcher.pid, other):
        os.kill(pid, signal.SIGTERM)
    watcher.kill()
    watcher.wait()
    assert look(sleeper.pid)[0] == "T"
    wait_for_state(sleeper.pid, "S")


def test_a_process_that_is_gone_is_let_be():
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    assert freezer_worker.look(gone.pid) == ("", "")
    freezer_worker.send(gone.pid, "", signal.SIGSTOP)
    freezer_worker.send(os.getpid(), "another start", signal.SIGSTOP)
