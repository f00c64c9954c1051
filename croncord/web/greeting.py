"""What a connection begins with: TLS from a node, TLS from anybody else, or no TLS. Pure."""

from typing import Final, Literal

from croncord.tls.contexts import NODE_PROTOCOL

Greeting = Literal["node", "tls", "plain"]

HELLO_BYTES_MAX: Final = 8 * 1024
"""A hello is some 500 bytes, 2,000 with keys that withstand quantum computers."""
_HANDSHAKE: Final = 0x16
_HEADER_BYTES: Final = 5
_MARK: Final = bytes([len(NODE_PROTOCOL)]) + NODE_PROTOCOL.encode()
"""How the protocol's name stands in the list of ALPN (RFC 7301)."""


def read_greeting(begun: bytes) -> Greeting | None:
    """Return who calls, None while more of it must come.

    The name is looked for anywhere in the hello: who has it there by accident is asked for a
    certificate, which harms nobody but himself.
    """
    if not begun:
        return None
    if begun[0] != _HANDSHAKE:
        return "plain"
    if len(begun) < _HEADER_BYTES:
        return None
    end = min(_HEADER_BYTES + int.from_bytes(begun[3:5]), HELLO_BYTES_MAX)
    if _MARK in begun[:end]:
        return "node"
    return "tls" if len(begun) >= end else None
