"""The values that the cluster agrees on: jobs, runs, nodes. Frozen; changed by replacement.

The field names are those of the API; msgspec checks types and refuses unknown fields. Rules that a
type cannot say (a schedule that parses, a zone that exists) are in `croncord.validation`.
Instants are aware UTC with millisecond resolution.
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from croncord.lifecycle import OPEN_STATES, Reason, RunState, Trigger
from croncord.notification import Notify

SCRIPT_BYTES_MAX = 1024 * 1024
MEGABYTE = 1024 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^/\x00-\x1f\x7f]+$")]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Variable = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
LOCK_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*(:[1-9][0-9]{0,3})?$"
Lock = Annotated[str, msgspec.Meta(max_length=128, pattern=LOCK_PATTERN)]
"""`name` for one run at a time, `name:3` for three; see `croncord.locks`."""
UMASK_PATTERN = r"^0?[0-7]{3}$"
Umask = Annotated[str, msgspec.Meta(max_length=4, pattern=UMASK_PATTERN)]
IONICE_PATTERN = r"^(none|idle|best-effort:[0-7])$"
IoPriority = Annotated[str, msgspec.Meta(max_length=13, pattern=IONICE_PATTERN)]
Expression = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time; one without an offset from UTC is refused when it is decoded."""
Seconds = Annotated[int, msgspec.Meta(ge=0, le=366 * 86400)]
PositiveSeconds = Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)]

