"""What the commands about notifications do to the state. Addresses are sealed before they come here."""

import msgspec

from croncord.notification import Delivery, DeliveryAttempt, Notice, Watch
from croncord.notify_rules import KEPT_FOR, is_overdue, next_try, takes_too_long, with_long_run
from croncord.raft.notify_commands import (
    DeleteChannel,
    DeliveryResult,
    PutChannel,
    RaiseAlarms,
    RecordDeliveries,
    SendTest,
    SetNotifySettings,
)
from croncord.raft.notify_tables import NOTIFY_KEY
from croncord.raft.runs_apply import outdated
from croncord.raft.state import ClusterState, Outcome, few, refuse
from croncord.raft.watching import finish, keep_watch, post, tell_of_alarm, unknown_channel

CHANNELS_MAX = 200
ATTEMPTS_KEPT = 10
_ERROR_CHARACTERS = 500


def put_channel(state: ClusterState, command: PutChannel) -> Outcome:
    """Create or replace; what waits for it goes to where it leads from now on."""
    name = command.channel.name
    if name not in state.channels and len(state.channels) >= CHANNELS_MAX:
        return refuse("conflict", f"there are {CHANNELS_MAX} channels already")
    state.channels[name] = command.channel
    return Outcome(command.channel)


def delete_channel(state: ClusterState, command: DeleteChannel) -> Outcome:
    """Remove one that nobody names; what waits for it is dropped."""
    channel = state.channels.get(command.name)
    if channel is None:
        return refuse("not_found", f"no channel is named {command.name!r}")
    if command.name in state.notify_rule.channels:
        return refuse("conflict", "it is one of the cluster's own channels; change the settings")
    jobs = state.jobs.values()
    users = [job.name for job in jobs if command.name in job.spec.notify.channels]
    if users:
        return refuse("conflict", f"the channel is used by {few(users)}")
    del state.channels[command.name]
    for delivery in [*state.deliveries.values()]:
        if delivery.channel == command.name:
            finish(state, delivery, command.at, dropped="its channel was deleted")
    return Outcome(channel)


def set_notify_settings(state: ClusterState, command: SetNotifySettings) -> Outcome:
    """Replace the settings."""
    if unknown := unknown_channel(state, command.settings.channels):
        return refuse("invalid", f"no channel is named {unknown!r}", "channels")
    state.notify_settings[NOTIFY_KEY] = command.settings
    return Outcome(command.settings)


def send_test(state: ClusterState, command: SendTest) -> Outcome:
    """Put a notice on its way that only says that it arrives; the value is its delivery."""
    if command.channel not in state.channels:
        return refuse("not_found", f"no channel is named {command.channel!r}")
    notice = Notice(kind="test", at=command.at, detail=command.by)
    return Outcome(post(state, command.delivery_id, command.channel, notice, command.at))


def raise_alarms(state: ClusterState, command: RaiseAlarms) -> Outcome:
    """Tell what is true now and was not told; the value holds the ids of those jobs and runs."""
    if refusal := outdated(state, command):
        return refusal
    told: list[str] = []
    for job_id in command.late:
        job, watch = state.jobs.get(job_id), state.watches.get(job_id)
        if job is None or watch is None or not is_overdue(job, watch, command.at):
            continue
        tell_of_alarm(state, job, command.at, None)
        keep_watch(state, job_id, watch, msgspec.structs.replace(watch, is_late=True))
        told.append(job_id)
    for run_id in command.too_long:
        run = state.open_runs.get(run_id)
        job = state.jobs.get(run.job_id) if run is not None else None
        if run is None or job is None:
            continue
        watch = state.watches.get(job.id, Watch())
        if not takes_too_long(job, run, watch, command.at):
            continue
        tell_of_alarm(state, job, command.at, run)
        keep_watch(state, job.id, watch, with_long_run(job, run, watch))
        told.append(run_id)
    return Outcome(tuple(told))


def record_deliveries(state: ClusterState, command: RecordDeliveries) -> Outcome:
    """Confirm and note; the value holds the ids that changed."""
    if refusal := outdated(state, command):
        return refusal
    changed: list[str] = []
    for result in command.results:
        delivery = state.deliveries.get(result.delivery_id)
        if delivery is not None:
            _record(state, delivery, result, command)
            changed.append(delivery.id)
    return Outcome(tuple(changed))


def _record(
    state: ClusterState, delivery: Delivery, result: DeliveryResult, command: RecordDeliveries
) -> None:
    attempt = DeliveryAttempt(at=result.at, by=command.by, error=result.error[:_ERROR_CHARACTERS])
    tries = delivery.tries + 1
    tried = msgspec.structs.replace(
        delivery, tries=tries, attempts=(*delivery.attempts, attempt)[-ATTEMPTS_KEPT:]
    )
    if not result.error:
        finish(state, tried, command.at)
        left = delivery.notice.more - result.more
        if left > 0:
            # More ticks were added while the notice was on its way: they are told by another one.
            rest = msgspec.structs.replace(delivery.notice, more=left - 1)
            post(state, f"{delivery.id}.{left}", delivery.channel, rest, command.at)
    elif command.at - delivery.created_at > KEPT_FOR:
        finish(state, tried, command.at, dropped="nobody took it for 24 hours")
    else:
        next_at = next_try(command.at, tries, reached=result.reached)
        state.deliveries[delivery.id] = msgspec.structs.replace(tried, next_at=next_at)
