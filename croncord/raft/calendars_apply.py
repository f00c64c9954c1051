"""What the commands about calendars do to the state."""

from croncord.model import Calendar
from croncord.raft.commands import DeleteCalendar, PutCalendar
from croncord.raft.state import ClusterState, Outcome, few, refuse

CALENDARS_MAX = 1000


def put_calendar(state: ClusterState, command: PutCalendar) -> Outcome:
    """Create or replace."""
    name = command.calendar.name
    if name not in state.calendars and len(state.calendars) >= CALENDARS_MAX:
        return refuse("conflict", f"there are {CALENDARS_MAX} calendars already")
    calendar = Calendar(spec=command.calendar, updated_at=command.at, updated_by=command.by)
    state.calendars[name] = calendar
    return Outcome(calendar)


def delete_calendar(state: ClusterState, command: DeleteCalendar) -> Outcome:
    """Remove one that no job names."""
    calendar = state.calendars.get(command.name)
    if calendar is None:
        return refuse("not_found", f"no calendar is named {command.name!r}")
    users = [job.name for job in state.jobs.values() if command.name in job.spec.calendars]
    if users:
        return refuse("conflict", f"the calendar is used by {few(users)}")
    del state.calendars[command.name]
    return Outcome(calendar)
