"""A node that cannot use its certificate says in one sentence what is wrong and what to do."""

from datetime import UTC, datetime, timedelta

import pytest
from certificates import AUTHORITY, NOW, STRANGER, expired, node_tls, write_files

from croncord.errors import ConfigError
from croncord.tls.authority import issue
from croncord.tls.certificate import Identity
from croncord.tls.identity import NodeTls, names_in


def use(files, name="n1", host="127.0.0.1"):
    return NodeTls(files, Identity(name=name, host=host), datetime.now(UTC))


def refused(files, **identity):
    with pytest.raises(ConfigError) as caught:
        use(files, **identity)
    return caught.value


def test_a_good_certificate_is_used_and_its_end_is_known(tmp_path):
    tls = use(write_files(tmp_path, days=20))
    assert 19.9 * 86400 < tls.seconds_left(NOW) <= 20 * 86400


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("cert", None, ["tls_cert", "No such file"]),
        ("key", None, ["tls_key", "No such file"]),
        ("ca", None, ["tls_ca", "No such file"]),
        ("cert", b"\xff\x00", ["tls_cert", "holds no certificate"]),
        ("ca", b"hello", ["tls_ca", "holds no certificate"]),
        ("key", b"hello", ["tls_key", "holds no private key"]),
        ("key", issue(AUTHORITY, "n1", (), NOW, days=9)[1], ["tls_key", "does not belong"]),
        ("ca", STRANGER.pem, ["tls_ca", "no authority", "signed"]),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, file, content, words):
    files = write_files(tmp_path)
    path = getattr(files, file)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    error = refused(files)
    assert [word for word in [*words, str(path)] if word not in str(error)] == []
    assert error.hint


def test_a_key_that_others_can_read_is_refused(tmp_path):
    files = write_files(tmp_path)
    files.key.chmod(0o640)
    error = refused(files)
    assert "can be read by others (mode 640)" in str(error)
    assert error.hint == f"chmod 600 {files.key}"


def test_an_expired_certificate_names_the_day_and_the_command(tmp_path):
    error = refused(write_files(tmp_path, at=expired(), days=30))
    assert f"expired on {NOW - timedelta(hours=1):%Y-%m-%d}" in str(error)
    assert "init-tls --renew --name n1" in error.hint


def test_a_certificate_of_tomorrow_points_at_the_clock(tmp_path):
    error = refused(write_files(tmp_path, at=NOW + timedelta(days=2)))
    assert "clock" in error.hint


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({"name": "n2"}, ["is for n1", "this node is 'n2'"]),
        ({"host": "10.0.0.9"}, ["10.0.0.9", "127.0.0.1"]),
        ({"host": "n1.example.com"}, ["n1.example.com"]),
    ],
)
def test_a_certificate_of_somebody_else_is_refused(tmp_path, identity, words):
    error = refused(write_files(tmp_path), **identity)
    assert [word for word in words if word not in str(error)] == []


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (("10.0.0.1",), "10.0.0.1"),
        (("[2001:DB8::1]",), "2001:db8:0::1"),
        (("N1.Example.com",), "n1.example.com"),
        ((), "localhost"),
        ((), "0.0.0.0"),  # noqa: S104 - it is what is tested
        ((), "::"),
    ],
)
def test_hosts_are_compared_as_hosts(tmp_path, hosts, host):
    use(write_files(tmp_path, hosts=hosts), host=host)


def test_names_that_are_no_host_names_are_kept_apart(tmp_path):
    name = "Rack 4 ü"
    pem = issue(AUTHORITY, name, ("n1",), NOW, days=9)[0]
    write_files(tmp_path)
    from cryptography import x509  # noqa: PLC0415 - only here is the binary form needed
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert names_in(der) == {name}


def test_reading_again_takes_the_new_files_or_keeps_the_old(tmp_path):
    tls = node_tls(tmp_path, days=20)
    contexts, end = tls.contexts, tls.expires_at
    tls.files.cert.write_bytes(b"half a file")
    with pytest.raises(ConfigError):
        tls.reload(NOW)
    assert (tls.contexts, tls.expires_at) == (contexts, end)
    write_files(tmp_path, days=300)
    tls.reload(NOW)
    assert tls.expires_at > end
    assert tls.contexts is not contexts


def test_an_old_and_a_new_authority_are_trusted_together(tmp_path):
    files = write_files(tmp_path, authority=STRANGER)
    files.ca.write_bytes(AUTHORITY.pem + STRANGER.pem)
    use(files)
