"""Who keeps a copy of what, as members come and go."""

from datetime import timedelta

import msgspec
import pytest
from test_log_retention import row

from croncord.keepers import keepers
from croncord.lifecycle import RunState
from croncord.logs.copies import FOLLOW_AFTER_SECONDS, CopyKeeper
from croncord.model import Attempt, LogInfo
from croncord.ports import LogKey, LogStatus
from croncord.raft.commands import ClaimRuns
from croncord.raft.state import Outcome

WHOLE = LogInfo(bytes=3, sha256="d" * 64, complete=True)
RUN = msgspec.structs.replace(
    row(1), log=WHOLE, replicas=("n1", "n2", "n3"), claimed_at=row(1).decided_at
)
KEY = LogKey(RUN.id, 1)


def test_the_keepers_are_the_replica_set_while_all_are_members():
    assert keepers("r", ("n2", "n1", "n3"), ["n1", "n2", "n3", "n4"]) == ("n2", "n1", "n3")


def test_a_removed_keeper_is_replaced_by_one_node_the_same_wherever_it_is_computed():
    members = ["n1", "n2", "n4", "n5", "n6"]
    now = keepers("r", ("n1", "n2", "n3"), members)
    assert now[:2] == ("n1", "n2")
    assert now[2] in {"n4", "n5", "n6"}
    assert keepers("r", ("n1", "n2", "n3"), members[::-1]) == now
    replacements = {keepers(f"r{n}", ("n1", "n2", "n3"), members)[2] for n in range(50)}
    assert replacements == {"n4", "n5", "n6"}


@pytest.mark.parametrize("members", [[], ["n8", "n9"]])
def test_nobody_replaces_keepers_that_are_all_gone(members):
    assert keepers("r", ("n1", "n2"), members) == ()


class Node:
    """What the keeper sees of a node: its state, ledger, store and replicator, in one."""

    def __init__(self, name, *, members=("n1", "n2", "n3"), rows=(), status=None):
        self.nodes = dict.fromkeys(members)
        self.open_runs = {}
        self.state = self
        self.rows = rows
        self.held = status
        self.asked = {}
        self.starts_in = {}
        self.given_up = False
        self.keeper = CopyKeeper(name=name, replica=self, ledger=self, follower=self, held=self)

    def page(self, _where, *, limit, before=""):
        return [] if before else list(self.rows)[:limit]

    def get(self, run_id):
        return next(run for run in self.rows if run.id == run_id)

    def status(self, _key):
        return self.held

    def is_given_up(self, _key):
        return self.given_up

    def want(self, key, sources, closed, *, starts_in_seconds=0.0):
        self.asked[key] = (sources, closed)
        self.starts_in[key] = starts_in_seconds

    @property
    def wanted(self):
        return frozenset(self.asked)


async def test_a_node_without_its_copy_asks_for_it_and_counts_it_as_missing():
    node = Node("n2", rows=[RUN])
    await node.keeper.survey()
    assert node.asked == {KEY: (("n1", "n2", "n3"), WHOLE)}
    assert node.keeper.missing() == 1
    node.asked.clear()
    assert node.keeper.missing() == 0


@pytest.mark.parametrize("name", ["n1", "n4"])
async def test_the_executing_node_and_a_replacement_ask_too(name):
    members = ("n1", "n2", "n4") if name == "n4" else ("n1", "n2", "n3")
    node = Node(name, members=members, rows=[RUN])
    await node.keeper.survey()
    assert set(node.asked) == {KEY}


async def test_what_is_whole_given_up_or_somebody_elses_is_not_asked_for():
    whole = LogStatus(size=9, complete=True, info=WHOLE)
    given_up = Node("n2", rows=[RUN])
    given_up.given_up = True
    for node in (Node("n2", rows=[RUN], status=whole), Node("n4", rows=[RUN]), given_up):
        await node.keeper.survey()
        assert node.asked == {}


async def test_a_writer_declared_lost_does_not_extend_the_attempt_that_was_taken_over():
    lost = Attempt(number=1, node="n1", state=RunState.LOST, replicas=("n1", "n2", "n3"))
    run = msgspec.structs.replace(RUN, attempt=2, attempts=(lost,), replicas=("n3", "n1", "n2"))
    node = Node("n2", rows=[run])
    await node.keeper.survey()
    assert node.asked[KEY] == (("n2", "n3"), LogInfo())
    assert node.asked[LogKey(RUN.id, 2)][0] == ("n3", "n1", "n2")


def test_a_run_that_is_claimed_ahead_of_its_time_is_followed_when_it_may_have_printed():
    run = msgspec.structs.replace(RUN, state=RunState.RUNNING, finished_at=None)
    node = Node("n2")
    node.open_runs = {run.id: run}
    claim = ClaimRuns(at=run.due_at - timedelta(seconds=1), node="n1", claims=())
    node.keeper._on_applied(1, claim, Outcome(value=(run.id,)))
    assert node.starts_in == {KEY: 1 + FOLLOW_AFTER_SECONDS}
    node.keeper._consider([run])
    assert node.starts_in == {KEY: 0}, "after a restart it may have printed already"
