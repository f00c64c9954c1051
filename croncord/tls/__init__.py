"""Certificates: a cluster's own authority, this node's certificate in use, and what is wrong with one."""

from typing import Final

UNTRUSTED_CODES: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's `verify_code` for a chain that ends nowhere, or at a certificate that nobody trusts."""
