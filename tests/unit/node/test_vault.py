"""Secrets as they are agreed on: unreadable without the cluster secret."""

import pytest
from builders import NOON

from croncord.credentials import Secret
from croncord.errors import NotFound, StoreError
from croncord.model import JobSpec
from croncord.node.job_secrets import job_secrets
from croncord.node.vault import SecretVault
from croncord.raft.state import ClusterState

VALUE = "geheim é \udcff\n"
VAULT = SecretVault(b"one cluster secret")


def test_a_value_comes_back_and_is_not_visible_meanwhile():
    sealed = VAULT.seal("KEY", VALUE)
    assert VAULT.open("KEY", sealed) == VALUE
    assert b"geheim" not in sealed
    assert VAULT.seal("KEY", VALUE) != sealed, "the same value twice looks different"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("OTHER", lambda b: b),
        ("KEY", lambda b: b[:-1]),
        ("KEY", lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:]),
        ("KEY", lambda _: b""),
    ],
)
def test_what_was_tampered_with_is_refused(name, change):
    with pytest.raises(StoreError, match="cannot be read"):
        VAULT.open(name, change(VAULT.seal("KEY", VALUE)))


def test_another_cluster_secret_does_not_open_it_and_says_what_to_do():
    other = SecretVault(b"another cluster secret")
    assert other.key_id != VAULT.key_id
    with pytest.raises(StoreError) as caught:
        other.open("KEY", VAULT.seal("KEY", VALUE))
    assert "croncord secret set KEY" in caught.value.hint


def state_with(**tags):
    state = ClusterState()
    for name, wanted in tags.items():
        state.secrets[name] = Secret(
            name=name,
            sealed=VAULT.seal(name, f"value of {name}"),
            key_id=VAULT.key_id,
            tags=tuple(wanted),
            updated_at=NOON,
            updated_by="user:ada",
        )
    return state


def test_a_job_gets_the_secrets_it_names_and_no_others():
    state = state_with(A=[], B=["team-b"], C=[])
    spec = JobSpec(name="j", script="x", secrets=("A", "B"), tags=("team-b",))
    assert job_secrets(state, spec, VAULT) == {"A": "value of A", "B": "value of B"}
    assert job_secrets(state, JobSpec(name="j", script="x"), None) == {}


@pytest.mark.parametrize(("names", "vault"), [(("D",), VAULT), (("B",), VAULT), (("A",), None)])
def test_a_secret_that_is_gone_or_not_for_the_job_keeps_it_from_starting(names, vault):
    spec = JobSpec(name="j", script="x", secrets=names, tags=("team-a",))
    with pytest.raises(NotFound, match=names[0]):
        job_secrets(state_with(A=[], B=["team-b"]), spec, vault)


def test_what_was_sealed_with_an_accepted_secret_opens_and_new_things_are_sealed_with_the_present():
    old, new = SecretVault(b"of before"), SecretVault(b"of now")
    both = SecretVault(b"of now", accepted=(b"of before",))
    assert both.open("KEY", old.seal("KEY", VALUE)) == VALUE
    assert new.open("KEY", both.seal("KEY", VALUE)) == VALUE
    assert [both.opens(vault.key_id) for vault in (old, new, VAULT)] == [True, True, False]
    assert both.key_id == new.key_id
    with pytest.raises(StoreError):
        both.open("KEY", VAULT.seal("KEY", VALUE))
