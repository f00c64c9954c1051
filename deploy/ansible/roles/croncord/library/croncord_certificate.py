#!/usr/bin/python
"""Ansible module: a node's certificate, made anew only when the present one does not fit."""

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.croncord_signing import (
    ends_at,
    hosts_of,
    is_signed_by,
    issue,
    nodes_of,
    read_authority,
    with_own_hosts,
)
from cryptography import x509

_UTC = timezone.utc  # noqa: UP017 - Ansible may run on Python 3.9

DOCUMENTATION = """
module: croncord_certificate
short_description: Makes the certificate of a node
description:
  - Compares a node's present certificate with what it should be, and makes a new pair if need be.
  - Touches no file. Runs on the control machine, so the authority's key stays there.
options:
  authority_cert: {description: The authority's certificate in PEM., type: str, required: true}
  authority_key: {description: The authority's key in PEM., type: str, required: true}
  name: {description: The node's name., type: str, required: true}
  hosts: {description: Names and addresses of the node., type: list, elements: str, required: true}
  present: {description: The node's present certificate in PEM., type: str, default: ""}
  days: {description: How long a new one is good., type: int, default: 397}
  renew_within_days: {description: When to renew one that is good., type: int, default: 30}
"""

RETURN = """
cert: {description: A new certificate in PEM; empty when the present one fits., type: str}
key: {description: Its key in PEM., type: str}
reason: {description: Why a new one was made., type: str}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "authority_cert": {"type": "str", "required": True},
            "authority_key": {"type": "str", "required": True, "no_log": True},
            "name": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "required": True},
            "present": {"type": "str", "default": ""},
            "days": {"type": "int", "default": 397},
            "renew_within_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    asked = module.params
    now = datetime.now(_UTC)
    try:
        authority = read_authority(
            asked["authority_cert"].encode(), asked["authority_key"].encode()
        )
        reason = _why_not(asked, authority.certificate, now)
        if not reason:
            module.exit_json(changed=False, cert="", key="", reason="")
        cert, key = issue(authority, asked["name"], asked["hosts"], now, days=asked["days"])
    except (ValueError, TypeError) as error:
        module.fail_json(f"{asked['name']}: {error}")
    module.exit_json(changed=True, cert=cert.decode(), key=key.decode(), reason=reason)


def _why_not(asked: dict[str, Any], authority: x509.Certificate, now: datetime) -> str:
    """Return what is wrong with the present certificate; empty when it fits."""
    if not asked["present"].strip():
        return "there is none"
    try:
        present = x509.load_pem_x509_certificate(asked["present"].encode())
    except ValueError:
        return "it is unreadable"
    ends_soon = now + timedelta(days=asked["renew_within_days"])
    wrong = {
        "another authority signed it": not is_signed_by(present, authority),
        "it names another node": nodes_of(present) != {asked["name"]},
        "it names other hosts": set(hosts_of(present)) != set(with_own_hosts(asked["hosts"])),
        "it ends soon": ends_at(present) < ends_soon,
    }
    return next((reason for reason, is_so in wrong.items() if is_so), "")


if __name__ == "__main__":
    main()
