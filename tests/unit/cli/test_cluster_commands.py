import json
import sys

import pytest

from croncord.cli.cluster import quorum_words, status_sentence


def test_machines_are_listed_shown_drained_and_removed(croncord, node):
    _, out, _ = croncord("node", "list")
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "n1", "n2"]
    assert croncord("node", "drain", "n2")[1].startswith("n2 gets no new runs")
    assert croncord("node", "show", "n2")[1].startswith("n2 is draining and observes.\n")
    assert croncord("node", "undrain", "n2")[0] == 0
    assert not node.state.nodes["n2"].draining
    assert croncord("node", "remove", "n2", "--json")[0] == 0
    assert list(node.state.nodes) == ["n1"]


def test_a_machine_says_more_about_itself_for_a_while(croncord, node):
    assert croncord("node", "log-level", "debug")[1] == "The log level of n1 is debug.\n"
    assert node.state.nodes["n1"].log_level == "debug"
    _, out, _ = croncord("node", "log-level", "debug", "--node", "n2", "--for", "15m")
    assert out.startswith("The log level of n2 is debug until ")
    assert "log level  debug until " in croncord("node", "show", "n2")[1]
    _, out, _ = croncord("node", "log-level", "default", "--node", "n2")
    assert out == "The log level of n2 is what its settings say.\n"
    assert croncord("node", "log-level", "debug", "--node", "ghost")[0] == 5


def test_the_status_is_one_sentence_first(croncord):
    status, out, _ = croncord("cluster", "status")
    assert status == 0
    assert out.startswith("All is well: n1 leads, 2 of 2 nodes up, none may fail.\n")
    assert json.loads(croncord("cluster", "status", "--json")[1])["leader"] == "n1"


def test_pausing_the_cluster_shows_in_its_status(croncord, node):
    assert croncord("cluster", "pause")[0] == 0
    assert node.state.paused
    assert croncord("cluster", "status")[1].startswith("Paused: n1 leads")
    assert croncord("cluster", "resume")[0] == 0
    assert not node.state.paused


def test_leadership_that_nobody_can_take_is_a_conflict(croncord):
    assert croncord("cluster", "transfer-leader")[0] == 6


def cluster(*states, leader="n1", quorum=True, paused=False, survives=1):
    nodes = [{"name": f"n{i}", "state": state} for i, state in enumerate(states, start=1)]
    return {
        "nodes": nodes, "leader": leader, "quorum": quorum, "paused": paused, "survives": survives
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (cluster("up", "up", "up"), "All is well: n1 leads, 3 of 3 nodes up, 1 may fail."),
        (cluster("up"), "All is well: n1 leads, 1 of 1 node up, 1 may fail."),
        (cluster("up", "up", "down"), "n3 is down; n1 leads, 2 of 3 nodes up."),
        (cluster("up", "down", "down"), "n2, n3 are down; n1 leads, 1 of 3 nodes up."),
        (cluster("up", "up", paused=True), "Paused: n1 leads, 2 of 2 nodes up, and nothing is"),
        (cluster("up", "up", leader=None), "No leader (2 of 2 nodes up): nothing is launched"),
        (cluster("up", "up", quorum=False), "No leader (2 of 2 nodes up): nothing is launched"),
    ],
)
def test_the_sentence_names_what_matters_most(facts, said):
    assert status_sentence(facts)[0].startswith(said)


def test_a_token_is_printed_alone_and_works_until_it_is_revoked(croncord, monkeypatch):
    status, out, err = croncord("token", "create", "deploy", "--role", "viewer", "--expires", "1d")
    assert status == 0
    token = out.strip()
    assert " " not in token
    assert "not shown again" in err
    assert "deploy" in croncord("token", "list")[1]
    assert croncord("--token", token, "job", "list")[0] == 0
    status, _, err = croncord("--token", token, "cluster", "pause")
    assert status == 4
    assert "admin" in err
    monkeypatch.setenv("CRONCORD_TOKEN", token)
    assert croncord("job", "list")[0] == 0
    monkeypatch.delenv("CRONCORD_TOKEN")
    assert croncord("token", "revoke", "deploy")[1] == "Revoked deploy.\n"
    status, _, err = croncord("job", "list", "--token", token)
    assert status == 4
    assert "hint:" in err


