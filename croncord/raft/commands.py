"""The commands that change the cluster's state, and their bytes.

A proposer stamps everything that is not a function of the state into the command: the time (`at`),
who asked (`by`), ids, the leader's term. Applying a command is then the same on every node.
"""

from typing import Literal

import msgspec

from croncord.errors import FieldError, Invalid
from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import (
    CalendarSpec,
    Instant,
    JobSpec,
    JoinToken,
    LogInfo,
    LogLevel,
    Messages,
    Name,
    Node,
    NodeRole,
)
from croncord.raft.access_commands import (
    ChangePassword,
    DeleteSecret,
    EndSession,
    EndSessions,
    PutLink,
    PutSecret,
    PutToken,
    PutUser,
    RemoveUser,
    Reseal,
    RevokeToken,
    RotateToken,
    UseLink,
)
from croncord.raft.command import Command, LeaderCommand
from croncord.raft.notify_commands import (
    DeleteChannel,
    PutChannel,
    RaiseAlarms,
    RecordDeliveries,
    SendTest,
    SetNotifySettings,
)
from croncord.saved_views import Listing, SavedView

COMMAND_BYTES_MAX = 4 * 1024 * 1024


class PutJob(Command, frozen=True, kw_only=True):
    """Create a job, or replace its definition.

    `expect_version` 0 means "must not exist", None "whatever is there".
    """

    job_id: str
    spec: JobSpec
    next_due: Instant | None
    expect_version: int | None = None
    must_exist: bool = False
    """Refuse to create: the job may have been deleted since it was read."""


class PauseJob(Command, frozen=True, kw_only=True):
    """Pause or resume a job; its ticks go on being decided, as skipped."""

    job_id: str
    paused: bool


class DeleteJob(Command, frozen=True, kw_only=True):
    """Remove a job; what waits is skipped as deleted, with `kill` what runs is ended."""

    job_id: str
    kill: bool = False
    expect_version: int | None = None


class TriggerRun(Command, frozen=True, kw_only=True):
    """Ask for a run now. The same run id or idempotency key twice gives the first run."""

    job_id: str
    run_id: str
    environment: dict[str, str] = {}  # noqa: RUF012  # a struct: each gets a copy
    node: str = ""
    idempotency_key: str = ""
    fire_dependents: bool = True


class Backfill(Command, frozen=True, kw_only=True):
    """Ask for runs of ticks that lie in the past. The same id twice makes them once."""

    job_id: str
    backfill_id: str
    ticks: tuple[Instant, ...]
    max_parallel: int = 1
    fire_dependents: bool = False


class CancelBackfill(Command, frozen=True, kw_only=True):
    """End what waits of a backfill, with `kill` also what runs."""

    job_id: str
    backfill_id: str
    kill: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of one tick on one target."""

    run_id: str
    nominal_time: Instant
    due_at: Instant
    trigger: Trigger
    state: RunState
    """Pending, skipped or missed."""
    reason: Reason | None = None
    node: str | None = None
    replicas: tuple[str, ...] = ()
    target: str = ""
    shard_index: int = 0
    shard_count: int = 1
    detail: str = ""
    """What the leader saw that made it decide so."""


class JobDecisions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All decisions of one job up to its next tick.

    Refused when the job has another version, or its first undecided tick is not `due`.
    """

    job_id: str
    job_version: int
    due: Instant
    next_due: Instant | None
    decisions: tuple[Decision, ...]


class DecideTicks(LeaderCommand, frozen=True, kw_only=True):
    """A batch of decisions over several jobs."""

    jobs: tuple[JobDecisions, ...]


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A waiting run gets a node."""

    run_id: str
    attempt: int
    node: str
    replicas: tuple[str, ...] = ()


class AssignRuns(LeaderCommand, frozen=True, kw_only=True):
    """Give pending runs to nodes; also takes them from nodes that went down before claiming."""

    assignments: tuple[Assignment, ...]


class Conclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An end that the leader declares: skipped, missed or lost."""

    run_id: str
    attempt: int
    state: RunState
    """Skipped, missed or lost."""
    reason: Reason
    detail: str = ""


class ConcludeRuns(LeaderCommand, frozen=True, kw_only=True):
    """End runs by decision of the leader."""

    conclusions: tuple[Conclusion, ...]


class MarkNodes(LeaderCommand, frozen=True, kw_only=True):
    """Record which nodes answer."""

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node takes an attempt that was assigned to it."""

    run_id: str
    attempt: int


class ClaimRuns(Command, frozen=True, kw_only=True):
    """The node is about to start these; accepted only while they are still assigned to it."""

    node: str
    claims: tuple[Claim, ...]


class RunResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an attempt ended, as its node saw it."""

    run_id: str
    attempt: int
    state: RunState
    """Succeeded, failed, timed out, killed, or lost when the node cannot tell."""
    reason: Reason | None = None
    started_at: Instant | None = None
    finished_at: Instant
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    log: LogInfo = LogInfo()
    excerpt: str = ""
    detail: str = ""
    signalled_at: Instant | None = None
    survivors: tuple[int, ...] = ()
    messages: Messages = Messages()


class FinishRuns(Command, frozen=True, kw_only=True):
    """Results from a node; also of runs that were declared lost."""

    node: str
    results: tuple[RunResult, ...]


