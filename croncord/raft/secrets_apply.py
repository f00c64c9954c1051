"""What the commands about secrets do to the state. Their values are sealed before they come here."""

from croncord.raft.access_commands import DeleteSecret, PutSecret
from croncord.raft.state import ClusterState, Outcome, few, refuse

SECRETS_MAX = 1000


def put_secret(state: ClusterState, command: PutSecret) -> Outcome:
    """Create or replace."""
    name = command.secret.name
    if name not in state.secrets and len(state.secrets) >= SECRETS_MAX:
        return refuse("conflict", f"there are {SECRETS_MAX} secrets already")
    state.secrets[name] = command.secret
    return Outcome(command.secret)


def delete_secret(state: ClusterState, command: DeleteSecret) -> Outcome:
    """Remove one that no job names; with `force` also one whose jobs will not start then."""
    secret = state.secrets.get(command.name)
    if secret is None:
        return refuse("not_found", f"no secret is named {command.name!r}")
    users = [job.name for job in state.jobs.values() if command.name in job.spec.secrets]
    if users and not command.force:
        return refuse("conflict", f"the secret is used by {few(users)}")
    del state.secrets[command.name]
    return Outcome(secret)
