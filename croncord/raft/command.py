"""What all commands have in common."""

import msgspec

from croncord.model import Instant


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """Base of all commands."""

    at: Instant
    """When the proposer decided this, by the leader's clock as well as it knows."""
    by: str = ""
    """Who asked: `user:ada`, `token:deploy`, `node:n1`, or empty for the cluster itself."""
    address: str = ""
    """Where the request came from, for the audit trail; empty when it was no request."""


class LeaderCommand(Command, frozen=True, kw_only=True):
    """Base of what only the leader of the newest term may decide."""

    term: int
