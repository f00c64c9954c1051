"""From an applied command to its entry in the audit trail. Pure: the same on every node.

What only the cluster's machinery proposes (decisions, claims, results) stands in the launch ledger.
Everything else gets an entry, also a command that this module has never heard of, if a person or a
program asked for it.
"""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from croncord.audit import AuditEntry
from croncord.credentials import Grant, Token, User
from croncord.model import Job, JobSpec, script_sha256
from croncord.preview import iso_utc
from croncord.raft import access_commands as a
from croncord.raft import commands as c
from croncord.raft import notify_commands as n
from croncord.raft.command import LeaderCommand
from croncord.raft.state import ClusterState, Outcome

DIGEST_CHARACTERS: Final = 12
_TEXT_MAX: Final = 200
_MACHINERY = (LeaderCommand, c.ClaimRuns, c.ReportKill)
_TOLD_FIELDS = frozenset(
    {
        *("name", "owner", "tags", "schedule", "timezone", "dst", "start_at", "end_at", "user"),
        *("overlap", "delivery", "timeout_seconds", "paused", "calendars", "locks", "secrets"),
        *("pause_after_failures", "jitter_seconds", "working_directory", "expect_within_seconds"),
    }
)
"""Fields of a job whose values are told; of the others only that they changed."""


class _Told(msgspec.Struct, frozen=True):
    """What an entry says about its command."""

    action: str
    subject: str = ""
    detail: str = ""
    job_id: str = ""


def audit_entry(
    state: ClusterState, index: int, command: c.AnyCommand, outcome: Outcome
) -> AuditEntry | None:
    """Return the entry of a command that was just applied, None for what is machinery."""
    if isinstance(command, _MACHINERY):
        return None
    by_machine = not command.by or command.by.startswith("node:")
    if by_machine and (isinstance(command, c.FinishRuns) or type(command) not in _TELLERS):
        return None
    tell = _TELLERS.get(type(command), _unknown)
    told = tell(state, command, outcome)
    return AuditEntry(
        index=index,
        at=command.at,
        by=command.by,
        address=command.address,
        action=told.action,
        subject=told.subject,
        job_id=told.job_id,
        detail=_short(told.detail, 4 * _TEXT_MAX),
        outcome="" if outcome.refusal is None else _short(outcome.refusal.message),
    )


def _job(state: ClusterState, job_id: str, action: str, detail: str = "") -> _Told:
    job = state.jobs.get(job_id)
    if job is None:
        kept = state.versions.get(job_id, ())
        job = kept[-1] if kept else None
    return _Told(action, f"job:{job.name if job else job_id}", detail, job_id)


def _put_job(state: ClusterState, command: c.PutJob, outcome: Outcome) -> _Told:
    if not isinstance(outcome.value, Job):
        action = "job.create" if command.expect_version == 0 else "job.edit"
        return _Told(action, f"job:{command.spec.name}", "", command.job_id)
    kept = [
        job for job in state.versions.get(command.job_id, ()) if job.version < outcome.value.version
    ]
    if outcome.value.version == 1 or not kept:
        digest = script_sha256(command.spec.script)[:DIGEST_CHARACTERS]
        detail = f"schedule {', '.join(command.spec.schedule)}; script {digest}"
        return _Told("job.create", f"job:{command.spec.name}", detail, command.job_id)
    detail = (
        f"version {outcome.value.version}: {_changes(kept[-1].spec, command.spec) or 'nothing'}"
    )
    return _Told("job.edit", f"job:{kept[-1].name}", detail, command.job_id)


def _changes(before: JobSpec, after: JobSpec) -> str:
    """Say which fields differ: with their values where these are harmless, with digests of scripts."""
    told = []
    for field in msgspec.structs.fields(JobSpec):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if field.name == "script":
            old, new = (script_sha256(text)[:DIGEST_CHARACTERS] for text in (old, new))
        elif field.name not in _TOLD_FIELDS:
            told.append(field.name)
            continue
        told.append(f"{field.name} {_value(old)} → {_value(new)}")
    return "; ".join(told)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "(none)"
    return "(none)" if value is None or value == "" else _short(str(value))


