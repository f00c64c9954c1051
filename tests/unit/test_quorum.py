from itertools import combinations

import pytest

from croncord.quorum import ack_quorum, confirmed, recovery_quorum


@pytest.mark.parametrize(("members", "acks", "answers"), [(1, 1, 1), (2, 2, 1), (3, 2, 2)])
def test_a_majority_confirms(members, acks, answers):
    assert (ack_quorum(members), recovery_quorum(members)) == (acks, answers)


@pytest.mark.parametrize("members", range(1, 8))
def test_a_recovery_hears_from_a_member_of_every_majority(members):
    nodes = range(members)
    for answering in combinations(nodes, recovery_quorum(members)):
        for majority in combinations(nodes, ack_quorum(members)):
            assert set(answering) & set(majority)


@pytest.mark.parametrize(
    ("durable", "members", "size"),
    [([9], 1, 9), ([9, 5], 3, 5), ([9, 5, 7], 3, 7), ([9], 3, 0), ([], 3, 0), ([9, 5], 2, 5)],
)
def test_confirmed_is_what_a_majority_has(durable, members, size):
    assert confirmed(durable, members) == size
