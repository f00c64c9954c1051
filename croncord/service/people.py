"""Who may be let in: users with passwords, tokens for programs; their roles, grants and scopes."""

import hashlib
import secrets
from datetime import datetime

import msgspec

from croncord.credentials import Grants, Role, Scope, Scopes, Token, User
from croncord.errors import FieldError, Invalid, NotFound
from croncord.fields import read_fields
from croncord.model import Label, Name, Value
from croncord.preview import iso_utc
from croncord.raft.access_commands import (
    EndSessions,
    PutToken,
    PutUser,
    RemoveUser,
    RevokeToken,
    RotateToken,
)
from croncord.service.agreement import Agreement
from croncord.service.paging import page
from croncord.service.passwords import hash_password
from croncord.service.views import Json, iso
from croncord.service.who import Who
from croncord.validation import name_errors

PREFIX_CHARACTERS = 4
_TOKEN_MARK = "croncord_"  # noqa: S105  # what tokens begin with, so that scanners find them


class NewToken(Value, frozen=True, kw_only=True):
    """What a person says about a new token."""

    name: Label
    role: Role | None = None
    """`operator` if left out; with grants it must be."""
    grants: Grants = ()
    scopes: Scopes = ()
    expires_at: datetime | None = None


class NewUser(Value, frozen=True, kw_only=True):
    """What a person says about a new user."""

    name: Name
    role: Role | None = None
    """`operator` if left out; with grants it must be."""
    grants: Grants = ()
    password: str


class UserChange(Value, frozen=True, kw_only=True):
    """What changes about a user; what is left out stays. Grants are replaced as a whole."""

    role: Role | None = None
    grants: Grants | None = None
    password: str | None = None


class PeopleService:
    """Keeps tokens and users."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    # Tokens

    async def create_token(self, who: Who, fields: Json) -> Json:
        """Create an API token; its secret is in this answer and nowhere else."""
        who.require("admin")
        wanted = read_fields(NewToken, fields)
        if errors := list(name_errors(wanted.name)):
            raise Invalid(errors)
        role = role_with(wanted.role, wanted.grants)
        _check_scopes(role, wanted.grants, wanted.scopes)
        secret, token_id = new_secret(), secrets.token_hex(6)

        def command(at: datetime) -> PutToken:
            if wanted.expires_at is not None and wanted.expires_at <= at:
                raise Invalid([FieldError("expires_at", "lies in the past")])
            token = Token(
                id=token_id,
                name=wanted.name,
                role=role,
                sha256=sha256(secret),
                created_at=at,
                created_by=who.name,
                expires_at=wanted.expires_at,
                grants=wanted.grants,
                scopes=wanted.scopes,
                prefix=_prefix(secret),
            )
            return PutToken(at=at, by=who.name, token=token)

        token: Token = await self._agreement.change(command, draws_secret=True)
        return _token_json(token) | {"token": secret}

    async def rotate_token(self, who: Who, token_id: str) -> Json:
        """Give a token a new secret, told in this answer only; the old one is worthless at once."""
        who.require("admin")
        secret = new_secret()
        token: Token = await self._agreement.change(
            lambda at: RotateToken(
                at=at,
                by=who.name,
                token_id=token_id,
                sha256=sha256(secret),
                prefix=_prefix(secret),
            ),
            draws_secret=True,
        )
        return _token_json(token) | {"token": secret}

    async def tokens(self, who: Who, *, limit: int = 100, cursor: str = "") -> Json:
        """Return a page of tokens by name, without their secrets."""
        who.require("admin")
        agreed = await self._agreement.read()
        found = agreed.tokens.copy_entries().values()
        entries = ((token.name, token.id, token) for token in found)
        shown, next_cursor = page(entries, descending=False, limit=limit, cursor=cursor)
        items = [_token_json(token) for token in shown]
        return {"items": items, "next_cursor": next_cursor, "total": len(found)}

    async def revoke_token(self, who: Who, token_id: str) -> None:
        """Remove a token by id. Raises NotFound."""
        who.require("admin")
        await self._agreement.change(lambda at: RevokeToken(at=at, by=who.name, token_id=token_id))

    # Users

    async def create_user(self, who: Who, fields: Json) -> Json:
        """Create somebody who signs in with a password. Raises Conflict when the name is taken."""
        who.require("admin")
        user = await self.new_user(fields)
        await self._agreement.change(
            lambda at: PutUser(at=at, by=who.name, user=user, expect_new=True)
        )
        return _user_json(user)

    async def change_user(self, who: Who, name: str, fields: Json) -> Json:
        """Change role, grants or password of a user; a new password ends their sessions."""
        who.require("admin")
        change = read_fields(UserChange, fields)
        digest = None if change.password is None else await hash_password(change.password)
        user = (await self._agreement.read()).users.get(name)
        if user is None:
            raise NotFound(f"no user is named {name[:128]!r}", hint="See the list of users.")
        grants = user.grants if change.grants is None else change.grants
        role = change.role
        if role is None and not grants:
            role = "viewer" if user.grants else user.role
        changed = msgspec.structs.replace(
            user,
            role=role_with(role, grants),
            grants=grants,
            password=user.password if digest is None else digest,
        )
        await self._agreement.change(
            lambda at: PutUser(at=at, by=who.name, user=changed, must_exist=True)
        )
        return _user_json(changed)

    async def users(self, who: Who, *, limit: int = 100, cursor: str = "") -> Json:
        """Return a page of users by name."""
        who.require("admin")
        agreed = await self._agreement.read()
        found = agreed.users.copy_entries().values()
        entries = ((user.name, user.name, user) for user in found)
        shown, next_cursor = page(entries, descending=False, limit=limit, cursor=cursor)
        items = [_user_json(user) for user in shown]
        return {"items": items, "next_cursor": next_cursor, "total": len(found)}

    async def remove_user(self, who: Who, name: str) -> None:
        """Remove a user; their sessions end. Raises NotFound."""
        who.require("admin")
        await self._agreement.change(lambda at: RemoveUser(at=at, by=who.name, name=name))

    async def end_sessions(self, who: Who, name: str) -> None:
        """End all sessions of a user, in every browser; anybody may end their own. NotFound."""
        if who.name != f"user:{name}":
            who.require("admin")
        await self._agreement.change(lambda at: EndSessions(at=at, by=who.name, name=name))

    async def new_user(self, fields: Json) -> User:
        """Return the user of these fields, with the password's digest. Raises Invalid."""
        wanted = read_fields(NewUser, fields)
        if errors := list(name_errors(wanted.name)):
            raise Invalid(errors)
        return User(
            name=wanted.name,
            role=role_with(wanted.role, wanted.grants),
            grants=wanted.grants,
            password=await hash_password(wanted.password),
            created_at=self._agreement.now(),
        )


