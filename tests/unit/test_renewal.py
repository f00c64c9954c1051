"""HUP on a running node, without a process: what is read again, and what is said about it."""

import logging
from datetime import timedelta

import pytest
from certificates import AUTHORITY, NOW, STRANGER, node_tls, write_files

from croncord.clock import ManualClock
from croncord.config import Settings
from croncord.errors import ConfigError
from croncord.renewal import Renewal
from croncord.renewal import node_tls as certificate_of


@pytest.fixture
def renewal(tmp_path):
    levels = []

    def reread():
        if not levels:
            raise ConfigError("log_level: nonsense", hint="Say info.")
        return Settings(name="n1", data_dir=tmp_path, log_level=levels[-1])

    made = Renewal(data_dir=tmp_path, reread=reread, clock=ManualClock(NOW))
    made.levels = levels
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield made
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_the_log_level_follows_the_settings(renewal):
    renewal.levels.append("debug")
    renewal.renew()
    assert logging.getLogger().level == logging.DEBUG


def test_wrong_settings_and_a_broken_certificate_change_nothing_and_are_told(
    renewal, tmp_path, caplog
):
    tls = node_tls(tmp_path / "tls")
    renewal.keep_new(tls)
    contexts = tls.contexts
    tls.files.cert.write_text("half")
    renewal.renew()
    assert tls.contexts is contexts
    assert "the settings were not read again: log_level: nonsense. Say info." in caplog.text
    assert "the certificate in use is kept: tls_cert" in caplog.text


def test_a_renewed_certificate_and_authority_are_taken_and_left_for_the_command_line(
    renewal, tmp_path
):
    tls = node_tls(tmp_path / "tls", days=20)
    renewal.keep_new(tls)
    assert (tmp_path / "ca.pem").read_bytes() == AUTHORITY.pem
    end = tls.expires_at
    files = write_files(tmp_path / "tls", authority=STRANGER, days=300)
    both = AUTHORITY.pem + STRANGER.pem
    files.ca.write_bytes(both)
    renewal.renew()
    assert tls.expires_at > end
    assert (tmp_path / "ca.pem").read_bytes() == both


@pytest.mark.parametrize("required", [None, False])
def test_without_required_tls_the_command_line_finds_no_authority(renewal, tmp_path, required):
    (tmp_path / "ca.pem").touch()
    renewal.keep_new(node_tls(tmp_path / "tls", required=False) if required is False else None)
    assert not (tmp_path / "ca.pem").exists()


@pytest.mark.parametrize(
    ("days_on", "words"), [(0, ""), (285, ""), (287, "expires in 13 days"), (301, "has expired")]
)
def test_an_old_certificate_is_complained_about_for_two_weeks(tmp_path, caplog, days_on, words):
    clock = ManualClock(NOW + timedelta(days=days_on))
    renewal = Renewal(data_dir=tmp_path, reread=None, clock=clock)
    renewal.keep_new(node_tls(tmp_path / "tls", days=300))
    renewal._complain()
    assert words in caplog.text if words else caplog.text == ""


def test_a_certificate_needs_an_authority_given_or_told(tmp_path):
    files = write_files(tmp_path)
    settings = Settings(
        name="n1", data_dir=tmp_path, tls_cert=files.cert, tls_key=files.key, tls_mode="require"
    )
    clock = ManualClock(NOW)
    assert certificate_of(settings, clock, told_authority=tmp_path / "none") is None
    assert certificate_of(settings, clock, told_authority=files.ca).required
