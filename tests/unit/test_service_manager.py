"""What systemd hears, on a real datagram socket."""

import logging
import os
import socket
import uuid

import pytest
from notify_socket import NotifySocket

from croncord.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def other_end(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else f"@croncord-{uuid.uuid4()}"
    with NotifySocket(address) as other_end:
        yield other_end


def manager_of(other_end, **environment):
    return ServiceManager.from_environment({"NOTIFY_SOCKET": other_end.address, **environment}, 7)


def test_each_step_of_a_life_is_told(other_end):
    manager = manager_of(other_end)
    manager.starting(60)
    manager.ready()
    manager.status("leads;\n3 of 3 voters reached")
    manager.alive()
    manager.reloading(12.5)
    manager.reloaded()
    manager.stopping()
    assert other_end.messages() == [
        {"EXTEND_TIMEOUT_USEC": "60000000"},
        {"READY": "1"},
        {"STATUS": "leads; 3 of 3 voters reached"},
        {"WATCHDOG": "1"},
        {"RELOADING": "1", "MONOTONIC_USEC": "12500000"},
        {"READY": "1"},
        {"STOPPING": "1"},
    ]


def test_reading_again_before_the_start_is_over_does_not_end_the_start(other_end):
    manager = manager_of(other_end)
    manager.reloading(1.0)
    manager.reloaded()
    assert other_end.messages() == []


def test_a_status_is_told_when_it_changes(other_end):
    manager = manager_of(other_end)
    for sentence in ("leads", "leads", "n2 leads"):
        manager.status(sentence)
    assert [message["STATUS"] for message in other_end.messages()] == ["leads", "n2 leads"]


def test_what_a_busy_manager_did_not_take_is_told_when_it_reads_again(other_end):
    manager = manager_of(other_end)
    for _ in range(2000):
        manager.alive()  # more than the kernel keeps for a reader that does not read
    manager.ready()
    manager.status("leads")
    assert {"READY": "1"} not in other_end.messages()
    manager.settle()
    manager.settle()
    assert other_end.messages()[-2:] == [{"READY": "1"}, {"STATUS": "leads"}]


def test_a_status_cannot_hold_another_message(other_end):
    manager_of(other_end).status("n1\nREADY=1 \ud800" + "x" * 1000)
    (message,) = other_end.messages()
    assert message["STATUS"].startswith("n1 READY=1 ?xxx")
    assert set(message) == {"STATUS"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "60000000"}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_is_kept_quiet_if_it_is_this_process_s(other_end, given, seconds):
    assert manager_of(other_end, **given).watchdog_seconds == seconds


def test_children_do_not_inherit_the_socket(other_end):
    environment = {"NOTIFY_SOCKET": other_end.address, "WATCHDOG_USEC": "1", "PATH": "/bin"}
    ServiceManager.from_environment(environment, os.getpid())
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_socket_of_a_kind_that_is_known_nothing_is_told(address):
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": address} if address else {}, 7)
    manager.ready()
    assert not manager.is_there


def test_a_manager_that_is_gone_or_does_not_listen_harms_nobody(tmp_path, caplog):
    address = str(tmp_path / "notify")
    manager = ServiceManager(address)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            manager.alive()
    assert len(caplog.records) == 1, "said once"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        for _ in range(2000):
            manager.alive()