def _trigger(state: ClusterState, command: c.TriggerRun, _outcome: Outcome) -> _Told:
    names = ", ".join(sorted(command.environment))
    told = [f"run {command.run_id}", f"on {command.node}" if command.node else ""]
    told.append(f"with {names}" if names else "")
    return _job(state, command.job_id, "job.run", "; ".join(filter(None, told)))


def _backfill(state: ClusterState, command: c.Backfill, _outcome: Outcome) -> _Told:
    ticks = command.ticks
    ends = f" from {iso_utc(ticks[0])} to {iso_utc(ticks[-1])}" if ticks else ""
    return _job(state, command.job_id, "job.backfill", f"{len(ticks)} ticks{ends}")


def _of_run(action: str, run_id: str, state: ClusterState) -> _Told:
    run = state.run(run_id)
    detail = f"of job {run.job}" if run else ""
    return _Told(action, f"run:{run_id}", detail, run.job_id if run else "")


def _resolve(state: ClusterState, command: c.FinishRuns, _outcome: Outcome) -> _Told:
    result = command.results[0] if command.results else None
    if result is None:
        return _Told("run.resolve")
    told = _of_run("run.resolve", result.run_id, state)
    return msgspec.structs.replace(told, detail=f"{told.detail}: {result.state}".strip(": "))


def _put_token(_state: ClusterState, command: a.PutToken, _outcome: Outcome) -> _Told:
    return _token("token.create", command.token)


def _token(action: str, token: Token) -> _Told:
    detail = _reach(token)
    if token.scopes:
        detail += f"; scopes {', '.join(token.scopes)}"
    if token.expires_at is not None:
        detail += f"; until {iso_utc(token.expires_at)}"
    return _Told(action, f"token:{token.name}", detail)


def _reach(holder: Token | User) -> str:
    def words(grant: Grant) -> str:
        return f"{grant.role} of {', '.join(grant.tags) or 'all jobs'}"

    return "; ".join(map(words, holder.grants)) or f"role {holder.role}"


def _of_token(action: str) -> "Teller":
    def tell(_state: ClusterState, command: Any, outcome: Outcome) -> _Told:
        if isinstance(outcome.value, Token):
            return _token(action, outcome.value)
        return _Told(action, f"token:{command.token_id}")

    return tell


def _put_user(_state: ClusterState, command: a.PutUser, _outcome: Outcome) -> _Told:
    action = "user.create" if command.expect_new else "user.edit"
    return _Told(action, f"user:{command.user.name}", _reach(command.user))


def _limits(_state: ClusterState, command: c.SetLabelLimits, _outcome: Outcome) -> _Told:
    told = ", ".join(f"{label} {limit}" for label, limit in sorted(command.limits.items()))
    return _Told("cluster.label-limits", "cluster", told or "no limits")


def _settings(_state: ClusterState, command: n.SetNotifySettings, _outcome: Outcome) -> _Told:
    settings = command.settings
    told = [f"to {', '.join(settings.channels) or 'nobody'}"]
    told.append(f"mail by {settings.smtp.host}" if settings.smtp.host else "no mail")
    told.append(f"heartbeat {settings.heartbeat.shown or 'none'}")
    return _Told("notify.settings", "cluster", "; ".join(told))


def _put_node(_state: ClusterState, command: c.PutNode, _outcome: Outcome) -> _Told:
    node = command.node
    labels = ", ".join(f"{name}={value}" for name, value in sorted(node.labels.items()))
    detail = f"version {node.version}; {node.http}" + (f"; {labels}" if labels else "")
    return _Told("node.introduce", f"node:{node.name}", detail)


