"""Notifications: channels, the cluster's own settings, and what was told to whom."""

import secrets
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from croncord.clock import to_milliseconds
from croncord.errors import FieldError, Invalid, NotReady
from croncord.fields import read_fields
from croncord.model import milliseconds
from croncord.notice_text import headline
from croncord.notification import (
    CHANNEL_SEAL,
    HEARTBEAT_SEAL,
    SMTP_SEAL,
    Channel,
    ChannelName,
    Heartbeat,
    MailAddress,
    NotifySettings,
    Smtp,
)
from croncord.ports import Vault
from croncord.raft.notify_commands import DeleteChannel, PutChannel, SendTest, SetNotifySettings
from croncord.service.agreement import Agreement
from croncord.service.lookup import find_job, seen_jobs, sees_job_id
from croncord.service.notify_views import (
    ChannelBody,
    ChannelView,
    HeartbeatBody,
    NotifySettingsBody,
    SmtpBody,
    channel_view,
    notification_view,
    settings_view,
)
from croncord.service.paging import page
from croncord.service.views import Json, Rows
from croncord.service.who import Who

State = Literal["", "pending", "delivered", "dropped"]


class NotificationService:
    """What people see and do of notifications."""

    def __init__(self, agreement: Agreement, vault: Vault | None) -> None:
        self._agreement = agreement
        self._vault = vault

    # What was told

    async def list(
        self,
        who: Who,
        *,
        job: str = "",
        state: State = "",
        limit: int = 100,
        cursor: str = "",
        stale: bool = False,
    ) -> Json:
        """Return a page of deliveries, newest first: those that wait, and the last that are over."""
        who.require("viewer")
        agreed = await self._agreement.read(stale=stale)
        job_id = find_job(agreed, who, job).id if job else ""
        found = [
            delivery
            for table in (agreed.deliveries, agreed.delivered)
            for delivery in table.values()
            if (not job_id or delivery.notice.job_id == job_id)
            and (not state or delivery.state == state)
            and sees_job_id(agreed, who, delivery.notice.job_id)
        ]
        shown, next_cursor = page(
            ((milliseconds(it.created_at), it.id, it) for it in found),
            descending=True,
            limit=limit,
            cursor=cursor,
        )
        items = [notification_view(it, headline(it.notice)) for it in shown]
        return {
            "items": msgspec.to_builtins(items),
            "next_cursor": next_cursor,
            "pending": sum(delivery.state == "pending" for delivery in found),
        }

    # Channels

    async def channels(self, who: Who, *, stale: bool = False) -> Rows:
        """Return the channels by name, for those who may name them in jobs."""
        who.require_some_job("edit")
        agreed = await self._agreement.read(stale=stale)
        return [self._channel(who, channel) for _, channel in sorted(agreed.channels.items())]

    async def put_channel(self, who: Who, name: str, fields: Json) -> Json:
        """Create a channel or replace it. Raises Invalid."""
        who.require("admin")
        _check_name(name)
        body = read_fields(ChannelBody, fields)
        old = (await self._agreement.read()).channels.get(name)
        kept = old if old is not None and old.kind == body.kind == "webhook" else None
        if errors := _channel_errors(body, is_kept=kept is not None):
            raise Invalid(errors)
        sealed, key_id, shown = b"", "", body.command or ", ".join(body.to)
        if body.url:
            sealed, key_id = self._seal(f"{CHANNEL_SEAL}{name}", body.url)
            shown = _shown(body.url)
        elif kept is not None:
            sealed, key_id, shown = kept.sealed, kept.key_id, kept.shown

        def command(at: datetime) -> PutChannel:
            channel = Channel(
                name=name,
                kind=body.kind,
                shown=shown,
                sealed=sealed,
                key_id=key_id,
                to=body.to,
                command=body.command,
                updated_at=at,
                updated_by=who.name,
            )
            return PutChannel(at=at, by=who.name, channel=channel)

        return self._channel(who, await self._agreement.change(command))

    async def delete_channel(self, who: Who, name: str) -> None:
        """Delete a channel. Raises NotFound; Conflict while a job or the settings name it."""
        who.require("admin")
        await self._agreement.change(lambda at: DeleteChannel(at=at, by=who.name, name=name))

    async def test(self, who: Who, name: str) -> Json:
        """Send a notice to a channel to see whether it arrives. Raises NotFound."""
        who.require("admin")
        key = f"test-{secrets.token_hex(8)}"
        delivery = await self._agreement.change(
            lambda at: SendTest(at=at, by=who.name, delivery_id=key, channel=name)
        )
        shown: Json = msgspec.to_builtins(notification_view(delivery, headline(delivery.notice)))
        return shown

    # Settings

    async def settings(self, who: Who, *, stale: bool = False) -> Json:
        """Return the cluster's own settings."""
        who.require("admin")
        return _settings((await self._agreement.read(stale=stale)).notify_rule)

    async def put_settings(self, who: Who, fields: Json) -> Json:
        """Replace the cluster's own settings; what is secret stays unless it is given."""
        who.require("admin")
        body = read_fields(NotifySettingsBody, fields)
        old = (await self._agreement.read()).notify_rule
        if errors := [*_smtp_errors(body.smtp, old.smtp), *_url_errors(body)]:
            raise Invalid(errors)
        smtp, heartbeat = self._smtp(body.smtp, old.smtp), self._heartbeat(body.heartbeat, old)

        def command(at: datetime) -> SetNotifySettings:
            settings = NotifySettings(
                on=tuple(dict.fromkeys(body.on)),
                channels=tuple(dict.fromkeys(body.channels)),
                smtp=smtp,
                heartbeat=heartbeat,
                no_quorum=body.no_quorum,
                url=body.url,
                updated_at=to_milliseconds(at),
                updated_by=who.name,
            )
            return SetNotifySettings(at=at, by=who.name, settings=settings)

        return _settings(await self._agreement.change(command))

    def _smtp(self, body: SmtpBody, old: Smtp) -> Smtp:
        sealed, key_id = (old.sealed, old.key_id) if body.username else (b"", "")
        if body.username and body.password is not None:
            sealed, key_id = self._seal(SMTP_SEAL, body.password)
        return Smtp(
            host=body.host,
            port=body.port,
            security=body.security,
            sender=body.sender,
            username=body.username,
            sealed=sealed,
            key_id=key_id,
        )

    def _heartbeat(self, body: HeartbeatBody, old: NotifySettings) -> Heartbeat:
        every = body.every_seconds
        if body.url is None:
            return msgspec.structs.replace(old.heartbeat, every_seconds=every)
        if not body.url:
            return Heartbeat(every_seconds=every)
        sealed, key_id = self._seal(HEARTBEAT_SEAL, body.url)
        return Heartbeat(shown=_shown(body.url), sealed=sealed, key_id=key_id, every_seconds=every)

    def _seal(self, name: str, value: str) -> tuple[bytes, str]:
        if self._vault is None:
            raise NotReady("this node has no key to seal secrets with")
        return self._vault.seal(name, value), self._vault.key_id

    def _channel(self, who: Who, channel: Channel) -> Json:
        agreed = self._agreement.state
        users = [
            job.name for job in seen_jobs(agreed, who) if channel.name in job.spec.notify.channels
        ]
        is_sealed_for_us = self._vault is not None and self._vault.opens(channel.key_id)
        view: ChannelView = channel_view(
            channel,
            is_default=channel.name in agreed.notify_rule.channels,
            jobs=sorted(users),
            is_readable=channel.kind != "webhook" or is_sealed_for_us,
        )
        fields: Json = msgspec.to_builtins(view)
        return fields


