"""Seals secrets under a key made from the cluster secret: the port `Vault`.

AES-256-GCM with a random nonce in front; the name of the secret belongs to what is authenticated, so
that a sealed value cannot be passed off as another's. The key is HKDF-SHA256 (RFC 5869) of the cluster
secret, which all nodes have and which is neither in the log nor in snapshots.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from croncord.errors import StoreError

_PURPOSE: Final = b"croncord secrets, 1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class SecretVault:
    """Implements `croncord.ports.Vault`."""

    def __init__(self, cluster_secret: bytes, *, accepted: Sequence[bytes] = ()) -> None:
        """Seal with the cluster secret; open also what was sealed with an accepted one."""
        keys = [_key(secret) for secret in (cluster_secret, *accepted)]
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.key_id = _key_id(keys[0])
        """Tells keys apart, and nothing of them."""

    def opens(self, key_id: str) -> bool:
        """Whether what was sealed with that key can be opened here."""
        return key_id in self._ciphers

    def seal(self, name: str, value: str) -> bytes:
        """Return the value as it may be agreed on and stored."""
        nonce = os.urandom(_NONCE_BYTES)
        data = value.encode(errors="surrogateescape")
        return nonce + self._ciphers[self.key_id].encrypt(nonce, data, name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        """Return the value. Raises StoreError when it was sealed under another key or is damaged."""
        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers.values():
            with contextlib.suppress(InvalidTag, ValueError):
                value = cipher.decrypt(nonce, data, name.encode())
                return value.decode(errors="surrogateescape")
        raise StoreError(
            f"the secret {name} cannot be read with this node's cluster secret",
            hint=f"The cluster secret was changed: set the value again (croncord secret set {name}).",
        )


def _key(cluster_secret: bytes) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE)
    return derive.derive(cluster_secret)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(_PURPOSE + key).hexdigest()[:16]
