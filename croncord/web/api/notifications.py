"""`/api/v1/notifications`: what was told to whom, the channels, and the cluster's own settings."""

from aiohttp import web

from croncord.service.notifications import State
from croncord.service.notify_views import (
    ChannelBody,
    ChannelView,
    NotificationView,
    NotifySettingsBody,
    NotifySettingsView,
)
from croncord.service.views import View
from croncord.web.api.endpoint import (
    Call,
    Endpoint,
    NoQuery,
    ReadQuery,
    json_answer,
    no_content,
)

NOTIFICATIONS = "/api/v1/notifications"
CHANNELS = NOTIFICATIONS + "/channels"
CHANNEL = CHANNELS + "/{channel}"
SETTINGS = NOTIFICATIONS + "/settings"


class NotificationQuery(ReadQuery, frozen=True, kw_only=True):
    """Which notices."""

    job: str = ""
    """Name or id."""
    state: State = ""
    limit: int = 100
    cursor: str = ""


class NotificationPage(View, frozen=True, kw_only=True):
    """A page of notices, newest first."""

    items: list[NotificationView]
    next_cursor: str | None
    pending: int
    """How many of those asked for wait, on all pages."""


class ChannelList(View, frozen=True, kw_only=True):
    """All channels, by name."""

    items: list[ChannelView]


async def list_notifications(call: Call[NotificationQuery]) -> web.Response:
    """GET /notifications."""
    query = call.query
    return json_answer(
        await call.desk.notifications.list(
            call.who,
            job=query.job,
            state=query.state,
            limit=query.limit,
            cursor=query.cursor,
            stale=bool(query.stale),
        )
    )


async def list_channels(call: Call[ReadQuery]) -> web.Response:
    """GET /notifications/channels."""
    stale = bool(call.query.stale)
    return json_answer({"items": await call.desk.notifications.channels(call.who, stale=stale)})


async def put_channel(call: Call[NoQuery]) -> web.Response:
    """PUT /notifications/channels/{channel}."""
    name, fields = call.part("channel"), await call.fields()
    return json_answer(await call.desk.notifications.put_channel(call.who, name, fields))


async def delete_channel(call: Call[NoQuery]) -> web.Response:
    """DELETE /notifications/channels/{channel}."""
    await call.desk.notifications.delete_channel(call.who, call.part("channel"))
    return no_content()


async def test_channel(call: Call[NoQuery]) -> web.Response:
    """POST /notifications/channels/{channel}/test."""
    made = await call.desk.notifications.test(call.who, call.part("channel"))
    return json_answer(made, status=202)


async def settings(call: Call[ReadQuery]) -> web.Response:
    """GET /notifications/settings."""
    stale = bool(call.query.stale)
    return json_answer(await call.desk.notifications.settings(call.who, stale=stale))


async def put_settings(call: Call[NoQuery]) -> web.Response:
    """PUT /notifications/settings."""
    return json_answer(await call.desk.notifications.put_settings(call.who, await call.fields()))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=NOTIFICATIONS,
        handler=list_notifications,
        summary="What was told to whom, each attempt, and what waits",
        query=NotificationQuery,
        answer=NotificationPage,
    ),
    Endpoint(
        method="GET",
        path=SETTINGS,
        handler=settings,
        summary="The cluster's own settings for notifications",
        role="admin",
        query=ReadQuery,
        answer=NotifySettingsView,
    ),
    Endpoint(
        method="PUT",
        path=SETTINGS,
        handler=put_settings,
        summary="Replace them; passwords and addresses that are left out stay",
        role="admin",
        body=NotifySettingsBody,
        answer=NotifySettingsView,
    ),
    Endpoint(
        method="GET",
        path=CHANNELS,
        handler=list_channels,
        summary="List the channels that notices go to",
        role="operator",
        query=ReadQuery,
        answer=ChannelList,
    ),
    Endpoint(
        method="PUT",
        path=CHANNEL,
        handler=put_channel,
        summary="Create a channel, or replace it",
        role="admin",
        body=ChannelBody,
        answer=ChannelView,
    ),
    Endpoint(
        method="DELETE",
        path=CHANNEL,
        handler=delete_channel,
        summary="Delete a channel that nobody names",
        role="admin",
        status=204,
    ),
    Endpoint(
        method="POST",
        path=CHANNEL + "/test",
        handler=test_channel,
        summary="Send a notice to a channel to see whether it arrives",
        role="admin",
        answer=NotificationView,
        status=202,
    ),
)
