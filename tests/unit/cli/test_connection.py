import pytest
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
