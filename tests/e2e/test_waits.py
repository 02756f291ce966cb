"""Waits with real processes: what the status says, that they hold no slot, and that nothing is lost with the daemon."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.daemons import House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.close()


def waiting(house, run, step):
    return lambda: house.runs().get(run) == "running" and "since" in house.step(run, step)["reason"]


def test_the_status_says_what_is_missing_and_since_when(house, tmp_path):
    house.pipeline("load", f"steps:\n  - id: landed\n    wait: {{file: {tmp_path}/in-<< ds >>.csv, every: 1s}}\n  - {{id: load, needs: landed, bash: 'echo << outputs.landed.path >>'}}\n")
    house.daemon()
    house("trigger", "load", "--date", "2026-02-28")
    house.wait_for(waiting(house, "load@2026-02-28", "landed"))
    said = house("status", "load@2026-02-28").stdout
    assert f"{tmp_path}/in-2026-02-28.csv is not there, since 20" in said
    (tmp_path / "in-2026-02-28.csv").write_text("x")
    house.wait_state("load@2026-02-28", "success")
    assert f"{tmp_path}/in-2026-02-28.csv" in house("logs", "load@2026-02-28", "load").stdout


def test_waits_hold_no_slot(house, tmp_path):
    house.settings("slots: 1\n")
    house.pipeline("many", f"steps:\n  - id: landed\n    foreach: << range(50) | list >>\n    wait: {{file: {tmp_path}/never, every: 60s}}\n  - {{id: work, bash: 'echo worked'}}\n")
    house.daemon()
    house("trigger", "many", "--date", "2026-02-28")
    house.wait_for(lambda: house.runs() and house.step("many@2026-02-28", "work")["state"] == "success")
    house("stop", "many@2026-02-28")
    assert house.runs() == {"many@2026-02-28": "killed"}


def test_a_wait_outlives_the_daemon_with_the_deadline_it_had(house, tmp_path):
    house.pipeline("load", f"steps:\n  - id: landed\n    wait: {{file: {tmp_path}/in.csv, every: 1s}}\n    timeout: 1h\n  - id: late\n    wait: {{file: {tmp_path}/never, every: 1s}}\n    timeout: 1h\n")
    first = house.daemon()
    house("trigger", "load", "--date", "2026-02-28")
    for step in ("landed", "late"):
        house.wait_for(waiting(house, "load@2026-02-28", step))
    house.end(first, signal.SIGKILL)
    house.change("UPDATE attempts SET deadline_at = '2026-01-01T00:00:00.000000Z'")
    (tmp_path / "in.csv").write_text("x")
    house.daemon(patch="from runner.engine import attempts; attempts.LATE_LOOK = 5.0")  # what has come before its time is over is looked at once
    house.wait_state("load@2026-02-28", "failed")
    steps = {row["step"]: row for row in house.rows("SELECT * FROM step_runs")}
    assert steps["landed"]["state"] == "success" and steps["late"]["state"] == "failed"
    assert steps["late"]["reason"].startswith(f"timeout after 3600 s: {tmp_path}/never is not there, since")
    assert len(house.rows("SELECT * FROM attempts")) == 2


def test_a_prober_that_is_killed_is_started_again(house, tmp_path):
    house.pipeline("load", f"steps:\n  - id: landed\n    wait: {{file: {tmp_path}/in.csv, every: 1s}}\n")
    daemon = house.daemon()
    house("trigger", "load", "--date", "2026-02-28")
    house.wait_for(waiting(house, "load@2026-02-28", "landed"))
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as file:
        children = [int(pid) for pid in file.read().split()]
    probers = [pid for pid in children if b"prober" in open(f"/proc/{pid}/cmdline", "rb").read()]
    assert len(probers) == 1
    os.kill(probers[0], signal.SIGKILL)
    (tmp_path / "in.csv").write_text("x")
    house.wait_state("load@2026-02-28", "success")


def test_soft_skips_and_a_plain_wait_fails_when_its_time_is_over(house, tmp_path):
    text = f"    wait: {{file: {tmp_path}/never, every: 1s%s}}\n    timeout: 1s\n    retries: 3\n    retry_delay: 1h\n"
    path = house.write("w.yaml", "steps:\n  - id: soft\n" + text % ", soft: true" + "  - id: hard\n" + text % "")
    done = house("run", path, "--date", "2026-02-28", code=1)
    assert house.states("w@2026-02-28") == {"soft": "skipped", "hard": "failed"}, done.stderr


def test_another_pipelines_run_by_date(house):
    house.pipeline("mart", "schedule: '0 1 * * *'\nsteps:\n  - {id: load, bash: 'true'}\n  - {id: publish, needs: load, bash: 'test -e \"$EFFECTS\"'}\n")
    house.pipeline("report", "steps:\n  - id: ready\n    wait: {run: mart, step: publish, every: 1s}\n  - id: month\n    wait: {run: mart, date: '<< ds[:7] >>', every: 60s}\n    timeout: 2s\n")
    house.daemon()
    house("trigger", "report", "--date", "2026-02-03")
    house.wait_for(lambda: house.runs() and house.step("report@2026-02-03", "month")["state"] == "failed")
    rows = {row["step"]: row["reason"] for row in house.rows("SELECT * FROM step_runs")}
    assert rows["ready"].startswith("mart@2026-02-03 has not begun, since")
    assert "mart@2026-02-01 has not begun; mart@2026-02-02 has not begun; mart@2026-02-03 has not begun; 25 more" in rows["month"]
    house("trigger", "mart", "--date", "2026-02-03")
    house.wait_state("mart@2026-02-03", "failed")
    house.wait_for(lambda: "step publish of mart@2026-02-03 is failed" in house.step("report@2026-02-03", "ready")["reason"])
    house.effects.write_text("")
    house("rerun", "mart@2026-02-03", "--failed")
    house.wait_for(lambda: house.step("report@2026-02-03", "ready")["state"] == "success")


def test_a_step_starts_another_pipeline_through_the_daemon(house):
    house.pipeline("child", "steps:\n  - {id: a, bash: 'echo $RUNNER_DS'}\n")
    house.pipeline("parent", "steps:\n  - {id: start, pipeline: child}\n  - {id: after, needs: start, bash: 'echo << outputs.start.run >>'}\n")
    first = house.daemon()
    house("trigger", "parent", "--date", "2026-02-28")
    house.wait_state("parent@2026-02-28", "success")
    assert house.runs() == {"parent@2026-02-28": "success", "child@2026-02-28": "success"}
    assert house("logs", "parent@2026-02-28", "after").stdout.strip().endswith("child@2026-02-28")
    house.end(first)


def test_a_wait_has_no_log_and_none_that_was_removed(runner):
    path = runner.write("mart.yaml", "steps: [{id: landed, wait: {file: mart.yaml}}, {id: load, needs: landed, bash: echo loaded}]")
    runner("run", path, "--date", "2026-02-28")
    every = runner("logs", "mart@2026-02-28")
    assert every.stdout == "loaded\n" and "landed: no log, it waits" in every.stderr and "removed" not in every.stderr
    one = runner("logs", "mart@2026-02-28", "landed")
    assert one.stdout == "" and "landed: no log, it waits" in one.stderr
    assert runner.json("logs", "mart@2026-02-28")["steps"][0]["step"] == "load"
