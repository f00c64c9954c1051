"""`croncord job edit`: change a job by options, or as a text in the person's editor."""

import argparse
from datetime import UTC, datetime
from typing import Any

import msgspec

from croncord.cli import errors, toml, words
from croncord.cli.calling import connected
from croncord.cli.client import Client
from croncord.cli.editor import Draft
from croncord.cli.job_fields import add_field_options, fields_of
from croncord.cli.jobfile import parse
from croncord.cli.output import ask, can_ask, note, say, say_json
from croncord.cli.parser import Verbs, add_verb
from croncord.cli.wire import path_of
from croncord.errors import ConfigError, CronCordError
from croncord.validation import READ_ONLY, read_job

_HEADER = """\
# Save and close to change the job; leave it as it is, or empty it, to change nothing.
# A field that is left out gets its default.
"""


def add_verb_edit(verbs: Verbs[Any]) -> None:
    """Add `edit`."""
    edit = add_verb(
        verbs,
        "edit",
        connected(edit_job),
        "change a job: with options just these fields, without any in $EDITOR",
        example=(
            "croncord job edit backup\n"
            "croncord job edit backup --schedule '0 4 * * *' --timeout 1h --script backup.sh"
        ),
    )
    edit.add_argument("job", metavar="NAME")
    add_field_options(edit, new=False)


async def edit_job(client: Client, args: argparse.Namespace) -> None:
    """Change a job. Variables and labels given as options are added, lists are replaced."""
    fields = fields_of(args)
    if fields:
        job = await client.patch(path_of("jobs", args.job), fields)
        say_saved(job, "Changed", as_json=args.json)
        return
    job = await client.get(path_of("jobs", args.job))
    changed = await _edit_by_hand(client, job)
    if changed is None:
        note("Nothing was changed.")
    else:
        say_saved(changed, "Changed", as_json=args.json)


def say_saved(job: dict[str, Any], done: str, *, as_json: bool) -> None:
    """Tell that a job was saved and when it is due next."""
    if as_json:
        say_json(job)
        return
    due = job.get("next_run")
    then = (
        f"Next run: {words.absolute(due, datetime.now(UTC))}."
        if due
        else "It is not due by itself."
    )
    say(f"{done} {words.cell(job['name'])}. {then}")


async def _edit_by_hand(client: Client, job: dict[str, Any]) -> dict[str, Any] | None:
    """Let the person edit until it is accepted or they give up; None when nothing changed."""
    said = {k: v for k, v in job.items() if k not in READ_ONLY}
    draft = Draft(_HEADER + toml.table(msgspec.to_builtins(read_job(said))), suffix=".toml")
    while True:
        try:
            text = draft.edit()
            # By id, so that the name may change too.
            changed = text and await client.put(
                path_of("jobs", job["id"]), _read(text), if_match=job["version"]
            )
        except CronCordError as e:
            if not can_ask():
                note(f"Your text is kept in {draft.path}.")
                raise
            errors.report(e)
            if not ask("Edit again?"):
                note(f"Your text is kept in {draft.path}.")
                return None
        else:
            draft.discard()
            return changed or None


def _read(text: str) -> dict[str, Any]:
    try:
        fields = parse(text, json=False)
    except ValueError as e:
        raise ConfigError(f"this is not TOML: {e}") from e
    spec: dict[str, Any] = msgspec.to_builtins(read_job(fields))
    return spec
