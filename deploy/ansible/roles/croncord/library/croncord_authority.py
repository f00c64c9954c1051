#!/usr/bin/python
"""Ansible module: a cluster's certificate authority on the control machine, made on first use."""

from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.croncord_signing import new_authority, read_authority

_UTC = timezone.utc  # noqa: UP017 - Ansible may run on Python 3.9

DOCUMENTATION = """
module: croncord_authority
short_description: Provides the certificate authority of a cluster
description:
  - Returns certificate and key of the authority in a directory, and makes them when both are absent.
options:
  path:
    description: The directory of ca.pem and ca.key.
    type: path
    required: true
"""

RETURN = """
cert: {description: The certificate in PEM; empty in a dry run before there is one., type: str}
key: {description: The key in PEM., type: str}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule({"path": {"type": "path", "required": True}}, supports_check_mode=True)
    directory = Path(module.params["path"])
    certificate, key = directory / "ca.pem", directory / "ca.key"
    if certificate.exists() != key.exists():
        module.fail_json(f"Of {certificate} and {key} one is missing; bring it back.")
    if certificate.exists():
        try:
            found = read_authority(certificate.read_bytes(), key.read_bytes())
        except (ValueError, TypeError) as error:
            module.fail_json(f"{certificate} and {key}: {error}")
        module.exit_json(changed=False, cert=found.pem.decode(), key=found.key_pem.decode())
    if module.check_mode:
        module.exit_json(changed=True, cert="", key="")
    made = new_authority(datetime.now(_UTC))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in ((key, made.key_pem), (certificate, made.pem)):
        path.touch(mode=0o600)
        path.write_bytes(content)
    module.exit_json(changed=True, cert=made.pem.decode(), key=made.key_pem.decode())


if __name__ == "__main__":
    main()
