"""Coming in: tokens, passwords, sessions, one-time links; and going out."""

import hmac
import logging
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from croncord.credentials import Link, Role, Token, User
from croncord.errors import Conflict, FieldError, Invalid, NotFound, NotReady, Unauthenticated
from croncord.fields import read_fields
from croncord.model import Value
from croncord.preview import iso_utc
from croncord.raft.access_commands import ChangePassword, EndSession, PutLink, PutUser, UseLink
from croncord.service.agreement import Agreement
from croncord.service.passwords import hash_password, is_password, waste_time
from croncord.service.people import PeopleService, sha256
from croncord.service.sessions import (
    SESSION_SECONDS,
    Session,
    csrf_token,
    ending_of,
    fingerprint,
    seal,
    unseal,
)
from croncord.service.throttle import Throttle
from croncord.service.views import Json
from croncord.service.who import Who

LINK_SECONDS = 15 * 60
_SETTING_ID = "admin"
Purpose = Literal["setup", "signin"]

_log = logging.getLogger(__name__)


class PasswordChange(Value, frozen=True, kw_only=True):
    """What a user says who wants another password."""

    current_password: str
    password: str


class AccessService:
    """Checks callers, and lets them in and out."""

    def __init__(
        self, agreement: Agreement, people: PeopleService, admin_token_sha256: str
    ) -> None:
        self._agreement = agreement
        self._people = people
        self._admin_token_sha256 = admin_token_sha256
        self._throttle = Throttle(agreement.clock)

    # Coming in

    async def authenticate_token(self, token: str, address: str) -> Who:
        """Return who holds the token. Raises Unauthenticated."""
        return _token_holder(self._token(token), address)

    def _token(self, secret: str) -> Token:
        """Return the token with that secret. Raises Unauthenticated."""
        digest, now = sha256(secret), self._agreement.now()
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
            _tell_failure(f"user:{name[:128]}", address)
            raise Unauthenticated("the name or the password is wrong")
        self._throttle.succeeded(*keys)
        return self._begin_user(address, user)

    async def change_password(self, who: Who, name: str, fields: Json) -> str:
        """Have a user choose another password, who knows the present one: it is what proves them.

        Returns the value of a new session's cookie; all sessions that there were have ended.
        Raises Invalid, and Throttled as `sign_in` does; NotFound for admins, who know all users.
        """
        who.require_scope("admin")
        wanted = read_fields(PasswordChange, fields)
        keys = (f"address:{who.address}", f"name:{name[:128]}")
        self._throttle.attempt(*keys)
        user = (await self._agreement.read()).users.get(name)
        if user is None:
            if who.may("admin"):
                raise NotFound(f"no user is named {name[:128]!r}", hint="See the list of users.")
            await waste_time()
        if user is None or not await is_password(wanted.current_password, user.password):
            _tell_failure(f"user:{name[:128]}", who.address)
            raise Invalid([FieldError("current_password", "is not the password of that user")])
        self._throttle.succeeded(*keys)
        digest = await hash_password(wanted.password)
        changed: User = await self._agreement.change(
            lambda at: ChangePassword(
                at=at, by=who.name, name=name, known=user.password, password=digest
            )
        )
        return self._begin_user(who.address, changed)[1]

    async def sign_in_token(self, token: str, address: str) -> tuple[Who, str]:
        """Begin a session with what an API token may; returns who it is and the cookie's value.

        Raises Unauthenticated, and Throttled after several wrong tokens from the address.
        """
        key = f"address:{address}"
        self._throttle.attempt(key)
        try:
            known = self._token(token)
        except Unauthenticated:
            _tell_failure("token", address)
            raise
        self._throttle.succeeded(key)
        who = _token_holder(known, address)
        return self._begin(who, token=known.id, password=fingerprint(known))

    def session(self, cookie: str, address: str) -> Who | None:
        """Return whose session the cookie is, with its CSRF token; None when it is none."""
        session = self._unseal(cookie)
        if session is None:
            return None
        who = self._in_session(session, address)
        return who and replace(who, csrf=csrf_token(session, self._agreement.state.session_key))

    async def end_session(self, who: Who, cookie: str) -> None:
        """Make the cookie worthless on every node, wherever a copy of it may be."""
        session = self._unseal(cookie)
        if session is not None:
            ending = ending_of(session)
            await self._agreement.change(
                lambda at: EndSession(at=at, by=who.name, session=ending.digest, until=ending.until)
            )

    def _unseal(self, cookie: str) -> Session | None:
        key = self._agreement.state.session_key
        session = unseal(cookie, key, self._agreement.now().timestamp())
        if session is None or ending_of(session).digest in self._agreement.state.ended_sessions:
            return None
        return session

    def _in_session(self, session: Session, address: str) -> Who | None:
        agreed = self._agreement.state
        if session.token == _SETTING_ID:
            return Who(f"token:{_SETTING_ID}", session.role, address)
        if session.token:
            token = agreed.tokens.get(session.token)
            ends = token.expires_at if token else None
            is_over = ends is not None and ends <= self._agreement.now()
            is_same = token is not None and session.password == fingerprint(token)
            return _token_holder(token, address) if token and is_same and not is_over else None
        if not session.user:
            return Who("link:signin", session.role, address)
        user = agreed.users.get(session.user)
        is_same = user is not None and fingerprint(user) == session.password
        return _person(user, address) if user and is_same else None

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
                    sha256=sha256(secret),
                    purpose=purpose,
                    expires_at=at + timedelta(seconds=LINK_SECONDS),
                ),
            ),
            draws_secret=True,
        )
        return secret

    def link_purpose(self, secret: str) -> Purpose:
        """Say what an unused link is for, without using it. Raises NotFound."""
        link = self._agreement.state.links.get(sha256(secret))
        if link is None or link.expires_at <= self._agreement.now():
            raise NotFound(
                "the link was used already or has expired", hint="Make a new one on the node."
            )
        return link.purpose

    async def use_link(self, secret: str, address: str) -> tuple[Who, str]:
        """Sign in with a link; returns who it is and the session cookie's value. Raises NotFound."""
        await self._spend(secret, "signin")
        return self._begin(Who("link:signin", "admin", address))

    async def set_up(self, secret: str, name: str, password: str, address: str) -> tuple[Who, str]:
        """Create the first admin with a set-up link, and sign in. Raises NotFound, Invalid."""
        user = await self._people.new_user({"name": name, "role": "admin", "password": password})
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
            lambda at: UseLink(at=at, by=f"link:{purpose}", sha256=sha256(secret))
        )

    def _begin_user(self, address: str, user: User) -> tuple[Who, str]:
        return self._begin(_person(user, address), user=user.name, password=fingerprint(user))

    def _begin(
        self, who: Who, *, user: str = "", password: str = "", token: str = ""
    ) -> tuple[Who, str]:
        key = self._agreement.state.session_key
        if not key:
            raise NotReady("the cluster is still being set up", hint="Try again in a few seconds.")
        session = Session(
            id=secrets.token_urlsafe(16),
            user=user,
            token=token,
            role=who.role,
            expires=int(self._agreement.now().timestamp()) + SESSION_SECONDS,
            password=password,
        )
        return replace(who, csrf=csrf_token(session, key)), seal(session, key)


def _setting_token(sha256: str, now: datetime) -> Token:
    """Return the admin's token that the nodes' settings name, as if it were agreed."""
    role: Role = "admin"
    return Token(
        id=_SETTING_ID, name="admin", role=role, sha256=sha256, created_at=now, created_by=""
    )


def _token_holder(token: Token, address: str) -> Who:
    name = f"token:{token.name}"
    return Who(name, token.role, address, grants=token.grants, scopes=token.scopes)


def _person(user: User, address: str) -> Who:
    return Who(f"user:{user.name}", user.role, address, grants=user.grants)


def _tell_failure(name: str, address: str) -> None:
    _log.warning(
        "sign-in refused: %r from %s", name, address, extra={"by": name, "address": address}
    )
