"""The shapes of answers that are put together from others, for the published interface."""

from typing import Any

import msgspec

from croncord.credentials import Grant, Scope
from croncord.model import JobSpec, NodeRole
from croncord.service.backfills import BackfillView
from croncord.service.calendars import CalendarView
from croncord.service.cluster import NodeView
from croncord.service.edits import TickChanges
from croncord.service.outlook import NextView
from croncord.service.views import JobFacts, RunView, Time, View


class JobAnswer(View, frozen=True, kw_only=True):
    """A job: its definition and what the cluster adds, side by side in one object."""

    spec: JobSpec
    facts: JobFacts


class JobPage(View, frozen=True, kw_only=True):
    """A page of jobs; their scripts are left out."""

    items: list[JobAnswer]
    next_cursor: str | None
    total: int


class JoinTokenAnswer(View, frozen=True, kw_only=True):
    """A right to join, as it is shown once."""

    token: str
    role: NodeRole
    uses: int
    """How many machines may join with it."""
    expires_at: Time
    command: str
    """What to run on the new machine."""


class FieldChange(View, frozen=True, kw_only=True):
    """What a version changed in one field."""

    field: str
    before: Any
    after: Any
    lines: list[str] | None
    """For the script, in place of the two: a unified diff."""


class JobVersion(View, frozen=True, kw_only=True):
    """A definition as it was saved."""

    version: int
    updated_at: Time
    updated_by: str
    changed: list[str]
    """Names of the fields that differ from the version before."""
    diff: list[FieldChange]
    definition: JobSpec


class JobVersions(View, frozen=True, kw_only=True):
    """The definitions that are kept, newest first."""

    items: list[JobVersion]


class Finding(View, frozen=True, kw_only=True):
    """Something odd in a script."""

    line: int
    message: str


class ScriptReport(View, frozen=True, kw_only=True):
    """How a script will be run, and what looks wrong."""

    interpreter: str
    lines: int
    line_ends: str
    findings: list[Finding]


class WrongField(View, frozen=True, kw_only=True):
    """A field and what would be right."""

    field: str
    message: str


class Report(View, frozen=True, kw_only=True):
    """What a definition would do."""

    valid: bool
    errors: list[WrongField]
    warnings: list[str]
    next: list[Time]
    description: str
    notes: list[str]
    script: ScriptReport
    matching_nodes: list[str]
    placement: str
    """`3 of 5 nodes match now`; empty while the target is wrong."""
    ticks: TickChanges | None
    """Which ticks appear and vanish when it is saved; null while its timing is wrong."""


class Sentence(View, frozen=True, kw_only=True):
    """A decision or event in words."""

    at: Time | None
    text: str
    node: str | None
    term: int | None
    rule: str | None
    """The field of the job, or the rule of the cluster, that made it so."""


class WhyAnswer(View, frozen=True, kw_only=True):
    """What became of a tick and why, what keeps the job from running now, and what comes next."""

    job: str
    job_id: str
    asked: Time
    tick: Time | None
    """The nearest one that the ledger or the schedule knows."""
    kind: str
    """`row`, `future`, `undecided`, `clock_change`, `before_creation`, `before_edit`, `forgotten`
    or `none`."""
    reason: str | None
    summary: str
    sentences: list[Sentence]
    runs: list[RunView]
    now: list[Sentence]
    next: NextView


class RunPage(View, frozen=True, kw_only=True):
    """A page of runs, newest nominal time first."""

    items: list[RunView]
    next_cursor: str | None


class NodeList(View, frozen=True, kw_only=True):
    """All machines."""

    items: list[NodeView]


class BackfillList(View, frozen=True, kw_only=True):
    """The backfills of a job that are not over."""

    items: list[BackfillView]


class CalendarList(View, frozen=True, kw_only=True):
    """All calendars."""

    items: list[CalendarView]


class Paused(View, frozen=True, kw_only=True):
    """Whether the cluster launches nothing."""

    paused: bool


class Leader(View, frozen=True, kw_only=True):
    """Who leads now."""

    leader: str | None


class TimelineStep(View, frozen=True, kw_only=True):
    """Final rows of one step of time."""

    at: Time
    states: dict[str, int]


class PastAnswer(View, frozen=True, kw_only=True):
    """What became of the ticks of the last hours; partial when there were too many to count."""

    since: Time
    step_minutes: int
    steps: list[TimelineStep]
    is_partial: bool


class PlannedJob(View, frozen=True, kw_only=True):
    """A job in a crowded minute."""

    id: str
    name: str
    schedule: list[str]


class Collision(View, frozen=True, kw_only=True):
    """A minute in which many jobs begin, and how many minutes of the day are like it."""

    at: Time
    times: int
    launches: int
    jobs: list[PlannedJob]


class AheadAnswer(View, frozen=True, kw_only=True):
    """Planned launches per minute from `since` on; `often` jobs run too often to be counted."""

    since: Time
    minutes: list[int]
    often: int
    collisions: list[Collision]


class Ready(View, frozen=True, kw_only=True):
    """Whether the node can answer and change things."""

    ready: bool
    reason: str


class Alive(View, frozen=True, kw_only=True):
    """The process runs."""

    status: str


class TokenAnswer(View, frozen=True, kw_only=True):
    """An API token; its secret is told once, when it is made."""

    id: str
    name: str
    prefix: str
    """What the secret begins with."""
    role: str
    grants: list[Grant]
    scopes: list[Scope]
    created_at: Time
    created_by: str
    expires_at: Time | None
    rotated_at: Time | None
    token: str | msgspec.UnsetType = msgspec.UNSET


class TokenPage(View, frozen=True, kw_only=True):
    """A page of tokens by name, without their secrets."""

    items: list[TokenAnswer]
    next_cursor: str | None
    total: int


class UserAnswer(View, frozen=True, kw_only=True):
    """Somebody who signs in with a password."""

    name: str
    role: str
    grants: list[Grant]
    created_at: Time


class UserPage(View, frozen=True, kw_only=True):
    """A page of users by name."""

    items: list[UserAnswer]
    next_cursor: str | None
    total: int


class MeAnswer(View, frozen=True, kw_only=True):
    """Who asks, and what they may."""

    name: str
    role: str
    grants: list[Grant]
    scopes: list[Scope]


class LinkAnswer(View, frozen=True, kw_only=True):
    """A one-time link for a browser."""

    url: str
    expires_at: Time
