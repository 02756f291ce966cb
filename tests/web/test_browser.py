"""A real Chromium walks through every screen of a living daemon. `RUNNER_TEST_SCREENSHOTS=1` leaves pictures in tests/web/screenshots/.

Needs Chromium (apt-get install chromium) and playwright (tests/web/fetch.sh); RUNNER_TEST_FULL=1 walks with 500 pipelines x 90 days.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import datetime, timezone

import pytest

from tests.e2e.daemons import House
from tests.web.night import fill
from tests.web.test_server import ask, free_port

HERE = os.path.dirname(__file__)
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
AXE = os.path.join(CACHE, "runner-tests", "browser", "axe.min.js")
PYTHON = os.path.join(CACHE, "runner-tests", "browser", "bin", "python")
LIVE = """\
description: Works while one looks
owner: data-platform
tags: [demo]
timezone: Asia/Seoul
doc_md: Loads what is needed.
params:
  region: {type: string, enum: [KR, US], default: KR, description: which market}
steps:
  - {id: get, bash: 'echo before; until [ -e "$ROOM/open" ]; do sleep 0.1; done; echo after; echo rows=12 >> "$RUNNER_OUTPUT"'}
  - {id: side, bash: 'echo side'}
  - {id: each, needs: [get, side], foreach: [KR, US], bash: 'echo << item >>'}
  - {id: last, needs: each, bash: 'echo last'}
"""


# What a Chromium of two years ago does not know, or knew only just: MDN's browser-compat-data says that the newest thing in use is
# color-mix (111, of 2023), and AbortSignal.timeout, which is asked for before it is used.
TOO_NEW = {
    "page.css": r":has\(|@container|@layer|@scope|@starting-style|light-dark\(|anchor\(|text-wrap|field-sizing|interpolate-size|^\s*&|if\(|contrast-color|@function|@view-transition|sibling-index",
    "page.js": r"startViewTransition|Object\.groupBy|Map\.groupBy|Promise\.(try|withResolvers)|popover|\.toSorted\(|Iterator\.|Temporal|\busing\b|URL\.parse|AbortSignal\.any|setHTML|moveBefore",
}


@pytest.mark.parametrize("name", sorted(TOO_NEW))
def test_nothing_is_used_that_a_browser_of_two_years_ago_does_not_know(name):
    with open(os.path.join(HERE, "..", "..", "runner", "web", "static", name), encoding="utf-8") as file:
        text = re.sub(r"//.*|/\*.*?\*/", "", file.read())
    assert not re.findall(TOO_NEW[name], text, re.MULTILINE)
    assert text.count("AbortSignal.timeout") == 2 * text.count("AbortSignal.timeout &&")
    assert not re.search(r"\b(animation|transition)(-\w+)?\s*:", text), "nothing moves by itself, so that prefers-reduced-motion has nothing to stop"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.env["RUNNER_TIMEZONE"] = "Asia/Seoul"
    yield made
    made.close()


@pytest.mark.timeout(900)
def test_a_browser_walks_through_every_screen(house):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium: apt-get install chromium")
    if not os.path.exists(PYTHON):
        pytest.skip("no playwright: tests/web/fetch.sh")
    count, days = (500, 90) if os.environ.get("RUNNER_TEST_FULL") else (60, 20)
    store = fill(str(house.home), count, days, datetime.now(timezone.utc))
    failed = store.db.connection.execute("SELECT name FROM runs WHERE state = 'failed' ORDER BY due_at DESC").fetchone()["name"]
    store.close()
    house.pipeline("live", LIVE)
    house.pipeline("bad", "steps: [{id: a, bsh: x}]\n")
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    house.wait_for(lambda: ask(port, "/healthz") == (200, "ok\n"))
    house("trigger", "live", "--date", "2026-01-05")
    house.wait_for(lambda: house.rows("SELECT 1 FROM attempts"))
    house.wait_for(lambda: any((house.home / "runs").glob("live/*/get.1/log")))
    screens = {
        "today": "/", "pipelines": "/pipelines", "pipeline": f"/pipelines/{failed.partition('@')[0]}", "faulty": "/pipelines/bad", "file": "/pipelines/live/file",
        "run": f"/runs/{failed}", "live": "/runs/live@2026-01-05", "log": "/runs/live@2026-01-05/steps/get", "search": "/runs/live@2026-01-05/steps/get?q=before",
        "operations": "/operations", "trail": "/operations/trail", "nothing": "/pipelines?q=no-such-thing",
    }
    order = {"base": f"http://127.0.0.1:{port}", "chromium": chromium, "screens": screens, "live_run": "/runs/live@2026-01-05", "live_log": "/runs/live@2026-01-05/steps/get",
             "gate": str(house.folder / "open"), "shots": ""}
    if os.environ.get("RUNNER_TEST_SCREENSHOTS"):
        order["shots"] = os.path.join(HERE, "screenshots")
        os.makedirs(order["shots"], exist_ok=True)
    order.update(axe=AXE if os.path.exists(AXE) else "", pid=child.pid, again=str(house.folder / "again"))
    walk = subprocess.Popen([PYTHON, os.path.join(HERE, "walk.py"), json.dumps(order)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        house.wait_for(lambda: os.path.exists(order["again"]) or walk.poll() is not None, 600)
        if os.path.exists(order["again"]):
            assert child.wait(10) == -9
            child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
        out, said = walk.communicate(timeout=300)
    finally:
        walk.kill()
    assert walk.returncode == 0, said[-3000:]
    found = json.loads(out)
    assert found["trouble"] == [], "\n".join(dict.fromkeys(found["trouble"]))
    assert not order["axe"] or found["axe"] == len(screens) * 5, "axe-core looked at each screen in each look"
    house("user", "add", "kim", "--role", "admin", "--password-stdin", stdin="correct horse battery\n")
    live, run = "/pipelines/live/act/", f"/runs/{failed}/act/"
    order.update(name="kim", password="correct horse battery", signed={
        **{name: screens[name] for name in ("today", "pipelines", "pipeline", "run", "log", "operations")}, "account": "/account", "users": "/users",
        **{act: live + act for act in ("trigger", "backfill", "pause", "hold")}, **{act: run + act for act in ("rerun", "mark")},
    })
    done = subprocess.run([PYTHON, os.path.join(HERE, "walk.py"), json.dumps(order)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    behind = json.loads(done.stdout)
    assert behind["trouble"] == [], "\n".join(dict.fromkeys(behind["trouble"]))
    assert all(sent < 300_000 for _, sent, _ in found["timing"].values()), found["timing"]
    if os.environ.get("RUNNER_TEST_FULL"):  # nothing else runs beside it then
        assert all(took < 1000 for took, _, _ in found["timing"].values()), found["timing"]
    assert "a fault of the page" not in house.log()
    assert house.end(child) == 0
