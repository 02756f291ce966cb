"""A real Chromium does each act on the page of a living daemon: by keys alone, on a phone in Korean, without script.

Needs what test_browser.py needs; RUNNER_TEST_SCREENSHOTS=1 leaves pictures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from runner.acts import ACTS
from tests.web.test_browser import HERE, PYTHON, house  # noqa: F401 - a fixture
from tests.web.test_server import ask, free_port

ACTED = """\
timezone: Asia/Seoul
tags: [demo]
schedule: "0 3 * * *"
start_date: 2026-01-01
catchup: none
max_active_runs: 4
params:
  region: {type: string, enum: [KR, US], default: KR, description: which market}
  rows: {type: integer, default: 10, minimum: 1}
  tables: {type: list, default: [orders, clicks]}
steps:
  - {id: good, bash: 'echo << params.region >>'}
  - {id: bad, needs: good, bash: 'test -e "$ROOM/mended"'}
"""
WAITS = """\
timezone: Asia/Seoul
steps:
  - {id: wait, kill_grace: 5s, bash: 'until [ -e "$ROOM/open" ]; do sleep 0.1; done'}
"""
PASSWORD = "correct horse battery"


@pytest.mark.timeout(900)
def test_a_browser_does_every_act(house):  # noqa: F811
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium: apt-get install chromium")
    if not os.path.exists(PYTHON):
        pytest.skip("no playwright: tests/web/fetch.sh")
    house.pipeline("acted", ACTED)
    house.pipeline("waits", WAITS)
    house("user", "add", "kim", "--role", "operator", "--password-stdin", stdin=PASSWORD + "\n")
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    house.wait_for(lambda: ask(port, "/healthz") == (200, "ok\n"))
    house.wait_for(lambda: house.rows("SELECT 1 FROM pipelines WHERE name = 'waits' AND definition IS NOT NULL"))
    order = {"base": f"http://127.0.0.1:{port}", "chromium": chromium, "folder": str(house.folder), "name": "kim", "password": PASSWORD, "shots": ""}
    if os.environ.get("RUNNER_TEST_SCREENSHOTS"):
        order["shots"] = os.path.join(HERE, "screenshots")
        os.makedirs(order["shots"], exist_ok=True)
    done = subprocess.run([PYTHON, os.path.join(HERE, "walk_acts.py"), json.dumps(order)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:] + house.log()[-2000:]
    found = json.loads(done.stdout)
    assert found["trouble"] == [], "\n".join(dict.fromkeys(found["trouble"]))
    assert {"acted@2026-01-05", "acted@2026-01-05#2"} <= set(house.runs("acted")) and "acted@2026-01-05#3" not in house.runs("acted")
    assert "runner trigger acted --date 2026-01-05 --reason 'double click'" in found["commands"]
    assert any("--param region=US --reason 'it'\"'\"'s a trial'" in line for line in found["commands"])
    trail = house.rows("SELECT act, actor, source, reason FROM audit WHERE actor = 'kim' AND act NOT LIKE 'sign%'")
    assert {row["act"] for row in trail} == set(ACTS) and {row["source"] for row in trail} == {"page"}
    assert [row["reason"] for row in trail if row["act"] == "mark"] == ["확인했음"]
    assert house.run("waits@2026-01-05")["reason"] == "stopped by kim: too long" and house.run("acted@2026-01-07")["reason"] == "stopped by kim: enough"
    assert "a fault of the page" not in house.log()
    house.open()
    assert house.end(child) == 0
