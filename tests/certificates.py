"""Certificates for tests, made by the same authority that users get."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from croncord.tls.authority import issue, new_authority
from croncord.tls.certificate import Identity, TlsFiles
from croncord.tls.identity import NodeTls

NOW = datetime.now(UTC)
AUTHORITY = new_authority(NOW)
STRANGER = new_authority(NOW)


def write_files(
    directory: Path,
    name="n1",
    *,
    hosts=("127.0.0.1",),
    authority=AUTHORITY,
    trusted=None,
    at=NOW,
    days=300,
) -> TlsFiles:
    """Write what a node needs; `trusted` are the authorities it trusts, by default its own."""
    directory.mkdir(parents=True, exist_ok=True)
    pem, key = issue(authority, name, hosts, at, days=days)
    files = TlsFiles(
        cert=directory / "cert.pem", key=directory / "key.pem", ca=directory / "ca.pem"
    )
    files.cert.write_bytes(pem)
    files.key.touch(mode=0o600)
    files.key.write_bytes(key)
    files.ca.write_bytes(trusted or authority.pem)
    return files


def node_tls(directory: Path, name="n1", *, required=True, host="127.0.0.1", **options) -> NodeTls:
    """Return a node's certificate in use."""
    files = write_files(directory, name, **options)
    return NodeTls(files, Identity(name=name, host=host), datetime.now(UTC), required=required)


def expired(days=30) -> datetime:
    """Return when a certificate of so many days was made that has just ended."""
    return NOW - timedelta(days=days, hours=1)
