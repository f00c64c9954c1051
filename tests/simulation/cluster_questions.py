"""What the verifiers ask of a story before they judge it."""

from collections import defaultdict
from datetime import datetime

from cluster_machine import Witness
from cluster_watch import is_tick

from croncord.model import Run
from croncord.policy import matches
from croncord.raft.commands import SetLabelLimits


def jumped(story) -> bool:
    return "jump" in story.plan.faults


def clocks_differ(story) -> bool:
    return bool({"clock", "jump"} & story.plan.faults)


def scheduled_rows(story) -> dict[tuple[str, datetime], list[Run]]:
    """Rows of ticks, by job and nominal time."""
    rows: dict[tuple[str, datetime], list[Run]] = defaultdict(list)
    for run in story.world.account.seen.values():
        if is_tick(run):
            rows[run.job_id, run.nominal_time].append(run)
    return rows


def by_run(story) -> dict[str, list[Witness]]:
    """Processes of each run in the order of their attempts."""
    found: dict[str, list[Witness]] = defaultdict(list)
    for witness in sorted(story.world.witnesses, key=lambda w: (w.key.attempt, w.began)):
        found[witness.key.run_id].append(witness)
    return found


def key(run: Run):
    from croncord.ports import LogKey  # noqa: PLC0415

    return LogKey(run.id, run.attempt)


def is_limited(story) -> bool:
    """Whether runs may have to wait for room on a node."""
    limited = (each.command for each in story.world.account.applied)
    return bool(story.plan.max_runs) or any(
        isinstance(command, SetLabelLimits) and command.limits for command in limited
    )


def excludes_nodes(story) -> bool:
    """Whether nodes may be passed over although they are up."""
    faults = {"drain", "clock", "jump", "chaos", "member"}
    return bool(faults & story.plan.faults)


def matching(story, spec, target: str) -> list[str]:
    if "member" in story.plan.faults:
        return []
    nodes = story.world.account.state.nodes.values()
    named = [node for node in nodes if target in ("", node.name)]
    return [node.name for node in named if matches(spec.target, node)]
