"""This node's certificate in use. It can be read again while connections are open."""

from datetime import datetime
from typing import Final

from cryptography import x509

from croncord.tls.authority import nodes_of
from croncord.tls.certificate import Identity, TlsFiles, check_files
from croncord.tls.contexts import Contexts, make_contexts

WARN_SECONDS: Final = 14 * 86400
"""So long before its end a certificate is complained about."""


class NodeTls:
    """What the parts of a node that speak TLS share."""

    def __init__(
        self, files: TlsFiles, identity: Identity, at: datetime, *, required: bool = True
    ) -> None:
        """Read the files, as of the time `at`. Raises ConfigError.

        Without `required`, others may also speak without TLS: for the time in which a running
        cluster moves to it.
        """
        self.files = files
        self.required = required
        self._identity = identity
        self.contexts: Contexts
        """Those for new connections; replaced as a whole, also seen by other threads."""
        self.expires_at: datetime
        self.authority: str
        """Certificates of those whose signature is trusted, in PEM."""
        self.reload(at)

    def reload(self, at: datetime) -> None:
        """Use what the files hold now. Raises ConfigError and keeps what it had."""
        certificate = check_files(self.files, self._identity, at)
        authority = self.files.ca.read_text(encoding="ascii", errors="replace")
        self.contexts = make_contexts(self.files)
        self.authority = authority
        self.expires_at = certificate.not_valid_after_utc

    def seconds_left(self, at: datetime) -> float:
        """Return how long the certificate is still good; below zero when it has expired."""
        return (self.expires_at - at).total_seconds()


def names_in(certificate_der: bytes) -> frozenset[str]:
    """Return the nodes that a certificate, which has been verified, stands for."""
    return nodes_of(x509.load_der_x509_certificate(certificate_der))
