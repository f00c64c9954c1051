"""Who belongs to the cluster: invitations, machines that come in, nodes that go."""

import asyncio
import shlex
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from croncord.config import is_loopback, split_address
from croncord.errors import (
    ConfigError,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    NotReady,
    Unauthenticated,
)
from croncord.fields import read_fields
from croncord.model import JoinToken, Node, NodeRole, Value, milliseconds
from croncord.ports import Invitations, JoinAnswer, JoinRequest, OpenedRequest
from croncord.preview import iso_utc
from croncord.raft.commands import AdmitNode, PutJoinToken, RemoveNode
from croncord.service.agreement import Agreement
from croncord.service.views import Json
from croncord.service.who import Who
from croncord.validation import name_errors

EXPIRES_SECONDS: Final = 3600
EXPIRES_SECONDS_MAX: Final = 7 * 86400
USES_MAX: Final = 100
URLS_SHOWN: Final = 3
REQUEST_WINDOW_SECONDS: Final = 300
"""How far off the clock of a machine that joins by the cluster secret may be."""
_NEW_TOKEN = "Make a new one on a member: croncord cluster join-token"  # noqa: S105 - a hint
_REMOVE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_ADDRESS_CHARACTERS_MAX = 300
_ANY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - refused here, not listened on


class NewJoinToken(Value, frozen=True, kw_only=True):
    """What a person says about a new join token."""

    expires_seconds: Annotated[int, msgspec.Meta(ge=1, le=EXPIRES_SECONDS_MAX)] = EXPIRES_SECONDS
    uses: Annotated[int, msgspec.Meta(ge=1, le=USES_MAX)] = 1
    role: NodeRole = "auto"


class MembershipService:
    """Lets machines in and out."""

    def __init__(
        self,
        agreement: Agreement,
        name: str,
        invitations: Invitations | None,
        authority: Callable[[], str] = str,
    ) -> None:
        """Take what seals the secret; None on a node that has none, which lets nobody in.

        `authority` is told to those who are let in.
        """
        self._authority = authority
        self._agreement = agreement
        self._name = name
        self._invitations = invitations

    # Coming in

    async def create_join_token(self, who: Who, fields: Json) -> Json:
        """Make a join token; it is in this answer and nowhere else, with the command to use it."""
        who.require("admin")
        wanted = read_fields(NewJoinToken, fields)
        drawn = self._inviting().make()

        def command(at: datetime) -> PutJoinToken:
            token = JoinToken(
                id=drawn.id,
                key=drawn.key,
                role=wanted.role,
                uses_left=wanted.uses,
                expires_at=at + timedelta(seconds=wanted.expires_seconds),
                created_at=at,
                created_by=who.name,
            )
            return PutJoinToken(at=at, by=who.name, token=token)

        token: JoinToken = await self._agreement.change(command, draws_secret=True)
        return {
            "token": drawn.token,
            "role": token.role,
            "uses": token.uses_left,
            "expires_at": iso_utc(token.expires_at),
            "command": self._command(drawn.token),
        }

    def _command(self, token: str) -> str:
        """Return the whole command line for the new machine."""
        nodes = self._agreement.state.nodes.values()
        first = sorted(nodes, key=lambda node: (node.name != self._name, not node.up, node.name))
        joins = [f"--join {shlex.quote(node.http)}" for node in first[:URLS_SHOWN]]
        words = [f"CRONCORD_JOIN_TOKEN={token}", "croncord", "serve", *joins]
        if self._authority():
            words.append("--tls-cert cert.pem --tls-key key.pem")
        if any(is_loopback(_host("raft", node.raft)) for node in nodes):
            words += _beside(list(nodes))
        return " ".join(words)

    async def admit(self, body: bytes) -> bytes:
        """Let a machine in that proves itself; the answer is for it alone.

        Raises Unauthenticated, Conflict, Invalid, NoLeader.
        """
        inviting = self._inviting()
        await self._agreement.replica.barrier()
        tokens = self._agreement.state.join_tokens

        def key_of(token_id: str) -> str | None:
            token = tokens.get(token_id)
            return token.key if token else None

        opened = inviting.open(body, key_of)
        self._check_age(opened)
        self._check(opened.request)
        wanted = opened.request
        try:
            role: NodeRole = await self._agreement.change(
                lambda at: AdmitNode(
                    at=at,
                    by=f"join:{opened.token_id or 'secret'}",
                    name=wanted.name,
                    http=wanted.http,
                    raft=wanted.raft,
                    role=wanted.role,
                    token_id=opened.token_id,
                    request_sha256=opened.sha256,
                )
            )
        except Forbidden as refusal:
            raise Forbidden(refusal.message, hint=_NEW_TOKEN) from None
        except Conflict as refusal:
            raise Conflict(
                refusal.message,
                hint="Give the new machine another --name, or stop and remove the old one first.",
            ) from None
        nodes = sorted(self._agreement.state.nodes.values(), key=lambda node: node.name)
        others = [node for node in nodes if node.name != wanted.name and not node.joining]
        answer = JoinAnswer(
            cluster_id=self._agreement.state.cluster_id,
            role=role,
            members={node.name: node.raft for node in others},
            urls=tuple(node.http for node in others),
            certificate_authority=self._authority(),
        )
        return inviting.seal(opened, answer)

    def _check_age(self, opened: OpenedRequest) -> None:
        token = self._agreement.state.join_tokens.get(opened.token_id)
        now = self._agreement.now()
        if token is not None and token.expires_at <= now:
            raise Unauthenticated(
                f"the join token expired on {iso_utc(token.expires_at)}",
                hint=_NEW_TOKEN,
            )
        if token is None and abs(opened.at_ms - milliseconds(now)) > REQUEST_WINDOW_SECONDS * 1000:
            raise Unauthenticated(
                "the new machine's clock is too far from this node's",
                hint="Set its clock, then start it again.",
            )

    def _check(self, request: JoinRequest) -> None:
        """Refuse what could not work: names and addresses that nobody could use."""
        errors = list(name_errors(request.name))
        errors += _address_errors(request)
        if self._authority() and not request.http.startswith("https:"):
            errors.append(
                FieldError(
                    "http",
                    "this cluster requires TLS; make a certificate with `croncord cluster "
                    f"init-tls --name {request.name}` where its CA is, and start the node with "
                    "--tls-cert and --tls-key",
                )
            )
        state = self._agreement.state
        others = [node for node in state.nodes.values() if node.name != request.name]
        if not errors:
            errors += _reach_errors(request, others)
        if errors:
            raise Invalid(errors)
        status = self._agreement.replica.status()
        if request.name in status.members and request.name not in state.nodes:
            raise Conflict(
                f"{request.name} is still being removed", hint="Start it again in a few seconds."
            )
        taken = next((node.name for node in others if node.raft == request.raft), None)
        if taken is not None:
            raise Conflict(
                f"{taken} has the address {request.raft} already",
                hint=f"Give the new node another --raft, or remove {taken} first.",
            )

    def _inviting(self) -> Invitations:
        if self._invitations is None:
            raise Forbidden(
                "this node has no cluster secret, so nobody can join it",
                hint="Start it with --secret-file.",
            )
        return self._invitations

    # Going

    async def remove(self, who: Who, name: str, *, force: bool = False) -> None:
        """Take a node out of the cluster for good; returns when it counts nowhere any more.

        Raises NotFound, Conflict when it has runs in hand or the others would be no majority, and
        NotReady when it is agreed and not in effect yet.
        """
        who.require("admin")
        agreed = await self._agreement.read()
        replica = self._agreement.replica
        if name not in agreed.nodes and name not in replica.status().members:
            raise NotFound(f"no node is named {name[:128]!r}", hint="See the list of nodes.")
        self._check_majority_without(name)
        if name in agreed.nodes:
            await self._agreement.change(
                lambda at: RemoveNode(at=at, by=who.name, name=name, force=force)
            )
        clock = self._agreement.clock
        give_up_at = clock.monotonic() + _REMOVE_SECONDS
        while name in replica.status().members and not replica.status().is_expelled:
            if clock.monotonic() > give_up_at:
                raise NotReady(
                    f"{name} is removed, and still counts as a voter",
                    hint="That ends as soon as a majority of the other nodes answers.",
                )
            await asyncio.sleep(_LOOK_SECONDS)

    def _check_majority_without(self, name: str) -> None:
        status, nodes = self._agreement.replica.status(), self._agreement.state.nodes
        rest = [member for member in status.members if member != name]
        if name not in status.members:
            return
        if not rest:
            raise Conflict(
                f"{name} is the only node that votes",
                hint="Let another machine join first: croncord cluster join-token",
            )
        answering = [member for member in rest if member not in nodes or nodes[member].up]
        if 2 * len(answering) <= len(rest):
            silent = ", ".join(sorted(set(rest) - set(answering)))
            raise Conflict(
                f"without {name}, {len(answering)} of {len(rest)} voters answer, "
                "which is no majority",
                hint=f"Start {silent} again, or remove that first.",
            )


