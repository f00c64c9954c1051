"""How a node comes to its place: it founds, joins, or comes back."""

import msgspec
import pytest
from certificates import AUTHORITY
from desks import ADMIN, CLUSTER_SECRET, Office, fast_directory
from web_clients import door_to

from croncord.clock import SystemClock
from croncord.config import Settings
from croncord.errors import ConfigError
from croncord.group import find_place
from croncord.joining import Joiner
from croncord.ports import JoinRequest
from croncord.standing import ClusterRecord, Standing
from croncord.web.join_route import BODY_BYTES_MAX, PATH, join_route

HERE = {"http": "10.0.0.9:8470", "raft": "10.0.0.9:8471"}


@pytest.fixture
async def office():
    with fast_directory() as path:
        office = await Office.open(path)
        yield office
        await office.close()


@pytest.fixture
async def door(office):
    async with door_to(office, peer_routes=[join_route()]) as door:
        yield door


async def token(office, **fields):
    made = await office.desk.membership.create_join_token(ADMIN, fields)
    return made["token"]


def settings(tmp_path, door=None, **fields):
    joins = (str(door.client.make_url("/")).rstrip("/"),) if door else ()
    return Settings(**{"name": "n9", "data_dir": tmp_path, "join": joins, **HERE, **fields})


async def place_of(tmp_path, door=None, **fields):
    return await find_place(settings(tmp_path, door, **fields), Standing(tmp_path), SystemClock())


async def test_a_first_start_alone_founds_with_a_secret_of_its_own(tmp_path):
    place = await place_of(tmp_path)
    assert place.members == {"n9": "10.0.0.9:8471"}
    assert place.secret == Standing(tmp_path).secret()
    assert not place.was_let_in
    assert await place_of(tmp_path) == place


async def test_a_fixed_group_starts_as_it_is_told(tmp_path):
    peers = ("n9=10.0.0.9:8471,http://10.0.0.9:8470", "n1=10.0.0.1:8471,http://10.0.0.1:8470")
    secret = tmp_path / "secret"
    secret.write_text("a secret that all the nodes have")
    secret.chmod(0o600)
    place = await place_of(tmp_path, peer=peers, secret_file=secret)
    assert place.members == {"n9": "10.0.0.9:8471", "n1": "10.0.0.1:8471"}
    assert place.secret == b"a secret that all the nodes have"
    assert not (tmp_path / "cluster.secret").exists()


async def test_a_machine_with_a_token_is_let_in_and_knows_it_after_a_restart(
    tmp_path, office, door
):
    text = await token(office, role="observer")
    place = await place_of(tmp_path, door, join_token=text)
    assert (place.secret, place.role, place.was_let_in) == (CLUSTER_SECRET, "observer", True)
    assert set(place.members) == {"n1", "n2"}
    assert office.replica.state.nodes["n9"].joining
    assert Standing(tmp_path).secret() == CLUSTER_SECRET
    (tmp_path / "raft" / "journal").mkdir(parents=True)
    assert await place_of(tmp_path, join=("http://127.0.0.1:1",)) == place
    assert await place_of(tmp_path) == place


async def test_a_machine_whose_journal_was_moved_away_asks_again_with_its_secret(
    tmp_path, office, door
):
    await place_of(tmp_path, door, join_token=await token(office))
    office.replica.state.nodes.pop("n9")
    place = await place_of(tmp_path, door)
    assert office.replica.state.nodes["n9"].joining
    assert place.secret == CLUSTER_SECRET


async def test_a_machine_with_the_secret_file_needs_no_token(tmp_path, office, door):
    secret = tmp_path / "secret"
    secret.write_bytes(CLUSTER_SECRET)
    secret.chmod(0o600)
    place = await place_of(tmp_path, door, secret_file=secret)
    assert place.secret == CLUSTER_SECRET
    assert "n9" in office.replica.state.nodes
    assert not (tmp_path / "cluster.secret").exists()


async def test_the_token_may_stand_in_a_file(tmp_path, office, door):
    file = tmp_path / "token"
    file.write_text(await token(office) + "\n")
    assert (await place_of(tmp_path, door, join_token_file=file)).was_let_in
    with pytest.raises(ConfigError, match="join_token_file"):
        settings(tmp_path, join_token_file=tmp_path / "none").read_join_token()


