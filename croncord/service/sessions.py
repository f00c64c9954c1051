"""Signed session cookies: nothing is stored, every node can check them.

A cookie ends with its time, when its user is removed or demoted, when the password changes, and when
the token that signed in is revoked or expires.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec

from croncord.model import Role, User

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
    """Fingerprint of the password's digest at sign-in."""


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


def fingerprint(user: User) -> str:
    """Return what changes when the user's password does."""
    return hashlib.sha256(user.password.encode()).hexdigest()[:16]


def _mac(key: bytes, purpose: str, text: str) -> str:
    return _text(hmac.digest(key, f"{purpose}:{text}".encode(), "sha256"))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
