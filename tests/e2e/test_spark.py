"""A spark-submit step as runner runs it, with a script for spark-submit and a ResourceManager that answers as the real one."""

from __future__ import annotations

import json
import os

import pytest

from tests.clients.test_spark import APP, HANGS, REPORT, ResourceManager, Stage


@pytest.fixture
def stage(runner, tmp_path):
    manager = ResourceManager()
    runner.env["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
    runner.write("mart.py", "")
    yield Stage(tmp_path, manager)
    manager.close()


def write(runner, stage, env=None, **keys):
    body = {"application": "mart.py", "master": "yarn", "deploy_mode": "cluster", "rm_url": stage.rm.url, "poll": "1s"}
    runner.write("night.yaml", json.dumps({"steps": [{"id": "mart", "spark-submit": body, "env": env or {}, **keys}]}))


def log(runner, attempt=1):
    path = runner.home / "runs/night/2026-11-20" / f"mart.{attempt}" / "log"
    return path.read_text() if path.exists() else ""


def begin(runner):
    return runner.start("run", "night.yaml", "--date", "2026-11-20")


def ended(run, code):
    out, err = run.communicate(timeout=100)
    assert run.returncode == code, (out, err)
    return out + err


def test_the_status_of_a_running_step_names_its_application_and_a_stop_ends_it(runner, stage):
    stage.script(HANGS)
    write(runner, stage)
    run = begin(runner)
    runner.wait_for(lambda: "tracking URL" in log(runner))
    runner.wait_for(lambda: f"{APP} http://rm.example:8088/proxy/{APP}/" in runner("status", "night@2026-11-20").stdout)
    assert runner.json("status", "night@2026-11-20")["steps"][0]["note"].startswith(APP)
    runner("stop", "night@2026-11-20")
    ended(run, 1)
    assert stage.rm.apps[APP]["state"] == "KILLED" and "has ended, YARN says so" in log(runner)
    [step] = runner.json("status", "night@2026-11-20")["steps"]
    assert step["state"] == "killed" and step["note"] is None and APP in step["reason"]


def test_a_timeout_kills_the_application_and_the_retry_submits_anew(runner, stage):
    second = REPORT.replace("_0001", "_0002")
    stage.script(f"if [ -e first ]; then {second}exit 0; fi\ntouch first\n{HANGS}")
    write(runner, stage, timeout="10s", retries=1, retry_delay="0s")
    ended(begin(runner), 0)
    assert stage.rm.apps[APP]["state"] == "KILLED" and stage.submitted() == 2
    [step] = runner.json("status", "night@2026-11-20")["steps"]
    assert step["outputs"]["application_id"].endswith("_0002")


def test_with_a_secret_in_between_the_stop_reaches_the_application(runner, stage):
    runner.home.mkdir(mode=0o700, exist_ok=True)
    path = runner.home / "secrets.yaml"
    path.write_text("jdbc: top-secret-77\n")
    path.chmod(0o600)
    stage.script('echo "password=$JDBC"\n' + HANGS)
    write(runner, stage, env={"JDBC": "<< secret.jdbc >>"})
    run = begin(runner)
    runner.wait_for(lambda: "tracking URL" in log(runner))
    runner("stop", "night@2026-11-20")
    ended(run, 1)
    assert stage.rm.apps[APP]["state"] == "KILLED" and "password=***" in log(runner) and "top-secret-77" not in log(runner)


def test_a_secret_in_a_setting_is_refused_with_what_to_type(runner, stage):
    write(runner, stage)
    text = (runner.folder / "night.yaml").read_text().replace('"poll": "1s"', '"conf": {"spark.hadoop.fs.s3a.secret.key": "<< secret.jdbc >>"}')
    (runner.folder / "night.yaml").write_text(text)
    assert "secret" in runner("check", "night.yaml", code=1).stdout
