import pytest
from certificates import AUTHORITY, STRANGER
from yarl import URL

from croncord.cli.connection import find_connection
from croncord.errors import ConfigError


@pytest.fixture
def environment(tmp_path):
    """Variables of somebody whose machine has a node with an admin token."""
    data_dir = tmp_path / "croncord"
    data_dir.mkdir()
    (data_dir / "admin.token").write_text("local-admin\n")
    return {"CRONCORD_DATA_DIR": str(data_dir)}


def token_for(connection, url):
    return connection.token_for(URL(url))


def test_without_any_setting_it_is_the_node_on_this_machine_with_its_admin_token(environment):
    connection = find_connection(None, None, environment)
    assert connection.urls == (URL("http://127.0.0.1:8470"),)
    assert token_for(connection, "http://127.0.0.1:8470") == "local-admin"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://localhost:8470", "local-admin"),
        ("http://[::1]:8470", "local-admin"),
        ("http://127.9.9.9:1", "local-admin"),
        ("http://10.0.0.1:8470", ""),
        ("http://127.0.0.1.example.org:8470", ""),
    ],
)
def test_the_admin_token_of_this_machine_never_leaves_it(environment, url, sent):
    assert token_for(find_connection(url, None, environment), url) == sent


def test_a_token_that_was_given_goes_to_every_node(environment):
    connection = find_connection("http://10.0.0.1:8470,http://127.0.0.1:8470", "t", environment)
    assert [connection.token_for(url) for url in connection.urls] == ["t", "t"]


def test_option_comes_before_variable_before_file_before_the_machines_own(environment, tmp_path):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    url = "http://127.0.0.1:8470"
    with_file = environment | {"CRONCORD_TOKEN_FILE": str(file)}
    with_both = with_file | {"CRONCORD_TOKEN": "from-variable"}
    assert token_for(find_connection(None, "from-option", with_both), url) == "from-option"
    assert token_for(find_connection(None, None, with_both), url) == "from-variable"
    assert token_for(find_connection(None, None, with_file), url) == "from-file"


def test_several_addresses_are_kept_in_their_order(environment):
    variables = environment | {"CRONCORD_URL": "http://a:1, https://b:2/,"}
    assert find_connection(None, None, variables).urls == (URL("http://a:1"), URL("https://b:2"))


@pytest.mark.parametrize("url", ["10.0.0.1:8470", "ftp://a", "http://", ",", "http://[::1", "x y"])
def test_an_address_that_is_none_is_refused_with_an_example(url):
    with pytest.raises(ConfigError) as caught:
        find_connection(url, "t", {})
    assert "http://127.0.0.1:8470" in caught.value.hint


def test_a_token_file_that_is_missing_is_told_by_name(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        find_connection(None, None, {"CRONCORD_TOKEN_FILE": str(tmp_path / "nowhere")})


def test_a_token_with_a_line_break_inside_is_refused_before_it_is_sent():
    with pytest.raises(ConfigError, match="characters that no token has"):
        find_connection(None, "abc\r\nX-Header: 1", {})


def authorities(connection):
    return {name[0][0][1] for name in (c["subject"] for c in connection.tls.get_ca_certs())}


def name_of(authority):
    return authority.certificate.subject.rfc4514_string().removeprefix("CN=")


def test_a_node_on_this_machine_that_speaks_https_is_found_and_trusted(environment, tmp_path):
    (tmp_path / "croncord/ca.pem").write_bytes(AUTHORITY.pem)
    connection = find_connection(None, None, environment)
    assert connection.urls == (URL("https://127.0.0.1:8470"),)
    assert token_for(connection, "https://127.0.0.1:8470") == "local-admin"
    assert name_of(AUTHORITY) in authorities(connection)
    elsewhere = find_connection("https://10.0.0.1:8470", "t", environment)
    assert name_of(AUTHORITY) in authorities(elsewhere)


def test_an_authority_that_is_given_is_trusted_alone(environment, tmp_path):
    (tmp_path / "croncord/ca.pem").write_bytes(AUTHORITY.pem)
    given = tmp_path / "other.pem"
    given.write_bytes(STRANGER.pem)
    by_option = find_connection(None, "t", environment, str(given))
    by_variable = find_connection(None, "t", environment | {"CRONCORD_CA_FILE": str(given)})
    assert authorities(by_option) == authorities(by_variable) == {name_of(STRANGER)}


@pytest.mark.parametrize(("content", "word"), [(None, "cannot read"), ("x", "no certificate")])
def test_an_authority_that_cannot_be_read_is_told_by_name(tmp_path, content, word):
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=word) as caught:
        find_connection("https://a", "t", {}, str(path))
    assert str(path) in str(caught.value)


def test_without_https_no_authority_is_needed(environment):
    assert find_connection("http://a", "t", environment, "nowhere").tls is None
