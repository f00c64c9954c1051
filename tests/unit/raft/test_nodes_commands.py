"""Machines that are let in and put out, as the cluster agrees on it."""

import pytest
from builders import NOON, Cluster, at, node

from croncord.model import JoinToken
from croncord.raft.commands import (
    AdmitNode,
    MarkNodes,
    PutJoinToken,
    PutNode,
    RemoveNode,
    SetLogLevel,
)
from croncord.raft.nodes_apply import REMOVED_KEPT
from croncord.raft.roster import roster_of


@pytest.fixture
def cluster():
    made = Cluster("n1", "n2")
    for name in ("n1", "n2"):
        made.do(PutNode(at=NOON, node=node(name, disk=f"disk of {name}")))
    return made


def give_token(cluster, **fields):
    token = JoinToken(
        **{"id": "t", "key": "00", "expires_at": at(60), "created_at": NOON, **fields}
    )
    cluster.do(PutJoinToken(at=NOON, token=token))


def admit(cluster, name, request="r", token="t", **fields):  # noqa: S107 - the id of one
    command = AdmitNode(
        **{
            "at": NOON,
            "name": name,
            "http": f"http://{name}",
            "raft": f"{name}:1",
            "token_id": token,
            "request_sha256": request,
            **fields,
        }
    )
    return cluster.do(command)


def test_a_token_lets_one_machine_in_however_often_it_asks(cluster):
    give_token(cluster)
    assert admit(cluster, "n3").value == "auto"
    digest = cluster.state.digest()
    assert admit(cluster, "n3").refusal is None
    assert cluster.state.digest() == digest
    refusal = admit(cluster, "n4", "another request").refusal
    assert (refusal.code, refusal.message) == ("forbidden", "the join token was used already by n3")
    assert "n4" not in cluster.state.nodes


def test_a_token_for_two_lets_two_in_and_says_what_they_are_to_be(cluster):
    give_token(cluster, uses_left=2, role="observer")
    assert admit(cluster, "n3", "a", role="voter").value == "observer"
    assert admit(cluster, "n4", "b").value == "observer"
    assert admit(cluster, "n5", "c").refusal.code == "forbidden"


@pytest.mark.parametrize("fields", [{"at": at(60)}, {"token": "unknown"}])
def test_a_token_that_expired_or_was_never_made_lets_nobody_in(cluster, fields):
    give_token(cluster)
    assert admit(cluster, "n3", **fields).refusal.code == "forbidden"
    assert "n3" not in cluster.state.nodes


def test_expired_tokens_are_forgotten_when_a_new_one_is_made(cluster):
    give_token(cluster)
    token = JoinToken(id="u", key="00", expires_at=at(200), created_at=at(100))
    cluster.do(PutJoinToken(at=at(100), token=token))
    assert list(cluster.state.join_tokens) == ["u"]


def test_a_machine_that_joins_gets_no_work_until_it_has_told_of_itself(cluster):
    admit(cluster, "n3", token="")
    joining = cluster.state.nodes["n3"]
    assert (joining.joining, joining.up) == (True, False)
    cluster.do(MarkNodes(at=NOON, term=1, up=("n3",)))
    assert not cluster.state.nodes["n3"].up
    cluster.do(PutNode(at=at(1), node=node("n3", disk="d3")))
    assert (cluster.state.nodes["n3"].joining, cluster.state.nodes["n3"].up) == (False, True)


def test_nobody_takes_the_name_of_a_node_that_answers(cluster):
    give_token(cluster)
    refusal = admit(cluster, "n2").refusal
    assert (refusal.code, refusal.field) == ("conflict", "name")
    assert cluster.state.join_tokens["t"].uses_left == 1


def test_the_old_disk_of_a_machine_that_comes_back_empty_is_out_for_good(cluster):
    cluster.do(MarkNodes(at=NOON, term=1, down=("n2",)))
    admit(cluster, "n2", token="")
    assert cluster.state.removed["disk of n2"].name == "n2"
    assert cluster.do(PutNode(at=NOON, node=node("n2", disk="disk of n2"))).refusal.code == (
        "conflict"
    )
    assert cluster.do(PutNode(at=NOON, node=node("n2", disk="new"))).refusal is None


def test_a_founder_that_was_wiped_replaces_its_own_disk(cluster):
    cluster.do(PutNode(at=at(9), node=node("n2", disk="new")))
    assert cluster.state.removed["disk of n2"].at == at(9)
    cluster.do(PutNode(at=at(9), node=node("n2", disk="new")))
    assert list(cluster.state.removed) == ["disk of n2"]


def test_removed_disks_are_remembered_up_to_a_bound(cluster):
    for number in range(REMOVED_KEPT + 2):
        cluster.do(PutNode(at=NOON, node=node("n9", disk=f"d{number}")))
        cluster.do(RemoveNode(at=NOON, name="n9"))
    assert len(cluster.state.removed) == REMOVED_KEPT
    assert "d0" not in cluster.state.removed


def test_who_is_in_is_told_to_the_engine():
    cluster = Cluster("n1", "n2")
    cluster.do(PutNode(at=NOON, node=node("n2", disk="d2")))
    cluster.do(RemoveNode(at=NOON, name="n2"))
    admit(cluster, "n3", token="")
    roster = roster_of(cluster.state.nodes, cluster.state.removed)
    assert roster.admits("n3", "any")
    assert not roster.admits("n4", "any")
    assert not roster.admits("n3", "d2")
    assert roster.leaving(("n1", "n2")) == ["n2"]
    assert roster.refused(("n1", "n2")) == frozenset()
    assert roster.refused(("n1",)) == {"d2"}
    cluster.do(PutNode(at=NOON, node=node("n2", disk="new")))
    again = roster_of(cluster.state.nodes, cluster.state.removed)
    assert again.refused(("n1", "n2")) == {"d2"}
    assert again.leaving(("n1", "n2")) == []
    assert not again.admits("n2", "third")


def test_a_log_level_outlives_a_restart_of_its_node_and_leaves_the_rest_alone(cluster):
    before = cluster.state.nodes["n2"]
    asked = cluster.do(SetLogLevel(at=at(5), name="n2", level="debug", until=at(9))).value
    assert (asked.log_level, asked.log_level_until) == ("debug", at(9))
    assert asked.changed_at == before.changed_at, "since when it is up or down"
    again = cluster.do(PutNode(at=at(6), node=node("n2", disk="disk of n2"))).value
    assert (again.log_level, again.log_level_until) == ("debug", at(9))
    assert cluster.do(SetLogLevel(at=at(7), name="n2", level="", until=at(9))).value == before
    refusal = cluster.do(SetLogLevel(at=at(7), name="n9", level="debug")).refusal
    assert refusal.code == "not_found"
