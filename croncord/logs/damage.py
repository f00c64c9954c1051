"""Outputs that were found damaged on this node's disk and are not mended yet."""

import logging
from collections.abc import Callable

from croncord.logs.keys import unpack
from croncord.ports import LogKey

_log = logging.getLogger(__name__)


class Damage:
    """What is damaged, by stored key, and who wants to know of it."""

    def __init__(self) -> None:
        self._raw_keys: set[bytes] = set()
        self._listeners: list[Callable[[LogKey], None]] = []

    def listen(self, listener: Callable[[LogKey], None]) -> None:
        """Call the listener whenever an output turns out to be damaged."""
        self._listeners.append(listener)

    def note(self, raw_key: bytes) -> None:
        """Note that an output was found damaged."""
        if raw_key in self._raw_keys:
            return
        self._raw_keys.add(raw_key)
        key = unpack(raw_key)
        _log.error("the output %s is damaged on this node's disk", key)
        for listener in self._listeners:
            listener(key)

    def mended(self, raw_key: bytes) -> None:
        """Note that an output is sound again, or gone."""
        self._raw_keys.discard(raw_key)

    def __contains__(self, raw_key: bytes) -> bool:
        return raw_key in self._raw_keys

    @property
    def keys(self) -> list[LogKey]:
        """All of them."""
        return [unpack(raw_key) for raw_key in self._raw_keys]
