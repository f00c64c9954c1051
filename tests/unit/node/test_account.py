"""Who a script runs as."""

import os
import pwd

import pytest

from croncord.node.account import find_account
from croncord.node.refusal import StartRefused


def test_without_a_name_it_is_the_user_of_this_program():
    own = pwd.getpwuid(os.geteuid())
    account = find_account("")
    assert (account.name, account.uid, account.home) == (own.pw_name, own.pw_uid, own.pw_dir)
    assert not account.is_other
    assert find_account(own.pw_name) == account


def test_a_name_nobody_has_is_refused():
    with pytest.raises(StartRefused, match="there is no user zaphod on this machine"):
        find_account("zaphod")


def test_only_root_may_start_scripts_as_somebody_else(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("daemon").pw_uid)
    assert not find_account("daemon").is_other
    with pytest.raises(StartRefused, match="does not run as root on this machine"):
        find_account("root")


def test_a_number_without_a_name_has_an_account_too(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    account = find_account("")
    assert (account.name, account.home, account.shell) == ("54321", "/", "/bin/sh")


def test_a_user_without_a_login_shell_gets_a_plain_one(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_account("daemon").shell == "/bin/sh"
