"""Reading server-sent events (WHATWG HTML, section 9.2) out of bytes as they come."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import NamedTuple


class Event(NamedTuple):
    """One event: its kind, its data, and its id if it has one."""

    kind: str
    data: str
    id: str


async def read_events(pieces: AsyncIterable[bytes]) -> AsyncGenerator[Event, None]:
    """Yield each event once it is whole; an unfinished one at the end is dropped."""
    held = bytearray()
    async for piece in pieces:
        searched = max(0, len(held) - 1)
        held += piece
        while (end := held.find(b"\n\n", searched)) >= 0:
            event = _event(bytes(held[:end]))
            del held[: end + 2]
            searched = 0
            if event is not None:
                yield event


def _event(block: bytes) -> Event | None:
    """Return the event, or None for a comment that only keeps the connection alive."""
    kind, event_id = "message", ""
    data: list[str] = []
    for line in block.decode("utf-8", errors="replace").split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            event_id = value
    return Event(kind, "\n".join(data), event_id) if data else None
