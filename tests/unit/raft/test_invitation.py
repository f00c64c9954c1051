"""Getting the cluster secret over a network that others listen to."""

import msgspec
import pytest

from croncord.errors import ConfigError, Malformed, Unauthenticated
from croncord.ports import JoinAnswer, JoinRequest
from croncord.raft.invitation import Invitations, JoinCall

SECRET = b"the secret of the cluster"
REQUEST = JoinRequest(name="n4", http="http://10.0.0.4:8470", raft="10.0.0.4:8471")
ANSWER = JoinAnswer(cluster_id="c1", role="auto", members={"n1": "10.0.0.1:8471"}, urls=())


@pytest.fixture
def inviting():
    return Invitations(SECRET)


def keys(*made):
    return {invitation.id: invitation.key for invitation in made}.get


def test_a_machine_with_the_token_gets_the_secret_and_a_listener_does_not_see_it(inviting):
    made = inviting.make()
    call = JoinCall(REQUEST, now_ms=5, token=made.token)
    opened = inviting.open(call.body, keys(made))
    assert (opened.request, opened.token_id, opened.at_ms) == (REQUEST, made.id, 5)
    answer = inviting.seal(opened, ANSWER)
    assert call.read(answer) == msgspec.structs.replace(ANSWER, secret=SECRET)
    token_part = made.token.partition(".")[2].encode()
    for heard in (call.body, answer):
        assert SECRET not in heard
        assert token_part not in heard
        assert bytes.fromhex(made.key) not in heard
    assert made.token.partition(".")[2] not in made.key


def test_a_machine_with_the_secret_needs_no_token(inviting):
    call = JoinCall(REQUEST, now_ms=5, secret=SECRET)
    opened = inviting.open(call.body, keys())
    assert opened.token_id == ""
    assert call.read(inviting.seal(opened, ANSWER)).secret == SECRET


def test_who_repeats_a_request_cannot_read_the_answer(inviting):
    made = inviting.make()
    call, thief = (JoinCall(REQUEST, now_ms=5, token=made.token) for _ in range(2))
    answer = inviting.seal(inviting.open(call.body, keys(made)), ANSWER)
    again = inviting.seal(inviting.open(call.body, keys(made)), ANSWER)
    assert answer != again
    for heard in (answer, again):
        with pytest.raises(Unauthenticated, match="not made by a node that knows the token"):
            thief.read(heard)
        assert call.read(heard).secret == SECRET


def test_a_token_of_nobody_and_another_secret_are_refused(inviting):
    made, other = inviting.make(), inviting.make()
    call = JoinCall(REQUEST, now_ms=5, token=made.token)
    with pytest.raises(Unauthenticated, match="token is not known here"):
        inviting.open(call.body, keys(other))
    with pytest.raises(Unauthenticated, match="token is not known here"):
        inviting.open(call.body, {made.id: other.key}.get)
    with pytest.raises(Unauthenticated, match="another cluster secret"):
        inviting.open(JoinCall(REQUEST, now_ms=5, secret=b"x" * 20).body, keys())


def test_a_request_that_was_changed_on_its_way_is_refused(inviting):
    made = inviting.make()
    body = JoinCall(REQUEST, now_ms=5, token=made.token).body
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises((Unauthenticated, Malformed)):
            inviting.open(changed, keys(made))


def test_an_answer_that_was_changed_on_its_way_is_refused(inviting):
    made = inviting.make()
    call = JoinCall(REQUEST, now_ms=5, token=made.token)
    answer = inviting.seal(inviting.open(call.body, keys(made)), ANSWER)
    for place in range(len(answer)):
        changed = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        with pytest.raises(Unauthenticated):
            call.read(changed)


@pytest.mark.parametrize("name", ["", "a/b", "x" * 129, "a\nb"])
def test_a_name_that_no_node_can_have_is_refused(inviting, name):
    call = JoinCall(msgspec.structs.replace(REQUEST, name=name), now_ms=5, secret=SECRET)
    with pytest.raises(Malformed, match="no request to join"):
        inviting.open(call.body, keys())


def test_a_newer_cluster_may_tell_more_than_this_version_knows(inviting):
    class Later(JoinAnswer, frozen=True, kw_only=True):
        motto: str

    fields = {name: getattr(ANSWER, name) for name in ANSWER.__struct_fields__}
    call = JoinCall(REQUEST, now_ms=5, secret=SECRET)
    answer = inviting.seal(inviting.open(call.body, keys()), Later(**fields, motto="new"))
    assert call.read(answer).cluster_id == "c1"


@pytest.mark.parametrize("token", ["join_abc", "abc.def", "join_abc.!!", "join_abc.Zm9v"])
def test_half_a_token_is_a_clear_error(token):
    with pytest.raises(ConfigError, match="incomplete"):
        JoinCall(REQUEST, now_ms=5, token=token)
