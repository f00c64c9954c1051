"""What the cluster agrees on about outputs whose writer was lost."""

import msgspec
import pytest
from builders import NOON, Cluster, at

from croncord.lifecycle import Reason, RunState
from croncord.model import LogInfo
from croncord.raft.commands import (
    CloseLogs,
    ConcludeRuns,
    Conclusion,
    LogClosure,
    decode_command,
    encode_command,
)
from croncord.raft.snapshot import decode_state, encode_state

FOUND = LogInfo(bytes=10, lines=1, sha256="a" * 64, recovered="quorum")
MORE = LogInfo(bytes=20, lines=2, sha256="b" * 64)


def lost(**job):
    cluster = Cluster()
    run = cluster.trigger(cluster.add_job(schedule="@manual", **job))
    cluster.decide()
    (run,) = cluster.claim_all()
    end = Conclusion(run_id=run.id, attempt=1, state=RunState.LOST, reason=Reason.NODE_DOWN)
    cluster.do(ConcludeRuns(at=at(70), term=1, conclusions=(end,)))
    cluster.now = at(71)
    return cluster, run


def close(cluster, run, log=FOUND, *, attempt=1, expect=""):
    closure = LogClosure(run_id=run.id, attempt=attempt, log=log, expect_sha256=expect)
    command = CloseLogs(at=at(71), by="node:n2", closures=(closure,))
    assert decode_command(encode_command(command)) == command
    return cluster.do(command)


def unclosed(cluster):
    return [(run.id, number) for run, number, _ in cluster.state.unclosed_outputs()]


def test_a_lost_run_gets_the_size_and_digest_that_the_others_found():
    cluster, run = lost()
    assert unclosed(cluster) == [(run.id, 1)]
    outcome = close(cluster, run)
    (row,) = outcome.rows
    assert (row.state, row.log) == (RunState.LOST, FOUND)
    assert cluster.state.run(run.id) == row
    assert unclosed(cluster) == []


def test_of_two_who_close_it_the_first_wins():
    cluster, run = lost()
    close(cluster, run)
    outcome = close(cluster, run, MORE)
    assert (outcome.value, outcome.rows) == ((), ())
    assert cluster.state.run(run.id).log == FOUND


def test_who_names_what_was_agreed_may_add_to_it_while_the_run_is_lost():
    cluster, run = lost()
    close(cluster, run)
    assert close(cluster, run, MORE, expect="c" * 64).value == ()
    assert close(cluster, run, MORE, expect=FOUND.sha256).value == (run.id,)
    assert cluster.state.run(run.id).log == MORE


def test_the_result_of_a_node_that_came_back_replaces_what_the_others_found():
    cluster, run = lost()
    close(cluster, run)
    whole = msgspec.structs.replace(MORE, complete=True)
    cluster.finish(run, log=whole)
    assert cluster.state.run(run.id).log == whole
    assert close(cluster, run, FOUND, expect=whole.sha256).value == ()


def test_nothing_is_closed_without_a_digest_or_before_the_run_is_lost():
    cluster, run = lost()
    assert close(cluster, run, LogInfo(bytes=3)).value == ()
    assert close(cluster, run, attempt=2).value == ()
    other = cluster.trigger(cluster.add_job("other"))
    cluster.decide()
    cluster.claim_all()
    assert close(cluster, other).value == ()


@pytest.mark.parametrize("has_ended", [False, True])
def test_an_attempt_that_was_taken_over_is_closed_for_good(has_ended):
    cluster, run = lost(delivery="at_least_once")
    cluster.decide()
    (second,) = cluster.claim_all()
    assert second.attempt == 2
    if has_ended:
        cluster.finish(second)
    assert unclosed(cluster) == [(run.id, 1)]
    outcome = close(cluster, run)
    assert len(outcome.rows) == has_ended
    row = cluster.state.run(run.id)
    assert row.attempts[0].log == FOUND
    assert row.log == LogInfo()
    assert unclosed(cluster) == []
    assert close(cluster, run, MORE, expect=FOUND.sha256).value == ()
    assert not cluster.state.unclosed


def test_what_waits_to_be_closed_survives_a_snapshot_and_old_snapshots_still_load():
    cluster, run = lost(delivery="at_least_once")
    cluster.decide()
    cluster.finish(cluster.claim_all()[0])
    restored = decode_state(encode_state(cluster.state))
    assert restored.digest() == cluster.state.digest()
    assert [found.id for found, _, _ in restored.unclosed_outputs()] == [run.id]
    old = msgspec.msgpack.decode(encode_state(Cluster(now=NOON).state)[1:])
    del old["unclosed"]
    assert not decode_state(b"\x01" + msgspec.msgpack.encode(old)).unclosed
