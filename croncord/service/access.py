"""Who may come in: tokens, passwords, sessions, one-time links; and who may be let in."""

import hashlib
import hmac
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from croncord.errors import Conflict, FieldError, Invalid, NotFound, NotReady, Unauthenticated
from croncord.fields import read_fields
from croncord.model import Label, Link, Name, Role, Token, User, Value
from croncord.preview import iso_utc
from croncord.raft.commands import PutLink, PutToken, PutUser, RemoveUser, RevokeToken, UseLink
from croncord.service.agreement import Agreement
from croncord.service.passwords import hash_password, is_password, waste_time
from croncord.service.sessions import (
    SESSION_SECONDS,
    Session,
    csrf_token,
    fingerprint,
    seal,
    unseal,
)
from croncord.service.throttle import Throttle
from croncord.service.views import Json, Rows, iso
from croncord.service.who import Who
from croncord.validation import name_errors

LINK_SECONDS = 15 * 60
_SETTING_ID = "admin"
Purpose = Literal["setup", "signin"]


class NewToken(Value, frozen=True, kw_only=True):
    """What a person says about a new token."""

    name: Label
    role: Role = "operator"
    expires_at: datetime | None = None


class NewUser(Value, frozen=True, kw_only=True):
    """What a person says about a new user."""

    name: Name
    role: Role = "operator"
    password: str