def test_two_tokens_of_one_name_are_told_apart_by_their_ids(croncord):
    for _ in range(2):
        croncord("token", "create", "ci")
    assert croncord("token", "revoke", "ci")[0] == 6
    first = json.loads(croncord("token", "list", "--json")[1])["items"][0]["id"]
    assert croncord("token", "revoke", first)[0] == 0
    assert croncord("token", "revoke", "ci")[0] == 0


def test_without_any_token_it_is_told_how_to_give_one(croncord, monkeypatch, tmp_path):
    monkeypatch.setenv("CRONCORD_DATA_DIR", str(tmp_path / "empty"))
    status, out, err = croncord("job", "list")
    assert (status, out) == (4, "")
    assert "hint:" in err


def test_no_node_at_all_ends_with_status_3(croncord):
    status, _, err = croncord("--url", "http://127.0.0.1:1", "job", "list")
    assert status == 3
    assert "http://127.0.0.1:1: Connection refused" in err
    assert "hint: Is `croncord serve` running?" in err


def test_a_person_is_added_with_a_password_from_standard_input(
    croncord, node, monkeypatch, tmp_path
):
    (tmp_path / "password").write_text("correct horse battery\n")
    with (tmp_path / "password").open() as source:
        monkeypatch.setattr(sys, "stdin", source)
        assert croncord("user", "add", "ada", "--role", "viewer")[1] == "Added ada, role viewer.\n"
    assert node.state.users["ada"].role == "viewer"
    assert croncord("user", "list")[1].splitlines()[1].startswith("ada   viewer")
    assert croncord("user", "remove", "ada")[0] == 0
    assert croncord("user", "list")[1] == ""


@pytest.mark.parametrize("typed", ["", "\n", "short\n"])
def test_a_password_that_is_none_is_refused(croncord, monkeypatch, tmp_path, typed):
    (tmp_path / "password").write_text(typed)
    with (tmp_path / "password").open() as source:
        monkeypatch.setattr(sys, "stdin", source)
        status, _, err = croncord("user", "add", "ada")
    assert status == 2
    assert "password" in err


def test_a_setup_link_is_printed_alone(croncord, node):
    status, out, err = croncord("setup-link")
    assert status == 0
    assert out.startswith(f"{node.url}/setup?token=")
    assert err.startswith("It works once, and expires in 15 min")
    assert len(node.state.links) == 1


def test_a_join_token_is_printed_as_the_whole_command_for_the_new_machine(croncord, node):
    status, out, err = croncord("cluster", "join-token", "--expires", "10m", "--role", "voter")
    assert status == 0
    (line,) = out.splitlines()
    assert line.startswith("CRONCORD_JOIN_TOKEN=join_")
    assert " croncord serve --join " in line
    assert "not shown again" in err
    made = json.loads(croncord("cluster", "join-token", "--uses", "3", "--json")[1])
    assert (made["uses"], made["role"], made["command"].count(made["token"])) == (3, "auto", 1)
    kept = repr(node.state.join_tokens.copy_entries())
    assert made["token"].partition(".")[2] not in kept
    assert croncord("cluster", "join-token", "--expires", "30d")[0] == 2


def test_the_last_voter_cannot_leave(croncord):
    status, _, err = croncord("node", "leave")
    assert status == 6
    assert "n1 is the only node that votes" in err


def test_recovery_refuses_where_no_node_has_run(croncord, tmp_path):
    status, _, err = croncord("cluster", "recover", "--data-dir", str(tmp_path / "none"))
    assert status == 2
    assert "no node has run there" in err


@pytest.mark.parametrize(
    ("voters", "observers", "words"),
    [
        (1, 0, "One node votes, and decides alone; when it fails, nothing is launched."),
        (2, 0, "2 of them are a majority, so both must run. A third voter would let one fail."),
        (3, 0, "3 nodes vote; 2 of them are a majority, so one may fail."),
        (4, 0, "3 of them are a majority, so one may fail; 3 voters would survive as many."),
        (5, 1, "so 2 may fail. 1 observer more without a vote."),
    ],
)
def test_the_arithmetic_of_a_majority_is_said_in_words(voters, observers, words):
    majority = voters // 2 + 1
    nodes = [{"role": "follower"}] * voters + [{"role": "observer"}] * observers
    told = {"voters": voters, "majority": majority, "survives": voters - majority, "nodes": nodes}
    assert quorum_words(told).endswith(words)
