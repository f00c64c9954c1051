"""Applying agreed entries on the loop: once, in order, or not at all."""

import asyncio
import gc
from datetime import UTC, datetime

import pytest

from croncord.errors import OutcomeUnknown
from croncord.model import JobSpec, Node, Value
from croncord.raft import applier as applier_module
from croncord.raft import requests as requests_module
from croncord.raft.applier import Applier, Unappliable
from croncord.raft.commands import DeleteJob, PutJob, encode_command
from croncord.raft.envelope import request_id_of, seal, unseal
from croncord.raft.image import ENTRIES_PER_SLICE, decode_image
from croncord.raft.outcomes import decode_outcome, encode_outcome
from croncord.raft.requests import REQUESTS_KEPT, AppliedRequests
from croncord.raft.shape import shape
from croncord.raft.snapshot import decode_state, encode_state
from croncord.raft.state import Outcome

AT = datetime(2026, 1, 1, tzinfo=UTC)


def request(number):
    return number.to_bytes(16, "big")


def entry(number, name=None):
    spec = JobSpec(name=name or f"job {number}", script="true")
    command = PutJob(at=AT, job_id=f"j{number}", spec=spec, next_due=None)
    return seal(request(number), encode_command(command))


async def test_who_proposed_gets_the_outcome():
    applier = Applier()
    future = applier.expect(request(1))
    applier.apply(2, entry(1))
    assert (await future).value.id == "j1"
    assert applier.applied_index == 2


async def test_s16_a_repeated_request_is_applied_once():
    applier = Applier()
    seen = []
    applier.subscribe(lambda index, *_: seen.append(index))
    applier.apply(2, entry(1))
    digest = applier.state.digest()
    applier.apply(3, entry(1))
    assert (seen, applier.applied_index, applier.state.digest()) == ([2], 3, digest)


async def test_who_repeats_a_request_gets_its_first_outcome():
    applier, other = Applier(), Applier()
    applier.apply(2, entry(1))
    first = applier.state.jobs["j1"]
    applier.apply(3, entry(2, name="job 1"))  # refused: the name is taken
    applier.apply(4, seal(request(3), encode_command(DeleteJob(at=AT, job_id="j1"))))
    other.restore(4, decode_image(applier.capture()()))
    for each in (applier, other):
        again = [each.expect(request(number)) for number in (1, 2, 3)]
        for number, future in enumerate(again, 1):
            each.apply(4 + number, entry(number))
            assert future.done()
        created, refused, deleted = [future.result() for future in again]
        assert created == Outcome(value=first)
        assert refused.refusal.code == "conflict"
        assert deleted.value.id == "j1"
    assert applier.state.digest() == other.state.digest()


async def test_an_outcome_that_is_not_kept_any_more_is_called_unknown(monkeypatch):
    monkeypatch.setattr(requests_module, "OUTCOMES_KEPT", 2)
    applier = Applier()
    for number in range(1, 4):
        applier.apply(number + 1, entry(number))
    future = applier.expect(request(1))
    applier.apply(9, entry(1))
    with pytest.raises(OutcomeUnknown, match="not kept any more"):
        await future
    assert len(applier.state.jobs) == 3


def test_outcomes_are_bounded_by_their_bytes(monkeypatch):
    monkeypatch.setattr(requests_module, "OUTCOME_BYTES_KEPT", 100)
    requests = AppliedRequests()
    for number in range(10):
        requests.remember(request(number), bytes(30))
    assert [key for key, _ in requests.copy_outcomes()] == [request(n) for n in (7, 8, 9)]
    requests.remember(request(10), bytes(200))
    assert requests.copy_outcomes() == []
    restored = AppliedRequests([], [(request(1), bytes(60))])
    restored.remember(request(2), bytes(60))
    assert restored.outcome(request(1)) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        "text",
        (),
        ("a", "b"),
        {"gpu=a": 2},
        Node(name="n1", http="http://n1", raft="n1:1", joined_at=AT, changed_at=AT),
    ],
)
def test_outcomes_come_back_as_what_they_were(value):
    outcome = Outcome(value=value)
    assert decode_outcome(encode_outcome(outcome)) == outcome


async def test_a_repeated_request_is_known_after_a_snapshot_too():
    applier, other = Applier(), Applier()
    applier.apply(2, entry(1))
    other.restore(2, decode_image(applier.capture()()))
    other.apply(3, entry(1))
    assert other.state.digest() == applier.state.digest()


def test_the_oldest_requests_are_forgotten_at_the_same_entry_everywhere():
    requests = AppliedRequests()
    for number in range(REQUESTS_KEPT + 1):
        assert requests.note(request(number))
    assert not requests.note(request(1))
    assert requests.note(request(0))
    assert AppliedRequests(requests.copy()).copy() == requests.copy()


async def test_s7_a_request_that_a_snapshot_skipped_over_is_answered():
    ahead, behind = Applier(), Applier()
    future = behind.expect(request(1))
    waiting = behind.expect(request(2))
    ahead.apply(2, entry(1))
    behind.restore(2, decode_image(ahead.capture()()))
    assert (await future).value.id == "j1"
    assert not waiting.done()


class ForgetsWhoWaits(Applier):
    """pysyncobj's way: a snapshot replaces the state, and whoever waits goes on waiting."""

    def restore(self, index, restored):
        self.state, self._requests = restored
        self.advance(index)


async def test_s7_without_that_its_caller_would_wait_for_ever():
    applier, other = Applier(), ForgetsWhoWaits()
    applier.apply(2, entry(1))
    future = other.expect(request(1))
    other.restore(2, decode_image(applier.capture()()))
    assert not future.done()


