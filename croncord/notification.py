"""What is told about jobs, to whom, and how far it got: the agreed values. Frozen.

A *notice* says what happened. A *channel* is where notices go: a webhook, mail addresses, or a command
of the leader's machine. A *delivery* is one notice on its way to one channel; it stays agreed until a
leader has confirmed it. A *watch* is what the cluster remembers of a job in order to tell of trouble
once and of its end.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

CHANNEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
ADDRESS_PATTERN = r"^[^\s@<>,;\"\x00-\x1f\x7f]+@[^\s@<>,;\"\x00-\x1f\x7f]+$"
ChannelName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=CHANNEL_PATTERN)]
MailAddress = Annotated[str, msgspec.Meta(max_length=254, pattern=ADDRESS_PATTERN)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]

JobKind = Literal["failure", "recovery", "missed", "lost", "late", "too_long"]
Kind = Literal[
    "failure", "recovery", "missed", "lost", "late", "too_long", "no_quorum", "quorum", "test"
]
JOB_KINDS: tuple[JobKind, ...] = ("failure", "recovery", "missed", "lost", "late", "too_long")
CHANNEL_SEAL = "channel:"
"""A webhook's address is sealed under this and the channel's name."""
SMTP_SEAL = "notify:smtp"
HEARTBEAT_SEAL = "notify:heartbeat"
ChannelKind = Literal["webhook", "email", "command"]


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: immutable, named arguments only, unknown fields refused."""


Kinds = Annotated[tuple[JobKind, ...], msgspec.Meta(max_length=12)]
Channels = Annotated[tuple[ChannelName, ...], msgspec.Meta(max_length=20)]


class Notify(_Value, frozen=True, kw_only=True):
    """What is told about a job, and to whom."""

    on: Kinds = ()
    """Empty: as the cluster's settings say."""
    channels: Channels = ()
    """Empty: as the cluster's settings say."""
    too_long_seconds: Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)] | None = None
    """A run that takes longer is told of while it runs; None: never."""
    muted: bool = False
    """Tell nobody anything."""


class Channel(_Value, frozen=True, kw_only=True):
    """Where notices go."""

    name: ChannelName
    kind: ChannelKind
    shown: str
    """What people may see of it: the host of an address, not its path, which may be a secret."""
    sealed: bytes = b""
    """Of a webhook: its address, encrypted; see `croncord.ports.Vault`."""
    key_id: str = ""
    """Which key it was encrypted with."""
    to: tuple[MailAddress, ...] = ()
    command: str = ""
    """A name in the list of commands that each node's own settings allow."""
    updated_at: _Moment
    updated_by: str


class Smtp(_Value, frozen=True, kw_only=True):
    """The server that takes mail."""

    host: str = ""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = ""
    username: str = ""
    sealed: bytes = b""
    """The password, encrypted."""
    key_id: str = ""


class Heartbeat(_Value, frozen=True, kw_only=True):
    """An address that the leader calls for ever, so that somebody outside notices when it stops."""

    shown: str = ""
    """Empty: no heartbeat."""
    sealed: bytes = b""
    key_id: str = ""
    every_seconds: int = 60


class NotifySettings(_Value, frozen=True, kw_only=True):
    """What holds for all jobs that say nothing else, and for the cluster itself."""

    on: Kinds = JOB_KINDS
    channels: Channels = ()
    smtp: Smtp = Smtp()
    heartbeat: Heartbeat = Heartbeat()
    no_quorum: bool = True
    """Whether a node that sees no majority tells the channels above."""
    url: str = ""
    """Where people reach the cluster, for links in notices."""
    updated_at: _Moment | None = None
    updated_by: str = ""


class Notice(_Value, frozen=True, kw_only=True):
    """What happened."""

    kind: Kind
    at: _Moment
    job_id: str = ""
    job: str = ""
    run_id: str = ""
    state: str = ""
    reason: str = ""
    node: str = ""
    attempt: int = 0
    nominal_time: _Moment | None = None
    exit_code: int | None = None
    signal: int | None = None
    failures: int = 0
    """How many runs in a row did not succeed."""
    since: _Moment | None = None
    """Of `late`: since when nothing succeeded."""
    more: int = 0
    """Of `missed`: so many further ticks of the same minute are told of with this one."""
    detail: str = ""
    excerpt: str = ""
    """The end of the output; secrets are masked in it."""


class DeliveryAttempt(_Value, frozen=True, kw_only=True):
    """One time that a node tried to hand a notice over."""

    at: _Moment
    by: str
    """`node:n1`."""
    error: str = ""
    """Empty: the channel took it."""


class Delivery(_Value, frozen=True, kw_only=True):
    """One notice on its way to one channel."""

    id: str
    """A function of what is told and to whom; receivers can know a repetition by it."""
    channel: str
    notice: Notice
    state: Literal["pending", "delivered", "dropped"] = "pending"
    created_at: _Moment
    next_at: _Moment
    """When it is tried next, at the earliest."""
    tries: int = 0
    attempts: tuple[DeliveryAttempt, ...] = ()
    """The last ten."""
    finished_at: _Moment | None = None
    detail: str = ""
    """Why it was dropped."""


class Watch(_Value, frozen=True, kw_only=True):
    """What is remembered of a job in order to tell of trouble once, and of its end."""

    trouble: dict[str, str] = {}
    """What is wrong since the last success: kind of notice by lane (the node of an every-node job)."""
    long_runs: tuple[str, ...] = ()
    """Open runs that were told of as `too_long`."""
    since: _Moment | None = None
    """With `expect_within_seconds`: the last success, or since when one is expected."""
    is_late: bool = False
    """Whether `late` was told and nothing has succeeded since."""
