"""The HTTP client of the API: tries the nodes in turn and outlasts an election.

A node that cannot be connected to, or that answers 503 (nothing was done), is followed by the next
one. A call whose answer got lost is repeated only if repeating it is harmless.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from croncord import __version__
from croncord.cli.connection import Connection
from croncord.cli.problem import error_of
from croncord.cli.wire import Answer, Query, Request, target
from croncord.errors import CronCordError, NotReady, OutcomeUnknown, Unreachable
from croncord.tls import UNTRUSTED_CODES

CONNECT_SECONDS = 5
ANSWER_SECONDS = 30
PATIENCE_SECONDS = 10.0
"""How long 503 answers are outlasted: several elections."""
_PAUSE_SECONDS = 0.25
_PAGE = 100


class AnswerLost(Exception):
    """The connection broke after the call was sent."""


class Client:
    """Calls the API of whichever node answers; use it as an async context manager.

    Every method raises the CronCordError that the answer reports, Unreachable when no node could be
    connected to, and OutcomeUnknown when a change was sent and its answer got lost.
    """

    def __init__(
        self, connection: Connection, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._connection = connection
        self._urls = list(connection.urls)
        self._patience_seconds = patience_seconds
        self._session: aiohttp.ClientSession | None = None
        self.stale: tuple[str, str] | None = None
        """Node and age in seconds, when an answer came from a node's own copy."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # A pooled connection may be dead after an editor was open; a change is not repeated.
            connector=aiohttp.TCPConnector(force_close=True, ssl=self._connection.tls or True),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS
            ),
            headers={"User-Agent": f"croncord/{__version__}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self, path: str, query: Query | None = None, *, outlast_seconds: float = 0
    ) -> Any:
        """Return the JSON at `path`; `outlast_seconds` is how long "no node answers" is borne."""
        request = Request(method="GET", path=path, query=query, repeatable=True)
        return (await self._call(request, outlast_seconds)).json()

    async def post(self, path: str, body: Any = None, *, repeatable: bool = False) -> Any:
        """Do something; `repeatable` when the body makes it harmless to say it twice."""
        return (
            await self._call(Request(method="POST", path=path, body=body, repeatable=repeatable))
        ).json()

    async def put(self, path: str, body: Any, *, if_match: int | None = None) -> Any:
        """Create or replace; with `if_match` only that version."""
        request = Request(
            method="PUT", path=path, body=body, if_match=if_match, repeatable=if_match is None
        )
        return (await self._call(request)).json()

    async def patch(self, path: str, body: Any) -> Any:
        """Apply a JSON merge patch, which is harmless to apply twice."""
        return (
            await self._call(Request(method="PATCH", path=path, body=body, repeatable=True))
        ).json()

    async def delete(
        self, path: str, query: Query | None = None, *, if_match: int | None = None
    ) -> None:
        """Delete what is at `path`; with `if_match` only that version."""
        await self._call(Request(method="DELETE", path=path, query=query, if_match=if_match))

    async def items(
        self, path: str, query: Query | None = None, *, at_most: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the items of all pages of a list, or the first `at_most`."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while at_most is None or len(found) < at_most:
            limit = _PAGE if at_most is None else min(_PAGE, at_most - len(found))
            page = await self.get(path, {**(query or {}), "limit": limit, "cursor": cursor or None})
            found += page["items"]
            cursor = page.get("next_cursor") or ""
            if not cursor:
                break
        return found

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Query,
        *,
        headers: Mapping[str, str],
        quiet_seconds: float,
        method: str = "GET",
        body: Any = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a body of unknown length on the first node that answers with 200.

        Raises Unreachable also when the connection breaks while the body is read, or when nothing
        came for `quiet_seconds`.
        """
        request = Request(method=method, path=path, query=query, body=body)
        response = await self._open_stream(request, headers, quiet_seconds)
        try:
            yield response.content.iter_any()
        except (aiohttp.ClientError, TimeoutError) as e:
            why = str(e) or "nothing came any more"
            raise Unreachable(f"the connection to {response.url.origin()} broke: {why}") from e
        finally:
            response.close()

    async def _open_stream(
        self, request: Request, headers: Mapping[str, str], quiet_seconds: float
    ) -> aiohttp.ClientResponse:
        failures: list[CronCordError] = []
        data, own_headers = request.content()
        for url in tuple(self._urls):
            try:
                response = await self._http.request(
                    request.method,
                    target(url, request.path, request.query),
                    data=data,
                    headers={**self._headers(url), **own_headers, **headers},
                    timeout=aiohttp.ClientTimeout(
                        total=None, sock_connect=CONNECT_SECONDS, sock_read=quiet_seconds
                    ),
                    allow_redirects=False,
                )
                if response.status == 200:
                    self._prefer(url)
                    return response
                problem = error_of(response.status, await response.read(), str(url))
            except (aiohttp.ClientError, TimeoutError, OSError) as e:
                failures.append(_unreachable(url, e))
                continue
            if response.status != NotReady.status:
                raise problem
            failures.append(problem)
        raise _summary(failures)

    async def _call(self, request: Request, outlast_seconds: float = 0) -> Answer:
        begun = time.monotonic()
        while True:
            failures: list[CronCordError] = []
            patience = outlast_seconds
            for url in tuple(self._urls):
                try:
                    answer = await self._once(url, request)
                except AnswerLost as e:
                    if not request.repeatable:
                        raise _unknown(url) from e
                    failures.append(Unreachable(f"{url}: the connection broke"))
                    patience = max(outlast_seconds, self._patience_seconds)
                    continue
                except (aiohttp.ClientError, TimeoutError, OSError) as e:
                    failures.append(_unreachable(url, e))
                    continue
                if answer.status < 300:
                    self._prefer(url)
                    self._remember_staleness(answer)
                    return answer
                problem = error_of(answer.status, answer.body, str(url))
                if answer.status != NotReady.status and not (
                    request.repeatable and isinstance(problem, OutcomeUnknown)
                ):
                    raise problem
                failures.append(problem)
                patience = max(outlast_seconds, self._patience_seconds)
            if time.monotonic() - begun + _PAUSE_SECONDS > patience:
                raise _summary(failures)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _once(self, url: URL, request: Request) -> Answer:
        data, headers = request.content()
        try:
            async with self._http.request(
                request.method,
                target(url, request.path, request.query),
                data=data,
                headers={**self._headers(url), **headers},
                allow_redirects=False,
            ) as response:
                return Answer(url, response.status, response.headers, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise  # nothing was sent
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as e:
            raise AnswerLost from e

    @property
    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the client as a context manager"
        return self._session

    def _headers(self, url: URL) -> dict[str, str]:
        token = self._connection.token_for(url)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _prefer(self, url: URL) -> None:
        self._urls.remove(url)
        self._urls.insert(0, url)

    def _remember_staleness(self, answer: Answer) -> None:
        age = answer.headers.get("Croncord-Stale")
        if age is not None:
            self.stale = (answer.headers.get("Croncord-Node", str(answer.url)), age)


def _unreachable(url: URL, error: Exception) -> Unreachable:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _untrusted(url, error.certificate_error)
    if isinstance(error, aiohttp.ClientSSLError):
        reason = getattr(error.os_error, "reason", None) or str(error.os_error)
        hint = "Does the node speak HTTPS? If not, write http:// in the address."
        return Unreachable(f"{url}: no TLS connection came about: {reason}", hint=hint)
    if isinstance(error, OSError) and error.errno:
        # Names that are not found have numbers of their own, below zero.
        text = os.strerror(error.errno) if error.errno > 0 else error.strerror
    else:
        text = str(error) or "it took too long"
    return Unreachable(f"{url}: {text}")


def _untrusted(url: URL, error: Exception) -> Unreachable:
    code = getattr(error, "verify_code", 0)
    why = getattr(error, "verify_message", "") or str(error)
    if code in UNTRUSTED_CODES:
        return Unreachable(
            f"{url}: its certificate is not signed by an authority that is trusted here",
            hint="Give the cluster's CA with --ca FILE or CRONCORD_CA_FILE: the ca.pem of "
            "`croncord cluster init-tls`, which each node also has in its data directory.",
        )
    hint = "Use an address that the certificate names, or renew it: croncord cluster init-tls."
    return Unreachable(f"{url}: its certificate is not good: {why}", hint=hint)


def _unknown(url: URL) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{url} broke the connection before it answered; the change may or may not have been made",
        hint="Look before you repeat it.",
    )


def _summary(failures: list[CronCordError]) -> CronCordError:
    answered = [f for f in failures if not isinstance(f, Unreachable)]
    if answered:
        return answered[-1]
    hints = [f.hint for f in failures if f.hint]
    return Unreachable(
        "no node answers: " + "; ".join(f.message for f in failures),
        hint=hints[0]
        if hints
        else "Is `croncord serve` running? Name another node with --url or CRONCORD_URL.",
    )
