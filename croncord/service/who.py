"""Who asks, and what a role may do."""

from dataclasses import dataclass
from types import MappingProxyType

from croncord.errors import Forbidden
from croncord.model import Role

_RANK = MappingProxyType({"viewer": 0, "operator": 1, "admin": 2})


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

    def may(self, role: Role) -> bool:
        """Whether the caller's role is that one or a greater one."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raise Forbidden unless the caller has that role or a greater one."""
        if not self.may(role):
            article = "a" if role == "viewer" else "an"
            raise Forbidden(
                f"this needs the role {role}; {self.name} is {self.role}",
                hint=f"Sign in as {article} {role}, or ask an admin for the role.",
            )
