"""What a script finds in its environment besides the small fixed part."""

from datetime import UTC

from croncord.model import Job, Run


def attempt_environment(run: Run, job: Job, node: str) -> dict[str, str]:
    """Return the job's variables, those of this run only, and what CronCord tells."""
    nominal_time = run.nominal_time.astimezone(UTC).replace(tzinfo=None)
    return {
        **job.spec.environment,
        **run.environment,
        "CRONCORD_JOB": run.job,
        "CRONCORD_JOB_ID": run.job_id,
        "CRONCORD_RUN_ID": run.id,
        "CRONCORD_NOMINAL_TIME": nominal_time.isoformat(timespec="milliseconds") + "Z",
        "CRONCORD_ATTEMPT": str(run.attempt),
        "CRONCORD_TRIGGER": run.trigger.value,
        "CRONCORD_NODE": node,
        "CRONCORD_FENCE": str(run.fence),
        "CRONCORD_SHARD_INDEX": str(run.shard_index),
        "CRONCORD_SHARD_COUNT": str(run.shard_count),
    }
