import stat
from datetime import UTC, datetime

import pytest

from croncord.errors import ConfigError
from croncord.standing import ClusterRecord, Standing

AT = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_node_makes_its_secret_once_and_keeps_it_private(tmp_path):
    standing = Standing(tmp_path)
    assert standing.secret() is None
    secret = standing.make_secret()
    assert len(secret) >= 32
    assert Standing(tmp_path).make_secret() == secret
    assert stat.S_IMODE(standing.secret_file.stat().st_mode) == 0o600


def test_the_disk_remembers_the_cluster(tmp_path):
    standing = Standing(tmp_path)
    assert standing.record() == ClusterRecord()
    record = ClusterRecord(cluster_id="c", role="voter", members={"n1": "x:1"}, urls=("http://x",))
    standing.keep_record(record)
    assert Standing(tmp_path).record() == record
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cluster\.json"):
        standing.record()


def test_a_removed_node_forgets_the_secret_and_says_so_at_each_start(tmp_path):
    standing = Standing(tmp_path)
    standing.check_not_removed()
    standing.make_secret()
    standing.keep_record(ClusterRecord(cluster_id="c"))
    standing.leave(name="n3", at=AT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["removed.json"]
    with pytest.raises(ConfigError, match="n3 was removed from its cluster") as refusal:
        Standing(tmp_path).check_not_removed()
    assert "join-token" in refusal.value.hint
    standing.leave(name="n3", at=AT)


def test_a_note_of_removal_that_cannot_be_read_keeps_the_node_out_too(tmp_path):
    (tmp_path / "removed.json").write_text("?")
    with pytest.raises(ConfigError, match=r"removed\.json"):
        Standing(tmp_path).check_not_removed()
