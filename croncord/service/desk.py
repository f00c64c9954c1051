"""The desk: all services around one replica, built once by the daemon."""

from collections.abc import Callable, Mapping, Sequence

from croncord.clock import Clock
from croncord.ports import AuditTrail, Invitations, Ledger, Peers, RunLogs, Sighting, Vault
from croncord.raft.port import Replica
from croncord.service.access import AccessService
from croncord.service.agreement import Agreement
from croncord.service.audit import AuditService
from croncord.service.backfills import BackfillService
from croncord.service.backup import BackupService
from croncord.service.calendars import CalendarService
from croncord.service.cluster import ClusterService
from croncord.service.drills import DrillService, Freezer
from croncord.service.events import EventFeed, EventListener
from croncord.service.figures import FigureService
from croncord.service.job_check import SyntaxCheck
from croncord.service.jobs import JobService
from croncord.service.membership import MembershipService
from croncord.service.notifications import NotificationService
from croncord.service.people import PeopleService
from croncord.service.runs import RunService
from croncord.service.saved_views import SavedViewService
from croncord.service.search import SearchService
from croncord.service.secrets import SecretService
from croncord.service.timeline import TimelineService
from croncord.service.who import Who
from croncord.service.why import WhyService


class Desk:
    """Where people and programs ask for things."""

    def __init__(
        self,
        *,
        name: str,
        replica: Replica,
        clock: Clock,
        ledger: Ledger,
        logs: RunLogs,
        peers: Peers | None,
        sightings: Callable[[], Sequence[Sighting]],
        admin_token_sha256: str,
        check_syntax: SyntaxCheck | None = None,
        invitations: Invitations | None = None,
        audit: AuditTrail | None = None,
        vault: Vault | None = None,
        authority: Callable[[], str] = str,
        freeze: Freezer | None = None,
    ) -> None:
        """Take the ports; `authority` signs the certificate that every node must have, if it must.

        `freeze` has this node stand still for a drill.
        """
        agreement = Agreement(replica, clock)
        self.name = name
        self.clock = clock
        self.replica = replica
        self.logs = logs
        self._events = EventFeed(replica)
        self.audit = AuditService(agreement, audit)
        self.people = PeopleService(agreement)
        self.access = AccessService(agreement, self.people, admin_token_sha256)
        self.cluster = ClusterService(agreement, name, sightings, peers)
        self.backup = BackupService(
            agreement, name, ledger=ledger, logs=logs, audit=audit, peers=peers
        )
        self.drills = DrillService(agreement, name, peers, freeze)
        self.membership = MembershipService(agreement, name, invitations, authority)
        self.runs = RunService(agreement, ledger, logs, peers, name=name, sightings=sightings)
        self.search = SearchService(agreement, self.runs, logs, peers, name)
        self.jobs = JobService(agreement, self.runs, check_syntax)
        self.backfills = BackfillService(agreement)
        self.calendars = CalendarService(agreement)
        self.views = SavedViewService(agreement)
        self.secrets = SecretService(agreement, vault)
        self.notifications = NotificationService(agreement, vault)
        self.why = WhyService(agreement, ledger)
        self.figures = FigureService(agreement, self.cluster, ledger, name)
        self.timeline = TimelineService(agreement, ledger)

    def watch_as(self, who: Who, listener: EventListener) -> Callable[[], None]:
        """Call the listener for each event that the caller may know of; returns how to stop that."""
        return self._events.listen_as(who, listener)

    def watch(self, listener: EventListener) -> Callable[[], None]:
        """Call the listener for each event, on behalf of the node itself; returns how to stop that."""
        return self._events.listen(listener)

    def tell_progress(self, percents: Mapping[str, float]) -> None:
        """Pass on to those who watch how far running scripts are, by run id."""
        self._events.tell_progress(percents)
