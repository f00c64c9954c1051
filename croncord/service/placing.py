"""Which nodes a job may run on, as of now."""

from croncord.model import JobSpec
from croncord.policy import matches
from croncord.raft.state import ClusterState
from croncord.service.views import PlacementView


def placement(state: ClusterState, spec: JobSpec) -> PlacementView:
    """Return which nodes match now: `3 of 5 nodes match now`."""
    members = sorted(
        (node for node in state.nodes.values() if matches(spec.target, node)),
        key=lambda node: node.name,
    )
    full = _full_labels(state)
    free = [
        node.name
        for node in members
        if node.up
        and not node.draining
        and (node.max_runs == 0 or state.load_of(node.name) < node.max_runs)
        and not full & {f"{key}={value}" for key, value in node.labels.items()}
    ]
    total = len(state.nodes)
    text = f"{len(members)} of {total} node{'' if total == 1 else 's'} "
    text += "matches now" if len(members) == 1 else "match now"
    if len(free) < len(members):
        text += f", {len(free)} of them can take a run"
    return PlacementView(
        matching=[node.name for node in members], available=free, total=total, text=text
    )


def _full_labels(state: ClusterState) -> set[str]:
    """Return the limited labels whose nodes have as many runs as they may have together."""
    loads = dict.fromkeys(state.label_limits, 0)
    for node in state.nodes.values() if loads else ():
        for key, value in node.labels.items():
            label = f"{key}={value}"
            if label in loads:
                loads[label] += state.load_of(node.name)
    return {label for label, load in loads.items() if load >= state.label_limits[label]}
