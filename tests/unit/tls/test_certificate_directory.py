"""`croncord cluster init-tls` as an operator uses it: again and again on one directory."""

import json
import shutil
import stat
import subprocess

import pytest

from croncord.__main__ import main


@pytest.fixture
def init_tls(tmp_path, capsys):
    def run(*arguments, directory="tls"):
        capsys.readouterr()
        status = main(["cluster", "init-tls", "--dir", str(tmp_path / directory), *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def outcomes(out):
    return {node["name"]: node["outcome"] for node in json.loads(out)["nodes"]}


def test_one_authority_and_a_pair_per_node_readable_by_their_owner_only(init_tls, tmp_path):
    status, out, _ = init_tls("--name", "n1", "--host", "10.0.0.1", "n1.lan", "--name", "n2")
    assert status == 0
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path / "tls")) for path in files] == [
        *("ca.key", "ca.pem", "n1/cert.pem", "n1/key.pem", "n2/cert.pem", "n2/key.pem")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert "n1.lan, localhost, 10.0.0.1, 127.0.0.1, ::1" in out


def test_a_second_run_changes_nothing_and_a_third_adds_a_node(init_tls, tmp_path):
    init_tls("--name", "n1", "--host", "10.0.0.1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    _, out, _ = init_tls("--name", "n1", "--host", "10.0.0.1", "--name", "n2", "--json")
    assert outcomes(out) == {"n1": "kept", "n2": "made"}
    assert {path: path.read_bytes() for path in before} == before
    assert outcomes(init_tls("--json")[1]) == {"n1": "kept", "n2": "kept"}


def test_renewing_keeps_the_authority_and_the_hosts(init_tls, tmp_path):
    _, first, _ = init_tls("--name", "n1", "--host", "10.0.0.1", "--days", "30", "--json")
    ca = (tmp_path / "tls/ca.pem").read_bytes()
    key = (tmp_path / "tls/n1/key.pem").read_bytes()
    _, second, _ = init_tls("--renew", "--json")
    old, new = (json.loads(out)["nodes"][0] for out in (first, second))
    assert (new["outcome"], new["hosts"]) == ("renewed", old["hosts"])
    assert new["expires_at"] > old["expires_at"]
    assert (tmp_path / "tls/ca.pem").read_bytes() == ca
    assert (tmp_path / "tls/n1/key.pem").read_bytes() != key


@pytest.mark.parametrize(("within", "outcome"), [("29", "kept"), ("31", "renewed")])
def test_what_ends_soon_is_renewed_on_request(init_tls, within, outcome):
    init_tls("--name", "n1", "--days", "30")
    _, out, _ = init_tls("--renew-within", within, "--json")
    assert outcomes(out) == {"n1": outcome}


def test_other_hosts_are_not_taken_silently(init_tls):
    init_tls("--name", "n1", "--host", "10.0.0.1")
    status, _, err = init_tls("--name", "n1", "--host", "10.0.0.2")
    assert status == 2
    assert "10.0.0.1" in err
    assert "10.0.0.2 are wanted" in err.replace("10.0.0.2, localhost, 127.0.0.1, ::1", "10.0.0.2")
    assert "--renew" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no node is named"),
        (["--name", "a/b"], "cannot be the name of a node"),
        (["--name", ".."], "folder"),
        (["--name", "n1", "--host", "10.0.0.1:8470"], "neither a host name nor an address"),
        (["--name", "n1", "--host", "http://n1"], "neither a host name nor an address"),
        (["--name", "n1", "--host", "300.0.0.1"], "neither a host name nor an address"),
    ],
)
def test_impossible_wishes_are_refused(init_tls, arguments, words):
    status, _, err = init_tls(*arguments)
    assert status == 2
    assert words in err


def test_a_host_before_any_name_is_a_usage_error(init_tls):
    with pytest.raises(SystemExit, match="2"):
        init_tls("--host", "10.0.0.1", "--name", "n1")


def test_half_an_authority_is_not_replaced(init_tls, tmp_path):
    init_tls("--name", "n1")
    (tmp_path / "tls/ca.key").unlink()
    status, _, err = init_tls("--name", "n2")
    assert status == 2
    assert "ca.key is missing" in err


def test_a_certificate_of_another_authority_is_not_overwritten(init_tls, tmp_path):
    init_tls("--name", "n1")
    init_tls("--name", "n1", directory="other")
    shutil.copytree(tmp_path / "other/n1", tmp_path / "tls/n1", dirs_exist_ok=True)
    status, _, err = init_tls("--name", "n1")
    assert status == 2
    assert "not this authority's certificate" in err


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to ask a second opinion")
def test_openssl_accepts_what_was_made_by_its_strict_rules(init_tls, tmp_path):
    init_tls("--name", "n1", "--host", "n1.example.com", "2001:db8::1")
    directory = tmp_path / "tls"
    for purpose in ("sslserver", "sslclient"):
        subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", purpose),
                *("-CAfile", str(directory / "ca.pem"), str(directory / "n1/cert.pem")),
            ],
            check=True,
            capture_output=True,
        )