def _address_errors(request: JoinRequest) -> Iterable[FieldError]:
    for field, text in (("http", request.http), ("raft", request.raft)):
        host = _host(field, text)
        if len(text) > _ADDRESS_CHARACTERS_MAX or not host:
            yield FieldError(field, f"{text[:80]!r} is no address")
        elif host in _ANY_ADDRESS:
            yield FieldError(
                field, f"{text} is no address others can call; add --advertise-{field}"
            )


def _host(field: str, text: str) -> str:
    try:
        if field == "http":
            return urlsplit(text).hostname or ""
        return split_address(text, field)[0]
    except (ValueError, ConfigError):
        return ""


def _reach_errors(request: JoinRequest, others: list[Node]) -> Iterable[FieldError]:
    """Refuse to mix nodes that only their own machine can reach with others."""
    for field in ("http", "raft"):
        mine = is_loopback(_host(field, getattr(request, field)))
        for node in others:
            theirs = is_loopback(_host(field, getattr(node, field)))
            if mine and not theirs:
                yield FieldError(
                    field,
                    f"{getattr(request, field)} cannot be reached from {node.name}; start the new "
                    f"node with --{field} and an address of its machine",
                )
                break
            if theirs and not mine:
                yield FieldError(
                    field,
                    f"{node.name} listens on {getattr(node, field)}, which only its own machine "
                    f"can reach; start it with --{field} and an address that others can reach",
                )
                break


def _beside(nodes: list[Node]) -> list[str]:
    """Return what a further node on the same machine needs of its own."""
    used = {split_address(node.raft, "raft")[1] for node in nodes}
    used |= {urlsplit(node.http).port or 0 for node in nodes}
    port = max(used) + 1
    names = {node.name for node in nodes}
    number = len(nodes) + 1
    while f"node-{number}" in names:
        number += 1
    name = f"node-{number}"
    return [
        f"--name {name} --data-dir {name}",
        f"--http 127.0.0.1:{port} --raft 127.0.0.1:{port + 1}",
    ]
