"""How a new machine gets the cluster secret over a network that others listen to.

A join token is an id and 32 random bytes. The cluster keeps the id and a key derived from the bytes
(HKDF), never the bytes. A machine that has the cluster secret already uses a key derived from that.

    machine > node   token id, time, what it wants to be, X25519 public key, HMAC(key, all of it)
    node > machine   X25519 public key, answer sealed with ChaCha20-Poly1305

The answer's key comes from HKDF over the X25519 result, salted with an HMAC of both messages under
the key. So the token never travels; who hears everything and learns the token later still cannot
read the secret; who repeats a request gets an answer that only the first asker can open; and an
answer that opens was made by the cluster. This needs no TLS, and takes nothing from it.
"""

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from croncord.errors import ConfigError, Malformed, Unauthenticated
from croncord.ports import JoinAnswer, JoinRequest, NewInvitation, OpenedRequest

TOKEN_PREFIX: Final = "join_"  # noqa: S105 - what every token begins with
TOKEN_BYTES: Final = 32
_ID_BYTES: Final = 6
_BY_SECRET: Final = b"croncord join by secret, 1"
_BY_TOKEN: Final = b"croncord join token, 1"
_SEALED: Final = b"croncord join answer, 1"


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    token_id: str
    """Empty for the cluster secret."""
    at_ms: int
    request: bytes
    public: bytes


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    signed: bytes
    mac: bytes


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    public: bytes
    sealed: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_signed = msgspec.msgpack.Decoder(_Signed).decode
_decode_request = msgspec.msgpack.Decoder(JoinRequest).decode
_decode_sealed = msgspec.msgpack.Decoder(_Sealed).decode
_decode_answer = msgspec.msgpack.Decoder(JoinAnswer).decode


class Invitations:
    """The cluster's side (`croncord.ports.Invitations`)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self) -> NewInvitation:
        """Draw a new token."""
        token_id, secret = os.urandom(_ID_BYTES).hex(), os.urandom(TOKEN_BYTES)
        text = urlsafe_b64encode(secret).decode().rstrip("=")
        token = f"{TOKEN_PREFIX}{token_id}.{text}"
        return NewInvitation(id=token_id, token=token, key=_token_key(token_id, secret).hex())

    def open(self, body: bytes, key_of: Callable[[str], str | None]) -> OpenedRequest:
        """Read a request; `key_of` gives the key that is kept of a token.

        Raises Malformed, and Unauthenticated when it was not made with that token or secret.
        """
        try:
            envelope = _decode_envelope(body)
            signed = _decode_signed(envelope.signed)
            request = _decode_request(signed.request)
        except (msgspec.MsgspecError, ValueError) as error:
            # ValueError: text that is not UTF-8.
            raise Malformed(f"this is no request to join: {error}") from None
        known = key_of(signed.token_id) if signed.token_id else _secret_key(self._secret).hex()
        key = bytes.fromhex(known or "")
        mac = hmac.digest(key, envelope.signed, "sha256")
        if not known or not hmac.compare_digest(mac, envelope.mac):
            if signed.token_id:
                raise Unauthenticated(
                    "the join token is not known here",
                    hint="It has expired, or belongs to another cluster. Make a new one on a "
                    "member: croncord cluster join-token",
                )
            raise Unauthenticated(
                "the new machine has another cluster secret",
                hint="Give it this cluster's secret file, or a token of `croncord cluster "
                "join-token`.",
            )
        return OpenedRequest(
            request=request,
            token_id=signed.token_id,
            at_ms=signed.at_ms,
            sha256=hashlib.sha256(body).hexdigest(),
            key=key,
            public=signed.public,
        )

    def seal(self, opened: OpenedRequest, answer: JoinAnswer) -> bytes:
        """Return the answer, readable by who asked only; the cluster secret is put into it.

        Raises Malformed.
        """
        private = X25519PrivateKey.generate()
        public = _public_bytes(private)
        key = _answer_key(private, opened.public, opened.key, (opened.public, public))
        whole = msgspec.structs.replace(answer, secret=self._secret)
        return _encode(
            _Sealed(public, ChaCha20Poly1305(key).encrypt(bytes(12), _encode(whole), b""))
        )


class JoinCall:
    """The new machine's side: one request, and the reading of its answer."""

    def __init__(
        self, request: JoinRequest, *, now_ms: int, token: str = "", secret: bytes = b""
    ) -> None:
        """Take a token or the cluster secret. Raises ConfigError when the token cannot be one."""
        self._private = X25519PrivateKey.generate()
        self._public = _public_bytes(self._private)
        token_id, self._key = _read_token(token) if token else ("", _secret_key(secret))
        signed = _encode(_Signed(token_id, now_ms, _encode(request), self._public))
        self.body = _encode(_Envelope(signed, hmac.digest(self._key, signed, "sha256")))

    def read(self, answer: bytes) -> JoinAnswer:
        """Open the answer. Raises Unauthenticated when the cluster did not make it for us."""
        try:
            sealed = _decode_sealed(answer)
            key = _answer_key(
                self._private, sealed.public, self._key, (self._public, sealed.public)
            )
            whole = ChaCha20Poly1305(key).decrypt(bytes(12), sealed.sealed, b"")
            return _decode_answer(whole)
        except (msgspec.MsgspecError, ValueError, InvalidTag, Malformed):
            raise Unauthenticated(
                "the answer was not made by a node that knows the token",
                hint="Check the address given with --join.",
            ) from None


def _read_token(token: str) -> tuple[str, bytes]:
    token_id, dot, text = token.removeprefix(TOKEN_PREFIX).partition(".")
    try:
        secret = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, Base64Error):
        secret = b""
    if not token.startswith(TOKEN_PREFIX) or not dot or len(secret) != TOKEN_BYTES:
        raise ConfigError(
            "the join token is incomplete",
            hint="Copy all of what `croncord cluster join-token` printed, from join_ on.",
        )
    return token_id, _token_key(token_id, secret)


def _token_key(token_id: str, secret: bytes) -> bytes:
    return HKDF(SHA256(), 32, token_id.encode(), _BY_TOKEN).derive(secret)


def _secret_key(secret: bytes) -> bytes:
    return hmac.digest(secret, _BY_SECRET, "sha256")


def _public_bytes(private: X25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _answer_key(
    private: X25519PrivateKey, theirs: bytes, key: bytes, transcript: tuple[bytes, bytes]
) -> bytes:
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as error:
        raise Malformed("the public key is unusable") from error
    salt = hmac.digest(key, b"".join(transcript), "sha256")
    return HKDF(SHA256(), 32, salt, _SEALED).derive(shared)