def _unknown(_state: ClusterState, command: c.AnyCommand, _outcome: Outcome) -> _Told:
    """Tell of a command that has no words of its own here: `CreateJoinToken`, create-join-token."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", type(command).__name__).lower()
    name = getattr(command, "name", "")
    return _Told(words, str(name) if isinstance(name, str) else "")


def _log_level(_state: ClusterState, command: c.SetLogLevel, _outcome: Outcome) -> _Told:
    until = f" until {iso_utc(command.until)}" if command.until else ""
    level = f"{command.level}{until}" if command.level else "as in its settings"
    return _Told("node.log_level", f"node:{command.name}", level)


Teller = Callable[[ClusterState, Any, Outcome], _Told]

_TELLERS: MappingProxyType[type, Teller] = MappingProxyType(
    {
        c.PutJob: _put_job,
        c.PauseJob: lambda s, m, _: _job(s, m.job_id, "job.pause" if m.paused else "job.resume"),
        c.DeleteJob: lambda s, m, o: (
            _Told("job.delete", f"job:{o.value.name}", "also kills" if m.kill else "", m.job_id)
            if isinstance(o.value, Job)
            else _job(s, m.job_id, "job.delete")
        ),
        c.TriggerRun: _trigger,
        c.Backfill: _backfill,
        c.CancelBackfill: lambda s, m, _: _job(s, m.job_id, "job.cancel-backfill", m.backfill_id),
        c.RequestKill: lambda s, m, _: _of_run("run.kill", m.run_id, s),
        c.FinishRuns: _resolve,
        c.PutNode: _put_node,
        c.SetLogLevel: _log_level,
        c.FreezeNode: lambda _s, m, _: _Told("node.freeze", f"node:{m.name}", f"{m.seconds} s"),
        c.DrainNode: lambda _s, m, _: _Told(
            "node.drain" if m.draining else "node.undrain", f"node:{m.name}"
        ),
        c.RemoveNode: lambda _s, m, _: _Told(
            "node.remove", f"node:{m.name}", "with runs in hand" if m.force else ""
        ),
        c.PutJoinToken: lambda _s, m, _: _Told(
            "node.invite",
            f"join-token:{m.token.id}",
            f"{m.token.uses_left} times, as {m.token.role}, until {iso_utc(m.token.expires_at)}",
        ),
        c.AdmitNode: lambda _s, m, _: _Told(
            "node.admit",
            f"node:{m.name}",
            f"{m.http}; by {f'token {m.token_id}' if m.token_id else 'the cluster secret'}",
        ),
        c.PauseCluster: lambda _s, m, _: _Told(
            "cluster.pause" if m.paused else "cluster.resume", "cluster"
        ),
        c.SetLabelLimits: _limits,
        c.PutCalendar: lambda _s, m, _: _Told("calendar.put", f"calendar:{m.calendar.name}"),
        c.DeleteCalendar: lambda _s, m, _: _Told("calendar.delete", f"calendar:{m.name}"),
        c.PutView: lambda _s, m, _: _Told(
            "view.put", f"view:{m.view.listing}/{m.view.name}", _short(m.view.query)
        ),
        c.DeleteView: lambda _s, m, _: _Told("view.delete", f"view:{m.listing}/{m.name}"),
        a.PutSecret: lambda _s, m, _: _Told(
            "secret.put", f"secret:{m.secret.name}", f"for {', '.join(m.secret.tags) or 'all jobs'}"
        ),
        a.DeleteSecret: lambda _s, m, _: _Told(
            "secret.delete", f"secret:{m.name}", "forced" if m.force else ""
        ),
        c.InitCluster: lambda _s, m, _: _Told("cluster.found", "cluster", m.cluster_id),
        a.PutToken: _put_token,
        a.RotateToken: _of_token("token.rotate"),
        a.RevokeToken: _of_token("token.revoke"),
        a.PutUser: _put_user,
        a.Reseal: lambda _s, m, _: _Told("secret.reseal", "cluster", f"{len(m.values)} values"),
        a.ChangePassword: lambda _s, m, _: _Told("user.password", f"user:{m.name}"),
        a.RemoveUser: lambda _s, m, _: _Told("user.remove", f"user:{m.name}"),
        a.EndSession: lambda _s, _m, _: _Told("session.end", "session"),
        a.EndSessions: lambda _s, m, _: _Told("session.end-all", f"user:{m.name}"),
        a.PutLink: lambda _s, m, _: _Told("link.create", f"link:{m.link.purpose}"),
        a.UseLink: lambda _s, _m, _: _Told("link.use", "link"),
        n.PutChannel: lambda _s, m, _: _Told(
            "channel.put", f"channel:{m.channel.name}", f"{m.channel.kind} {m.channel.shown}"
        ),
        n.DeleteChannel: lambda _s, m, _: _Told("channel.delete", f"channel:{m.name}"),
        n.SetNotifySettings: _settings,
        n.SendTest: lambda _s, m, _: _Told("channel.test", f"channel:{m.channel}"),
    }
)


def _short(text: str, most: int = _TEXT_MAX) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
