"""What the commands about saved views do to the state."""

from croncord.raft.commands import DeleteView, PutView
from croncord.raft.state import ClusterState, Outcome, refuse

VIEWS_OF_ONE_MAX = 50
OWNERS_MAX = 10_000


def put_view(state: ClusterState, command: PutView) -> Outcome:
    """Save a view for who asks, in place of the one of that name."""
    new = command.view
    mine = state.views.get(command.by, ())
    kept = tuple(v for v in mine if (v.listing, v.name) != (new.listing, new.name))
    if len(kept) >= VIEWS_OF_ONE_MAX:
        return refuse("conflict", f"you have {VIEWS_OF_ONE_MAX} views already; delete one first")
    if not mine and len(state.views) >= OWNERS_MAX:
        return refuse("conflict", f"{OWNERS_MAX} people have views already")
    state.views[command.by] = tuple(sorted((*kept, new), key=lambda v: (v.listing, v.name)))
    return Outcome()


def delete_view(state: ClusterState, command: DeleteView) -> Outcome:
    """Forget a view of who asks."""
    mine = state.views.get(command.by, ())
    kept = tuple(v for v in mine if (v.listing, v.name) != (command.listing, command.name))
    if len(kept) == len(mine):
        return refuse("not_found", f"you have no view of {command.listing} named {command.name!r}")
    if kept:
        state.views[command.by] = kept
    else:
        del state.views[command.by]
    return Outcome()
