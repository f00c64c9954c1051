"""Calls to other nodes over HTTP: the port `Peers`. The other end is `croncord.web.peer_routes`."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from croncord.audit import AuditEntry
from croncord.clock import Clock
from croncord.drills import FreezeOrder
from croncord.errors import Conflict, CronCordError, NotFound, StoreError, Unreachable
from croncord.model import Run, milliseconds
from croncord.peer_auth import PeerSigner
from croncord.ports import LogKey, LogStatus, SearchAnswer, SearchOrder, Sighting, Vitals
from croncord.tls.identity import NodeTls

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 5.0
"""Without a byte for so long, a call has failed."""
WORK_SECONDS: Final = 60.0
"""Likewise for calls that make the other node read from its disk."""
IDLE_SECONDS: Final = 20.0
"""Without a byte for so long, an output that is followed is asked for again: the network may have
lost the connection without saying so, and a quiet script looks the same."""
ANSWER_BYTES_MAX: Final = 1024 * 1024
STREAM_BYTES: Final = 64 * 1024

SEARCH_BYTES_MAX: Final = 8 * 1024 * 1024
ROWS_BYTES_MAX: Final = 64 * 1024 * 1024

_Answer = TypeVar("_Answer")

_decode_sightings = msgspec.msgpack.Decoder(tuple[Sighting, ...]).decode
_decode_status = msgspec.msgpack.Decoder(LogStatus).decode
_decode_statuses = msgspec.msgpack.Decoder(list[LogStatus | None]).decode
_decode_outputs = msgspec.msgpack.Decoder(list[bytes | None]).decode
_decode_text = msgspec.msgpack.Decoder(str).decode
_decode_found = msgspec.msgpack.Decoder(SearchAnswer).decode
_decode_days = msgspec.msgpack.Decoder(dict[str, tuple[int, int]]).decode
_decode_rows = msgspec.msgpack.Decoder(tuple[Run, ...]).decode
_decode_entries = msgspec.msgpack.Decoder(tuple[list[AuditEntry], str]).decode
_decode_offset = msgspec.msgpack.Decoder(int).decode


class HttpPeers:
    """Implements `croncord.ports.Peers`. Made on the event loop."""

    def __init__(
        self,
        secret: bytes | None,
        *,
        clock: Clock,
        tls: NodeTls | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Take the cluster secret; without one there are no other nodes to call.

        With `tls` that is required every node is called over TLS, whatever its address says.
        """
        self._signer = PeerSigner(secret) if secret else None
        self._clock = clock
        self._tls = tls
        self._idle_seconds = idle_seconds
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, trust_env=False
        )

    async def stop(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send_vitals(self, leader_http: str, vitals: Vitals) -> tuple[Sighting, ...]:
        """Report to the leader; the answer is its table of everybody. Raises Unreachable."""
        body = msgspec.msgpack.encode(vitals)
        answer = await self._call("POST", leader_http, "vitals", body=body)
        return _decoded(_decode_sightings, answer, leader_http)

    async def hand_over(self, leader_http: str) -> None:
        """Ask the leader to give leadership away. Raises Unreachable when it could not."""
        await self._call("POST", leader_http, "hand-over", read_seconds=WORK_SECONDS)

    async def freeze(self, node_http: str, order: FreezeOrder) -> None:
        """Have another node stand still. Raises Conflict, Unreachable."""
        await self._call("POST", node_http, "freeze", body=msgspec.msgpack.encode(order))

    async def log_status(self, node_http: str, key: LogKey) -> LogStatus | None:
        """Ask what another node holds. Raises Unreachable."""
        return await self._status(node_http, f"{_path(key)}/status", ANSWER_SECONDS)

    async def log_check(self, node_http: str, key: LogKey) -> LogStatus | None:
        """Ask what another node holds, after it has read all of it. Raises Unreachable."""
        return await self._status(node_http, f"{_path(key)}/check", WORK_SECONDS)

    async def _status(self, node_http: str, path: str, seconds: float) -> LogStatus | None:
        try:
            answer = await self._call("GET", node_http, path, read_seconds=seconds)
        except NotFound:
            return None
        return _decoded(_decode_status, answer, node_http)

    async def log_fence(self, node_http: str, key: LogKey) -> LogStatus:
        """Have another node fence an output. Raises Conflict, Unreachable, StoreError."""
        path = f"{_path(key)}/fence"
        answer = await self._call("POST", node_http, path, read_seconds=WORK_SECONDS)
        return _decoded(_decode_status, answer, node_http)

    async def log_prefix_sha256(self, node_http: str, key: LogKey, size: int) -> str:
        """Ask for the digest of the first framed bytes. Raises NotFound, Unreachable."""
        answer = await self._call(
            "GET",
            node_http,
            f"{_path(key)}/prefix",
            query={"size": str(size)},
            read_seconds=WORK_SECONDS,
        )
        return _decoded(_decode_text, answer, node_http)

    async def logs_held(self, node_http: str, keys: Sequence[LogKey]) -> list[LogStatus | None]:
        """Ask what another node holds of many outputs. Raises Unreachable."""
        body = msgspec.msgpack.encode(keys)
        answer = await self._call("POST", node_http, "logs/held", body=body)
        return _decoded(_decode_statuses, answer, node_http)

    async def logs_whole(self, node_http: str, keys: Sequence[LogKey]) -> list[bytes | None]:
        """Ask for many small outputs. Raises NotFound from an older release, Unreachable."""
        body = msgspec.msgpack.encode(keys)
        answer = await self._call("POST", node_http, "logs/whole", body=body)
        return _decoded(_decode_outputs, answer, node_http)

    async def log_search(self, node_http: str, order: SearchOrder) -> SearchAnswer:
        """Have another node search its copies. Raises Unreachable."""
        answer = await self._call(
            "POST",
            node_http,
            "search",
            body=msgspec.msgpack.encode(order),
            read_seconds=WORK_SECONDS,
            bytes_max=SEARCH_BYTES_MAX,
        )
        return _decoded(_decode_found, answer, node_http)

    async def ledger_days(self, node_http: str) -> dict[str, tuple[int, int]]:
        """Ask how many rows of each day another node has, and their checksum."""
        answer = await self._call("GET", node_http, "ledger/days", read_seconds=WORK_SECONDS)
        return _decoded(_decode_days, answer, node_http)

    async def ledger_rows(self, node_http: str, first: str, last: str) -> tuple[Run, ...]:
        """Ask for rows from the id `first` to below `last`, oldest first, as many as fit."""
        query = {"first": first, "last": last}
        answer = await self._call(
            "GET", node_http, "ledger/rows", query=query, bytes_max=ROWS_BYTES_MAX
        )
        return _decoded(_decode_rows, answer, node_http)

    async def audit_days(self, node_http: str) -> dict[str, tuple[int, int]]:
        """Ask how many audit entries of each day another node has, and their checksum."""
        answer = await self._call("GET", node_http, "audit/days", read_seconds=WORK_SECONDS)
        return _decoded(_decode_days, answer, node_http)

    async def audit_entries(
        self, node_http: str, day: str, after: str
    ) -> tuple[list[AuditEntry], str]:
        """Ask for audit entries of a day, oldest first, and the cursor to go on with."""
        answer = await self._call(
            "GET",
            node_http,
            "audit/entries",
            query={"day": day, "after": after},
            bytes_max=ROWS_BYTES_MAX,
        )
        return _decoded(_decode_entries, answer, node_http)

    async def log_tail_offset(self, node_http: str, key: LogKey, lines: int) -> int:
        """Ask from where that many last lines follow. Raises NotFound, Unreachable."""
        query = {"lines": str(lines)}
        answer = await self._call("GET", node_http, f"{_path(key)}/tail", query=query)
        return _decoded(_decode_offset, answer, node_http)

    async def log_stream(
        self, node_http: str, key: LogKey, *, offset: int, follow: bool
    ) -> AsyncIterator[bytes]:
        """Yield framed bytes of another node's copy from `offset` on.

        Ends when all of it was read; with `follow`, when the other node's copy is sealed. A stream
        that is quiet is asked for anew, which its reader does not notice. Raises NotFound when the
        node has nothing, Unreachable when it does not answer or the connection breaks.
        """
        read_seconds = self._idle_seconds if follow else ANSWER_SECONDS
        while True:
            query = {"offset": str(offset), "follow": str(int(follow))}
            has_answered = False
            try:
                async with self._request(
                    "GET", node_http, _path(key), query=query, read_seconds=read_seconds
                ) as response:
                    has_answered = True
                    async for data in response.content.iter_chunked(STREAM_BYTES):
                        offset += len(data)
                        yield data
            except _QuietError:
                if not (follow and has_answered):
                    raise
            else:
                return

    async def _call(
        self,
        method: str,
        node_http: str,
        path: str,
        *,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        read_seconds: float = ANSWER_SECONDS,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> bytes:
        async with self._request(
            method, node_http, path, body=body, query=query, read_seconds=read_seconds
        ) as response:
            parts: list[bytes] = []
            size = 0
            async for data in response.content.iter_chunked(STREAM_BYTES):
                parts.append(data)
                size += len(data)
                if size > bytes_max:
                    raise Unreachable(f"{node_http} answers with more than {bytes_max} bytes")
        return b"".join(parts)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        node_http: str,
        path: str,
        *,
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        read_seconds: float = ANSWER_SECONDS,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._signer is None:
            hint = "Start all nodes with the same --secret-file."
            raise Unreachable("this node has no cluster secret", hint=hint)
        url = (self._secured(URL(node_http)) / f"internal/v1/{path}").with_query(query or {})
        headers = self._signer.headers(
            method,
            node_http,
            url.raw_path_qs,
            body=body,
            now_ms=milliseconds(self._clock.now()),
            nonce=secrets.token_urlsafe(16),
        )
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=CONNECT_SECONDS,
            sock_connect=CONNECT_SECONDS,
            sock_read=read_seconds,
        )
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                timeout=timeout,
                ssl=self._tls.contexts.caller if self._tls else True,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise await _refusal(response, node_http)
                yield response
        except aiohttp.SocketTimeoutError as error:
            raise _QuietError(f"{node_http} has been quiet for {read_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            # TimeoutError, for connecting, is an OSError.
            raise Unreachable(f"{node_http} does not answer: {_why(error)}") from error

    def _secured(self, url: URL) -> URL:
        if self._tls is None or not self._tls.required or url.scheme == "https":
            return url
        return url.with_scheme("https").with_port(url.port)


class _QuietError(Unreachable):
    """No byte came for a while."""


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not good: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return str(error)


async def _refusal(response: aiohttp.ClientResponse, node_http: str) -> CronCordError:
    detail = (await response.content.read(1000)).decode(errors="replace")
    if response.status == 404:
        return NotFound(f"{node_http} does not have that")
    if response.status == Conflict.status:
        return Conflict(f"{node_http}: {detail}")
    if response.status == StoreError.status:
        return StoreError(f"{node_http} cannot read it: {detail}", hint="Look at that node's log.")
    return Unreachable(f"{node_http} refused with {response.status}: {detail}")


def _decoded(decode: Callable[[bytes], _Answer], answer: bytes, node_http: str) -> _Answer:
    try:
        return decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(f"{node_http} gave an answer that makes no sense: {error}") from error


def _path(key: LogKey) -> str:
    return f"logs/{key.run_id}/{key.attempt}"
