"""Seals secrets under a key made from the cluster secret: the port `Vault`.

AES-256-GCM with a random nonce in front; the name of the secret belongs to what is authenticated, so
that a sealed value cannot be passed off as another's. The key is HKDF-SHA256 (RFC 5869) of the cluster
secret, which all nodes have and which is neither in the log nor in snapshots.
"""

import hashlib
import os
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

    def __init__(self, cluster_secret: bytes) -> None:
        derive = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE)
        key = derive.derive(cluster_secret)
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(_PURPOSE + key).hexdigest()[:16]
        """Tells keys apart, and nothing of them."""

    def seal(self, name: str, value: str) -> bytes:
        """Return the value as it may be agreed on and stored."""
        nonce = os.urandom(_NONCE_BYTES)
        data = value.encode(errors="surrogateescape")
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        """Return the value. Raises StoreError when it was sealed under another key or is damaged."""
        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            value = self._cipher.decrypt(nonce, data, name.encode())
        except (InvalidTag, ValueError):
            raise StoreError(
                f"the secret {name} cannot be read with this node's cluster secret",
                hint=f"The cluster secret was changed: set the value again "
                f"(croncord secret set {name}).",
            ) from None
        return value.decode(errors="surrogateescape")
