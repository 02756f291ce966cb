"""The page of a living daemon: it is served beside the work, and nothing of it can keep the work from being done."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request

import pytest

STEPS = "steps: [{id: a, bash: 'true'}]\n"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def ask(port, path="/pipelines", **headers):
    """(status, text); None when nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def test_the_daemon_serves_its_page_where_it_is_told_and_nowhere_else(house):
    house.pipeline("mart", STEPS)
    port = free_port()
    quiet = house.daemon()
    assert "the page" not in house.log() and ask(port) is None
    house.end(quiet)
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    status, text = house.wait_for(lambda: ask(port))
    assert status == 200 and "mart" in text
    assert ask(port, "/healthz") == (200, "ok\n")
    assert ask(port, Host="evil.example")[0] == 421
    assert house.end(child) == 0
    assert ask(port) is None


def test_the_option_of_the_daemon_is_the_setting(house):
    port = free_port()
    child = house.start("daemon", "--listen", f"127.0.0.1:{port}")
    try:
        assert house.wait_for(lambda: ask(port, "/healthz") == (200, "ok\n"))
    finally:
        child.terminate()
        assert child.wait(60) == 0
        child.stdout.close()
        child.stderr.close()


def test_a_busy_port_is_named_with_its_holder_and_runs_begin_all_the_same(house):
    house.pipeline("mart", STEPS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
        house.wait_for(lambda: f"port {port} is taken by pid {os.getpid()} (" in house.log())
        house("trigger", "mart", "--date", "2026-01-05")
        house.wait_state("mart@2026-01-05", "success")
        words = f"the page is not served yet: port {port} is taken by pid {os.getpid()} ("
        assert house("health", code=1).stdout.startswith(f"RUNNER WARNING - {words}")
        found = [each for each in house.json("doctor", code=None) if each["area"] == "page"]
        assert found[0]["text"].startswith(words) and "--listen" in found[0]["remedy"]
    assert house.end(child) == 0


@pytest.mark.parametrize("patch", ["import sys; sys.modules['flask'] = None", "import runner.web.server as s; s._bound = lambda *w: 1 / 0"])
def test_a_page_that_cannot_be_served_is_said_and_runs_begin_all_the_same(house, patch):
    house.pipeline("mart", STEPS)
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{free_port()}"}, patch=patch)
    house.wait_for(lambda: "the page is not served" in house.log())
    house.wait_for(lambda: "the page is not served" in house("health", code=None).stdout)
    house("trigger", "mart", "--date", "2026-01-05")
    house.wait_state("mart@2026-01-05", "success")
    assert house.end(child) == 0


def test_a_reload_moves_the_page(house):
    first, second = free_port(), free_port()
    house.settings(f"listen: 127.0.0.1:{first}\n")
    child = house.daemon()
    house.wait_for(lambda: ask(first, "/healthz"))
    house.settings(f"listen: 127.0.0.1:{second}\n")
    child.send_signal(signal.SIGHUP)
    house.wait_for(lambda: ask(second, "/healthz"))
    assert ask(first) is None
    house.settings("listen: off\n")
    child.send_signal(signal.SIGHUP)
    house.wait_for(lambda: ask(second) is None)
    assert house.end(child) == 0


def test_a_daemon_that_hangs_does_not_look_healthy(house):
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    house.wait_for(lambda: ask(port, "/healthz"))
    patch = "import runner.daemonlock as d; d.DaemonLock.beat = lambda self: None"
    house.end(child)
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"}, patch=patch)
    house.wait_for(lambda: ask(port, "/healthz"))
    os.utime(house.home / "daemon.lock", (1e9, 1e9))
    status, words = ask(port, "/healthz")
    assert status == 503 and "has not turned" in words
    assert "has not turned" in ask(port, "/pipelines?fresh")[1]
    house.end(child)


def test_many_connections_that_say_nothing_keep_nobody_from_being_answered(house):
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    house.wait_for(lambda: ask(port, "/healthz"))
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
    for number, each in enumerate(idle):
        each.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" if number % 2 else b"")
    assert ask(port, "/healthz") == (200, "ok\n")
    for each in idle:
        each.close()
    assert house.end(child) == 0
