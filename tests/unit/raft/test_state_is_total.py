"""Whatever a command holds, applying it raises nothing and leaves the state consistent."""

import enum
import types
import typing
from datetime import UTC, datetime

import msgspec
import pytest
from builders import NOON, Cluster, at, node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croncord.calendars import read_calendar
from croncord.errors import Invalid
from croncord.lifecycle import RunState
from croncord.model import Dependency, Misfire, Retries, Target, run_id
from croncord.raft.apply import HANDLERS, apply
from croncord.raft.command import Command, LeaderCommand
from croncord.raft.commands import (
    Backfill,
    PutCalendar,
    PutNode,
    SetLabelLimits,
    decode_command,
    encode_command,
)
from croncord.raft.snapshot import decode_state, encode_state

FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
INSTANTS = [NOON, at(-60), at(0.001), at(59), at(60), at(61), at(120), at(1e6), FIRST, LAST]
NAMES = ["a", "b", "c", "id-a", "id-b", "id-c", "n1", "n2", "n3", "lunch", "b1", "db", "x=1", ""]


def strategy_for(kind, words):  # noqa: PLR0911  # one line per kind of type
    """Return a strategy for a type as commands use it; words are tried where text is wanted."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(strategy_for(argument, words) for argument in arguments))
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(strategy_for(arguments[0], words), max_size=3).map(tuple)
    if origin is dict:
        key, value = (strategy_for(argument, words) for argument in arguments)
        return st.dictionaries(key, value, max_size=2)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return struct_of(kind, words)
    plain = {
        str: st.sampled_from(words) | st.text(max_size=3),
        int: st.integers(-3, 5) | st.sampled_from([60, 2**31, 2**62, -(2**62)]),
        float: st.floats(0, 20),
        bool: st.booleans(),
        bytes: st.binary(max_size=3),
        datetime: st.sampled_from(INSTANTS),
        type(None): st.none(),
    }
    return plain[kind]


def struct_of(kind, words):
    hints = typing.get_type_hints(kind, include_extras=True)
    required, optional = {}, {}
    for field in msgspec.structs.fields(kind):
        chosen = strategy_for(hints[field.name], words)
        (required if field.required else optional)[field.name] = chosen
    if issubclass(kind, LeaderCommand):
        required["term"] = st.sampled_from([0, 1, 1, 2])
    if issubclass(kind, Command):
        required["at"] = st.sampled_from(INSTANTS)
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: kind(**given))


def lived_in():
    """A state with something of everything in it."""
    cluster = Cluster()
    cluster.do(PutNode(at=NOON, node=node("n2", labels={"x": "1"})))
    cluster.do(SetLabelLimits(at=NOON, limits={"x=1": 1}))
    lunch = read_calendar({"name": "lunch", "times": ["12:01-12:02"]})
    cluster.do(PutCalendar(at=NOON, calendar=lunch))
    one = cluster.add_job(
        "a",
        overlap="queue_all",
        retries=Retries(count=3, delay_seconds=366 * 86400, max_delay_seconds=366 * 86400),
        misfire=Misfire(policy="run_all"),
        target=Target(every_node=True, on_join=True),
    )
    two = cluster.add_job("b", "* * * * *", after=(Dependency(job="a", on="always"),))
    cluster.add_job("c", overlap="allow", locks=("db:2",), calendars=("lunch",))
    cluster.do(Backfill(at=NOON, job_id=two.id, backfill_id="b1", ticks=(at(-60), at(-120))))
    cluster.run_until(at(60))
    for number, run in enumerate(cluster.claim_all()):
        if number % 3 == 0:
            cluster.finish(run, [RunState.FAILED, RunState.LOST, RunState.SUCCEEDED][number % 2])
    cluster.trigger(one)
    return cluster


CLUSTER = lived_in()
START = encode_state(CLUSTER.state)
RUNS = [run.id for run in (*CLUSTER.open_runs(), *CLUSTER.rows)]
FUTURE = [run_id(f"id-{name}", at(120)) for name in "abc"]
COMMANDS = st.one_of(*(struct_of(kind, [*NAMES, *RUNS, *FUTURE]) for kind in HANDLERS))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=12))
def test_no_decodable_command_raises_or_breaks_an_invariant(commands):
    state, copy = decode_state(START), decode_state(START)
    for command in commands:
        try:
            data = encode_command(command)
            decoded = decode_command(data)
        except Invalid:
            continue
        outcome = apply(state, decoded)
        apply(copy, decode_command(data))
        if outcome.refusal is not None and outcome.refusal.code != "stale_term":
            assert not outcome.rows
        state.check()
        assert state.digest() == copy.digest()
    assert decode_state(encode_state(state)).digest() == state.digest()


def test_an_instant_without_an_offset_cannot_be_agreed_on():
    command = PutNode(at=NOON.replace(tzinfo=None), node=node("n9"))
    with pytest.raises(Invalid):
        encode_command(command)
