"""A cluster's own certificate authority: it signs one certificate per node and nothing else.

Needs nothing but the standard library and `cryptography`, because the Ansible module uses it on
machines without CronCord. Keys are EC P-256, signatures ECDSA with SHA-256, in PEM.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3650
OWN_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""Every node is also called from its own machine."""
NODE_URI: Final = "croncord:node:"
"""A certificate names its node in a URI, because a node's name need not be a host name."""
_BACKDATE: Final = timedelta(hours=1)
"""Clocks of machines that were just installed may be behind."""
_COMMON_NAME_MAX: Final = 64


@dataclass(frozen=True)
class Authority:
    """What signs: a certificate that all nodes know, and a key that only its owner has."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate, for everybody."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, for nobody else."""
        return _private_pem(self.key)


def new_authority(at: datetime) -> Authority:
    """Make an authority, good for ten years from `at` on."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"CronCord cluster CA {serial % 2**32:08x}")]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _begin(name, key, at, at + timedelta(days=AUTHORITY_DAYS), serial)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )
    return Authority(certificate, key)


def read_authority(pem: bytes, key_pem: bytes) -> Authority:
    """Read what `new_authority` made. Raises ValueError saying what is wrong."""
    certificate = x509.load_pem_x509_certificate(pem)
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is no elliptic curve key")  # noqa: TRY004 - a wrong file
    # By their bytes: older releases of `cryptography` take equal keys for different ones.
    ours, certified = (
        each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for each in (key.public_key(), certificate.public_key())
    )
    if ours != certified:
        raise ValueError("the key does not belong to the certificate")
    return Authority(certificate, key)


def issue(
    authority: Authority, name: str, hosts: Sequence[str], at: datetime, *, days: int
) -> tuple[bytes, bytes]:
    """Return certificate and key of a node that is reached under `hosts`.

    It proves a server and a client. It ends no later than the authority. Raises ValueError for a
    host that is neither a name nor an address.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(at + timedelta(days=days), ends_at(authority.certificate))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_MAX])])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(NODE_URI + quote(name, ""))]
    names += [_general_name(host) for host in with_own_hosts(hosts)]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    certificate = (
        _begin(subject, key, at, ends, x509.random_serial_number())
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.value),
            critical=False,
        )
        .sign(authority.key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), _private_pem(key)


def ends_at(certificate: x509.Certificate) -> datetime:
    """Return when a certificate ends, also with releases of `cryptography` before 42."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=timezone.utc)  # noqa: UP017 - older Pythons


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority's key made the signature."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - the fallback is no: it raises many kinds for "not by this one"
        return False
    return True


def with_own_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return hosts in one spelling, each once, followed by those of the machine itself."""
    return tuple(dict.fromkeys([*map(spelling, hosts), *OWN_HOSTS]))


def spelling(host: str) -> str:
    """Return the one spelling of a host: lower case, an address without brackets."""
    bare = host.strip().removeprefix("[").removesuffix("]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare.removesuffix(".")


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the host names and addresses that a certificate is good for."""
    names = _alternative_names(certificate)
    found = [*names.get_values_for_type(x509.DNSName)]
    found += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return tuple(spelling(host) for host in found)


def nodes_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the node names that a certificate may stand for.

    Those in its URIs; for certificates of another authority also its common name and host names.
    """
    names = _alternative_names(certificate)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    ours = {unquote(uri.removeprefix(NODE_URI)) for uri in uris if uri.startswith(NODE_URI)}
    if ours:
        return frozenset(ours)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return frozenset([*(str(each.value) for each in common), *hosts_of(certificate)])


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    return found.value


def _begin(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime,
    ends: datetime,
    serial: int,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.not_valid_before(begins - _BACKDATE).not_valid_after(ends)
    return builder.serial_number(serial)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    if len(host) > 253 or not all(map(_is_label, labels)) or labels[-1].isdecimal():
        raise ValueError(f"{host!r} is neither a host name nor an address")
    return x509.DNSName(host)


def _is_label(label: str) -> bool:
    is_plain = label.isascii() and label.replace("-", "").replace("_", "").isalnum()
    return is_plain and len(label) <= 63 and not label.startswith("-") and not label.endswith("-")


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
