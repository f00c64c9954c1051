"""The five ways in which a node speaks TLS, made of one certificate, and a rehearsal of them."""

import ssl
from typing import Final

import msgspec

from croncord.errors import ConfigError
from croncord.tls import UNTRUSTED_CODES
from croncord.tls.certificate import TlsFiles

NODE_PROTOCOL: Final = "croncord-node/1"
"""Offered by ALPN in calls between nodes, so that only they are asked for a certificate: a browser
that is asked would ask its user."""
_WRONG_PURPOSE: Final = 26


class Contexts(msgspec.Struct, frozen=True):
    """One per kind of connection; `ssl.SSLContext` objects can be shared by threads."""

    web: ssl.SSLContext
    """Answers people and programs."""
    nodes: ssl.SSLContext
    """Answers other nodes, which must show a certificate of the authority."""
    caller: ssl.SSLContext
    """Calls other nodes' web addresses, checking host names."""
    raft_server: ssl.SSLContext
    """Both sides show a certificate. Names of nodes are checked by the wire, not host names."""
    raft_client: ssl.SSLContext


def make_contexts(files: TlsFiles) -> Contexts:
    """Load the files. Raises ConfigError when OpenSSL refuses them."""
    try:
        contexts = Contexts(
            web=_server(files),
            nodes=_server(files, asks_for_certificate=True),
            caller=_client(files, checks_host=True),
            raft_server=_server(files, asks_for_certificate=True, newest_only=True),
            raft_client=_client(files, newest_only=True),
        )
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"tls_cert: {files.cert} cannot be used: {error}") from None
    _rehearse(contexts, files)
    return contexts


def _server(
    files: TlsFiles, *, asks_for_certificate: bool = False, newest_only: bool = False
) -> ssl.SSLContext:
    context = _loaded(ssl.PROTOCOL_TLS_SERVER, files, newest_only=newest_only)
    if asks_for_certificate:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if newest_only:
        context.num_tickets = 0  # connections between nodes last; none is resumed
    return context


def _client(
    files: TlsFiles, *, checks_host: bool = False, newest_only: bool = False
) -> ssl.SSLContext:
    context = _loaded(ssl.PROTOCOL_TLS_CLIENT, files, newest_only=newest_only)
    context.load_verify_locations(files.ca)
    context.check_hostname = checks_host
    if checks_host:
        context.set_alpn_protocols([NODE_PROTOCOL, "http/1.1"])
    return context


def _loaded(protocol: int, files: TlsFiles, *, newest_only: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if newest_only else ssl.TLSVersion.TLSv1_2
    # Without a password function OpenSSL would ask the terminal.
    context.load_cert_chain(files.cert, files.key, password=lambda: "")
    return context


def _rehearse(contexts: Contexts, files: TlsFiles) -> None:
    """Let this node connect to itself in memory: what fails here would fail with every other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts.raft_client.wrap_bio(to_client, to_server)
    server = contexts.raft_server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        raise _refusal(error, files) from None
    except ssl.SSLError as error:
        raise ConfigError(f"tls_cert: {files.cert} cannot be used: {error.reason}") from None


def _refusal(error: ssl.SSLCertVerificationError, files: TlsFiles) -> ConfigError:
    if error.verify_code in UNTRUSTED_CODES:
        return ConfigError(
            f"tls_ca: no authority in {files.ca} signed the certificate in {files.cert}",
            hint="Give every node the ca.pem that lay beside its certificate.",
        )
    if error.verify_code == _WRONG_PURPOSE:
        return ConfigError(
            f"tls_cert: {files.cert} may not be used for both server and client",
            hint="Nodes call each other: it needs the extended key usages serverAuth, clientAuth.",
        )
    return ConfigError(f"tls_cert: {files.cert}: {error.verify_message}")