@pytest.mark.parametrize(
    ("fields", "told", "words"),
    [
        ({}, {"http": "127.0.0.1:8470"}, "cannot be reached from n1"),
        ({}, {"raft": "0.0.0.0:8471"}, "--advertise-raft"),
        ({}, {"join_token": ""}, "neither a join token nor the cluster secret"),
        ({}, {"join_token": "join_00.AAAA"}, "incomplete"),
        ({}, {"join_token": "join_00." + "A" * 43}, "is not known here"),
        ({}, {"raft": "that of n2"}, "n2 has the address .* already"),
        ({"expires_seconds": 1}, {}, "expired on"),
    ],
)
async def test_who_cannot_be_let_in_is_told_why(tmp_path, office, door, fields, told, words):
    text = await token(office, **fields)
    tokens = office.replica.state.join_tokens
    if fields:
        for key, made in tokens.items():
            tokens[key] = msgspec.structs.replace(made, expires_at=made.created_at)
    if told.get("raft") == "that of n2":
        told = {"raft": office.replica.state.nodes["n2"].raft}
    joins = {"join_token": text, **told}
    wanted = settings(tmp_path, door, **joins)
    with pytest.raises(ConfigError, match=words):
        await find_place(wanted, Standing(tmp_path), Hasty())
    assert not (tmp_path / "cluster.json").exists()


async def test_a_machine_is_told_the_authority_of_a_cluster_that_requires_tls(
    tmp_path, office, door
):
    office.authority = AUTHORITY.pem.decode()
    certified = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    await place_of(tmp_path, door, join_token=await token(office), **certified)
    assert Standing(tmp_path).authority_file.read_bytes() == AUTHORITY.pem


async def test_a_machine_without_a_certificate_is_told_how_to_get_one(tmp_path, office, door):
    office.authority = AUTHORITY.pem.decode()
    made = await office.desk.membership.create_join_token(ADMIN, {})
    assert made["command"].endswith("--tls-cert cert.pem --tls-key key.pem")
    with pytest.raises(ConfigError, match=r"requires TLS.*init-tls --name n9"):
        await place_of(tmp_path, door, join_token=made["token"])
    assert "n9" not in office.replica.state.nodes


class Hasty(SystemClock):
    """A clock on which waiting takes no time."""

    def __init__(self):
        self._ahead = 0.0

    def monotonic(self):
        return self._ahead

    async def sleep(self, seconds):
        self._ahead += seconds


async def test_a_name_in_use_is_asked_for_again_for_a_while_and_then_refused(
    tmp_path, office, door
):
    wanted = settings(tmp_path, door, name="n2", join_token=await token(office))
    clock = Hasty()
    with pytest.raises(ConfigError, match="'n2' is a member and answers"):
        await find_place(wanted, Standing(tmp_path), clock)
    assert clock.monotonic() >= 20


async def test_a_machine_waits_for_a_cluster_that_does_not_answer_and_tries_all_it_knows(
    tmp_path, office, door
):
    url = str(door.client.make_url("/")).rstrip("/")
    request = JoinRequest(name="n9", http="http://10.0.0.9:8470", raft="10.0.0.9:8471")
    joiner = Joiner(
        ("http://127.0.0.1:1", url),
        request,
        clock=Hasty(),
        token=await token(office),
        secret=b"",
    )
    assert (await joiner.run()).cluster_id == "c1"


async def test_an_old_clock_is_told_to_who_joins_by_the_secret(office, door):
    url = str(door.client.make_url("/")).rstrip("/")
    request = JoinRequest(name="n9", http="http://10.0.0.9:8470", raft="10.0.0.9:8471")

    class Slow(Hasty):
        def now(self):
            return SystemClock().now().replace(year=2020)

    joiner = Joiner((url,), request, clock=Slow(), token="", secret=CLUSTER_SECRET)
    with pytest.raises(ConfigError, match="clock is too far"):
        await joiner.run()


async def test_rubbish_and_floods_at_the_door_of_joining_change_nothing(office, door):
    digest = office.replica.state.digest()
    status, _ = await door.problem("POST", PATH, role=None, data=b"\xc1 rubbish")
    assert status == 400
    status, _ = await door.problem("POST", PATH, role=None, data=bytes(BODY_BYTES_MAX + 1))
    assert status == 413
    assert office.replica.state.digest() == digest


async def test_a_removed_disk_is_refused_before_anything_else(tmp_path):
    Standing(tmp_path).keep_record(ClusterRecord(cluster_id="c"))
    Standing(tmp_path).leave(name="n9", at=SystemClock().now())
    with pytest.raises(ConfigError, match="was removed"):
        await place_of(tmp_path)
