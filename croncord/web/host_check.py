"""Whether a request was meant for us: the `Host` it names and the `Origin` it comes from.

A foreign page can make a browser send requests here, even under a name that it made point to this
machine (DNS rebinding). Neither gets past these two checks.
"""

import ipaddress
import socket
from typing import ClassVar
from urllib.parse import urlsplit

from aiohttp import web

from croncord.errors import CronCordError, Forbidden, Malformed
from croncord.web.auth import SAFE_METHODS
from croncord.web.parts import DESK, SITE

_DEFAULT_PORTS = {"http": 80, "https": 443}
_OWN_SITE = frozenset({"same-origin", "none"})


class Misdirected(CronCordError):
    """The request names a host that is not this node."""

    status: ClassVar[int] = 421
    title: ClassVar[str] = "Misdirected request"
    exit_code: ClassVar[int] = 2


def check_host(request: web.Request) -> None:
    """Raise Misdirected for an unknown Host, Malformed for none."""
    header = request.headers.getall("Host", [])
    if len(header) != 1:
        raise Malformed("there must be one Host header")
    name = _split(header[0])[0]
    # The cheap ones first: other nodes ask very often, most of them by an address.
    if _is_loopback(name) or name == _local_address(request) or name in allowed_hosts(request):
        return
    raise Misdirected(
        f"this node is not called {name[:128]!r}",
        hint="Use its advertised address, or add the name with --advertise-http.",
    )


def check_origin(request: web.Request) -> None:
    """Raise Forbidden when another site's page made the browser send this."""
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin, request.headers["Host"]):
        raise Forbidden(
            f"requests from pages of {origin[:128]!r} are refused",
            hint="Open CronCord's own pages, or call the API without an Origin header.",
        )
    site = request.headers.get("Sec-Fetch-Site")
    if request.method not in SAFE_METHODS and site is not None and site not in _OWN_SITE:
        raise Forbidden("a change was sent from a page of another site")


def is_own_machine(request: web.Request) -> bool:
    """Whether the request names the machine by a name that every machine has."""
    try:
        name = _split(request.headers.get("Host", ""))[0]
    except Malformed:
        return False
    return name == "localhost" or _is_loopback(name)


def allowed_hosts(request: web.Request) -> set[str]:
    """Return the names by which this node is known, in lower case."""
    nodes = request.app[DESK].replica.state.nodes.values()
    advertised = {(urlsplit(node.http).hostname or "").lower() for node in nodes}
    own = socket.gethostname().lower()
    return {"localhost", own, own.partition(".")[0], *request.app[SITE].allowed_hosts, *advertised}


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return False
    if not parts.hostname:
        return False
    name, host_port = _split(host)
    return parts.hostname == name and port == (host_port or _DEFAULT_PORTS.get(parts.scheme, 0))


def _split(host: str) -> tuple[str, int]:
    """Return name and port of a Host header; 0 for no port."""
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or "", parts.port or 0
    except ValueError:
        raise Malformed(f"{host[:128]!r} is not a Host") from None
    if not name or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise Malformed(f"{host[:128]!r} is not a Host")
    return name.removesuffix("."), port


def _is_loopback(name: str) -> bool:
    if name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _local_address(request: web.Request) -> str | None:
    """Return the address the connection came in on: nobody can rebind a number."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return str(name[0]).lower() if isinstance(name, tuple) else None
