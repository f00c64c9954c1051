"""A call of the API and its answer, as they travel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from yarl import URL

from croncord.errors import ConfigError

Query = Mapping[str, str | int | None]
"""Query parameters; None and empty text are not sent."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call to make, on whichever node answers."""

    method: str
    path: str
    query: Query | None = None
    body: Any = None
    if_match: int | None = None
    repeatable: bool = False
    """Whether it does no harm to make it twice."""

    def content(self) -> tuple[bytes | None, dict[str, str]]:
        """Return the body and the headers about it."""
        headers = {} if self.if_match is None else {"If-Match": f'"{self.if_match}"'}
        if self.body is None:
            return None, headers
        return msgspec.json.encode(self.body), {**headers, "Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What a node said."""

    url: URL
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value; raises ConfigError when it is not JSON."""
        if not self.body:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ConfigError(
                f"{self.url} does not answer as a CronCord node does",
                hint="Check --url: another program may listen there.",
            ) from None


def path_of(*parts: str) -> str:
    """Return the API path of these parts, each encoded: `path_of("jobs", "a b")`."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def target(url: URL, path: str, query: Query | None) -> URL:
    """Return the whole address of a path on a node."""
    wanted = {k: v for k, v in (query or {}).items() if v not in (None, "")}
    suffix = "?" + urlencode(wanted) if wanted else ""
    return URL(f"{str(url).rstrip('/')}{path}{suffix}", encoded=True)
