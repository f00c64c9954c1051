"""What must hold of a node's certificate, its key and its authority, and the sentence when it does not."""

import ipaddress
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from croncord.errors import ConfigError
from croncord.tls.authority import hosts_of, nodes_of, spelling

_RENEW = "Make a new one where the authority's key is: croncord cluster init-tls --renew --name "


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node finds its certificate."""

    cert: Path
    key: Path
    ca: Path


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the certificate must prove."""

    name: str
    host: str
    """Under which others reach the node's web address."""


def check_files(files: TlsFiles, identity: Identity, at: datetime) -> x509.Certificate:
    """Return the node's certificate. Raises ConfigError for what can be seen in the files."""
    chain = _certificates("tls_cert", files.cert)
    authorities = _certificates("tls_ca", files.ca)
    _check_key(files, chain[0])
    _check_time("tls_cert", files.cert, chain[0], at, _RENEW + identity.name)
    if not any(_is_current(each, at) for each in authorities):
        hint = "Make a new authority with croncord cluster init-tls in another --dir."
        _check_time("tls_ca", files.ca, authorities[0], at, hint)
    _check_identity(files, chain[0], identity)
    return chain[0]


def _certificates(setting: str, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(setting, path))
    except ValueError:
        raise ConfigError(
            f"{setting}: {path} holds no certificate", hint="It begins with BEGIN CERTIFICATE."
        ) from None


def _content(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting}: {path}: {error.strerror}",
            hint="croncord cluster init-tls makes certificates for all nodes.",
        ) from None


def _check_key(files: TlsFiles, certificate: x509.Certificate) -> None:
    content = _content("tls_key", files.key)
    mode = files.key.stat().st_mode
    if mode & 0o077:
        raise ConfigError(
            f"tls_key: {files.key} can be read by others (mode {mode & 0o777:o})",
            hint=f"chmod 600 {files.key}",
        )
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigError(
            f"tls_key: {files.key} is protected by a passphrase",
            hint="A node starts unattended: give it the key without one, mode 0600.",
        ) from None
    except ValueError:
        raise ConfigError(
            f"tls_key: {files.key} holds no private key", hint="It begins with BEGIN PRIVATE KEY."
        ) from None
    if key.public_key() != certificate.public_key():
        raise ConfigError(
            f"tls_key: {files.key} does not belong to the certificate in {files.cert}",
            hint="Copy both again, from the same run of croncord cluster init-tls.",
        )


def _is_current(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc


def _check_time(
    setting: str, path: Path, certificate: x509.Certificate, at: datetime, hint: str
) -> None:
    if certificate.not_valid_after_utc <= at:
        ended = certificate.not_valid_after_utc
        raise ConfigError(f"{setting}: {path} expired on {_day(ended)}", hint=hint)
    if certificate.not_valid_before_utc > at:
        begins = certificate.not_valid_before_utc
        raise ConfigError(
            f"{setting}: {path} is valid from {_day(begins)} on, and this machine has {_day(at)}",
            hint="Set the machine's clock.",
        )


def _check_identity(files: TlsFiles, certificate: x509.Certificate, identity: Identity) -> None:
    names = nodes_of(certificate)
    if identity.name not in names:
        raise ConfigError(
            f"tls_cert: {files.cert} is for {_listed(names)}, and this node is {identity.name!r}",
            hint="Give each node its own certificate; see --name.",
        )
    hosts = hosts_of(certificate)
    if not _covers(hosts, identity.host):
        raise ConfigError(
            f"tls_cert: {files.cert} is for {_listed(hosts)}, "
            f"and others reach this node at {identity.host}",
            hint=f"Add --host {identity.host} when the certificate is made "
            "(croncord cluster init-tls --renew), or set --advertise-http to one of its names.",
        )


def _covers(hosts: tuple[str, ...], host: str) -> bool:
    host = spelling(host)
    try:
        if ipaddress.ip_address(host).is_unspecified:
            return True  # all addresses: which one others use is not known here
    except ValueError:
        pass
    return host in hosts or f"*.{host.partition('.')[2]}" in hosts


def _listed(names: frozenset[str] | tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "nobody"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
