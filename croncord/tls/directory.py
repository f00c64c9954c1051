"""`croncord cluster init-tls`: an authority and certificates of nodes as files in a directory.

    DIR/ca.pem   DIR/ca.key   DIR/NODE/cert.pem   DIR/NODE/key.pem

Nothing is made twice: what is there and still fits is kept. Every file is for its owner only.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509

from croncord.errors import ConfigError
from croncord.model import Name
from croncord.tls.authority import (
    Authority,
    hosts_of,
    is_signed_by,
    issue,
    new_authority,
    nodes_of,
    read_authority,
    with_own_hosts,
)


class NodeWish(msgspec.Struct, frozen=True):
    """A node that is to have a certificate."""

    name: str
    hosts: tuple[str, ...] = ()
    """Under which others reach it; empty keeps those of its present certificate."""


class NodeFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a node, and whether it is new."""

    name: str
    outcome: Literal["made", "kept", "renewed"]
    hosts: tuple[str, ...]
    expires_at: datetime
    certificate: str
    key: str
    """Paths."""


class Directory:
    """The files of one cluster. All methods raise ConfigError."""

    def __init__(self, path: Path, at: datetime) -> None:
        """Read or make the authority in `path`, as of the time `at`."""
        self._path, self._at = path, at
        self.ca, self.ca_key = path / "ca.pem", path / "ca.key"
        self.made_authority = False
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._authority = self._open_authority()
        except OSError as error:
            raise ConfigError(
                f"dir: {error.filename}: {error.strerror}", hint="Choose another with --dir."
            ) from None

    def _open_authority(self) -> Authority:
        if not self.ca.exists() and not self.ca_key.exists():
            authority = new_authority(self._at)
            _write(self.ca_key, authority.key_pem)
            _write(self.ca, authority.pem)
            self.made_authority = True
            return authority
        for path in (self.ca, self.ca_key):
            if not path.exists():
                raise ConfigError(
                    f"dir: {path} is missing, and its other half is there",
                    hint="Bring it back: certificates can only be made where both are. A new "
                    "authority, in another --dir, means new certificates for all nodes.",
                )
        try:
            authority = read_authority(self.ca.read_bytes(), self.ca_key.read_bytes())
        except (ValueError, TypeError) as error:  # TypeError: the key has a passphrase
            raise ConfigError(f"dir: {self.ca} and {self.ca_key}: {error}") from None
        if authority.certificate.not_valid_after_utc <= self._at:
            raise ConfigError(
                f"dir: the authority in {self.ca} has expired",
                hint="Make a new one in another --dir. Nodes trust both while --tls-ca names a "
                "file that holds both.",
            )
        return authority

    def names(self) -> list[str]:
        """Return the nodes that have a certificate here."""
        return sorted(path.parent.name for path in self._path.glob("*/cert.pem"))

    def provide(
        self, wishes: Sequence[NodeWish], *, renew: bool = False, days_left: int = 0, days: int
    ) -> list[NodeFiles]:
        """Give every node its certificate, good for `days`.

        With `renew` a new one even if the present one is good; otherwise one that ends within
        `days_left` days is renewed.
        """
        for wish in wishes:
            _check_name(wish.name)
        return [self._provide(wish, renew, days_left, days) for wish in wishes]

    def _provide(self, wish: NodeWish, renew: bool, days_left: int, days: int) -> NodeFiles:  # noqa: FBT001 - one caller
        folder = self._path / wish.name
        certificate, key = folder / "cert.pem", folder / "key.pem"
        present = self._present(certificate, key, wish.name)
        hosts = with_own_hosts(wish.hosts or (hosts_of(present) if present else ()))
        outcome: Literal["made", "kept", "renewed"] = "made" if present is None else "renewed"
        if present is not None and not renew:
            if set(hosts_of(present)) != set(hosts):
                raise ConfigError(
                    f"{certificate} is for {', '.join(hosts_of(present))}, "
                    f"and {', '.join(hosts)} are wanted",
                    hint="Make a new one with --renew.",
                )
            if present.not_valid_after_utc > self._at + timedelta(days=days_left):
                outcome = "kept"
        if outcome == "kept":
            assert present is not None
        else:
            present = self._issue(wish.name, hosts, certificate, key, days)
        return NodeFiles(
            name=wish.name,
            outcome=outcome,
            hosts=hosts_of(present),
            expires_at=present.not_valid_after_utc,
            certificate=str(certificate),
            key=str(key),
        )

    def _present(self, certificate: Path, key: Path, name: str) -> x509.Certificate | None:
        if not certificate.exists() or not key.exists():
            return None
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
        except ValueError as error:
            raise ConfigError(
                f"{certificate}: {error}", hint="Move it away, then run this again."
            ) from None
        if not is_signed_by(found, self._authority.certificate) or name not in nodes_of(found):
            raise ConfigError(
                f"{certificate} is not this authority's certificate of {name}",
                hint="Move it away, then run this again.",
            )
        return found

    def _issue(
        self, name: str, hosts: Sequence[str], certificate: Path, key: Path, days: int
    ) -> x509.Certificate:
        try:
            pem, key_pem = issue(self._authority, name, hosts, self._at, days=days)
        except ValueError as error:
            raise ConfigError(
                f"host: {error}", hint="Give names or addresses without a port."
            ) from None
        try:
            certificate.parent.mkdir(mode=0o700, exist_ok=True)
            _write(key, key_pem)
            _write(certificate, pem)
        except OSError as error:
            raise ConfigError(f"dir: {error.filename}: {error.strerror}") from None
        return x509.load_pem_x509_certificate(pem)


def _check_name(name: str) -> None:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise ConfigError(f"name: {name!r} cannot be the name of a node: {error}") from None
    if name.startswith(".") or name in {"ca.pem", "ca.key"}:
        raise ConfigError(f"name: {name!r} cannot be the name of a folder of certificates")


def _write(path: Path, content: bytes) -> None:
    """Write a file for its owner only, whole or not at all."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600, exist_ok=False)
    aside.write_bytes(content)
    aside.replace(path)
