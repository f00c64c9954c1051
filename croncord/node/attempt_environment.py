"""What a script finds in its environment besides the small fixed part."""

from datetime import UTC

from croncord.model import Job, Run


def attempt_environment(
    run: Run, job: Job, node: str, upstream: Run | None = None
) -> dict[str, str]:
    """Return the job's variables, those of this run only, and what CronCord tells.

    `upstream` is the run after whose end this one runs; what it printed as `::output key=value`
    is `CRONCORD_OUTPUT_key` here.
    """
    outputs = upstream.messages.outputs if upstream else {}
    nominal_time = run.nominal_time.astimezone(UTC).replace(tzinfo=None)
    return {
        **job.spec.environment,
        **run.environment,
        **{f"CRONCORD_OUTPUT_{name}": value for name, value in outputs.items()},
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
