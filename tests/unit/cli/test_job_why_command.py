import json


def test_why_tells_the_story_of_the_last_tick_and_what_comes_next(croncord, node):
    node.do(node.office.job("backup", schedule="@manual"))
    node.do(node.office.ran("backup", state="failed"))
    status, out, _ = croncord("job", "why", "backup")
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "It failed with exit status 1."
    assert any("user:ada asked for it." in line for line in lines)
    assert any("n1 took it, and the cluster agreed.  [n1]" in line for line in lines)
    assert "Now:" in lines
    assert lines[-1] == "Next: No run will start by itself."


def test_why_takes_a_time_without_zone_in_the_jobs_zone(croncord, node):
    fields = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "dst": "skip"}
    node.do(node.office.job("backup", **fields))
    status, out, _ = croncord("job", "why", "backup", "--at", "2027-03-28T02:30", "--json")
    assert status == 0
    assert json.loads(out)["reason"] == "dst_gap"


def test_why_of_a_job_that_is_not_there_exits_with_5(croncord):
    assert croncord("job", "why", "nope")[0] == 5
