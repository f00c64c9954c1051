"""Everything in the state that is sealed with a key of the cluster secret, under one name each.

A secret is known by its own name; channels, the mail password and the heartbeat by the names under which
`croncord.notification` seals them, which have a colon and so cannot be a secret's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from croncord.notification import CHANNEL_SEAL, HEARTBEAT_SEAL, SMTP_SEAL
from croncord.raft.access_commands import Reseal
from croncord.raft.notify_tables import NOTIFY_KEY
from croncord.raft.state import ClusterState, Outcome


class SealedValue(NamedTuple):
    """A value as it is agreed on."""

    name: str
    sealed: bytes
    key_id: str


def sealed_values(state: ClusterState) -> Iterator[SealedValue]:
    """Yield them all."""
    for secret in state.secrets.values():
        yield SealedValue(secret.name, secret.sealed, secret.key_id)
    for channel in state.channels.values():
        if channel.sealed:
            yield SealedValue(f"{CHANNEL_SEAL}{channel.name}", channel.sealed, channel.key_id)
    rule = state.notify_rule
    for name, part in ((SMTP_SEAL, rule.smtp), (HEARTBEAT_SEAL, rule.heartbeat)):
        if part.sealed:
            yield SealedValue(name, part.sealed, part.key_id)


def reseal(state: ClusterState, command: Reseal) -> Outcome:
    """Replace those that are still as they were read; the value says how many."""
    held = {value.name: value.sealed for value in sealed_values(state)}
    wanted = [it for it in command.values if held.get(it.name) == it.old]
    for it in wanted:
        put_sealed(state, SealedValue(it.name, it.new, command.key_id))
    return Outcome(len(wanted))


def put_sealed(state: ClusterState, value: SealedValue) -> None:
    """Replace a value that is there by the same one under another key."""
    name = value.name
    fields: dict[str, bytes | str] = {"sealed": value.sealed, "key_id": value.key_id}
    if name.startswith(CHANNEL_SEAL):
        channel = state.channels[name.removeprefix(CHANNEL_SEAL)]
        state.channels[channel.name] = msgspec.structs.replace(channel, **fields)
    elif name == SMTP_SEAL:
        rule = state.notify_rule
        smtp = msgspec.structs.replace(rule.smtp, **fields)
        state.notify_settings[NOTIFY_KEY] = msgspec.structs.replace(rule, smtp=smtp)
    elif name == HEARTBEAT_SEAL:
        rule = state.notify_rule
        beat = msgspec.structs.replace(rule.heartbeat, **fields)
        state.notify_settings[NOTIFY_KEY] = msgspec.structs.replace(rule, heartbeat=beat)
    else:
        state.secrets[name] = msgspec.structs.replace(state.secrets[name], **fields)
