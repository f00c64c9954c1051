"""What a node tells about its machine."""

from datetime import UTC, datetime

from croncord.clock import ManualClock
from croncord.node.group_home import NO_GROUPS
from croncord.node.vitals import VitalsProbe


async def test_vitals_are_those_of_this_machine(tmp_path):
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    probe = VitalsProbe(name="n1", version="1.2", directory=tmp_path, clock=clock, groups=NO_GROUPS)
    await clock.advance(5)
    vitals = probe.measure(3, 42)
    assert (vitals.name, vitals.version, vitals.at) == ("n1", "1.2", clock.now())
    assert (vitals.running_runs, vitals.applied_index, vitals.uptime_seconds) == (3, 42, 5)
    assert 0 < vitals.memory_bytes < vitals.memory_total_bytes
    assert 0 < vitals.disk_bytes <= vitals.disk_total_bytes
    assert vitals.cpu_percent >= 0
    assert vitals.load_1m >= 0
