"""ssh steps in a run: values handed on, the timeout and the stop that reach the other host."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.clients.sshserver import sshd  # noqa: F401
from tests.clients.test_ssh import processes


@pytest.fixture
def pipeline(runner, sshd):  # noqa: F811
    """Write mart.yaml with one ssh step and what follows it."""
    there = runner.folder / "there"

    def go(text, more="", **step):
        body = json.dumps({**sshd.body, "scratch": str(there), "run": text})
        keys = "".join(f", {key}: {value}" for key, value in step.items())
        runner.write("mart.yaml", f"steps:\n  - {{id: load{keys}, ssh: {body}}}\n{more}")
        return there

    return go


def test_date_env_and_outputs(runner, pipeline):
    there = pipeline('echo "$RUNNER_DS $PLACE"; echo rows=3 >> "$RUNNER_OUTPUT"', env="{PLACE: 서울}",
                     more="  - {id: tell, needs: load, bash: 'echo << outputs.load.rows >>'}\n")
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert runner("logs", "mart@2026-02-28", "load").stdout == "2026-02-28 서울\n"
    assert runner("logs", "mart@2026-02-28", "tell").stdout == "3\n" and os.listdir(there) == []


def test_the_timeout_reaches_the_other_host_and_the_retry_is_clean(runner, pipeline):
    there = pipeline(f"echo x >> {runner.folder}/ran; [ $RUNNER_TRY_NUMBER = 2 ] || sleep 6543", timeout="10s", retries=1, retry_delay=0)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert (runner.folder / "ran").read_text() == "x\nx\n" and not processes("sleep\x006543") and os.listdir(there) == []


def test_a_runner_that_is_killed_finds_the_job_again(runner, pipeline):
    pipeline(f"echo x >> {runner.folder}/ran; until [ -e {runner.folder}/go ]; do sleep 0.1; done; exit 0")
    first = runner.start("run", "mart.yaml", "--date", "2026-02-28")
    runner.wait_for((runner.folder / "ran").exists)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (runner.folder / "go").touch()
    runner("run", "mart.yaml", "--date", "2026-02-28", "--resume")
    assert (runner.folder / "ran").read_text() == "x\n"


def test_a_stop_reaches_the_other_host(runner, pipeline):
    there = pipeline(f"touch {runner.folder}/ran; sleep 7654")
    first = runner.start("run", "mart.yaml", "--date", "2026-02-28")
    runner.wait_for((runner.folder / "ran").exists)
    runner("stop", "mart@2026-02-28", code=None)
    first.communicate(timeout=120)
    assert runner.states("mart@2026-02-28") == {"load": "killed"}
    assert not processes("sleep\x007654") and os.listdir(there) == []


def test_a_secret_of_env_reaches_the_other_host_and_no_file(runner, pipeline):
    runner.home.mkdir()
    site = runner.home / "secrets.yaml"
    site.write_text("db: geheimgeheim\n")
    site.chmod(0o600)
    there = pipeline('grep -rl "$PW" "$(dirname "$0")" || echo nowhere; echo "${#PW} $PW"', env='{PW: "<< secret.db >>"}')
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert runner("logs", "mart@2026-02-28", "load").stdout == "nowhere\n12 ***\n" and os.listdir(there) == []
    assert [path for path in runner.home.rglob("*") if path.is_file() and b"geheimgeheim" in path.read_bytes()] == [site]
