"""What was sealed with the cluster secret of before is sealed with that of now."""

import msgspec
import pytest
from builders import NOON
from desks import ADMIN, OPERATOR

from croncord.errors import Forbidden
from croncord.node.vault import SecretVault
from croncord.notification import CHANNEL_SEAL, HEARTBEAT_SEAL, SMTP_SEAL
from croncord.raft.access_commands import Reseal, Resealed
from croncord.raft.sealed_values import sealed_values
from croncord.service.resealing import reseal

OLD, NEW = b"the secret of before", b"the secret of now"
URL = "https://hooks.example.com/x"
BOTH = SecretVault(NEW, accepted=(OLD,))


@pytest.fixture
async def kept(office, monkeypatch):
    """A desk that sealed one value of each kind with the old secret."""
    old = SecretVault(OLD)
    for service in (office.desk.secrets, office.desk.notifications):
        monkeypatch.setattr(service, "_vault", old)
    await office.desk.secrets.put(ADMIN, "TOKEN", {"value": "a value", "tags": ["a"]})
    await office.desk.notifications.put_channel(ADMIN, "chat", {"kind": "webhook", "url": URL})
    smtp = {"host": "mail.example.com", "sender": "a@example.com", "username": "a"}
    settings = {"smtp": smtp | {"password": "pass"}, "heartbeat": {"url": URL}}
    await office.desk.notifications.put_settings(ADMIN, settings)
    return office


def agreement(office):
    return office.desk.secrets._agreement


async def test_everything_is_sealed_anew_and_opens_without_the_old_secret(kept):
    state = kept.replica.state
    report = await reseal(agreement(kept), BOTH, ADMIN)
    assert msgspec.structs.astuple(report) == (4, 0, [])
    only_new = SecretVault(NEW)
    opened = {it.name: only_new.open(it.name, it.sealed) for it in sealed_values(state)}
    assert opened == {
        "TOKEN": "a value",
        f"{CHANNEL_SEAL}chat": URL,
        SMTP_SEAL: "pass",
        HEARTBEAT_SEAL: URL,
    }
    assert {it.key_id for it in sealed_values(state)} == {only_new.key_id}
    assert state.secrets["TOKEN"].tags == ("a",)
    digest = state.digest()
    assert msgspec.structs.astuple(await reseal(agreement(kept), BOTH, ADMIN)) == (0, 4, [])
    assert state.digest() == digest


async def test_what_cannot_be_opened_stays_and_is_named(kept):
    before = kept.replica.state.digest()
    report = await reseal(agreement(kept), SecretVault(NEW), ADMIN)
    names = sorted(["TOKEN", f"{CHANNEL_SEAL}chat", SMTP_SEAL, HEARTBEAT_SEAL])
    assert msgspec.structs.astuple(report) == (0, 0, names)
    assert kept.replica.state.digest() == before


async def test_a_value_that_was_set_meanwhile_is_not_overwritten(kept):
    old = kept.replica.state.secrets["TOKEN"].sealed
    await kept.desk.secrets.put(ADMIN, "TOKEN", {"value": "set meanwhile"})
    values = (Resealed(name="TOKEN", old=old, new=b"x"), Resealed(name="GONE", old=b"", new=b""))
    assert await kept.do(Reseal(at=NOON, key_id="k", values=values)) == 0
    assert SecretVault(OLD).open("TOKEN", kept.replica.state.secrets["TOKEN"].sealed) == (
        "set meanwhile"
    )


async def test_only_admins_reseal(kept):
    with pytest.raises(Forbidden):
        await reseal(agreement(kept), BOTH, OPERATOR)
