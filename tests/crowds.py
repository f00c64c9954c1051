"""Very many jobs with rows in their strips, put straight into an office's state and ledger."""

from datetime import timedelta

import msgspec
from desks import ADMIN

from croncord.lifecycle import Reason, RunState, Trigger
from croncord.model import LogInfo, Run, run_id

LONG = "what copies the invoices of shop %05d to the vault"
"""Fifty characters."""
GOOD = (RunState.SUCCEEDED, None)
ENDS = [
    *(GOOD, GOOD, GOOD, (RunState.FAILED, None)),
    *(GOOD, GOOD, GOOD, (RunState.SKIPPED, Reason.OVERLAP)),
    *(GOOD, GOOD, GOOD, (RunState.MISSED, Reason.NO_QUORUM)),
]


async def crowd(office, count, *, strips):
    """Make so many jobs; the first `strips` of them have thirty rows, each fourth of which is bad."""
    await office.job(
        LONG % 0,
        schedule="17 4 * * 1-5",
        timezone="America/Argentina/Buenos_Aires",
        tags=["invoices", "nightly", "prod"],
    )
    state = office.replica.state
    (first,) = [job for job in state.jobs.values() if job.spec.name == LONG % 0]
    now = office.clock.now()
    rows = []
    for number in range(count):
        spec = msgspec.structs.replace(first.spec, name=LONG % number)
        job = first
        if number:
            job = msgspec.structs.replace(first, id=f"{number:016x}", spec=spec)
            state.put_job(job)
        for age in range(30 if number < strips else 0):
            rows.append(_row(job, now - timedelta(minutes=30 - age), *ENDS[age % len(ENDS)]))
            state.close_run(rows[-1])
    office.ledger.put(rows)
    await office.ledger.flush()
    return (await office.desk.jobs.list(ADMIN))["total"]


def _row(job, nominal, state, reason):
    ran = reason is None
    return Run(
        id=run_id(job.id, nominal),
        job_id=job.id,
        job=job.spec.name,
        job_version=1,
        script_sha256="ab" * 32,
        nominal_time=nominal,
        due_at=nominal,
        trigger=Trigger.SCHEDULE,
        state=state,
        reason=reason,
        node="n1" if ran else None,
        replicas=("n1",) if ran else (),
        decided_at=nominal,
        decided_by="node:n1",
        claimed_at=nominal if ran else None,
        started_at=nominal if ran else None,
        finished_at=nominal + timedelta(seconds=9),
        exit_code=1 if state is RunState.FAILED else None,
        log=LogInfo(),
        excerpt="error: the disk of the vault is full\n" if state is RunState.FAILED else "",
    )
