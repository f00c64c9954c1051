"""Notifications as JSON: what goes in, what comes out. Addresses and passwords go in only."""

from typing import Annotated, Literal

import msgspec

from croncord.model import Value
from croncord.notification import (
    JOB_KINDS,
    Channel,
    ChannelKind,
    Channels,
    Delivery,
    Kinds,
    MailAddress,
    NotifySettings,
)
from croncord.preview import iso_utc
from croncord.service.views import Time, View, iso

URL_CHARACTERS_MAX = 2000
Url = Annotated[str, msgspec.Meta(max_length=URL_CHARACTERS_MAX)]


class ChannelBody(Value, frozen=True, kw_only=True):
    """Where notices go: one of the three, as `kind` says."""

    kind: ChannelKind
    url: Url = ""
    """Of a webhook: gets JSON that Slack reads. Never shown again; left out it stays as it is."""
    to: Annotated[tuple[MailAddress, ...], msgspec.Meta(max_length=50)] = ()
    """Of `email`."""
    command: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Of `command`: a name in the list `--notify-command` of the nodes."""


class ChannelView(View, frozen=True, kw_only=True):
    """A channel, without what is secret about it."""

    name: str
    kind: str
    shown: str
    """The host of a webhook, the addresses, or the name of the command."""
    to: list[str]
    command: str
    is_default: bool
    """Whether it is told of all jobs that name no channel."""
    jobs: list[str]
    """Names of the jobs that name it."""
    is_readable: bool
    """Whether this node has the key that its address was sealed with; if not, set it again."""
    updated_at: Time
    updated_by: str


class SmtpBody(Value, frozen=True, kw_only=True):
    """The server that takes mail."""

    host: Annotated[str, msgspec.Meta(max_length=253)] = ""
    """Empty: no mail."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Annotated[str, msgspec.Meta(max_length=254)] = ""
    username: Annotated[str, msgspec.Meta(max_length=254)] = ""
    password: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    """Never shown again; null leaves it as it is."""


class HeartbeatBody(Value, frozen=True, kw_only=True):
    """An address that the leader calls for ever, so that somebody outside notices when it stops."""

    url: Url | None = None
    """Never shown again; null leaves it as it is, empty ends it."""
    every_seconds: Annotated[int, msgspec.Meta(ge=5, le=86400)] = 60


class NotifySettingsBody(Value, frozen=True, kw_only=True):
    """What holds for all jobs that say nothing else, and for the cluster itself."""

    on: Kinds = JOB_KINDS
    channels: Channels = ()
    """Told of jobs that name no channel, and of the cluster itself."""
    no_quorum: bool = True
    """Whether a node that sees no majority tells these channels, by itself."""
    url: Url = ""
    """Where people reach the cluster, for links in notices."""
    smtp: SmtpBody = SmtpBody()
    heartbeat: HeartbeatBody = HeartbeatBody()


class SmtpView(View, frozen=True, kw_only=True):
    """The server that takes mail, without the password."""

    host: str
    port: int
    security: str
    sender: str
    username: str
    has_password: bool


class HeartbeatView(View, frozen=True, kw_only=True):
    """The heartbeat, without the path of its address."""

    shown: str
    """Empty: there is none."""
    every_seconds: int


class NotifySettingsView(View, frozen=True, kw_only=True):
    """The cluster's own settings for notifications."""

    on: list[str]
    channels: list[str]
    no_quorum: bool
    url: str
    smtp: SmtpView
    heartbeat: HeartbeatView
    updated_at: Time | None
    updated_by: str


class DeliveryAttemptView(View, frozen=True, kw_only=True):
    """One time that a node tried to hand a notice over."""

    at: Time
    by: str
    error: str
    """Empty: the channel took it."""


class NotificationView(View, frozen=True, kw_only=True):
    """A notice on its way to a channel, or how it ended."""

    id: str
    """Goes with the notice; the same when it is sent a second time."""
    kind: str
    job: str
    job_id: str
    run: str
    """Id of the run that it is about; empty when it is about none."""
    channel: str
    state: str
    """`pending`, `delivered` or `dropped`."""
    text: str
    created_at: Time
    next_at: Time | None
    """When it is tried next at the earliest; null when it is over."""
    finished_at: Time | None
    tries: int
    attempts: list[DeliveryAttemptView]
    """The last ten."""
    detail: str
    """Why it was dropped."""


def settings_view(settings: NotifySettings) -> NotifySettingsView:
    """Return the settings as they are shown."""
    smtp = settings.smtp
    return NotifySettingsView(
        on=list(settings.on),
        channels=list(settings.channels),
        no_quorum=settings.no_quorum,
        url=settings.url,
        smtp=SmtpView(
            host=smtp.host,
            port=smtp.port,
            security=smtp.security,
            sender=smtp.sender,
            username=smtp.username,
            has_password=bool(smtp.sealed),
        ),
        heartbeat=HeartbeatView(
            shown=settings.heartbeat.shown, every_seconds=settings.heartbeat.every_seconds
        ),
        updated_at=iso(settings.updated_at),
        updated_by=settings.updated_by,
    )


def channel_view(
    channel: Channel, *, is_default: bool, jobs: list[str], is_readable: bool
) -> ChannelView:
    """Return a channel as it is shown."""
    return ChannelView(
        name=channel.name,
        kind=channel.kind,
        shown=channel.shown,
        to=list(channel.to),
        command=channel.command,
        is_default=is_default,
        jobs=jobs,
        is_readable=is_readable,
        updated_at=iso_utc(channel.updated_at),
        updated_by=channel.updated_by,
    )


def notification_view(delivery: Delivery, text: str) -> NotificationView:
    """Return a delivery as it is shown."""
    notice = delivery.notice
    return NotificationView(
        id=delivery.id,
        kind=notice.kind,
        job=notice.job,
        job_id=notice.job_id,
        run=notice.run_id,
        channel=delivery.channel,
        state=delivery.state,
        text=text,
        created_at=iso_utc(delivery.created_at),
        next_at=iso_utc(delivery.next_at) if delivery.state == "pending" else None,
        finished_at=iso(delivery.finished_at),
        tries=delivery.tries,
        attempts=[
            DeliveryAttemptView(at=iso_utc(it.at), by=it.by, error=it.error)
            for it in delivery.attempts
        ],
        detail=delivery.detail,
    )
