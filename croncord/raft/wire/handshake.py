"""How two nodes prove to each other that they know the cluster secret, and agree on keys.

    client > server   hello: protocol, name, address, nonce, X25519 public key
    server > client   the same, and HMAC(server key, transcript)
    client > server   HMAC(client key, transcript)

The transcript is everything sent before. All keys come from HKDF-SHA256 over the X25519 result,
salted with an HMAC of the transcript under the secret: whoever lacks the secret cannot answer, and
whoever learns it later cannot read what was recorded. Both sides contribute fresh keys, so nothing
can be replayed. After that each direction has its own ChaCha20-Poly1305 key, with a counter as
nonce: a frame that is repeated, dropped or reordered ends the connection.

While the cluster secret is being changed a node accepts a second one. Who answers proves the secret
that it uses; who called and knows that one too goes on with it.

Without a secret (loopback only) the hellos are exchanged and frames are plain.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROTOCOL: Final = "croncord-raft-1"
HELLO_BYTES_MAX: Final = 1024
TAG_BYTES: Final = 16
PROOF_BYTES: Final = 32


class HandshakeError(Exception):
    """The other side is no node of this cluster, or speaks another version."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node says about itself before anything is proved."""

    protocol: str
    name: str
    address: str
    sealed: bool
    """Whether it has a cluster secret."""
    nonce: bytes
    public: bytes
    disk: str = ""
    """Names the disk it keeps its journal on, so that a removed one can be told to keep out."""


_decoder = msgspec.msgpack.Decoder(Hello)


class Cipher:
    """One direction of a connection. Without a key, bytes pass unchanged."""

    def __init__(self, key: bytes | None) -> None:
        self._aead = None if key is None else ChaCha20Poly1305(key)
        self._counter = 0
        self.overhead = 0 if key is None else TAG_BYTES

    def _nonce(self) -> bytes:
        nonce = struct.pack("<IQ", 0, self._counter)
        self._counter += 1
        return nonce

    def seal(self, frame: bytes, header: bytes) -> bytes:
        """Encrypt a frame; its length header is authenticated with it."""
        return frame if self._aead is None else self._aead.encrypt(self._nonce(), frame, header)

    def open(self, frame: bytes, header: bytes) -> bytes:
        """Decrypt a frame. Raises HandshakeError when it was changed, repeated or lost."""
        if self._aead is None:
            return frame
        try:
            return self._aead.decrypt(self._nonce(), frame, header)
        except InvalidTag:
            raise HandshakeError("a frame is not authentic") from None


class Handshake:
    """One side of a handshake; pure apart from fresh random keys."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        secret: bytes | None,
        is_client: bool,
        disk: str = "",
        accepted: Sequence[bytes] = (),
    ) -> None:
        self._secret = secret
        self._accepted = tuple(accepted)
        """Secrets that the other side may use instead, where that one answers."""
        self._is_client = is_client
        self._private = X25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.hello = msgspec.msgpack.encode(
            Hello(
                protocol=PROTOCOL,
                name=name,
                address=address,
                sealed=secret is not None,
                nonce=os.urandom(16),
                public=public,
                disk=disk,
            )
        )
        self._keys: dict[str, bytes] = {}

    def receive_hello(self, data: bytes) -> Hello:
        """Read the other side's hello and derive the keys. Raises HandshakeError."""
        try:
            theirs = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HandshakeError(f"the greeting is unreadable: {error}") from None
        if theirs.protocol != PROTOCOL:
            raise HandshakeError(f"it speaks {theirs.protocol}, this node {PROTOCOL}")
        if theirs.sealed != (self._secret is not None):
            raise HandshakeError("only one of the two nodes has a cluster secret")
        if self._secret is not None:
            self._meet(theirs, data)
            self._keys = self._derive(self._secret)
        return theirs

    def _meet(self, theirs: Hello, data: bytes) -> None:
        transcript = hashlib.sha256()
        for hello in (self.hello, data) if self._is_client else (data, self.hello):
            transcript.update(struct.pack(">I", len(hello)) + hello)
        try:
            self._shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs.public))
        except ValueError as error:
            raise HandshakeError("its public key is unusable") from error
        self._transcript = transcript.digest()

    def _derive(self, secret: bytes) -> dict[str, bytes]:
        salt = hmac.digest(secret, self._transcript, "sha256")
        okm = HKDF(SHA256(), 4 * 32, salt, PROTOCOL.encode()).derive(self._shared)
        labels = ("client", "server", "client proof", "server proof")
        return {label: okm[32 * i : 32 * i + 32] for i, label in enumerate(labels)}

    def _proof_of(self, side: str, keys: dict[str, bytes]) -> bytes:
        return hmac.digest(keys[f"{side} proof"], self._transcript, "sha256")

    @property
    def needs_proof(self) -> bool:
        """Whether proofs are exchanged, that is, whether there is a secret."""
        return self._secret is not None

    def proof(self) -> bytes:
        """Return what proves to the other side that this one knows the secret."""
        return self._proof_of("client" if self._is_client else "server", self._keys)

    def check_proof(self, proof: bytes) -> None:
        """Raise HandshakeError unless the other side knows the secret."""
        side = "server" if self._is_client else "client"
        # Who answers has sent its own proof already, so only who called can still choose.
        others = self._accepted if self._is_client else ()
        for keys in (self._keys, *map(self._derive, others)):
            if hmac.compare_digest(self._proof_of(side, keys), proof):
                self._keys = keys
                return
        raise HandshakeError("it has another cluster secret")

    def ciphers(self) -> tuple[Cipher, Cipher]:
        """Return the ciphers for sending and for receiving."""
        ours, theirs = ("client", "server") if self._is_client else ("server", "client")
        return Cipher(self._keys.get(ours)), Cipher(self._keys.get(theirs))
