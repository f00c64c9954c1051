import stat

import pytest

from croncord.bootstrap import Introduction, admin_token, bootstrap_token, prepare_data_dir, sha256
from croncord.clock import SystemClock
from croncord.config import Settings
from croncord.errors import ConfigError
from croncord.raft.access_commands import RevokeToken
from croncord.raft.solo import SoloReplica


def introduction(tmp_path, replica, **changes):
    settings = Settings(name="n1", data_dir=tmp_path, **changes)
    return Introduction(
        settings=settings, replica=replica, clock=SystemClock(), first_token="first-token-0123"
    )


@pytest.fixture
async def replica():
    solo = SoloReplica("n1")
    await solo.start()
    yield solo
    await solo.stop()


async def test_a_node_makes_itself_known_once_and_again_only_when_it_changed(tmp_path, replica):
    assert await introduction(tmp_path, replica).run()
    index = replica.status().applied_index
    assert replica.state.nodes["n1"].http == "http://127.0.0.1:8470"
    assert replica.state.tokens["bootstrap"].sha256 == sha256("first-token-0123")
    assert not await introduction(tmp_path, replica).run()
    assert replica.status().applied_index == index
    await introduction(tmp_path, replica, label=("disk=ssd",)).run()
    assert replica.state.nodes["n1"].labels == {"disk": "ssd"}


async def test_a_revoked_bootstrap_token_does_not_come_back_with_a_restart(tmp_path, replica):
    await introduction(tmp_path, replica).run()
    await replica.propose(RevokeToken(at=SystemClock().now(), token_id="bootstrap"))
    await introduction(tmp_path, replica).run()
    assert "bootstrap" not in replica.state.tokens


def test_the_admin_token_is_private_and_stays_the_same(tmp_path):
    token = admin_token(tmp_path)
    assert admin_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "admin.token").stat().st_mode) == 0o600


def test_two_nodes_cannot_share_a_data_directory(tmp_path):
    with prepare_data_dir(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        with pytest.raises(ConfigError, match="another node"):
            prepare_data_dir(tmp_path / "data")
    prepare_data_dir(tmp_path / "data").close()


@pytest.mark.parametrize(("content", "word"), [("short", "5 characters"), (None, "No such file")])
def test_a_bootstrap_token_must_exist_and_be_long(tmp_path, content, word):
    path = tmp_path / "token"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=word):
        bootstrap_token(path)
