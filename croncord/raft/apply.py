"""Which function applies which command."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from croncord.raft import (
    access_apply,
    access_commands,
    backfill_apply,
    calendars_apply,
    cluster_apply,
    commands,
    jobs_apply,
    nodes_apply,
    notify_apply,
    notify_commands,
    outputs_apply,
    runs_apply,
    sealed_values,
    secrets_apply,
    views_apply,
)
from croncord.raft.state import ClusterState, Outcome, refuse

_FIRST_YEAR, _END_YEAR = 1970, 2200
"""Schedules end there; within it no sum of instants and durations can overflow."""

Handler = Callable[[ClusterState, Any], Outcome]

HANDLERS: MappingProxyType[type, Handler] = MappingProxyType(
    {
        commands.PutJob: jobs_apply.put_job,
        commands.PauseJob: jobs_apply.pause_job,
        commands.DeleteJob: jobs_apply.delete_job,
        commands.TriggerRun: runs_apply.trigger_run,
        commands.Backfill: backfill_apply.backfill,
        commands.CancelBackfill: backfill_apply.cancel_backfill,
        commands.DecideTicks: runs_apply.decide_ticks,
        commands.AssignRuns: runs_apply.assign_runs,
        commands.ConcludeRuns: runs_apply.conclude_runs,
        commands.ClaimRuns: runs_apply.claim_runs,
        commands.FinishRuns: runs_apply.finish_runs,
        commands.CloseLogs: outputs_apply.close_logs,
        commands.RequestKill: runs_apply.request_kill,
        commands.ReportKill: runs_apply.report_kill,
        commands.MarkNodes: nodes_apply.mark_nodes,
        commands.PutNode: nodes_apply.put_node,
        commands.DrainNode: nodes_apply.drain_node,
        commands.FreezeNode: nodes_apply.freeze_node,
        commands.SetLogLevel: nodes_apply.set_log_level,
        commands.RemoveNode: nodes_apply.remove_node,
        commands.PutJoinToken: nodes_apply.put_join_token,
        commands.AdmitNode: nodes_apply.admit_node,
        commands.PauseCluster: cluster_apply.pause_cluster,
        commands.SetLabelLimits: cluster_apply.set_label_limits,
        commands.PutCalendar: calendars_apply.put_calendar,
        commands.DeleteCalendar: calendars_apply.delete_calendar,
        commands.PutView: views_apply.put_view,
        commands.DeleteView: views_apply.delete_view,
        access_commands.PutSecret: secrets_apply.put_secret,
        access_commands.DeleteSecret: secrets_apply.delete_secret,
        access_commands.Reseal: sealed_values.reseal,
        commands.InitCluster: cluster_apply.init_cluster,
        access_commands.PutToken: access_apply.put_token,
        access_commands.RevokeToken: access_apply.revoke_token,
        access_commands.RotateToken: access_apply.rotate_token,
        access_commands.PutUser: access_apply.put_user,
        access_commands.ChangePassword: access_apply.change_password,
        access_commands.RemoveUser: access_apply.remove_user,
        access_commands.EndSession: access_apply.end_session,
        access_commands.EndSessions: access_apply.end_sessions,
        access_commands.PutLink: access_apply.put_link,
        access_commands.UseLink: access_apply.use_link,
        notify_commands.PutChannel: notify_apply.put_channel,
        notify_commands.DeleteChannel: notify_apply.delete_channel,
        notify_commands.SetNotifySettings: notify_apply.set_notify_settings,
        notify_commands.SendTest: notify_apply.send_test,
        notify_commands.RaiseAlarms: notify_apply.raise_alarms,
        notify_commands.RecordDeliveries: notify_apply.record_deliveries,
    }
)


def apply(state: ClusterState, command: commands.AnyCommand) -> Outcome:
    """Change the state as the command says, or refuse and change nothing.

    Pure and total: the same state and command give the same outcome on every node, and whatever the
    command holds, nothing is raised.
    """
    if not _FIRST_YEAR <= command.at.year < _END_YEAR:
        return refuse("malformed", f"the year of the command's time is {command.at.year}")
    return HANDLERS[type(command)](state, command)
