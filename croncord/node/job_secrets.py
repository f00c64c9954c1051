"""The secrets that a run is given, opened at the last moment."""

from croncord.errors import NotFound
from croncord.model import JobSpec
from croncord.ports import Vault
from croncord.raft.state import ClusterState


def job_secrets(state: ClusterState, spec: JobSpec, vault: Vault | None) -> dict[str, str]:
    """Return the values of a job's secrets by name.

    Raises NotFound when one is not there, or not for this job, any more; StoreError when it cannot be
    read here.
    """
    found: dict[str, str] = {}
    for name in spec.secrets:
        secret = state.secrets.get(name)
        if secret is None or vault is None or not secret.is_for(spec.tags):
            raise NotFound(f"the secret {name} is not there for this job any more")
        found[name] = vault.open(name, secret.sealed)
    return found