class AccessService:
    """Checks callers, and keeps tokens, users and links."""

    def __init__(self, agreement: Agreement, admin_token_sha256: str) -> None:
        self._agreement = agreement
        self._admin_token_sha256 = admin_token_sha256
        self._throttle = Throttle(agreement.clock)

    # Coming in

    async def authenticate_token(self, token: str, address: str) -> Who:
        """Return who holds the token. Raises Unauthenticated."""
        return _token_holder(self._token(token), address)

    def _token(self, secret: str) -> Token:
        """Return the token with that secret. Raises Unauthenticated."""
        digest, now = _sha256(secret), self._agreement.now()
        setting = self._admin_token_sha256
        if setting and hmac.compare_digest(digest, setting):
            return _setting_token(setting, now)
        for known in self._agreement.state.tokens.values():
            if hmac.compare_digest(known.sha256, digest):
                if known.expires_at is not None and known.expires_at <= now:
                    raise Unauthenticated(
                        f"the token {known.name!r} expired on {iso_utc(known.expires_at)}",
                        hint="Ask an admin for a new one.",
                    )
                return known
        raise Unauthenticated(
            "the token is not known", hint="It may have been revoked; ask an admin for a new one."
        )

    async def sign_in(self, name: str, password: str, address: str) -> tuple[Who, str]:
        """Check a password; returns who it is and the session cookie's value.

        Raises Unauthenticated, and Throttled after several failures from the address or for the
        name.
        """
        keys = (f"address:{address}", f"name:{name[:128]}")
        self._throttle.attempt(*keys)
        user = self._agreement.state.users.get(name)
        if user is None:
            await waste_time()
        if user is None or not await is_password(password, user.password):
            raise Unauthenticated("the name or the password is wrong")
        self._throttle.succeeded(*keys)
        return self._begin_user(address, user)

    async def sign_in_token(self, token: str, address: str) -> tuple[Who, str]:
        """Begin a session with an API token's role; returns who it is and the cookie's value.

        Raises Unauthenticated, and Throttled after several wrong tokens from the address.
        """
        key = f"address:{address}"
        self._throttle.attempt(key)
        known = self._token(token)
        self._throttle.succeeded(key)
        who = _token_holder(known, address)
        return self._begin(address, name=who.name, role=who.role, token=known.id)

    def session(self, cookie: str, address: str) -> Who | None:
        """Return whose session the cookie is, with its CSRF token; None when it is none."""
        key = self._agreement.state.session_key
        session = unseal(cookie, key, self._agreement.now().timestamp())
        if session is None:
            return None
        who = self._in_session(session, address)
        return who and replace(who, csrf=csrf_token(session, key))

    def _in_session(self, session: Session, address: str) -> Who | None:
        agreed = self._agreement.state
        if session.token == _SETTING_ID:
            return Who(f"token:{_SETTING_ID}", session.role, address)
        if session.token:
            token = agreed.tokens.get(session.token)
            ends = token.expires_at if token else None
            is_over = ends is not None and ends <= self._agreement.now()
            return None if token is None or is_over else _token_holder(token, address)
        if not session.user:
            return Who("link:signin", session.role, address)
        user = agreed.users.get(session.user)
        is_same = user is not None and fingerprint(user) == session.password
        return Who(f"user:{user.name}", user.role, address) if user and is_same else None

    # One-time links

    async def make_link(self, who: Who | None, purpose: Purpose) -> str:
        """Make a link's secret, good once within 15 minutes; None asks for the node itself."""
        if who is not None:
            who.require("admin")
        secret = secrets.token_urlsafe(24)
        await self._agreement.change(
            lambda at: PutLink(
                at=at,
                by=who.name if who else "",
                link=Link(
                    sha256=_sha256(secret),
                    purpose=purpose,
                    expires_at=at + timedelta(seconds=LINK_SECONDS),
                ),
            ),
            draws_secret=True,
        )
        return secret

    def link_purpose(self, secret: str) -> Purpose:
        """Say what an unused link is for, without using it. Raises NotFound."""
        link = self._agreement.state.links.get(_sha256(secret))
        if link is None or link.expires_at <= self._agreement.now():
            raise NotFound(
                "the link was used already or has expired", hint="Make a new one on the node."
            )
        return link.purpose

    async def use_link(self, secret: str, address: str) -> tuple[Who, str]:
        """Sign in with a link; returns who it is and the session cookie's value. Raises NotFound."""
        await self._spend(secret, "signin")
        return self._begin(address, name="link:signin", role="admin")

    async def set_up(self, secret: str, name: str, password: str, address: str) -> tuple[Who, str]:
        """Create the first admin with a set-up link, and sign in. Raises NotFound, Invalid."""
        user = await self._new_user(name, "admin", password)
        if name in self._agreement.state.users:
            raise Conflict(f"a user named {name!r} exists already", hint="Choose another name.")
        await self._spend(secret, "setup")
        await self._agreement.change(
            lambda at: PutUser(at=at, by="link:setup", user=user, expect_new=True)
        )
        return self._begin_user(address, user)

    async def _spend(self, secret: str, purpose: Purpose) -> None:
        if self.link_purpose(secret) != purpose:
            raise NotFound("the link is for something else", hint="Make a new one on the node.")
        await self._agreement.change(
            lambda at: UseLink(at=at, by=f"link:{purpose}", sha256=_sha256(secret))
        )

    # Tokens and users

    async def create_token(self, who: Who, fields: Json) -> Json:
        """Create an API token; its secret is in this answer and nowhere else."""
        who.require("admin")
        wanted = read_fields(NewToken, fields)
        if errors := list(name_errors(wanted.name)):
            raise Invalid(errors)
        secret = f"croncord_{secrets.token_urlsafe(32)}"
        token_id = secrets.token_hex(6)

        def command(at: datetime) -> PutToken:
            if wanted.expires_at is not None and wanted.expires_at <= at:
                raise Invalid([FieldError("expires_at", "lies in the past")])
            token = Token(
                id=token_id,
                name=wanted.name,
                role=wanted.role,
                sha256=_sha256(secret),
                created_at=at,
                created_by=who.name,
                expires_at=wanted.expires_at,
            )
            return PutToken(at=at, by=who.name, token=token)

        token: Token = await self._agreement.change(command, draws_secret=True)
        return _token_json(token) | {"token": secret}

    async def tokens(self, who: Who) -> Rows:
        """Return all tokens without their secrets."""
        who.require("admin")
        agreed = await self._agreement.read()
        return [_token_json(token) for token in agreed.tokens.values()]

    async def revoke_token(self, who: Who, token_id: str) -> None:
        """Remove a token by id. Raises NotFound."""
        who.require("admin")
        await self._agreement.change(lambda at: RevokeToken(at=at, by=who.name, token_id=token_id))

    async def create_user(self, who: Who, fields: Json) -> Json:
        """Create somebody who signs in with a password. Raises Conflict when the name is taken."""
        who.require("admin")
        wanted = read_fields(NewUser, fields)
        user = await self._new_user(wanted.name, wanted.role, wanted.password)
        await self._agreement.change(
            lambda at: PutUser(at=at, by=who.name, user=user, expect_new=True)
        )
        return _user_json(user)

    async def users(self, who: Who) -> Rows:
        """Return all users."""
        who.require("admin")
        agreed = await self._agreement.read()
        return [_user_json(user) for user in agreed.users.values()]

    async def remove_user(self, who: Who, name: str) -> None:
        """Remove a user; their sessions end. Raises NotFound."""
        who.require("admin")
        await self._agreement.change(lambda at: RemoveUser(at=at, by=who.name, name=name))

    async def _new_user(self, name: str, role: Role, password: str) -> User:
        read_fields(NewUser, {"name": name, "role": role, "password": password})
        if errors := list(name_errors(name)):
            raise Invalid(errors)
        digest = await hash_password(password)
        return User(name=name, role=role, password=digest, created_at=self._agreement.now())

    def _begin_user(self, address: str, user: User) -> tuple[Who, str]:
        name, password = f"user:{user.name}", fingerprint(user)
        return self._begin(address, name=name, role=user.role, user=user.name, password=password)

    def _begin(
        self,
        address: str,
        *,
        name: str,
        role: Role,
        user: str = "",
        password: str = "",
        token: str = "",
    ) -> tuple[Who, str]:
        key = self._agreement.state.session_key
        if not key:
            raise NotReady("the cluster is still being set up", hint="Try again in a few seconds.")
        session = Session(
            id=secrets.token_urlsafe(16),
            user=user,
            token=token,
            role=role,
            expires=int(self._agreement.now().timestamp()) + SESSION_SECONDS,
            password=password,
        )
        return Who(name, role, address, csrf_token(session, key)), seal(session, key)


def _setting_token(sha256: str, now: datetime) -> Token:
    """Return the admin's token that the nodes' settings name, as if it were agreed."""
    return Token(
        id=_SETTING_ID, name="admin", role="admin", sha256=sha256, created_at=now, created_by=""
    )


def _token_holder(token: Token, address: str) -> Who:
    return Who(f"token:{token.name}", token.role, address)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _token_json(token: Token) -> Json:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": iso_utc(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
    }


def _user_json(user: User) -> Json:
    return {"name": user.name, "role": user.role, "created_at": iso_utc(user.created_at)}