def _settings(settings: NotifySettings) -> Json:
    fields: Json = msgspec.to_builtins(settings_view(settings))
    return fields


class _Named(msgspec.Struct):
    name: ChannelName


def _check_name(name: str) -> None:
    try:
        msgspec.convert({"name": name}, _Named)
    except msgspec.ValidationError:
        message = "must be letters, digits and `._-`, at most 64, beginning with a letter or digit"
        raise Invalid([FieldError("name", message)]) from None
    if name.endswith("\n"):  # which `$` lets pass
        raise Invalid([FieldError("name", "must not end in a line end")])


def _channel_errors(body: ChannelBody, *, is_kept: bool) -> list[FieldError]:
    given = {"webhook": body.url, "email": body.to, "command": body.command}
    names = {"webhook": "url", "email": "to", "command": "command"}
    wrong = [
        FieldError(names[kind], f"is not for a channel of kind {body.kind}")
        for kind, value in given.items()
        if value and kind != body.kind
    ]
    if not given[body.kind] and not is_kept:
        wrong.append(FieldError(names[body.kind], f"is needed for a channel of kind {body.kind}"))
    if body.url and (message := _wrong_url(body.url)):
        wrong.append(FieldError("url", message))
    return wrong


def _url_errors(body: NotifySettingsBody) -> list[FieldError]:
    urls = {"url": body.url, "heartbeat.url": body.heartbeat.url}
    return [
        FieldError(field, message)
        for field, url in urls.items()
        if url and (message := _wrong_url(url))
    ]


def _smtp_errors(body: SmtpBody, old: Smtp) -> list[FieldError]:
    wrong: list[FieldError] = []
    if not body.host:
        return wrong
    if not body.host.isprintable() or any(c.isspace() or c in "/@" for c in body.host):
        wrong.append(FieldError("smtp.host", "must be the name or address of a host"))
    try:
        msgspec.convert({"sender": body.sender}, _Sender)
    except msgspec.ValidationError:
        message = "must be a mail address such as cron@example.com"
        wrong.append(FieldError("smtp.sender", message))
    if body.username and body.security == "none":
        message = "must be starttls or tls, or the password would be sent in the clear"
        wrong.append(FieldError("smtp.security", message))
    if body.username and body.password is None and not old.sealed:
        wrong.append(FieldError("smtp.password", "is needed with a user name"))
    elif body.username and body.password is None and body.host != old.host:
        message = "has to be given again for another host"
        wrong.append(FieldError("smtp.password", message))
    return wrong


class _Sender(msgspec.Struct):
    sender: MailAddress


def _wrong_url(url: str) -> str:
    """Return what is wrong with an address, empty if nothing is."""
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not url.isprintable() or any(c.isspace() for c in url):
        return "must be a web address such as https://hooks.example.com/abc"
    return "must have no fragment" if parts.fragment else ""


def _shown(url: str) -> str:
    """Return the part of an address that is no secret: not its path, query, user or password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + "/…"
