"""What a script finds in its environment."""

import msgspec
from builders import Cluster

from croncord.model import Messages
from croncord.node.attempt_environment import attempt_environment


def test_outputs_of_the_run_before_are_passed_on_and_cannot_replace_what_cron_cord_tells():
    cluster = Cluster()
    job = cluster.add_job(schedule="@manual", environment={"CRONCORD_OUTPUT_rows": "7", "A": "b"})
    cluster.trigger(job)
    (run,) = cluster.state.open_runs.values()
    outputs = {"rows": "1200", "file": "/srv/x"}
    before = msgspec.structs.replace(run, messages=Messages(outputs=outputs))
    found = attempt_environment(run, job, "n1", before)
    assert (found["CRONCORD_OUTPUT_rows"], found["CRONCORD_OUTPUT_file"]) == ("1200", "/srv/x")
    assert (found["A"], found["CRONCORD_RUN_ID"], found["CRONCORD_NODE"]) == ("b", run.id, "n1")
    assert "CRONCORD_OUTPUT_file" not in attempt_environment(run, job, "n1")
