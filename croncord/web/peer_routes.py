"""What other nodes may ask of this one, under `/internal/v1`. The caller is `croncord.node.peers`.

Every call is signed with the cluster secret; without one, all are refused. Answers are msgpack.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from croncord.clock import Clock
from croncord.drills import FreezeOrder
from croncord.errors import (
    CronCordError,
    Forbidden,
    Malformed,
    NotFound,
    StoreError,
    Unauthenticated,
)
from croncord.model import milliseconds
from croncord.peer_auth import PeerVerifier, body_digest
from croncord.ports import AuditPages, LedgerPages, LogKey, RunLogs, SearchOrder, Sighting, Vitals
from croncord.tls.identity import names_in
from croncord.web.api.body import read_bytes

PREFIX: Final = "/internal/v1"
BODY_BYTES_MAX: Final = 64 * 1024
PAUSE_SECONDS: Final = 5.0
"""How often a follower of a quiet output is looked after."""

_OFFSET_MAX = 1 << 48
_log = logging.getLogger(__name__)
_decode_order = msgspec.msgpack.Decoder(SearchOrder).decode
_decode_freeze = msgspec.msgpack.Decoder(FreezeOrder).decode
_decode_keys = msgspec.msgpack.Decoder(list[LogKey]).decode
_decode_vitals = msgspec.msgpack.Decoder(Vitals).decode


def peer_routes(
    *,
    verifier: PeerVerifier | None,
    clock: Clock,
    logs: RunLogs,
    receive_vitals: Callable[[Vitals], Sequence[Sighting]],
    hand_over: Callable[[], Awaitable[None]],
    freeze: Callable[[FreezeOrder], Awaitable[None]] | None = None,
    ledger: LedgerPages | None = None,
    audit: AuditPages | None = None,
    wants_certificate: bool = False,
) -> list[web.RouteDef]:
    """Return the routes. `verifier` is None on a node without a cluster secret.

    With `wants_certificate` only callers that showed a certificate of the cluster are answered.
    `receive_vitals` notes a node's report and returns what is known of everybody; it raises
    NoLeader on a node that does not lead. `hand_over` gives leadership to another node,
    `freeze` has this one stand still.
    """
    calls = _Calls(
        verifier,
        clock,
        logs,
        receive_vitals=receive_vitals,
        hand_over=hand_over,
        freeze=freeze,
        ledger=ledger,
        audit=audit,
        wants_certificate=wants_certificate,
    )
    log = f"{PREFIX}/logs/{{run}}/{{attempt}}"
    return [
        web.post(f"{PREFIX}/vitals", calls.vitals),
        web.post(f"{PREFIX}/hand-over", calls.hand_over),
        web.post(f"{PREFIX}/freeze", calls.freeze),
        web.post(f"{PREFIX}/search", calls.search),
        web.get(f"{PREFIX}/ledger/days", calls.ledger_days),
        web.get(f"{PREFIX}/ledger/rows", calls.ledger_rows),
        web.get(f"{PREFIX}/audit/days", calls.audit_days),
        web.get(f"{PREFIX}/audit/entries", calls.audit_entries),
        web.get(log, calls.log, allow_head=False),
        web.get(f"{log}/status", calls.status),
        web.get(f"{log}/check", calls.check),
        web.get(f"{log}/tail", calls.tail),
        web.get(f"{log}/prefix", calls.prefix),
        web.post(f"{log}/fence", calls.fence),
        web.post(f"{PREFIX}/logs/held", calls.held),
        web.post(f"{PREFIX}/logs/whole", calls.whole),
    ]


class _Calls:
    def __init__(
        self,
        verifier: PeerVerifier | None,
        clock: Clock,
        logs: RunLogs,
        *,
        receive_vitals: Callable[[Vitals], Sequence[Sighting]],
        hand_over: Callable[[], Awaitable[None]],
        freeze: Callable[[FreezeOrder], Awaitable[None]] | None,
        ledger: LedgerPages | None,
        audit: AuditPages | None,
        wants_certificate: bool,
    ) -> None:
        self._audit = audit
        self._wants_certificate = wants_certificate
        self._hand_over = hand_over
        self._freeze = freeze
        self._ledger = ledger
        self._verifier = verifier
        self._clock = clock
        self._logs = logs
        self._receive_vitals = receive_vitals

    async def vitals(self, request: web.Request) -> web.StreamResponse:
        body = await self._signed_body(request)
        try:
            vitals = _decode_vitals(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"these are no vitals: {error}") from error
        proved = _certified_names(request)
        if proved is not None and vitals.name not in proved:
            raise Forbidden(f"the caller's certificate is not that of {vitals.name}")
        return _answer(self._receive_vitals(vitals))

    async def hand_over(self, request: web.Request) -> web.StreamResponse:
        await self._signed_body(request)
        await self._hand_over()
        return _answer(None)

    async def freeze(self, request: web.Request) -> web.StreamResponse:
        body = await self._signed_body(request)
        if self._freeze is None:
            raise NotFound("this node cannot be frozen")
        try:
            order = _decode_freeze(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"this is no order to freeze: {error}") from error
        await self._freeze(order)
        return _answer(None)

    async def search(self, request: web.Request) -> web.StreamResponse:
        body = await self._signed_body(request)
        try:
            order = _decode_order(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"this is no search: {error}") from error
        return _answer(await self._logs.search(order))

    async def ledger_days(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        if self._ledger is None:
            raise NotFound("this node has no ledger")
        return _answer(await self._ledger.days())

    async def ledger_rows(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        if self._ledger is None:
            raise NotFound("this node has no ledger")
        first, last = request.query.get("first", ""), request.query.get("last", "")
        return _answer(await self._ledger.rows_from(first, last))

    async def audit_days(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        if self._audit is None:
            raise NotFound("this node has no audit trail")
        return _answer(await self._audit.days())

    async def audit_entries(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        if self._audit is None:
            raise NotFound("this node has no audit trail")
        day, after = request.query.get("day", ""), request.query.get("after", "")
        return _answer(await self._audit.entries_of(day, after))

    async def status(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        key = _key(request)
        status = self._logs.status(key)
        if status is None:
            raise NotFound(f"this node has no output of run {key.run_id}")
        return _answer(status)

    async def check(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        key = _key(request)
        status = await self._logs.check(key)
        if status is None:
            raise NotFound(f"this node has no sound output of run {key.run_id}")
        return _answer(status)

    async def prefix(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        size = _number(request, "size")
        return _answer(await self._logs.prefix_sha256(_key(request), size))

    async def fence(self, request: web.Request) -> web.StreamResponse:
        await self._signed_body(request)
        return _answer(await self._logs.fence(_key(request)))

    async def held(self, request: web.Request) -> web.StreamResponse:
        keys = await self._signed_keys(request)
        return _answer(self._logs.statuses(keys))

    async def whole(self, request: web.Request) -> web.StreamResponse:
        return _answer(await self._logs.whole(await self._signed_keys(request)))

    async def _signed_keys(self, request: web.Request) -> list[LogKey]:
        body = await self._signed_body(request)
        try:
            return _decode_keys(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"these are no outputs: {error}") from error

    async def tail(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        return _answer(await self._logs.tail_offset(_key(request), _number(request, "lines")))

    async def log(self, request: web.Request) -> web.StreamResponse:
        self._check_without_body(request)
        key, offset = _key(request), _number(request, "offset")
        if self._logs.damaged(key):
            raise StoreError(f"this node's output of run {key.run_id} is damaged")
        if self._logs.status(key) is None:
            raise NotFound(f"this node has no output of run {key.run_id}")
        follow = request.query.get("follow") == "1"
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        try:
            frames = self._logs.frames(key, offset=offset, follow=follow)
            async with aclosing(with_pauses(frames, PAUSE_SECONDS)) as pieces:
                async for data in pieces:
                    if data:
                        await response.write(data)
                    elif request.transport is None or request.transport.is_closing():
                        break  # the reader has gone; without this it would be waited for in vain
        except CronCordError as error:
            # The status line has gone out. A stream cut short tells the reader to go elsewhere.
            _log.info("stopped sending the output of run %s: %s", key.run_id, error)
            if request.transport is not None:
                request.transport.abort()
        return response

    def _check(self, request: web.Request) -> str:
        if self._verifier is None:
            hint = "Start this node with --secret-file to make it part of a cluster."
            raise Forbidden("this node answers no other nodes", hint=hint)
        if self._wants_certificate and _certified_names(request) is None:
            hint = "Start all nodes with --tls-cert, --tls-key and --tls-ca."
            raise Forbidden("the caller showed no certificate of this cluster", hint=hint)
        now_ms = milliseconds(self._clock.now())
        return self._verifier.check(
            request.method, request.raw_path, request.headers, now_ms=now_ms
        )

    def _check_without_body(self, request: web.Request) -> None:
        if self._check(request) != body_digest(b""):
            raise Malformed("this call has no body")

    async def _signed_body(self, request: web.Request) -> bytes:
        digest = self._check(request)
        body = await read_bytes(request, at_most=BODY_BYTES_MAX, what="the body")
        if body_digest(body) != digest:
            raise Unauthenticated("the body is not the one that was signed")
        return body


async def with_pauses(stream: AsyncIterator[bytes], seconds: float) -> AsyncGenerator[bytes, None]:
    """Yield what the stream yields, and nothing, as `b""`, when it is quiet for that long."""
    waiting: asyncio.Future[bytes] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(stream))
            await asyncio.wait({waiting}, timeout=seconds)
            if not waiting.done():
                yield b""
                continue
            ready, waiting = waiting, None
            try:
                data = ready.result()
            except StopAsyncIteration:
                return
            yield data
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def _certified_names(request: web.Request) -> frozenset[str] | None:
    """Return whom the caller's certificate stands for, None when it showed none."""
    connection = request.transport.get_extra_info("ssl_object") if request.transport else None
    certificate = connection.getpeercert(binary_form=True) if connection else None
    return names_in(certificate) if certificate else None


def _answer(value: object) -> web.Response:
    body = msgspec.msgpack.encode(value)
    return web.Response(body=body, content_type="application/msgpack")


def _key(request: web.Request) -> LogKey:
    attempt = request.match_info["attempt"]
    if not attempt.isascii() or not attempt.isdigit() or len(attempt) > 5:
        raise NotFound("there is no such attempt")
    return LogKey(request.match_info["run"], int(attempt))


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) > _OFFSET_MAX:
        raise Malformed(f"{name} is not a number that makes sense here")
    return int(text)
