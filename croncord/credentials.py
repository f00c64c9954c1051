"""Who may come in, as the cluster holds it: roles, grants, users, tokens, links; and secrets. Frozen.

What a role, a grant and a scope allow is decided in one place, `croncord.service.who`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from croncord.model import Instant, Label, Name, Value, Variable

Role = Literal["viewer", "operator", "admin"]
JobRole = Literal["viewer", "operator"]
Scope = Literal["read", "run", "edit", "admin"]
"""`run` and `edit` include `read`; `admin` includes everything."""
Tags = Annotated[tuple[Label, ...], msgspec.Meta(max_length=50)]


class Grant(Value, frozen=True, kw_only=True):
    """A role over the jobs that carry one of the tags; over all jobs when there are none."""

    role: JobRole = "viewer"
    tags: Tags = ()


Grants = Annotated[tuple[Grant, ...], msgspec.Meta(max_length=50)]
Scopes = Annotated[tuple[Scope, ...], msgspec.Meta(max_length=4)]


class Token(Value, frozen=True, kw_only=True):
    """A key for programs. Only its digest is kept."""

    id: str
    name: str
    role: Role
    """With grants: the role for what belongs to no job."""
    sha256: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    grants: Grants = ()
    """Empty: the role holds for all jobs. Else jobs are reached by these only."""
    scopes: Scopes = ()
    """Empty: whatever the role allows."""
    prefix: str = ""
    """The first characters of the key, to tell it from others."""
    rotated_at: datetime | None = None


class User(Value, frozen=True, kw_only=True):
    """A person who signs in with a password."""

    name: Name
    role: Role
    """With grants: the role for what belongs to no job."""
    password: str
    """Salted scrypt digest; see `croncord.service.passwords`."""
    created_at: datetime
    grants: Grants = ()
    """Empty: the role holds for all jobs. Else jobs are reached by these only."""
    epoch: int = 0
    """Grows when all sessions of the person are ended."""


class Link(Value, frozen=True, kw_only=True):
    """A sign-in link that works once."""

    sha256: str
    purpose: Literal["setup", "signin"]
    expires_at: Instant


class Secret(Value, frozen=True, kw_only=True):
    """A value that runs are given and nobody is shown."""

    name: Variable
    sealed: bytes
    """Encrypted with a key that is not part of what is agreed; see `croncord.ports.Vault`."""
    key_id: str
    """Which key that was."""
    tags: Tags = ()
    """Empty: for all jobs. Else for those with one of these."""
    updated_at: datetime
    updated_by: str

    def is_for(self, tags: Collection[str]) -> bool:
        """Whether a job with those tags may be given it."""
        return not self.tags or not set(self.tags).isdisjoint(tags)
