"""Signed session cookies: nothing is stored while they are good, every node can check them.

A cookie ends with its time, when it is signed out (the cluster remembers a digest of it until then),
when all sessions of its user are ended, when the user is removed, when the password changes, and when
the token that signed in is revoked, rotated away or expires.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from croncord.credentials import Role, Token, User

SESSION_SECONDS = 12 * 3600
_PREFIX = "1."


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cookie says."""

    id: str
    """Random; the CSRF token is derived from it."""
    user: str
    """A user's name; empty for a sign-in link or a token."""
    token: str = ""
    """Id of the API token that signed in; `admin` for the one that the nodes' settings name."""
    role: Role
    expires: int
    """Seconds since 1970."""
    password: str
    """Fingerprint of the password's or token's digest at sign-in."""


_decoder = msgspec.json.Decoder(Session)


def seal(session: Session, key: bytes) -> str:
    """Return the cookie's value."""
    body = _text(msgspec.json.encode(session))
    return f"{_PREFIX}{body}.{_mac(key, 'session', body)}"


def unseal(cookie: str, key: bytes, now_seconds: float) -> Session | None:
    """Read a cookie that we sealed and that has not expired; None for any other."""
    body, _, mac = cookie.removeprefix(_PREFIX).partition(".")
    sound = cookie.startswith(_PREFIX) and cookie.isascii()
    if not key or not sound or not hmac.compare_digest(mac, _mac(key, "session", body)):
        return None
    try:
        session = _decoder.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return None
    return session if session.expires > now_seconds else None


def csrf_token(session: Session, key: bytes) -> str:
    """Return what a change must repeat; only pages of ours can know it."""
    return _mac(key, "csrf", session.id)


def fingerprint(holder: User | Token) -> str:
    """Return what changes when the password or token does, or when all sessions are ended."""
    if isinstance(holder, Token):
        text = holder.sha256
    else:
        text = f"{holder.password}:{holder.epoch}" if holder.epoch else holder.password
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Ending(NamedTuple):
    """What the cluster remembers of a session that was signed out."""

    digest: str
    until: datetime
    """The cookie has expired then; nobody needs to remember it any more."""


def ending_of(session: Session) -> Ending:
    """Return what is to be remembered when the session is signed out."""
    digest = hashlib.sha256(session.id.encode()).hexdigest()
    return Ending(digest, datetime.fromtimestamp(session.expires, UTC))


def _mac(key: bytes, purpose: str, text: str) -> str:
    return _text(hmac.digest(key, f"{purpose}:{text}".encode(), "sha256"))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
