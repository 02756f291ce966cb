"""The interface of a real daemon: many who ask at once, one that dies, hangs or is blocked, and how it is seen from outside."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys

import pytest

from tests.api.fitting import misfit
from tests.api.living import Living
from tests.api.site import PLAIN
from tests.e2e.daemons import EFFECT
from tests.web.test_server import ask

ASK = """\
import http.client, json, sys
port, token, date = sys.argv[1:]
sys.stdin.readline()  # all at once
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
connection.request("POST", "/api/v1/pipelines/mart/runs", json.dumps({"date": date}), {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
answer = connection.getresponse()
print(answer.status, json.loads(answer.read())["name"])
"""


@pytest.fixture
def living(tmp_path):
    made = Living(tmp_path)
    yield made
    made.close()


def test_twenty_programs_that_ask_for_one_date_at_once_get_one_run(living):
    living.house.pipeline("mart", f"steps: [{{id: a, bash: '{EFFECT}'}}]\n")
    living.start()
    children = [subprocess.Popen([sys.executable, "-c", ASK, str(living.port), living.tokens["operate"], "2026-01-05"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for _ in range(20)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    answers = sorted(child.communicate(timeout=120)[0].strip() for child in children)
    assert answers == ["200 mart@2026-01-05"] * 19 + ["201 mart@2026-01-05"]
    living.house.wait_all_ended()
    assert len(living.house.lines()) == 1
    living.house.check_promises()


def test_one_key_sent_twenty_times_at_once_acts_once(living):
    living.house.pipeline("plain", PLAIN)
    living.start()
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda _: living.ask("POST", "pipelines/plain/runs", {}, Idempotency_Key="k"), range(20)))
    assert {status for status, _, _ in found} == {201} and len({run["name"] for _, _, run in found}) == 1
    assert len(living.house.runs("plain")) == 1


def test_what_is_asked_is_done_at_once_and_outlives_the_daemon(living):
    living.house.pipeline("mart", f"steps: [{{id: a, bash: '{EFFECT}'}}]\n")
    living.start()
    assert living.ask("POST", "pipelines/mart/runs", {"date": "2026-01-05"}, Idempotency_Key="k")[0] == 201
    living.house.wait_state("mart@2026-01-05", "success")
    living.house.end(living.child, signal.SIGKILL)
    living.start()
    status, _, run = living.ask("POST", "pipelines/mart/runs", {"date": "2026-01-05"}, Idempotency_Key="k")
    assert status == 201 and run["state"] == "queued", "the answer of then, also after a restart"
    assert living.ask("POST", "pipelines/mart/runs", {"date": "2026-01-05"})[0] == 200
    living.house.check_promises()


def test_a_dead_daemon_answers_nothing(living):
    living.start()
    assert ask(living.port, "/healthz") == (200, "ok\n")
    living.house.end(living.child, signal.SIGKILL)
    assert ask(living.port, "/healthz") is None


def test_a_daemon_whose_loop_stands_while_its_page_lives_is_not_healthy(living):
    """The page has threads of its own: they answer on when the loop no longer turns, and say so."""
    gate = living.house.folder / "stand"
    living.start(patch=f"import os, time, runner.daemonlock as d; d.HUNG_SECONDS, d.BEAT_SECONDS = 3.0, 0.3; d.DaemonLock.beat = lambda self, real=d.DaemonLock.beat: "
                       f"[time.sleep(0.05) for _ in iter(lambda: os.path.exists({str(gate)!r}), False)] and None or real(self)")
    assert ask(living.port, "/healthz") == (200, "ok\n")
    gate.touch()
    living.house.ring()
    status, words = living.house.wait_for(lambda: (ask(living.port, "/healthz") or (0,))[0] == 503 and ask(living.port, "/healthz"))
    assert "has not turned" in words
    living.house.wait_for(lambda: living.ask("GET", "health", token="look")[2]["state"] == "CRITICAL")  # a tenth of a second later, by its rounding
    assert "runner_daemon_up 0\n" in living.ask("GET", "/metrics", token="look")[2].decode()
    gate.unlink()
    living.house.wait_for(lambda: ask(living.port, "/healthz") == (200, "ok\n"))


def test_a_daemon_that_is_stopped_is_not_healthy(living):
    living.start()
    os.kill(living.child.pid, signal.SIGSTOP)
    try:
        done = living.house("health", code=None)  # from outside: its page stands too
        os.utime(living.house.home / "daemon.lock", (1e9, 1e9))
        done = living.house("health", code=2)
        assert "has not turned" in done.stdout
    finally:
        os.kill(living.child.pid, signal.SIGCONT)


def test_a_daemon_that_lets_nothing_begin_is_not_healthy(living):
    living.house.env["RUNNER_MIN_FREE"] = "900000T"
    living.start()
    living.house.wait_for(lambda: ask(living.port, "/healthz")[0] == 503)
    assert "free" in ask(living.port, "/healthz")[1]
    assert 'runner_daemon_blocked{reason="disk"} 1\n' in living.ask("GET", "/metrics", token="look")[2].decode()


def test_a_broken_database_is_said_and_heals(living):
    living.start()
    assert living.ask("GET", "runs")[0] == 200
    path = living.house.home / "runner.db"
    path.rename(path.with_suffix(".away"))
    status, headers, body = living.ask("GET", "runs", token="look")
    assert status in (200, 401, 503) and not misfit("GET", "/api/v1/runs", status, headers["Content-Type"], __import__("json").dumps(body))
    path.with_suffix(".away").rename(path)
    living.house.wait_for(lambda: living.ask("GET", "runs")[0] == 200)


def test_more_than_is_taken_is_refused_before_it_is_read(living):
    living.start()
    status, headers, body = living.ask("POST", "pipelines/mart/runs", {"reason": "x" * 200_000})
    assert status == 413 and body["type"].endswith("too-large")


def test_acts_too_many_at_once_are_told_to_wait(living):
    living.house.pipeline("plain", PLAIN)
    slow = "import runner.web.api.limits as l; l.Limits.__init__.__defaults__ = (l.READS, l.Rate(l.ACTS.most, 0.01))"
    living.start(patch=slow)  # the bucket fills slower than any machine asks
    found = [living.ask("POST", "pipelines/plain/unpause", {}) for _ in range(110)]
    assert {status for status, _, _ in found} == {409, 429}
    assert int(next(headers for status, headers, _ in found if status == 429)["Retry-After"]) >= 1
    assert living.ask("GET", "runs")[0] == 200, "who only looks goes on"
