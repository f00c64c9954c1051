"""A definition, looked at before it is saved: what is wrong, what is odd, what will happen."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from croncord.errors import FieldError, Invalid
from croncord.explain import explain
from croncord.model import Job, JobSpec
from croncord.policy import matches
from croncord.preview import iso_utc
from croncord.raft.jobs_apply import timing
from croncord.raft.state import ClusterState
from croncord.schedule import clock_change_notes, reading_notes
from croncord.service.agreement import Agreement
from croncord.service.edits import tick_changes
from croncord.service.lookup import may_use_secret, sees
from croncord.service.placing import placement
from croncord.service.script_check import ScriptFacts, script_facts
from croncord.service.views import Json
from croncord.service.who import Who
from croncord.ticks import ticks_after
from croncord.validation import read_job

SHOWN_TIMES = 10

SyntaxCheck = Callable[[str, str], Awaitable[Sequence[tuple[int, str]]]]
"""Given a script and its language (`bash`, `sh`, `python`), finds wrong lines without running it."""


class JobCheck:
    """Reports on definitions."""

    def __init__(self, agreement: Agreement, check_syntax: SyntaxCheck | None) -> None:
        self._agreement = agreement
        self._check_syntax = check_syntax

    async def report(self, who: Who, fields: Json, state: ClusterState) -> Json:
        """Return `{valid, errors, warnings, next, description, notes, script, matching_nodes, placement, ticks}`.

        `ticks` tells which appear and vanish within a day when it is saved over the job of that id,
        else of that name. What can be told in spite of a wrong field is told: the next times need no name.
        """
        errors, spec = _read(fields)
        name = fields.get("name")
        taken = state.job_named(name) if isinstance(name, str) else None
        if taken is not None and taken.id != fields.get("id"):
            errors.append(FieldError("name", f"a job named {taken.name!r} exists already"))
        told: Json = {
            "valid": not errors,
            "errors": [{"field": e.field, "message": e.message} for e in errors],
            "warnings": [],
            "next": [],
            "description": "",
            "notes": [],
            "script": await self._script(fields.get("script")),
            "matching_nodes": [],
            "placement": "",
            "ticks": None,
        }
        if spec is not None:
            old = state.jobs.get(str(fields.get("id"))) or taken
            if old is not None and not sees(who, old):
                old = None
            told |= self._forecast(spec, state, {e.field.partition(".")[0] for e in errors}, old)
            told["warnings"] += [
                *_unseen_upstream(spec, state, who),
                *_unseen_secrets(spec, state, who),
            ]
        return told

    def _forecast(
        self, spec: JobSpec, state: ClusterState, wrong: set[str], old: Job | None
    ) -> Json:
        now = self._agreement.now()
        times = []
        told: Json = {}
        warnings = []
        if not wrong & {"schedule", "timezone", "dst", "start_at", "end_at"}:
            told["ticks"] = tick_changes(spec, old, now)
            key = old.id if old is not None else ""
            is_kept = old is not None and timing(old.spec) == timing(spec)
            anchor = old.anchor if old is not None and is_kept else now
            times = list(islice(ticks_after(spec, key, anchor, now), SHOWN_TIMES))
            notes = [
                note
                for expr in spec.schedule
                for note in (
                    *reading_notes(expr, key),
                    *clock_change_notes(expr, spec.timezone, now, spec.dst, hash_key=key),
                )
            ]
            told["description"] = "; ".join(explain(expr, key) for expr in spec.schedule)
            told["notes"] = list(dict.fromkeys(notes))
            if not times and spec.schedule != ("@manual",):
                warnings.append("Nothing is due any more: the schedule lies in the past.")
        warnings += [
            f"There is no calendar named {name!r} yet."
            for name in spec.calendars
            if name not in state.calendars
        ]
        if "target" not in wrong:
            nodes = [node for node in state.nodes.values() if matches(spec.target, node)]
            told["matching_nodes"] = [node.name for node in nodes]
            told["placement"] = placement(state, spec).text
            if not nodes:
                warnings.append("No node matches the target now; its runs would be missed.")
            elif not any(node.up and not node.draining for node in nodes):
                warnings.append("Every matching node is down or draining now.")
        return told | {"next": [iso_utc(time) for time in times], "warnings": warnings}

    async def _script(self, script: object) -> Json:
        text = script if isinstance(script, str) else ""
        facts: ScriptFacts = script_facts(text)
        findings = list(facts.findings)
        if self._check_syntax is not None and facts.language and text.strip():
            findings += await self._check_syntax(text, facts.language)
        return {
            "interpreter": facts.interpreter,
            "lines": facts.lines,
            "line_ends": facts.line_ends,
            "findings": [{"line": line, "message": message} for line, message in findings],
        }


def _unseen_upstream(spec: JobSpec, state: ClusterState, who: Who) -> list[str]:
    found = {
        entry.job: state.job_named(entry.job) for entry in spec.after if entry.job != spec.name
    }
    return [
        f"There is no job named {name!r} to run after yet."
        for name, job in found.items()
        if job is None or not sees(who, job)
    ]


def _unseen_secrets(spec: JobSpec, state: ClusterState, who: Who) -> list[str]:
    found = {name: state.secrets.get(name) for name in spec.secrets}
    return [
        f"There is no secret named {name!r}; the job cannot be saved with it."
        for name, secret in found.items()
        if secret is None or not may_use_secret(who, secret)
    ]


def _read(fields: Json) -> tuple[list[FieldError], JobSpec | None]:
    """Read what can be read: wrong fields are replaced by harmless ones and told."""
    try:
        return [], read_job(fields)
    except Invalid as error:
        errors = list(error.errors)
    wrong = {e.field.partition(".")[0] for e in errors}
    rest = {name: value for name, value in fields.items() if name not in wrong}
    try:
        return errors, read_job({"name": "job", "script": "true"} | rest)
    except Invalid as error:
        # Contradictions between fields show only now; nothing can be foretold then.
        return errors + list(error.errors), None
