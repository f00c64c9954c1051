"""The commands about who may do what: users, tokens, sessions, links, secrets.

`croncord.raft.commands` puts them among all others.
"""

from croncord.credentials import Link, Secret, Token, User
from croncord.model import Instant, Name, Value
from croncord.raft.command import Command


class PutSecret(Command, frozen=True, kw_only=True):
    """Create a secret or replace it; its value is sealed."""

    secret: Secret


class DeleteSecret(Command, frozen=True, kw_only=True):
    """Remove a secret; refused while a job names it, unless forced."""

    name: str
    force: bool = False


class Resealed(Value, frozen=True, kw_only=True):
    """A sealed value before and after; see `croncord.raft.sealed_values` for its name."""

    name: str
    old: bytes
    new: bytes


class Reseal(Command, frozen=True, kw_only=True):
    """Replace sealed values by the same ones under another key, where nobody has set them since."""

    key_id: str
    values: tuple[Resealed, ...]


class PutToken(Command, frozen=True, kw_only=True):
    """Create an API token."""

    token: Token


class RevokeToken(Command, frozen=True, kw_only=True):
    """Remove an API token."""

    token_id: str


class RotateToken(Command, frozen=True, kw_only=True):
    """Give an API token another secret; the old one is worthless."""

    token_id: str
    sha256: str
    prefix: str = ""


class PutUser(Command, frozen=True, kw_only=True):
    """Create a user or replace one. `expect_new` refuses a taken name."""

    user: User
    expect_new: bool = False
    must_exist: bool = False
    """Refuse to create: the user may have been removed since they were read."""


class ChangePassword(Command, frozen=True, kw_only=True):
    """Replace a user's password, and nothing else of the user; ends their sessions."""

    name: Name
    known: str
    """Digest of the password that was shown to be known; refused when it is not theirs any more."""
    password: str
    """Digest of the new one."""


class RemoveUser(Command, frozen=True, kw_only=True):
    """Remove a user."""

    name: Name


class EndSession(Command, frozen=True, kw_only=True):
    """End one session; its cookie would have been good until then."""

    session: str
    """Digest of its id."""
    until: Instant


class EndSessions(Command, frozen=True, kw_only=True):
    """End all sessions of a user."""

    name: Name


class PutLink(Command, frozen=True, kw_only=True):
    """Make a one-time sign-in link; those that expired are dropped."""

    link: Link


class UseLink(Command, frozen=True, kw_only=True):
    """Spend a one-time link. Only the first use is accepted, and only before it expires."""

    sha256: str
