"""list, show, runs, status: what is on the screen, what is in the JSON, what to type next."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone

import pytest

from runner import daemonlock, model, ownership
from runner.cli import reading
from runner.cli.planning import next_
from runner.cli.reading import list_, runs, show, status
from runner.errors import EnvironmentFault, InvalidPipeline, NotFound
from tests.conftest import add_run, make_date, make_pipeline, make_step

PIPELINE = make_pipeline(make_step("extract"), make_step("적재", ["extract"]), make_step("report", ["적재"]))


@pytest.fixture
def run(store, clock):
    return add_run(store, PIPELINE, clock)


@pytest.fixture
def failed(store, clock, run, attempt, move):
    """extract good, 적재 failed at its second try, report behind it."""
    move(run, "running")
    attempt(run, "extract", b"fine\n")
    attempt(run, "적재", b"one\n", "failed", reason="exit 1", step_state="retry_wait")
    attempt(run, "적재", b"".join(b"line %d\n" % n for n in range(20)), "failed", number=2, reason="exit 3", frm="retry_wait")
    with store.transaction():
        store.move("step", run.id, "pending", "upstream_failed", clock.now(), step="report", reason="적재 failed")
    return move(run, "failed", reason="failed: 적재")


# ----------------------------------------------------------------------------------------------------------------- list


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pipelines"
    made.mkdir()
    text = "steps:\n  - id: a\n    bash: echo hi\n"
    (made / "mart.yaml").write_text('schedule: "0 1 * * *"\n' + text)
    (made / "매출.yaml").write_text(text)
    return made


def test_the_pipelines_with_next_time_and_last_run(call, folder, failed):
    code, out, err = call(list_)
    assert code == 0
    assert out.splitlines() == [
        "pipeline  schedule   next due              last run             owner  tags",
        "mart      0 1 * * *  2026-03-01 01:00 KST  x failed 2026-02-28",
        "매출",
    ]


def test_one_that_is_due_once_says_when(call, folder, failed):
    for name in ("mart", "new"):
        (folder / f"{name}.yaml").write_text('schedule: "@once"\n' + (folder / "매출.yaml").read_text())
    (folder / "ended.yaml").write_text('schedule: "@daily"\nend_date: 2026-02-01\n' + (folder / "매출.yaml").read_text())
    rows = {line.split()[0]: line for line in call(list_)[1].splitlines()}
    assert "when first seen" in rows["new"] and "never again" in rows["mart"] and "never again" in rows["ended"]  # mart has run


def test_files_with_faults_are_listed_below_with_the_first(call, folder):
    (folder / "bad.yaml").write_text("steps: 1\n")
    _, out, err = call(list_)
    assert out.splitlines()[-3:-1] == ["", "with faults  the first"]
    assert out.splitlines()[-1].startswith("bad          x ")
    assert "runner check" in err


@pytest.fixture
def broken(folder, store, clock, move):
    """mart was good, ran, and has a fault now; bad never was good."""
    text = (folder / "mart.yaml").read_text() + "timezone: America/New_York\nowner: kim\n"
    good = dataclasses.replace(make_pipeline(make_step("a")), text=text)
    with store.transaction():
        store.pipelines.place("mart", str(folder / "mart.yaml"), store.keep_definition(good, clock.now()), "", clock.now())
        store.pipelines.schedule("mart", "", clock.now(), datetime(2026, 3, 1, 6, tzinfo=timezone.utc))
    move(add_run(store, good, clock), "running", "failed")
    (folder / "mart.yaml").write_text("steps: 1\n")
    (folder / "bad.yaml").write_text("steps: 1\n")


def test_a_file_with_faults_hides_nothing_of_what_stays_in_force(call, broken):
    _, out, err = call(list_)
    table, faults = out.split("\n\n")
    assert table.splitlines() == [
        "pipeline  schedule   next due              last run             owner  tags",
        "mart      0 1 * * *  2026-03-01 01:00 EST  x failed 2026-02-28  kim",
        "매출",
    ]
    assert [line.split()[:2] for line in faults.splitlines()[1:]] == [["bad", "x"], ["mart", "x"]]
    assert [line for line in err.splitlines() if "stays" in line] == ["  mart: its last good version stays scheduled"]


def test_the_last_run_is_the_one_that_began_last_and_those_that_wait_are_counted(call, folder, store, clock, failed, move):
    def line():
        return call(list_)[1].splitlines()[1].partition("KST  ")[2]

    for day in ("2026-01-01", "2026-01-02"):
        add_run(store, PIPELINE, clock, make_date(day))
    assert line() == "x failed 2026-02-28, 2 wait"
    clock.advance(60)
    move(store.run("mart@2026-01-02"), "running")
    clock.advance(60)
    move(store.run("mart@2026-01-01"), "running", "success")
    add_run(store, PIPELINE, clock, make_date("2027-03-01"))
    assert line() == "+ success 2026-01-01, 1 waits"
    move(store.run("mart@2027-03-01"), "killed")
    assert line() == "+ success 2026-01-01", "it never began"
    entry = next(entry for entry in json.loads(call(list_, "--json")[1]) if entry["name"] == "mart")
    assert entry["waiting"] == 0 and entry["last_run"]["name"] == "mart@2026-01-01"


def test_a_missed_run_is_a_last_one_and_one_that_waits_is_none(call, folder, store, clock, run, move):
    assert call(list_)[1].splitlines()[1].endswith("KST  1 waits")
    clock.advance(60)
    move(run, "missed")
    assert call(list_)[1].splitlines()[1].endswith("KST  ? missed 2026-02-28")


def test_the_json_of_a_file_with_faults_is_by_the_clock_of_its_pipeline(call, broken):
    found = {entry["name"]: entry for entry in json.loads(call(list_, "--json")[1])}
    assert found["mart"]["next_due"] == "2026-03-01T01:00:00-05:00" and found["mart"]["schedule"] == "0 1 * * *"
    assert found["mart"]["problem"] and found["bad"]["next_due"] is None


def test_a_pause_of_a_file_with_faults_is_seen(call, broken, store, clock):
    with store.transaction():
        store.pipelines.pause("mart", "", "kim", clock.now(), "why")
    assert "paused by kim" in call(list_)[1]


def test_two_files_of_one_name_are_one_row(call, folder, broken):
    (folder / "team").mkdir()
    (folder / "team" / "mart.yaml").write_text("steps: 1\n")
    table, faults = call(list_)[1].split("\n\n")
    assert table.count("\nmart ") == 1 and faults.count("\nmart ") == 2


@pytest.mark.parametrize("command, words", [(show, "0 1 * * *"), (next_, "2026-02-28 01:00 .. 2026-03-01 01:00")])
def test_what_stays_in_force_can_be_looked_at(call, broken, command, words):
    code, out, err = call(command, "mart")
    assert code == 0 and words in out
    assert err.splitlines()[0] == "the file of mart has faults: this is its last good version; type: runner check mart"
    with pytest.raises(InvalidPipeline):
        call(command, "bad")


def test_files_of_subfolders_stand_among_the_others_by_name(call, folder):
    (folder / "a").mkdir()
    (folder / "a" / "night.yaml").write_text("steps:\n  - {id: a, bash: 'true'}\n")
    (folder / "zoo.yaml").write_text("steps:\n  - {id: a, bash: 'true'}\n")
    assert [entry["name"] for entry in json.loads(call(list_, "--json")[1])] == ["mart", "night", "zoo", "매출"]


def test_a_narrow_terminal_keeps_the_last_run(call, folder, failed, monkeypatch):
    (folder / "mart.yaml").write_text('owner: data-team\ntags: [mart, daily]\nschedule: "0 1 * * *"\nsteps:\n  - {id: a, bash: "true"}\n')
    monkeypatch.setattr("runner.cli.reading._limit", lambda: 80)
    lines = call(list_)[1].splitlines()
    assert all(len(line) <= 80 for line in lines) and "  03-01 01:00 KST  x failed 2026-02-28" in lines[1]
    monkeypatch.setattr("runner.cli.reading._limit", lambda: 120)
    assert "  2026-03-01 01:00 KST  x failed 2026-02-28  data-team  mart, daily" in call(list_)[1].splitlines()[1]


def test_a_changed_file_is_seen(call, folder):
    call(list_)
    (folder / "mart.yaml").write_text('schedule: "30 2 * * *"\n' + (folder / "매출.yaml").read_text())
    assert "2026-03-01 02:30 KST" in call(list_)[1]


def test_a_second_list_needs_no_croniter(call, app, folder, monkeypatch):
    call(list_)
    monkeypatch.setattr(reading, "_find_due", None)
    assert "2026-03-01 01:00 KST" in call(list_)[1]


def test_list_as_json(call, folder, failed):
    found = {entry["name"]: entry for entry in json.loads(call(list_, "--json")[1])}
    assert found["mart"]["next_due"] == "2026-03-01T01:00:00+09:00" and found["mart"]["problem"] is None
    assert found["mart"]["last_run"]["name"] == failed.name
    assert found["mart"]["last_run"]["ended_at"].endswith("+09:00")
    assert found["매출"]["schedule"] is None and found["매출"]["last_run"] is None


def test_a_folder_that_cannot_be_read_is_not_called_empty(call, folder, closed):
    closed(folder)
    with pytest.raises(EnvironmentFault, match="cannot be read: Permission denied"):
        call(list_)


def test_an_empty_folder_says_what_to_do(call):
    code, out, err = call(list_)
    assert (code, out) == (0, "") and "put a .yaml file there" in err


# --------------------------------------------------------------------------------------------------------------- status


def test_a_failed_run_says_what_failed_its_last_words_and_what_to_type(call, failed):
    code, out, err = call(status, failed.name)
    assert code == 0
    assert out.splitlines() == [
        "mart@2026-02-28  x failed  failed: 적재",
        "  date      2026-02-28  (ts 2026-02-28T00:00:00+09:00)",
        "  interval  2026-02-27 00:00 .. 2026-02-28 00:00 KST",
        "  trigger   manual",
        "  started   2026-02-28 23:50:00 KST, took 6.0s",
        "",
        "step     state              took  tries  reason",
        "extract  + success          2.0s  1",
        "적재     x failed           2.0s  2      exit 3",
        "report   ^ upstream_failed               적재 failed",
        "",
        "==> 적재 (attempt 2, exit 3) <==",
        *(f"line {n}" for n in range(10, 20)),
    ]
    assert err.splitlines() == [
        "  runner logs mart@2026-02-28 적재   what it printed",
        "  runner rerun mart@2026-02-28 --failed   again, what failed or never ran",
    ]


def test_the_step_that_made_the_run_fail_comes_before_one_that_may_fail(call, store, clock, attempt, move):
    text = "steps:\n  - {id: may, bash: exit 1, allow_failure: true}\n  - {id: must, bash: exit 1}\n"
    pipeline = dataclasses.replace(make_pipeline(make_step("may", allow_failure=True), make_step("must"), name="rules"), text=text)
    run = add_run(store, pipeline, clock)
    move(run, "running")
    for step in ("may", "must"):
        attempt(run, step, b"words of %s\n" % step.encode(), "failed", reason="exit 1")
    move(run, "failed", reason="failed: must")
    _, out, err = call(status, run.name)
    assert err.splitlines()[0] == f"  runner logs {run.name} must   what it printed"
    assert out.index("==> must") < out.index("==> may")


def test_a_failed_step_with_one_huge_line_does_not_flood_a_status(call, run, attempt, move):
    move(run, "running")
    attempt(run, "extract", b"begin" + b"\0" * 300_000, "failed", reason="exit 1")
    move(run, "failed", reason="failed: extract")
    out = call(status, run.name)[1]
    assert len(out) < 3000 and "begin" in out and "(300005 characters)" in out


def test_a_run_whose_process_died_is_called_interrupted(call, store, run, move, app):
    owner = ownership.Owner(app.config.engines_folder, "runner run mart")
    with store.transaction():
        store.claim(run.id, owner.id, None)
    move(run, "running")
    _, out, err = call(status, run.name)
    assert "> running" in out and "runner run mart" in out and f"runner stop {run.name}" in err
    owner.close()
    _, out, err = call(status, run.name)
    assert "! interrupted" in out and f"runner rerun {run.name} --resume" in err
    assert json.loads(call(status, run.name, "--json")[1])["interrupted"] is True
    assert "! interrupted" in call(runs)[1]


def test_a_waiting_step_says_when_it_tries_again(call, run, attempt, move):
    move(run, "running")
    attempt(run, "extract", b"", "failed", reason="exit 1", step_state="retry_wait")
    assert "~ retry_wait  0.0s  1      exit 1; next try 23:50:02" in call(status, run.name)[1].replace("2.0s", "0.0s")


def test_status_as_json_has_moments_with_the_runs_own_offset(call, failed):
    found = json.loads(call(status, failed.name, "--json")[1])
    assert found["name"] == failed.name and found["state"] == "failed" and found["interrupted"] is False
    assert found["started_at"] == "2026-02-28T23:50:00+09:00"
    assert found["worked_on_by"] is None
    assert [(step["id"], step["state"], step["tries"]) for step in found["steps"]] == [
        ("extract", "success", 1), ("적재", "failed", 2), ("report", "upstream_failed", 0),
    ]
    assert found["steps"][1]["ended_at"].endswith("+09:00")


def test_the_newest_run_goes_by_its_pipelines_name(call, store, clock, run):
    clock.advance(1)
    newer = add_run(store, PIPELINE, clock, make_date("2026-03-01"))
    for word in ("mart", "latest"):
        assert call(status, word)[1].startswith(newer.name)


def test_an_unknown_run_is_an_error_with_near_names(call, run):
    with pytest.raises(NotFound) as error:
        call(status, "mart@2026-02-29")
    assert run.name in error.value.hint


# ----------------------------------------------------------------------------------------------------------------- runs


def test_runs_are_listed_newest_first(call, store, clock, failed):
    clock.advance(60)
    newer = add_run(store, PIPELINE, clock, make_date("2026-03-01"))
    _, out, err = call(runs)
    assert out.splitlines() == [
        "run              state     started              took  trigger  reason",
        "mart@2026-03-01  . queued                             manual   no daemon runs; type: runner daemon",
        "mart@2026-02-28  x failed  2026-02-28 23:50:00  6.0s  manual   failed: 적재",
    ]
    assert f"runner status {newer.name}" in err
    assert [found["name"] for found in json.loads(call(runs, "mart", "--json")[1])] == [newer.name, failed.name]
    assert len(call(runs, "-n", "1")[1].splitlines()) == 2
    assert failed.name in call(runs, "--state", "failed")[1]


def test_a_run_that_waits_for_a_daemon_that_hangs_says_so(call, clock, run, monkeypatch):
    beat = clock.now().timestamp() - daemonlock.HUNG_SECONDS - 1
    monkeypatch.setattr(daemonlock, "look", lambda home: daemonlock.Daemon(77, "77-x", "", "0.1.0", beat))
    assert json.loads(call(status, run.name, "--json")[1])["waits"] == "the daemon (pid 77) hangs; type: runner health"


def test_no_runs_is_no_fault(call):
    code, out, err = call(runs, "mart")
    assert (code, out) == (0, "") and "mart has no run" in err
    assert json.loads(call(runs, "--json")[1]) == []


# ----------------------------------------------------------------------------------------------------------------- show


@pytest.fixture
def spec(app):
    found = make_pipeline(
        make_step("extract", retry=model.Retry(2, 300.0)), make_step("적재", ["extract"], when="params.full"), make_step("clean", ["extract"]),
        make_step("report", ["적재", "clean"], trigger_rule="all_done"), make_step("alone"),
        description="매출 마트", owner="dw", tags=("daily",), schedule=model.Schedule("@daily", "Asia/Seoul", cron="0 0 * * *"),
        params={"full": model.Param("full", "boolean", False, description="everything"), "region": model.Param("region", required=True)},
    )
    app.pipeline = lambda reference: found
    return found


def test_show_draws_steps_in_order_below_what_they_need(call, spec):
    _, out, err = call(show, "mart")
    assert out.splitlines() == [
        "mart  매출 마트",
        "  file      /pipelines/mart.yaml",
        "  schedule  @daily  (Asia/Seoul)",
        "  owner     dw",
        "  tags      daily",
        "  limits    max_active_runs 1, catchup last",
        "  params    full: boolean = False  everything",
        "            region: string, required",
        "",
        "step        kind  needs        retries    rule",
        "extract     bash               2 x 5m00s",
        "  적재      bash  extract                 when params.full",
        "  clean     bash  extract",
        "    report  bash  적재, clean             all_done",
        "alone       bash",
    ]
    assert "runner plan mart" in err


def test_show_as_json(call, spec):
    found = json.loads(call(show, "mart", "--json")[1])
    assert found["schedule"] == "@daily" and found["params"]["full"]["default"] is False
    assert [step["id"] for step in found["steps"]] == ["extract", "적재", "clean", "report", "alone"]


def test_a_chain_of_thousands_stays_on_the_screen(call, app):
    chain = make_pipeline(*[make_step(f"s{n}", [f"s{n - 1}"] if n else []) for n in range(3000)])
    app.pipeline = lambda reference: chain
    lines = call(show, "mart")[1].splitlines()
    assert len(lines) > 3000 and max(map(len, lines)) < 80
