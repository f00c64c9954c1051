"""What the doors share: the desk, and what this site knows of itself."""

from dataclasses import dataclass, field

from aiohttp import web

from croncord.service import Desk


@dataclass(frozen=True, kw_only=True)
class Site:
    """How this node is reached."""

    tls: bool = False
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    """Host names under which this node may be addressed, besides those the cluster knows."""


DESK: web.AppKey[Desk] = web.AppKey("desk", Desk)
SITE: web.AppKey[Site] = web.AppKey("site", Site)

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/login", "/setup", "/favicon.ico"})
PUBLIC_PREFIXES = ("/static/", "/internal/")
"""Open to everybody: assets, and calls of other nodes, which prove themselves in their own way."""


def is_public(path: str) -> bool:
    """Whether the path is answered without knowing who asks."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)


def is_api(path: str) -> bool:
    """Whether a program asks, which wants JSON even for errors."""
    return path.startswith(("/api/", "/internal/")) or path in {"/healthz", "/readyz", "/metrics"}
