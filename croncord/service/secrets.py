"""Secrets: set, listed by name, given to runs, never shown."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from croncord.credentials import Secret, Tags
from croncord.errors import FieldError, Invalid, NotReady
from croncord.fields import read_fields
from croncord.model import Value
from croncord.ports import Vault
from croncord.preview import iso_utc
from croncord.raft.access_commands import DeleteSecret, PutSecret
from croncord.service.agreement import Agreement
from croncord.service.lookup import may_use_secret, seen_jobs
from croncord.service.resealing import ResealReport, reseal
from croncord.service.views import Json, Rows, Time, View
from croncord.service.who import Who
from croncord.validation import environment_errors

CHARACTERS_MIN = 4
"""Shorter ones cannot be masked in output: they would be found everywhere."""
CHARACTERS_MAX = 32_768


class SecretBody(Value, frozen=True, kw_only=True):
    """A secret's value, and which jobs it is for."""

    value: Annotated[str, msgspec.Meta(max_length=CHARACTERS_MAX)]
    tags: Tags = ()
    """Only for jobs with one of these; for all jobs when there are none."""


class SecretView(View, frozen=True, kw_only=True):
    """A secret without its value, which nobody is ever told."""

    name: str
    tags: list[str]
    jobs: list[str]
    """Names of the jobs that are given it."""
    is_readable: bool
    """Whether this node has the key it was sealed with; if not, it has to be set again."""
    updated_at: Time
    updated_by: str


class SecretService:
    """What people do with secrets."""

    def __init__(self, agreement: Agreement, vault: Vault | None) -> None:
        self._agreement = agreement
        self._vault = vault

    async def list(self, who: Who) -> Rows:
        """Return the secrets by name, without their values: those that the caller's jobs may use."""
        who.require_some_job("edit")
        agreed = await self._agreement.read()
        return [
            self._json(who, secret)
            for _, secret in sorted(agreed.secrets.items())
            if may_use_secret(who, secret)
        ]

    async def put(self, who: Who, name: str, fields: Json) -> Json:
        """Set a secret, or replace its value and tags. Runs that are under way keep the old one."""
        who.require("admin")
        if self._vault is None:
            raise NotReady("this node has no key to seal secrets with")
        body = read_fields(SecretBody, fields)
        if errors := _name_errors(name) + _value_errors(body.value):
            raise Invalid(errors)
        vault, sealed = self._vault, self._vault.seal(name, body.value)

        def command(at: datetime) -> PutSecret:
            secret = Secret(
                name=name,
                sealed=sealed,
                key_id=vault.key_id,
                tags=body.tags,
                updated_at=at,
                updated_by=who.name,
            )
            return PutSecret(at=at, by=who.name, secret=secret)

        secret: Secret = await self._agreement.change(command)
        return self._json(who, secret)

    async def delete(self, who: Who, name: str, *, force: bool = False) -> None:
        """Delete a secret. Raises NotFound; Conflict while a job names it, unless forced."""
        who.require("admin")
        await self._agreement.change(
            lambda at: DeleteSecret(at=at, by=who.name, name=name, force=force)
        )

    async def reseal(self, who: Who) -> ResealReport:
        """Seal everything with the cluster secret that this node uses now. Raises NotReady."""
        return await reseal(self._agreement, self._vault, who)

    def _json(self, who: Who, secret: Secret) -> Json:
        jobs = seen_jobs(self._agreement.state, who)
        view = SecretView(
            name=secret.name,
            tags=[*secret.tags],
            jobs=sorted(job.name for job in jobs if secret.name in job.spec.secrets),
            is_readable=self._vault is not None and self._vault.opens(secret.key_id),
            updated_at=iso_utc(secret.updated_at),
            updated_by=secret.updated_by,
        )
        fields: Json = msgspec.to_builtins(view)
        return fields


def _name_errors(name: str) -> list[FieldError]:
    try:
        msgspec.convert({"name": name}, _Named)
    except msgspec.ValidationError:
        message = "must be the name of a variable: letters, digits and _, at most 128"
        return [FieldError("name", message)]
    return [FieldError("name", error.message) for error in environment_errors({name: ""})]


class _Named(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _value_errors(value: str) -> list[FieldError]:
    if len(value.strip()) < CHARACTERS_MIN:
        message = f"must have at least {CHARACTERS_MIN} characters; a shorter one cannot be masked"
        return [FieldError("value", message)]
    wrong: list[Any] = list(environment_errors({"value": value}))
    return [FieldError("value", error.message) for error in wrong]
