"""How nodes prove to each other that they know the cluster secret. Pure.

Each request is signed with HMAC-SHA256 (RFC 2104) over method, address, path with query, digest of
the body, time and a nonce used once. The address is the one the receiver advertises, so a request
caught on the way to one node is worthless at another. A nonce is remembered as long as its time
would be accepted; a restart forgets them.

Answers are not signed: without TLS, what a node reads from another is as trustworthy as the
network. Finished output is checked against the digest that the cluster agreed on.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from croncord.errors import Unauthenticated

WINDOW_SECONDS: Final = 300
"""How far the clocks of two nodes may be apart. Wide, so that a node whose clock is off can still
report that."""

TIME: Final = "Croncord-Time"
NONCE: Final = "Croncord-Nonce"
DIGEST: Final = "Croncord-Body-Sha256"
SIGNATURE: Final = "Croncord-Signature"

_PURPOSE = b"croncord node-to-node calls, 1"
_NONCE_LENGTH_MAX = 64
_STAMP_LENGTH_MAX = 15
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HINT = "Give all nodes the same secret file, set their clocks, and use the advertised addresses."


def authority(url: str) -> str:
    """Return host and port of a node's address, always with the port, in lower case."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return f"{(parts.hostname or '').lower()}:{port}"


def body_digest(body: bytes) -> str:
    """Return the digest that stands for a body in the signature."""
    return hashlib.sha256(body).hexdigest()


class PeerSigner:
    """Signs requests to other nodes."""

    def __init__(self, secret: bytes) -> None:
        self._key = _key(secret)

    def headers(
        self, method: str, url: str, target: str, *, body: bytes, now_ms: int, nonce: str
    ) -> dict[str, str]:
        """Return the headers that prove the request.

        `url` is the node's advertised address, `target` the path and query as sent, `now_ms`
        milliseconds since 1970, `nonce` something never used before.
        """
        digest = body_digest(body)
        signature = _signature(
            self._key, method, authority(url), target, digest, str(now_ms), nonce
        )
        return {TIME: str(now_ms), NONCE: nonce, DIGEST: digest, SIGNATURE: signature}


class PeerVerifier:
    """Checks requests from other nodes, each at most once."""

    def __init__(
        self,
        secret: bytes,
        url: str,
        *,
        accepted: Sequence[bytes] = (),
        window_seconds: int = WINDOW_SECONDS,
    ) -> None:
        """Take the cluster secret, others that are accepted, and the address this node advertises."""
        self._keys = [_key(each) for each in (secret, *accepted)]
        self._authority = authority(url)
        self._window_ms = window_seconds * 1000
        self._seen: dict[str, int] = {}
        """Nonce -> when it arrived, oldest first."""

    def check(self, method: str, target: str, headers: Mapping[str, str], *, now_ms: int) -> str:
        """Return the digest that the body must have, to be compared before the body is used.

        Raises Unauthenticated when the request was not signed with the secret for this node, was
        seen before, or is too old.
        """
        stamp, nonce = headers.get(TIME, ""), headers.get(NONCE, "")
        digest, given = headers.get(DIGEST, ""), headers.get(SIGNATURE, "")
        fields = (method, self._authority, target, digest, stamp, nonce)
        signatures = [_signature(key, *fields).encode() for key in self._keys]
        sent = given.encode(errors="replace")
        if not any(hmac.compare_digest(each, sent) for each in signatures):
            raise Unauthenticated("this call is not signed with the cluster secret", hint=_HINT)
        if abs(_milliseconds(stamp) - now_ms) > self._window_ms:
            raise Unauthenticated("the caller's clock is too far from this node's", hint=_HINT)
        if not 0 < len(nonce) <= _NONCE_LENGTH_MAX or nonce in self._seen:
            raise Unauthenticated("this call was made before", hint=_HINT)
        self._remember(nonce, now_ms)
        return digest

    def _remember(self, nonce: str, now_ms: int) -> None:
        # A stamp may lie one window in the future and be accepted until one window after that.
        oldest = now_ms - 2 * self._window_ms
        while self._seen and self._seen[old := next(iter(self._seen))] < oldest:
            del self._seen[old]
        self._seen[nonce] = now_ms


def _milliseconds(stamp: str) -> int:
    """Return the number, or one that is far from any time that could be meant."""
    is_number = stamp.isascii() and stamp.isdigit() and len(stamp) <= _STAMP_LENGTH_MAX
    return int(stamp) if is_number else -(10**_STAMP_LENGTH_MAX)


def _key(secret: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE, "sha256")


def _signature(key: bytes, *fields: str) -> str:
    text = "\n".join(fields).encode(errors="surrogateescape")
    return hmac.new(key, text, "sha256").hexdigest()
