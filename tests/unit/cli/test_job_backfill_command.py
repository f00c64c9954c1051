import json

RANGE = ("--since", "2026-01-01", "--until", "2026-01-03")


def test_a_backfill_is_started_listed_and_cancelled(croncord, node):
    node.do(node.office.job("backup", schedule="0 */6 * * *"))
    status, out, _ = croncord("job", "backfill", "backup", *RANGE, "--max-parallel", "2")
    assert status == 0
    assert out.endswith(": 8 runs.\n")
    (made,) = json.loads(croncord("job", "backfill", "backup", "--json")[1])
    assert {run.max_parallel for run in node.state.open_runs.values()} == {2}
    assert made["id"] in croncord("job", "backfill", "backup")[1]
    assert croncord("job", "backfill", "backup", "--cancel", made["id"])[0] == 0
    assert not node.state.open_runs


def test_half_a_range_says_what_is_missing(croncord, node):
    node.do(node.office.job("backup", schedule="0 */6 * * *"))
    status, _, err = croncord("job", "backfill", "backup", "--since", "2026-01-01")
    assert status == 2
    assert "until" in err
