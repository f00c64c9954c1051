"""From a channel and a notice to whatever takes it there."""

from collections.abc import Mapping

from croncord.errors import StoreError
from croncord.notice_text import payload
from croncord.notification import (
    CHANNEL_SEAL,
    HEARTBEAT_SEAL,
    SMTP_SEAL,
    Channel,
    Delivery,
)
from croncord.notify import webhook
from croncord.notify.command import run_command
from croncord.notify.mail import Mailer, compose
from croncord.notify.undelivered import Undelivered
from croncord.ports import Vault
from croncord.raft.state import ClusterState


class Sinks:
    """The ways out of one node."""

    def __init__(self, *, node: str, vault: Vault, commands: Mapping[str, str]) -> None:
        self._node = node
        self._vault = vault
        self._commands = commands
        self._mailer = Mailer()

    async def send(self, state: ClusterState, channel: Channel, delivery: Delivery) -> None:
        """Hand the notice to the channel. Raises Undelivered."""
        url, cluster_id = state.notify_rule.url, state.cluster_id
        body = payload(delivery.id, delivery.notice, cluster_id=cluster_id, url=url)
        if channel.kind == "webhook":
            address = self._open(f"{CHANNEL_SEAL}{channel.name}", channel.sealed)
            await webhook.post_json(address, body, key=delivery.id)
        elif channel.kind == "command":
            await run_command(self._commands, channel.command, body, node=self._node)
        else:
            smtp = state.notify_rule.smtp
            if not smtp.host:
                message = "the cluster's settings name no SMTP server"
                raise Undelivered(message, reached=False)
            password = self._open(SMTP_SEAL, smtp.sealed) if smtp.username else ""
            message_ = compose(
                delivery, sender=smtp.sender, to=channel.to, cluster_id=cluster_id, url=url
            )
            await self._mailer.send(smtp, password, message_)

    async def beat(self, state: ClusterState) -> None:
        """Call the heartbeat's address. Raises Undelivered."""
        await webhook.call(self._open(HEARTBEAT_SEAL, state.notify_rule.heartbeat.sealed))

    def close(self) -> None:
        """Let go of everything."""
        self._mailer.close()

    def _open(self, name: str, sealed: bytes) -> str:
        try:
            return self._vault.open(name, sealed)
        except StoreError:
            message = "its address cannot be read: the cluster secret was changed, set it again"
            raise Undelivered(message, reached=False) from None
