"""The parts of this package as a node runs them."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from croncord.clock import Clock
from croncord.config import Settings
from croncord.notify.heartbeat import Heartbeat
from croncord.notify.notifier import Notifier
from croncord.notify.quorum_alarm import QuorumAlarm
from croncord.notify.sinks import Sinks
from croncord.ports import Vault
from croncord.raft.port import Replica


def notify_parts(
    settings: Settings,
    *,
    replica: Replica,
    clock: Clock,
    vault: Vault,
    on_stop: Callable[[Callable[[], None]], object],
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """Yield what is to run in the background, by name."""
    name = settings.name
    sinks = Sinks(node=name, vault=vault, commands=settings.notify_commands)
    on_stop(sinks.close)
    yield "notifier", Notifier(name=name, replica=replica, clock=clock, send=sinks.send).run()
    yield "heartbeat", Heartbeat(replica=replica, clock=clock, beat=sinks.beat).run()
    yield (
        "quorum-alarm",
        QuorumAlarm(name=name, replica=replica, clock=clock, send=sinks.send).run(),
    )
