from pathlib import Path

import pytest

from croncord.config import load_settings, read_secret
from croncord.errors import ConfigError

PEERS = [
    "n1=127.0.0.1:1,http://127.0.0.1:2",
    "n2=127.0.0.1:3,http://127.0.0.1:4",
]


def load(flags=None, environment=None, file=None):
    return load_settings(flags or {}, environment or {}, file)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "croncord.toml"
    file.write_text('name = "file"\nmax-runs = 1\nlog-level = "debug"\n')
    settings = load({"name": "flag"}, {"CRONCORD_NAME": "env", "CRONCORD_MAX_RUNS": "2"}, file)
    assert (settings.name, settings.max_runs, settings.log_level) == ("flag", 2, "debug")
    assert settings.http == "127.0.0.1:8470"


def test_a_node_finds_its_own_addresses_among_the_peers(tmp_path):
    flags = {"name": "n2", "peer": PEERS, "secret_file": str(tmp_path / "secret")}
    settings = load(flags)
    assert (settings.http_url, settings.raft_address) == ("http://127.0.0.1:4", "127.0.0.1:3")
    assert load({**flags, "advertise_http": "https://n2/"}).http_url == "https://n2"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"http": "localhost"}, ["http", "HOST:PORT"]),
        ({"http": "127.0.0.1:0"}, ["http"]),
        ({"http": "127.0.0.1:1", "raft": "127.0.0.1:1"}, ["http and raft"]),
        ({"http": "0.0.0.0:8470"}, ["http is 0.0.0.0:8470", "secret"]),
        ({"name": "n1", "peer": PEERS}, ["peers", "secret"]),
        ({"name": "n9", "peer": PEERS, "secret_file": "s"}, ["n9", "n1, n2"]),
        ({"name": "a/b"}, ["name", "a/b", "of a node"]),
        ({"name": "n1", "peer": ["n1=x"]}, ["NAME=RAFT_ADDR,HTTP_URL"]),
        ({"name": "n1", "peer": [PEERS[0], PEERS[0]]}, ["twice"]),
        ({"label": ["gpu"]}, ["label", "KEY=VALUE"]),
        ({"max_runs": -1}, ["max_runs", "-1"]),
        ({"log_level": "loud"}, ["log_level"]),
        ({"join": ["n1:8470"]}, ["join", "'n1:8470'", "web address"]),
        (
            {"name": "n1", "peer": PEERS, "secret_file": "s", "join": ["http://x"]},
            ["join and peer"],
        ),
        ({"tls_cert": "c"}, ["tls_cert is given, and tls_key and tls_ca are not"]),
        ({"tls_key": "k", "tls_ca": "a"}, ["tls_key is given, and tls_cert is not"]),
        ({"tls_mode": "allow"}, ["tls_mode is allow", "no certificate"]),
        ({"tls_mode": "maybe"}, ["tls_mode"]),
        ({"advertise_http": "n1.example.com"}, ["advertise_http", "n1.example.com"]),
    ],
)
def test_impossible_settings_are_refused_with_the_setting_and_its_value(flags, words):
    with pytest.raises(ConfigError) as caught:
        load(flags)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_key_in_the_file_is_refused_with_the_list_of_known_ones(tmp_path):
    file = tmp_path / "croncord.toml"
    file.write_text("colour = 1\n")
    with pytest.raises(ConfigError, match="colour") as caught:
        load(file=file)
    assert "data_dir" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [(None, 0o600, "No such file"), ("short", 0o600, "5 characters"), ("x" * 32, 0o644, "others")],
)
def test_a_secret_must_exist_be_long_and_be_private(tmp_path: Path, content, mode, word):
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=word):
        read_secret(path)


def test_paths_do_not_depend_on_where_a_process_works(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load({"data_dir": "here"}).data_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("given", "plain", "allowed", "required"),
    [
        ({}, "http://127.0.0.1:8470", "http://127.0.0.1:8470", "https://127.0.0.1:8470"),
        ({"peer": PEERS}, "http://127.0.0.1:2", "http://127.0.0.1:2", "https://127.0.0.1:2"),
        (
            {"peer": ["n1=127.0.0.1:1,https://127.0.0.1:2"]},
            "https://127.0.0.1:2",
            "http://127.0.0.1:2",
            "https://127.0.0.1:2",
        ),
        ({"advertise_http": "http://n1"}, "http://n1", "http://n1", "https://n1:80"),
        ({"advertise_http": "https://n1/"}, "https://n1", "https://n1", "https://n1"),
        ({"advertise_http": "http://[::1]"}, "http://[::1]", "http://[::1]", "https://[::1]:80"),
    ],
)
def test_the_address_a_node_is_known_by_follows_its_tls(given, plain, allowed, required):
    given = {"name": "n1", "secret_file": "s", **given}
    certified = given | {"tls_cert": "c", "tls_key": "k", "tls_ca": "a"}
    assert load(given).http_url == plain
    assert load(certified | {"tls_mode": "allow"}).http_url == allowed
    assert load(certified).http_url == required


def test_a_node_that_joins_is_told_the_authority_and_keeps_it(tmp_path):
    certified = {"tls_cert": "c", "tls_key": "k", "data_dir": str(tmp_path)}
    load({**certified, "join": ["https://127.0.0.1:1"]})
    with pytest.raises(ConfigError, match="tls_ca is not"):
        load(certified)
    (tmp_path / "cluster-ca.pem").touch()
    load(certified)
