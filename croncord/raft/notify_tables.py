"""The agreed tables about notifications: a part of the cluster's state."""

from croncord.notification import Channel, Delivery, NotifySettings, Watch
from croncord.raft.table import Table

NOTIFY_KEY = "cluster"


class NotifyTables:
    """Mixed into `croncord.raft.state.ClusterState`."""

    def __init__(self) -> None:
        self.channels: Table[Channel] = Table()
        self.notify_settings: Table[NotifySettings] = Table()
        """At most one entry, named `cluster`; see `notify_rule`."""
        self.watches: Table[Watch] = Table()
        """Of the jobs that are in trouble, or must succeed within some time."""
        self.deliveries: Table[Delivery] = Table()
        """Notices that no channel has taken yet, oldest first."""
        self.delivered: Table[Delivery] = Table()
        """The last ones that were taken, or dropped."""

    @property
    def notify_rule(self) -> NotifySettings:
        """The cluster's own settings for notifications."""
        return self.notify_settings.get(NOTIFY_KEY) or NotifySettings()
