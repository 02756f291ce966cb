"""What systemd hears: real datagrams, read as systemd reads them."""

from __future__ import annotations

import os
import socket

import pytest

from runner import clock
from runner.daemon import notify
from runner.daemon.notify import Notify


@pytest.fixture(params=["path", "abstract", "hangul"])
def line(request, tmp_path):
    """(socket that listens, NOTIFY_SOCKET)"""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(10)
    name = "@runner-test-" + os.urandom(8).hex()
    if request.param != "abstract":
        name = str(tmp_path / ("notify" if request.param == "path" else "알림 소켓"))
    listener.bind(b"\0" + name[1:].encode() if name.startswith("@") else os.fsencode(name))
    yield listener, name
    listener.close()


def test_every_word_arrives_as_systemd_wants_it(line):
    listener, name = line
    told = Notify({"NOTIFY_SOCKET": name})
    assert told.listens
    for said, heard in [
        (lambda: told.ready("3 pipelines"), "READY=1\nSTATUS=3 pipelines"), (told.ready, "READY=1"),
        (lambda: told.status("판매: 2 steps"), "STATUS=판매: 2 steps"), (told.alive, "WATCHDOG=1"),
        (lambda: told.reloading(17), "RELOADING=1\nMONOTONIC_USEC=17"), (lambda: told.stopping("drained"), "STOPPING=1\nSTATUS=drained"),
    ]:
        assert said() is True
        assert listener.recv(4096).decode() == heard


def test_a_status_cannot_say_anything_else(line):
    listener, name = line
    Notify({"NOTIFY_SOCKET": name}).status("a\nSTOPPING=1\r\n \udcffb")
    assert listener.recv(4096).decode() == "STATUS=a STOPPING=1 ?b"


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234", "/there/is/no/such/socket", "@nobody-listens-here", "/" + "x" * 200])
def test_without_a_socket_nothing_happens(name):
    told = Notify({"NOTIFY_SOCKET": name} if name else {})
    assert told.listens is name.startswith(("/", "@"))
    assert [told.ready(), told.status("x"), told.alive(), told.reloading(1), told.stopping()] == [False] * 5


def test_a_systemd_that_does_not_read_does_not_hold_the_daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "SEND_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        told = Notify({"NOTIFY_SOCKET": str(tmp_path / "full")})
        assert not all(told.alive() for _ in range(100_000))  # the queue of the kernel is full at some time


def test_steps_do_not_inherit_the_line(tmp_path):
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    told = Notify(environ, pid=7)
    assert environ == {"PATH": "/bin"}
    assert told.watchdog_seconds == 5.0


@pytest.mark.parametrize("environ, seconds", [
    ({}, None), ({"WATCHDOG_USEC": "120000000"}, 120.0), ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "42"}, 120.0),
    ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "41"}, None), ({"WATCHDOG_USEC": "0"}, None), ({"WATCHDOG_USEC": "-1"}, None),
    ({"WATCHDOG_USEC": "soon"}, None), ({"WATCHDOG_PID": "42"}, None), ({"WATCHDOG_USEC": "500000"}, 0.5),
])
def test_the_watchdog(environ, seconds):
    assert notify.watchdog_seconds(environ, 42) == seconds


def test_the_clock_of_systemd_goes_on():
    first = clock.monotonic_usec()
    assert 0 < first <= clock.monotonic_usec()
