"""Who asks, and what a role, a grant and a scope allow: the one place that decides it.

Three things narrow a caller. The *role* is for everything, unless there are *grants*: then jobs, with
their runs and output, are reached by grants only, and what belongs to no job (nodes, the cluster,
calendars) may be looked at. *Scopes* of a token take away from both. A job that no grant covers does
not exist for the caller.
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType

from croncord.credentials import Grant, Role, Scope
from croncord.errors import Forbidden

_RANK = MappingProxyType({"viewer": 0, "operator": 1, "admin": 2})
_GIVES = MappingProxyType(
    {
        "read": frozenset({"read"}),
        "run": frozenset({"read", "run"}),
        "edit": frozenset({"read", "edit"}),
        "admin": frozenset({"read", "run", "edit", "admin"}),
    }
)
"""What each scope lets a token do."""
_NEEDS: MappingProxyType[Scope, Role] = MappingProxyType(
    {"read": "viewer", "run": "operator", "edit": "operator", "admin": "admin"}
)
"""The smallest role that each act takes."""
_ACTS: MappingProxyType[Role, Scope] = MappingProxyType(
    {"viewer": "read", "operator": "edit", "admin": "admin"}
)
"""What is done to things that belong to no job, by the role that it takes."""


@dataclass(frozen=True)
class Who:
    """A caller whose identity was checked.

    `name` tells the kind too: `user:ada`, `token:deploy`, `link:signin`. `csrf` is what a browser
    must repeat with each change; empty for callers that do not come with a cookie.
    """

    name: str
    role: Role
    address: str
    csrf: str = ""
    grants: tuple[Grant, ...] = ()
    scopes: tuple[Scope, ...] = ()

    @property
    def is_limited(self) -> bool:
        """Whether there may be jobs that do not exist for the caller."""
        return bool(self.grants) and not any(not grant.tags for grant in self.grants)

    # What belongs to no job

    def may(self, role: Role) -> bool:
        """Whether the caller may do what takes that role and belongs to no job."""
        own: Role = "viewer" if self.grants else self.role
        return _RANK[own] >= _RANK[role] and self._is_in_scope(_ACTS[role])

    def require(self, role: Role) -> None:
        """Raise Forbidden unless the caller may do what takes that role and belongs to no job."""
        if not self.may(role):
            raise self._refused(role, _ACTS[role])

    def require_scope(self, act: Scope) -> None:
        """Raise Forbidden for a token whose scopes leave that out."""
        if not self._is_in_scope(act):
            raise self._refused(self.role, act)

    # Jobs

    def may_job(self, act: Scope, tags: Collection[str]) -> bool:
        """Whether the caller may do that to a job with those tags."""
        if not self._is_in_scope(act):
            return False
        rank = _RANK[_NEEDS[act]]
        if not self.grants:
            return _RANK[self.role] >= rank
        return any(
            _RANK[grant.role] >= rank and (not grant.tags or not set(grant.tags).isdisjoint(tags))
            for grant in self.grants
        )

    def may_some_job(self, act: Scope) -> bool:
        """Whether there can be a job to which the caller may do that."""
        roles: list[Role] = [grant.role for grant in self.grants] or [self.role]
        best = max(_RANK[role] for role in roles)
        return best >= _RANK[_NEEDS[act]] and self._is_in_scope(act)

    def require_some_job(self, act: Scope) -> None:
        """Raise Forbidden unless there can be a job to which the caller may do that."""
        if not self.may_some_job(act):
            raise self._refused(_NEEDS[act], act)

    def require_job(self, act: Scope, tags: Collection[str]) -> None:
        """Raise Forbidden unless the caller may do that to a job with those tags."""
        self.require_some_job(act)
        if not self.may_job(act, tags):
            role = _NEEDS[act]
            allowed = sorted(
                {tag for grant in self.grants if grant.role == role for tag in grant.tags}
            )
            raise Forbidden(
                f"this needs the role {role} for a job with the tags "
                f"{', '.join(sorted(tags)) or '(none)'}; {self.name} has it for {', '.join(allowed)}",
                hint=f"Give the job one of the tags {', '.join(allowed)}, or ask an admin.",
            )

    def require_some(self, role: Role) -> None:
        """Raise Forbidden unless something that takes that role may be done: the door's first look.

        The service checks what exactly.
        """
        if role == "operator":
            if not (self.may(role) or self.may_some_job("run") or self.may_some_job("edit")):
                raise self._refused(role, "edit")
        else:
            self.require(role)

    def _is_in_scope(self, act: Scope) -> bool:
        return not self.scopes or any(act in _GIVES[scope] for scope in self.scopes)

    def _refused(self, role: Role, act: Scope) -> Forbidden:
        if not self._is_in_scope(act):
            return Forbidden(
                f"this needs the scope {act}; {self.name} has {', '.join(self.scopes)}",
                hint="Use a token with that scope.",
            )
        article = "a" if role == "viewer" else "an"
        own = "limited to some jobs" if self.grants else self.role
        return Forbidden(
            f"this needs the role {role}; {self.name} is {own}",
            hint=f"Sign in as {article} {role}, or ask an admin for the role.",
        )
