"""Jobs that misbehave: each ends as the document says, leaves nothing, and harms no neighbour."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from hostile_jobs import HOSTILE, IS_ROOT, Hostile

DOCUMENT = Path(__file__).parents[3] / "docs" / "hostile-jobs.md"
NEIGHBOUR = "echo up; while [ ! -e '{flag}' ]; do sleep 0.02; done; echo done; exit 7"


async def end_of(bench, job: Hostile, place: Path):
    changes = job.changes | ({"user": job.user} if job.user else {})
    key = await bench.launch(job.script.replace("{place}", str(place)), **changes)
    if job.outcome == "killed":
        await bench.logs.until_output(key, job.kill_when)
        await bench.runner.kill(key, grace_seconds=job.grace_seconds)
    return key, await bench.runner.wait(key)


@pytest.mark.parametrize("job", HOSTILE, ids=lambda job: job.name.replace(" ", "_"))
async def test_a_hostile_job_ends_as_the_document_says(bench, tmp_path, job):
    await meet(bench, tmp_path, job)


@pytest.mark.parametrize("job", HOSTILE, ids=lambda job: job.name.replace(" ", "_"))
async def test_a_hostile_job_in_a_control_group_ends_so_too(grouped_bench, tmp_path, job):
    await meet(grouped_bench, tmp_path, job)


async def meet(bench, tmp_path, job: Hostile):
    if job.user and not IS_ROOT:
        pytest.skip("only root may start scripts as somebody else")
    place = tmp_path / "place"
    place.mkdir()
    (place / "foreign").write_bytes(b"\x7fELF" + bytes(100))
    (place / "foreign").chmod(0o755)
    flag = tmp_path / "flag"
    neighbour = await bench.launch(NEIGHBOUR.replace("{flag}", str(flag)))

    key, end = await end_of(bench, job, place)

    is_grouped = not bench.groups.lacking
    assert end.outcome == ((is_grouped and job.grouped_outcome) or job.outcome), end
    if job.exit_code is not None or job.signal is not None:
        assert (end.exit_code, end.signal) == (job.exit_code, job.signal), end
    assert job.detail in end.detail
    assert key in bench.logs.closed
    output = bench.logs.output(key)
    if job.stdout is not None:
        assert output == job.stdout
    if job.stdout_bytes is not None:
        assert len(output) == job.stdout_bytes
    assert job.stderr in bench.logs.output(key, 2)
    assert end.survivors == ()
    left = bench.processes_of(key)
    assert bool(left) == job.leaves
    for pid in left:
        os.kill(pid, signal.SIGKILL)

    await bench.runner.forget(key)
    flag.touch()
    other = await bench.runner.wait(neighbour)
    assert (other.outcome, other.exit_code, other.detail) == ("exited", 7, "")
    assert bench.logs.output(neighbour) == b"up\ndone\n"


async def test_what_cleaned_its_environment_is_gone_too(bench, tmp_path):
    pids = tmp_path / "pids"
    script = f"(env -i setsid bash -c 'echo $$ > {pids}; exec sleep 600' >&- 2>&- &); sleep 600"
    key = await bench.launch(script)
    while not pids.exists() or not pids.read_text().strip():
        await asyncio.sleep(0.01)
    await bench.runner.kill(key, grace_seconds=0)
    await bench.runner.wait(key)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


def test_the_document_has_a_row_for_each():
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    told = {row[1].strip(): row[2] for row in rows}
    missing = [job.name for job in HOSTILE if job.name not in told]
    assert missing == []
    wrong = [job.name for job in HOSTILE if f"`{job.outcome}`" not in told[job.name]]
    assert wrong == []
    assert len(HOSTILE) >= 30
