"""What the commands about tokens, users, sessions and links do to the state."""

import msgspec

from croncord.raft.access_commands import (
    ChangePassword,
    EndSession,
    EndSessions,
    PutLink,
    PutToken,
    PutUser,
    RemoveUser,
    RevokeToken,
    RotateToken,
    UseLink,
)
from croncord.raft.state import ClusterState, Outcome, refuse


def put_token(state: ClusterState, command: PutToken) -> Outcome:
    """Store a token."""
    state.tokens[command.token.id] = command.token
    return Outcome(command.token)


def revoke_token(state: ClusterState, command: RevokeToken) -> Outcome:
    """Remove a token."""
    token = state.tokens.pop(command.token_id, None)
    return refuse("not_found", "no such token") if token is None else Outcome(token)


def rotate_token(state: ClusterState, command: RotateToken) -> Outcome:
    """Replace a token's secret."""
    token = state.tokens.get(command.token_id)
    if token is None:
        return refuse("not_found", "no such token")
    token = msgspec.structs.replace(
        token, sha256=command.sha256, prefix=command.prefix, rotated_at=command.at
    )
    state.tokens[token.id] = token
    return Outcome(token)


def put_user(state: ClusterState, command: PutUser) -> Outcome:
    """Create or replace a user."""
    if command.expect_new and command.user.name in state.users:
        return refuse("conflict", f"a user named {command.user.name!r} exists already", "name")
    if command.must_exist and command.user.name not in state.users:
        return refuse("not_found", "the user was removed meanwhile")
    state.users[command.user.name] = command.user
    return Outcome(command.user)


def change_password(state: ClusterState, command: ChangePassword) -> Outcome:
    """Replace the password, if it is still the one that was known."""
    user = state.users.get(command.name)
    if user is None:
        return refuse("not_found", "the user was removed meanwhile")
    if user.password != command.known:
        return refuse("conflict", "the password was changed meanwhile", "current_password")
    changed = msgspec.structs.replace(user, password=command.password)
    state.users[command.name] = changed
    return Outcome(changed)


def remove_user(state: ClusterState, command: RemoveUser) -> Outcome:
    """Remove a user."""
    user = state.users.pop(command.name, None)
    if user is None:
        return refuse("not_found", "no such user")
    state.views.pop(f"user:{command.name}", None)  # not for the next one of that name
    return Outcome(user)


def end_session(state: ClusterState, command: EndSession) -> Outcome:
    """Remember the session until its cookie expires, and forget those that did."""
    for key, until in list(state.ended_sessions.items()):
        if until <= command.at:
            del state.ended_sessions[key]
    state.ended_sessions[command.session] = command.until
    return Outcome(None)


def end_sessions(state: ClusterState, command: EndSessions) -> Outcome:
    """Make all cookies of a user worthless."""
    user = state.users.get(command.name)
    if user is None:
        return refuse("not_found", "no such user")
    user = msgspec.structs.replace(user, epoch=user.epoch + 1)
    state.users[user.name] = user
    return Outcome(user)


def put_link(state: ClusterState, command: PutLink) -> Outcome:
    """Store a link and drop those that expired."""
    for key, link in list(state.links.items()):
        if link.expires_at <= command.at:
            del state.links[key]
    state.links[command.link.sha256] = command.link
    return Outcome(command.link)


def use_link(state: ClusterState, command: UseLink) -> Outcome:
    """Spend a link."""
    link = state.links.pop(command.sha256, None)
    if link is None or link.expires_at <= command.at:
        return refuse("not_found", "the link was used already or has expired")
    return Outcome(link)