def role_with(role: Role | None, grants: Grants) -> Role:
    """Return the role to keep beside these grants. Raises Invalid for one that contradicts them."""
    if not grants:
        return role or "operator"
    if role not in (None, "viewer"):
        message = "must be left out beside grants: they say what may be done to which jobs"
        raise Invalid([FieldError("role", message)])
    return "viewer"


def new_secret() -> str:
    """Return a new token's secret."""
    return _TOKEN_MARK + secrets.token_urlsafe(32)


def sha256(secret: str) -> str:
    """Return the digest under which a secret is known."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _check_scopes(role: Role, grants: Grants, scopes: Scopes) -> None:
    """Refuse scopes that the role can never fill: somebody would wonder why nothing works."""
    is_operator = role != "viewer" or any(grant.role == "operator" for grant in grants)
    has: dict[Scope, bool] = {
        "read": True,
        "run": is_operator,
        "edit": is_operator,
        "admin": role == "admin",
    }
    wrong = [scope for scope in scopes if not has[scope]]
    if wrong:
        needed = "admin" if wrong[0] == "admin" else "operator"
        raise Invalid([FieldError("scopes", f"{wrong[0]} needs the role {needed}")])


def _prefix(secret: str) -> str:
    return secret[: len(_TOKEN_MARK) + PREFIX_CHARACTERS]


def _token_json(token: Token) -> Json:
    return {
        "id": token.id,
        "name": token.name,
        "prefix": token.prefix,
        "role": token.role,
        "grants": msgspec.to_builtins(token.grants),
        "scopes": list(token.scopes),
        "created_at": iso_utc(token.created_at),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "rotated_at": iso(token.rotated_at),
    }


def _user_json(user: User) -> Json:
    return {
        "name": user.name,
        "role": user.role,
        "grants": msgspec.to_builtins(user.grants),
        "created_at": iso_utc(user.created_at),
    }
