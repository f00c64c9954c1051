"""Asking why about ticks between a backup and the restore."""

from datetime import timedelta
from types import MappingProxyType

from builders import at, node
from questions import Inquiry, rules_of, text_of

from croncord.raft.restoring import Beginning, Restoring


class NoHistory:
    """A backup without ledger and outputs."""

    rows = MappingProxyType({})

    def row(self, run_id):
        return self.rows.get(run_id)

    def holds(self, run_id, attempt):
        return (run_id, attempt) in self.rows


async def test_a_tick_in_the_gap_says_that_a_restore_passed_over_it():
    cluster = Inquiry()
    cluster.add_job()
    cluster.run_until(at(30))
    backup_at, cluster.now = cluster.now, cluster.now + timedelta(minutes=5)
    beginning = Beginning(
        at=cluster.now,
        backup_at=backup_at,
        cluster_id="new",
        session_key=b"s" * 32,
        nodes=(node("m1", joining=True, up=False),),
        rows_per_job=1000,
    )
    for rows in Restoring(cluster.state, beginning, NoHistory()).steps():
        cluster.ledger.put(rows)
    told = await cluster.why(at(120))
    assert told["reason"] == "restored"
    assert "the old cluster may have launched it" in text_of(told)
    assert "restore" in rules_of(told)