class LogClosure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agreed size and digest of the output of an attempt that was lost."""

    run_id: str
    attempt: int
    expect_sha256: str = ""
    """What was agreed so far, nothing at first: the first of two that expect the same wins."""
    log: LogInfo


class CloseLogs(Command, frozen=True, kw_only=True):
    """Agree on outputs whose writer was lost; or, when it came back with more, on the rest."""

    closures: tuple[LogClosure, ...]


class RequestKill(Command, frozen=True, kw_only=True):
    """Ask for the end of a run. A pending one ends at once; asking again changes nothing."""

    run_id: str
    grace_seconds: int | None = None
    reason: Reason = Reason.REQUESTED


class ReportKill(Command, frozen=True, kw_only=True):
    """The node has sent the first signal."""

    node: str
    run_id: str
    attempt: int
    signalled_at: Instant


class PutNode(Command, frozen=True, kw_only=True):
    """A node introduces itself, or says what changed about it."""

    node: Node


class DrainNode(Command, frozen=True, kw_only=True):
    """Stop giving a node new runs, or start again."""

    name: Name
    draining: bool


class FreezeNode(Command, frozen=True, kw_only=True):
    """Note that a node is about to be frozen in a drill; changes nothing."""

    name: Name
    seconds: int


class SetLogLevel(Command, frozen=True, kw_only=True):
    """Have a node say more or less about itself, for a while; an empty level is its settings'."""

    name: Name
    level: LogLevel | Literal[""]
    until: Instant | None = None


class RemoveNode(Command, frozen=True, kw_only=True):
    """Forget a node and never take its disk back; refused while it runs something.

    The leader then takes it out of the voters.
    """

    name: Name
    force: bool = False
    """Also when it has runs in hand; they are lost, or launched elsewhere as their jobs say."""


class PutJoinToken(Command, frozen=True, kw_only=True):
    """Store a right to join; those that expired are dropped."""

    token: JoinToken


class AdmitNode(Command, frozen=True, kw_only=True):
    """Let a machine in that asked with a token, or with the cluster secret when there is no token.

    The same request twice changes nothing. Refused under the name of a node that answers.
    """

    name: Name
    http: str
    raft: str
    role: NodeRole = "auto"
    token_id: str = ""
    request_sha256: str


class PauseCluster(Command, frozen=True, kw_only=True):
    """Stop or resume all launching; due ticks are skipped as cluster_paused."""

    paused: bool


class SetLabelLimits(Command, frozen=True, kw_only=True):
    """Replace the limits on runs per label: `gpu=a100` to how many at once on all such nodes."""

    limits: dict[str, int]


class PutCalendar(Command, frozen=True, kw_only=True):
    """Create a calendar, or replace it; ticks that are decided stay as they are."""

    calendar: CalendarSpec


class DeleteCalendar(Command, frozen=True, kw_only=True):
    """Remove a calendar; refused while a job names it."""

    name: Name


class PutView(Command, frozen=True, kw_only=True):
    """Save a view for who asks."""

    view: SavedView


class DeleteView(Command, frozen=True, kw_only=True):
    """Forget a view of who asks."""

    listing: Listing
    name: Name


class InitCluster(Command, frozen=True, kw_only=True):
    """Agree on what the cluster needs once; the first one wins."""

    cluster_id: str
    session_key: bytes


AnyCommand = (
    PutJob
    | PauseJob
    | DeleteJob
    | TriggerRun
    | Backfill
    | CancelBackfill
    | DecideTicks
    | AssignRuns
    | ConcludeRuns
    | MarkNodes
    | ClaimRuns
    | FinishRuns
    | CloseLogs
    | RequestKill
    | ReportKill
    | PutNode
    | DrainNode
    | FreezeNode
    | SetLogLevel
    | RemoveNode
    | PutJoinToken
    | AdmitNode
    | PauseCluster
    | SetLabelLimits
    | PutCalendar
    | DeleteCalendar
    | PutView
    | DeleteView
    | PutSecret
    | DeleteSecret
    | Reseal
    | InitCluster
    | PutToken
    | RevokeToken
    | RotateToken
    | PutUser
    | ChangePassword
    | RemoveUser
    | EndSession
    | EndSessions
    | PutLink
    | UseLink
    | PutChannel
    | DeleteChannel
    | SetNotifySettings
    | RaiseAlarms
    | RecordDeliveries
    | SendTest
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyCommand] = msgspec.msgpack.Decoder(AnyCommand)
_VERSION = b"\x01"


def encode_command(command: AnyCommand) -> bytes:
    """Return the command's bytes: one version byte, then msgpack.

    They are read back once, because an entry that is agreed and cannot be read stops every node.
    Raises Invalid naming the field that does not fit.
    """
    try:
        data = _encoder.encode(command)
        _decoder.decode(data)
    except UnicodeEncodeError:
        raise Invalid([FieldError("", "half of a surrogate pair is no text")]) from None
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise Invalid([FieldError(path.rstrip("`"), f"cannot be agreed on: {message}")]) from None
    return _VERSION + data


def decode_command(data: bytes) -> AnyCommand:
    """Read what `encode_command` wrote.

    Raises ValueError (or msgspec's subclass of it) for anything else.
    """
    if data[:1] != _VERSION:
        raise ValueError(f"command version {data[:1].hex() or 'missing'} is not known; upgrade")
    return _decoder.decode(memoryview(data)[1:])