Strategy = Literal["least_loaded", "spread", "hash", "random"]
Overlap = Literal["skip", "queue_one", "queue_all", "replace", "allow"]
Delivery = Literal["at_most_once", "at_least_once"]
DstPolicy = Literal["cron", "once", "skip", "every"]
NodeRole = Literal["auto", "voter", "observer"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all agreed values: immutable, named arguments only, unknown fields refused."""


class Target(Value, frozen=True, kw_only=True):
    """Which nodes may run a job, and how one of them is picked."""

    labels: dict[Label, Label] = {}
    nodes: tuple[Name, ...] = ()
    strategy: Strategy = "least_loaded"
    every_node: bool = False
    on_join: bool = False
    """Also run once on each matching node when it joins the cluster."""


class Misfire(Value, frozen=True, kw_only=True):
    """What becomes of ticks that were due while nothing could launch them."""

    policy: Literal["skip", "run_once", "run_all"] = "run_once"
    window_seconds: Seconds = 3600
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """With `run_all`, how many of the newest ticks are caught up; None for all in the window."""
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=600)] | None = None
    """How many of those start in a minute; None for all at once."""


class Retries(Value, frozen=True, kw_only=True):
    """How often a run that failed is tried again, and after how long."""

    count: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    delay_seconds: Seconds = 10
    backoff: Annotated[float, msgspec.Meta(ge=1, le=10)] = 1.0
    max_delay_seconds: Seconds = 3600
    other_node: bool = False


class Limits(Value, frozen=True, kw_only=True):
    """Bounds on what one run may use."""

    log_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1024 * MEGABYTE)] = 16 * MEGABYTE
    on_limit: Literal["truncate", "kill"] = "truncate"
    """At `log_bytes`: keep the first and the last half of it, or end the run."""
    memory_bytes: Annotated[int, msgspec.Meta(ge=MEGABYTE, le=2**50)] | None = None
    """Of the whole tree; None for no limit."""
    processes: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """Processes and threads of the whole tree."""
    open_files: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] | None = None
    """Of each process."""
    cpu_percent: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    """Processor time of the whole tree, 100 for one whole processor. Only a node that may use
    control groups can hold it: others are not given the run."""


class Dependency(Value, frozen=True, kw_only=True):
    """Another job after whose runs this one runs. Several are independent: each starts a run."""

    job: Name
    on: Literal["success", "failure", "always"] = "success"


PERIODS_MAX = 5000
DATE_PATTERN = r"^(\d{4}-)?\d\d-\d\d(/\d{4}-\d\d-\d\d)?$"
TIMES_PATTERN = r"^(([01]\d|2[0-3]):[0-5]\d)-(([01]\d|2[0-3]):[0-5]\d|24:00)$"
DateText = Annotated[str, msgspec.Meta(max_length=21, pattern=DATE_PATTERN)]
"""`2026-12-25`, a yearly `12-25`, or a range with both its ends `2026-12-24/2026-12-26`."""
TimesText = Annotated[str, msgspec.Meta(max_length=11, pattern=TIMES_PATTERN)]
"""`09:00-17:00`, the end not included; `22:00-02:00` goes on into the next day."""


class Period(Value, frozen=True, kw_only=True):
    """From an instant up to another."""

    start: datetime
    end: datetime


class CalendarSpec(Value, frozen=True, kw_only=True):
    """A named set of times, and whether jobs run in them or outside; see `croncord.calendars`."""

    name: Name
    kind: Literal["blackout", "allowed"] = "blackout"
    description: Text = ""
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    dates: Annotated[tuple[DateText, ...], msgspec.Meta(max_length=2000)] = ()
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    times: Annotated[tuple[TimesText, ...], msgspec.Meta(max_length=50)] = ()
    periods: Annotated[tuple[Period, ...], msgspec.Meta(max_length=PERIODS_MAX)] = ()


class Calendar(Value, frozen=True, kw_only=True):
    """A calendar as the cluster holds it."""

    spec: CalendarSpec
    updated_at: datetime
    updated_by: str


class Retention(Value, frozen=True, kw_only=True):
    """How much of a job's history is kept; None for the cluster's own limits."""

    runs: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None
    bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**50)] | None = None
    """Of output, all runs together; one run alone cannot have more either."""


class JobSpec(Value, frozen=True, kw_only=True):
    """What a person says about a job. Defaults are those of the contract."""

    name: Name
    script: str
    schedule: tuple[Expression, ...] = ("@manual",)
    description: Text = ""
    owner: Annotated[str, msgspec.Meta(max_length=128)] = ""
    tags: Annotated[tuple[Label, ...], msgspec.Meta(max_length=50)] = ()
    timezone: Annotated[str, msgspec.Meta(max_length=64)] = "UTC"
    dst: DstPolicy = "cron"
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter_seconds: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 0
    working_directory: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    user: Annotated[str, msgspec.Meta(max_length=64)] = ""
    environment: dict[Variable, Annotated[str, msgspec.Meta(max_length=32768)]] = {}
    target: Target = Target()
    overlap: Overlap = "skip"
    misfire: Misfire = Misfire()
    delivery: Delivery = "at_most_once"
    timeout_seconds: PositiveSeconds | None = None
    kill_grace_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 10
    retries: Retries = Retries()
    limits: Limits = Limits()
    umask: Umask = "022"
    nice: Annotated[int, msgspec.Meta(ge=-20, le=19)] = 0
    ionice: IoPriority = "none"
    paused: bool = False
    pause_after_failures: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """Pause after so many runs in a row that did not succeed, when their retries failed too."""
    after: Annotated[tuple[Dependency, ...], msgspec.Meta(max_length=20)] = ()
    retention: Retention = Retention()
    calendars: Annotated[tuple[Name, ...], msgspec.Meta(max_length=20)] = ()
    """Calendars whose times decide which ticks of the schedule run."""
    locks: Annotated[tuple[Lock, ...], msgspec.Meta(max_length=20)] = ()
    """What a run holds while it is in hand; shared by all jobs that name it."""
    secrets: Annotated[tuple[Variable, ...], msgspec.Meta(max_length=50)] = ()
    """Names of secrets that its runs find as variables of that name."""
    notify: Notify = Notify()
    expect_within_seconds: PositiveSeconds | None = None
    """Without a success for so long, somebody is told that it is late."""


class Job(Value, frozen=True, kw_only=True):
    """A job as the cluster holds it: the spec plus what the cluster adds."""

    id: str
    version: int
    spec: JobSpec
    created_at: datetime
    updated_at: datetime
    updated_by: str
    anchor: datetime
    """`@every` counts from here; kept over edits that leave the schedule alone."""
    next_due: datetime | None
    """Nominal time of the next tick to decide; None when the schedule has ended."""
    decided_until: datetime | None = None
    """Nominal time of the newest tick that was decided; a new schedule begins after it."""
    failures: int = 0
    """Runs in a row that did not succeed."""
    paused_at: datetime | None = None
    paused_by: str = ""
    """Who paused it; `cluster` when `pause_after_failures` did."""

    @property
    def name(self) -> str:
        """The job's name."""
        return self.spec.name


class LogInfo(Value, frozen=True, kw_only=True):
    """What is known about a run's output, once its node has closed it."""

    bytes: int = 0
    lines: int = 0
    truncated_bytes: int = 0
    sha256: str = ""
    complete: bool = False
    recovered: Literal["", "quorum", "partial"] = ""
    """How the cluster agreed on it when its node was lost: from enough copies that nothing which
    was confirmed is missing, or from fewer. Empty when the node that wrote it closed it."""


class Messages(Value, frozen=True, kw_only=True):
    """What a script told about itself; see `croncord.messages`."""

    progress: float | None = None
    """Percent."""
    metrics: dict[str, float] = {}
    notices: tuple[str, ...] = ()
    """The last ones."""
    outputs: dict[str, str] = {}
    """Passed on to the runs of jobs that run after this one."""


class Kill(Value, frozen=True, kw_only=True):
    """A request to end a run and how far it got."""

    requested_at: datetime
    by: str
    grace_seconds: int
    reason: Reason = Reason.REQUESTED
    signalled_at: datetime | None = None
    confirmed_at: datetime | None = None
    survivors: tuple[int, ...] = ()
    """Process ids that were still alive when the node gave up."""


class Attempt(Value, frozen=True, kw_only=True):
    """One earlier launch of a run."""

    number: int
    node: str
    state: RunState
    reason: Reason | None = None
    due_at: datetime | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    log: LogInfo = LogInfo()
    replicas: tuple[str, ...] = ()

    @property
    def lacks_log(self) -> bool:
        """Whether it was lost and nothing is agreed about its output yet."""
        return self.state is RunState.LOST and bool(self.claimed_at) and not self.log.sha256


class Run(Value, frozen=True, kw_only=True):
    """One row of the launch ledger."""

    id: str
    job_id: str
    job: str
    job_version: int
    script_sha256: str
    nominal_time: datetime
    due_at: datetime
    """When it may start: the nominal time plus jitter, or after a retry's delay."""
    trigger: Trigger
    state: RunState
    reason: Reason | None = None
    by: str = ""
    """Who asked, for manual runs."""
    environment: dict[str, str] = {}
    """Additions for this run only."""
    target: str = ""
    """The one node this row is for; empty when any matching node will do."""
    upstream: str = ""
    """The run of another job after whose end this one runs."""
    fire_dependents: bool = True
    """Whether jobs that run after this one do so when this run ends."""
    backfill: str = ""
    """Which backfill it belongs to."""
    max_parallel: int = 0
    """How many runs of its backfill may be in hand at once."""
    locks: tuple[str, ...] = ()
    """Held from the assignment to the end."""
    shard_index: int = 0
    shard_count: int = 1
    node: str | None = None
    attempt: int = 1
    attempts: tuple[Attempt, ...] = ()
    replicas: tuple[str, ...] = ()
    """Nodes that keep the output, the executing one first."""
    fence: int = 0
    decided_at: datetime
    decided_by: str = ""
    """`node:n1` for the leader that decided it, or who asked."""
    decided_term: int = 0
    assigned_at: datetime | None = None
    assigned_by: str = ""
    assigned_term: int = 0
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ended_by: str = ""
    """`node:n2` for the node that reported the end, or who declared it."""
    ended_term: int = 0
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    log: LogInfo = LogInfo()
    kill: Kill | None = None
    messages: Messages = Messages()
    excerpt: str = ""
    detail: str = ""
    """A sentence about the outcome, for instance why the script could not be started."""

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        return self.state in OPEN_STATES

    @property
    def lacks_log(self) -> bool:
        """Whether it was lost and nothing is agreed about its output yet."""
        return self.state is RunState.LOST and bool(self.claimed_at) and not self.log.sha256

    @property
    def is_active(self) -> bool:
        """Whether a node has it in hand: running, or assigned and about to start."""
        return self.is_open and self.node is not None

    @property
    def is_queued(self) -> bool:
        """Whether it waits for its turn or for a node."""
        return self.state is RunState.PENDING and self.node is None


class Node(Value, frozen=True, kw_only=True):
    """A member of the cluster, as agreed."""

    name: Name
    http: str
    raft: str
    role: NodeRole = "voter"
    """What it asks to be; who votes now is known to Raft."""
    labels: dict[Label, Label] = {}
    version: str = ""
    tzdata: str = ""
    max_runs: int = 0
    """How many runs at once; 0 means no limit."""
    up: bool = True
    draining: bool = False
    log_level: LogLevel | Literal[""] = ""
    """How much it says about itself, if not what its settings say."""
    log_level_until: Instant | None = None
    """When that is over; None: when it is changed back."""
    joining: bool = False
    """Let in, and not heard of as a member yet: it gets no work."""
    disk: str = ""
    """Names the disk that it keeps its journal on; a wiped machine has another one."""
    joined_at: datetime
    changed_at: datetime


class JoinUse(Value, frozen=True, kw_only=True):
    """Who came in with a join token, by the digest of its request: asking again changes nothing."""

    name: Name
    request_sha256: str
    at: datetime


class JoinToken(Value, frozen=True, kw_only=True):
    """A right to join. What is kept proves the token to us and cannot be turned back into it."""

    id: str
    key: str
    """Derived from the token one way; see `croncord.raft.wire.invitation`."""
    role: NodeRole = "auto"
    uses_left: int = 1
    uses: tuple[JoinUse, ...] = ()
    expires_at: Instant
    created_at: Instant
    created_by: str = ""


class RemovedNode(Value, frozen=True, kw_only=True):
    """A disk that is no member's any more, and must never take part again."""

    name: Name
    at: datetime
    by: str = ""


def script_sha256(script: str) -> str:
    """Digest of the script's bytes, as lower-case hexadecimal."""
    return hashlib.sha256(script.encode()).hexdigest()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(instant: datetime) -> int:
    """Whole milliseconds since 1970 UTC, exact."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def run_id(job_id: str, nominal_time: datetime, key: str = "tick", target: str = "") -> str:
    """Identity of a launch: the same tick has the same id, whoever decides it.

    `key` tells apart what shares a nominal time: "tick" for scheduled and caught-up ticks, the
    idempotency key for manual runs. The first 6 of 15 bytes are the nominal time in milliseconds,
    so ids sort by time. Encoded as base32hex (RFC 4648), lower case, 24 characters.
    Instants before 1970 sort as if they were that.
    """
    parts = "\x00".join((job_id, str(milliseconds(nominal_time)), key, target))
    digest = hashlib.blake2b(parts.encode(), digest_size=9).digest()
    stamp = max(0, milliseconds(nominal_time)).to_bytes(6, "big")
    return base64.b32hexencode(stamp + digest).decode().lower()