async def test_s6_a_failing_listener_does_not_disturb_the_state():
    applier = Applier()
    seen = []

    def fails(*_):
        raise RuntimeError("a fault in a listener")

    applier.subscribe(fails)
    applier.subscribe(lambda index, *_: seen.append(index))
    future = applier.expect(request(1))
    applier.apply(2, entry(1))
    applier.apply(3, entry(2))
    assert (await future).refusal is None
    assert seen == [2, 3]


async def test_without_the_guard_a_failing_listener_leaves_its_proposer_waiting():
    class Unguarded(Applier):
        def _tell(self, index, command, outcome):
            for listener in self._listeners:
                listener(index, command, outcome)

    applier = Unguarded()
    applier.subscribe(lambda *_: 1 / 0)
    future = applier.expect(request(1))
    with pytest.raises(ZeroDivisionError):
        applier.apply(2, entry(1))
    assert not future.done()


@pytest.mark.parametrize(
    "unreadable",
    [
        b"",
        b"\x80",
        seal(request(1), b"\x63 from a newer version"),
        seal(request(1), b"\x01\xc1"),
        b"\x93\x02\xc4\x10" + bytes(16) + b"\xc4\x00",
    ],
)
async def test_s14_what_this_version_cannot_read_stops_the_node(unreadable):
    applier = Applier()
    with pytest.raises(Unappliable) as report:
        applier.apply(2, unreadable)
    assert applier.applied_index == 0
    assert "Upgrade this node" in report.value.hint


async def test_an_apply_that_fails_stops_the_node_before_it_differs(monkeypatch):
    applier = Applier()
    monkeypatch.setattr(applier_module, "apply", lambda *_: 1 / 0)
    with pytest.raises(Unappliable):
        applier.apply(2, entry(1))
    assert applier.applied_index == 0


async def test_waiting_for_an_index():
    applier = Applier()
    waits = [asyncio.create_task(applier.reach(index)) for index in (3, 2)]
    await asyncio.sleep(0)
    applier.apply(2, entry(1))
    await asyncio.sleep(0)
    assert [wait.done() for wait in waits] == [False, True]
    applier.advance(3)
    await asyncio.gather(*waits)


async def test_a_snapshot_replaces_and_never_merges():
    applier, other = Applier(), Applier()
    applier.apply(2, entry(1))
    other.apply(2, entry(9))
    other.restore(2, decode_image(applier.capture()()))
    assert set(other.state.jobs) == {"j1"}
    assert decode_state(encode_state(other.state)).digest() == applier.state.digest()


async def test_a_snapshot_is_of_the_moment_it_was_captured():
    applier, other = Applier(), Applier()
    applier.apply(2, entry(1))
    encode = applier.capture()
    applier.apply(3, entry(2))
    other.restore(2, decode_image(encode()))
    assert set(other.state.jobs) == {"j1"}


def test_the_engine_finds_a_request_id_without_decoding():
    sealed = seal(request(5), b"command")
    assert request_id_of(sealed) == request(5)
    assert unseal(sealed) == (request(5), b"command")
    assert request_id_of(b"\x93\x02") is None


async def test_a_state_that_differs_from_the_leaders_stops_the_node():
    leader, same, other = Applier(), Applier(), Applier()
    for number in range(2, 65):
        leader.apply(number, entry(number))
        same.apply(number, entry(number))
        other.apply(number, entry(number, name="another" if number == 30 else None))
    index, digest = leader.last_digest
    same.check_digest(index, digest)
    with pytest.raises(Unappliable, match="differs"):
        other.check_digest(index, digest)


async def test_states_of_another_releases_shape_are_not_compared(monkeypatch):
    newer, older = Applier(), Applier()
    for number in range(2, 65):
        older.apply(number, entry(number))
    monkeypatch.setattr(applier_module, "shape", lambda: "of the newer release")
    for number in range(2, 65):
        newer.apply(number, entry(number, name="told with one field more"))
    older.check_digest(*newer.last_digest)
    newer.check_digest(*older.last_digest)


def test_the_shape_is_that_of_the_agreed_values_and_of_nothing_else():
    before = shape.__wrapped__()

    class Question(Value, frozen=True):
        """What a door or a test may define."""

        text: str = ""

    assert shape.__wrapped__() == before

    class Kept(Value, frozen=True):
        """What a newer release might agree on."""

        __module__ = "croncord.model"
        text: str = ""

    assert shape.__wrapped__() != before
    del Question, Kept
    gc.collect()


async def test_a_digest_that_comes_early_is_compared_when_its_entry_is_applied():
    leader, other = Applier(), Applier()
    for number in range(2, 65):
        leader.apply(number, entry(number))
    other.check_digest(*leader.last_digest)
    other.apply(63, entry(1))
    with pytest.raises(Unappliable, match="differs"):
        other.apply(64, entry(64))


async def test_a_large_state_survives_its_slices_in_whatever_parts_they_arrive():
    applier = Applier()
    for number in range(2, 3 * ENTRIES_PER_SLICE):
        applier.apply(number, entry(number))
    frames = list(applier.capture()())
    whole = b"".join(frames)
    assert len(frames) > 3
    for parts in (frames, [whole], [whole[i : i + 7777] for i in range(0, len(whole), 7777)]):
        state, _requests = decode_image(parts)
        assert state.digest() == applier.state.digest()
        assert list(state.jobs) == list(applier.state.jobs)
        state.check()
    for damaged in ([whole[:-1]], [b""], [whole[4:]]):
        with pytest.raises(ValueError):  # noqa: PT011 - several kinds of damage
            decode_image(damaged)
