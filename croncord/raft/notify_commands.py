"""The commands about notifications. `croncord.raft.commands` puts them among all others."""

import msgspec

from croncord.model import Instant
from croncord.notification import Channel, NotifySettings
from croncord.raft.command import Command, LeaderCommand


class PutChannel(Command, frozen=True, kw_only=True):
    """Create a channel, or replace it."""

    channel: Channel


class DeleteChannel(Command, frozen=True, kw_only=True):
    """Remove a channel; refused while a job or the settings name it."""

    name: str


class SetNotifySettings(Command, frozen=True, kw_only=True):
    """Replace the cluster's own settings for notifications."""

    settings: NotifySettings


class SendTest(Command, frozen=True, kw_only=True):
    """Send a notice to a channel to see whether it arrives. The same id twice sends one."""

    delivery_id: str
    channel: str


class RaiseAlarms(LeaderCommand, frozen=True, kw_only=True):
    """Tell of what only the passing of time makes true; refused for what is not true (any more)."""

    late: tuple[str, ...] = ()
    """Ids of jobs without a success for longer than they say."""
    too_long: tuple[str, ...] = ()
    """Ids of runs that go on for longer than their jobs say."""


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an attempt to hand a notice over ended."""

    delivery_id: str
    at: Instant
    error: str = ""
    """Empty: the channel took it."""
    reached: bool = False
    """Whether something answered, if only to refuse."""
    more: int = 0
    """The notice's `more` as it was handed over; it may have grown since."""


class RecordDeliveries(LeaderCommand, frozen=True, kw_only=True):
    """Confirm what was delivered, note what was not. What was confirmed already stays so."""

    results: tuple[DeliveryResult, ...]
