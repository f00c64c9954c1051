"""Saved views in the agreed state: per person, bounded, in snapshots, gone with the person."""

from builders import NOON, Cluster

from croncord.credentials import User
from croncord.raft.access_commands import PutUser, RemoveUser
from croncord.raft.commands import DeleteView, PutView
from croncord.raft.snapshot import decode_state, encode_state
from croncord.raft.views_apply import VIEWS_OF_ONE_MAX
from croncord.saved_views import SavedView

ADA, BOB = "user:ada", "user:bob"


def put(name, query="state=failed", by=ADA, listing="jobs"):
    return PutView(at=NOON, by=by, view=SavedView(listing=listing, name=name, query=query))


def names(cluster, by=ADA):
    return [(view.listing, view.name, view.query) for view in cluster.state.views.get(by, ())]


def test_a_view_is_replaced_and_forgotten_by_its_owner_only():
    cluster = Cluster()
    cluster.do(put("b"))
    cluster.do(put("a", by=BOB))
    cluster.do(put("b", "q=x"))
    cluster.do(put("b", listing="runs"))
    assert names(cluster) == [("jobs", "b", "q=x"), ("runs", "b", "state=failed")]
    outcome = cluster.do(DeleteView(at=NOON, by=BOB, listing="jobs", name="b"))
    assert outcome.refusal.code == "not_found"
    for listing in ("jobs", "runs"):
        assert cluster.do(DeleteView(at=NOON, by=ADA, listing=listing, name="b")).refusal is None
    assert names(cluster) == []
    assert list(cluster.state.views) == [BOB]


def test_nobody_saves_without_end():
    cluster = Cluster()
    for number in range(VIEWS_OF_ONE_MAX):
        assert cluster.do(put(f"v{number}")).refusal is None
    assert cluster.do(put("one more")).refusal.code == "conflict"
    assert cluster.do(put("v3", "q=new")).refusal is None


def test_views_are_in_snapshots_and_go_with_their_owner():
    cluster = Cluster()
    user = User(name="ada", role="viewer", password="", created_at=NOON)
    cluster.do(PutUser(at=NOON, user=user))
    empty = cluster.state.digest()
    cluster.do(put("a"))
    assert cluster.state.digest() != empty
    copy = decode_state(encode_state(cluster.state))
    assert copy.views[ADA] == cluster.state.views[ADA]
    assert copy.digest() == cluster.state.digest()
    cluster.do(RemoveUser(at=NOON, name="ada"))
    assert ADA not in cluster.state.views
