"""The folder as the daemon knows it: last good texts, since when due times count, files that come, go, double and are odd."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest

from runner.daemon import catalogue as module
from runner.errors import EnvironmentFault
from runner.spec.check import Site
from tests.daemon.stage import STEPS, Stage, moment

DAILY = 'schedule: "0 1 * * *"'


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.close()


def scan(stage):
    """What it said of this scan."""
    del stage.said[:]
    assert stage.catalogue.scan()
    return list(stage.said)


# ------------------------------------------------------------------------------------------------------------- files


def test_a_new_file_is_taken_in_once(stage):
    path = stage.write("mart", DAILY + "\n" + STEPS)
    assert scan(stage) == ["pipeline mart: new"]
    row = stage.row("mart")
    assert (row.path, row.problem, row.broken) == (str(path), "", "")
    assert row.cursor == stage.clock.now() and row.next_due == moment("2026-03-01 01:00")
    assert scan(stage) == []


def test_an_unchanged_file_is_not_parsed_again_by_a_new_daemon(stage, monkeypatch):
    stage.pipeline("mart", DAILY)
    stage.restart()
    monkeypatch.setattr(module, "load_text", lambda *more: pytest.fail("parsed"))
    assert scan(stage) == []


def test_a_file_that_was_just_written_is_looked_at_again(stage):
    path = stage.write("mart", DAILY + "\n" + STEPS)
    just = stage.clock.now().timestamp()
    os.utime(path, (just, just))
    assert not stage.catalogue.scan() and stage.row("mart") is None
    stage.clock.advance(5)
    assert stage.catalogue.scan() and stage.row("mart").definition


def test_a_broken_edit_keeps_the_last_good_text_scheduled(stage):
    stage.pipeline("mart", DAILY)
    good = stage.row("mart")
    stage.write("mart", DAILY + "\nsteps: [{id: a, bsh: x}]\n")
    said, = scan(stage)
    assert said.startswith("pipeline mart: line 2: ") and said.endswith("; its last good version stays scheduled")
    row = stage.row("mart")
    assert row.problem.startswith("line 2: ") and (row.definition, row.next_due) == (good.definition, good.next_due)
    stage.at("2026-03-01 01:00").restart()
    stage.catalogue.scan()
    stage.work()
    assert stage.dues("mart") == [("2026-03-01 01:00", "queued")]
    stage.write("mart", DAILY + "\n" + STEPS)
    assert scan(stage) == ["pipeline mart: changed"] and stage.row("mart").problem == ""


def test_a_file_that_was_never_good_is_known_and_not_due(stage):
    stage.write("mart", "steps: 5\n")
    said, = scan(stage)
    assert said.startswith("pipeline mart: line 1: ") and "last good" not in said
    row = stage.row("mart")
    assert row.definition is None and row.next_due is None and row.problem
    stage.at("2026-03-03 00:00")
    stage.pipeline("mart", DAILY)
    assert stage.row("mart").cursor == moment("2026-03-03 00:00"), "it counts from when it was good"


def test_a_fault_of_ours_over_one_file_is_told_and_stops_no_other(stage, monkeypatch):
    real = module.load_text
    monkeypatch.setattr(module, "load_text", lambda text, path, name, site: {}[name] if name == "bad" else real(text, path, name, site))
    stage.write("bad", DAILY + "\n" + STEPS)
    stage.write("good", DAILY + "\n" + STEPS)
    assert scan(stage) == ["pipeline bad: runner cannot read it: KeyError('bad')", "pipeline good: new"]
    assert stage.row("bad").problem and stage.row("good").next_due


def test_a_fault_of_the_machine_is_no_fault_of_the_file(stage, monkeypatch):
    def full(*more):
        raise EnvironmentFault("the disk is full", "")

    monkeypatch.setattr(module, "load_text", full)
    stage.write("mart", DAILY + "\n" + STEPS)
    with pytest.raises(EnvironmentFault):
        stage.catalogue.scan()
    monkeypatch.undo()
    assert scan(stage) == ["pipeline mart: new"], "nothing of it was remembered"


def test_a_file_that_goes_is_due_no_more_and_goes_on_when_it_is_back(stage):
    path = stage.pipeline("mart", DAILY)
    os.rename(path, f"{path}.away")
    assert scan(stage) == ["pipeline mart: its file is gone; due no more, history stays"]
    assert stage.row("mart").gone_at and stage.row("mart").next_due is None
    assert scan(stage) == []
    os.rename(f"{path}.away", path)
    assert scan(stage) == ["pipeline mart: new"]
    row = stage.row("mart")
    assert row.gone_at is None and row.cursor == moment("2026-03-01 00:00") and row.next_due == moment("2026-03-01 01:00")


def test_the_whole_folder_gone_leaves_everything_scheduled(stage):
    stage.pipeline("mart", DAILY)
    os.rename(stage.folder, f"{stage.folder}.away")
    assert scan(stage) == [f"the pipelines folder {stage.folder} is not there; what is known stays scheduled"]
    assert scan(stage) == [] and stage.row("mart").next_due
    os.rename(f"{stage.folder}.away", stage.folder)
    assert scan(stage) == []
    shutil.rmtree(stage.folder)
    assert scan(stage) == [f"the pipelines folder {stage.folder} is not there; what is known stays scheduled"]


def test_a_folder_that_cannot_be_read_leaves_everything_scheduled(stage, closed, monkeypatch):
    stage.pipeline("mart", DAILY)
    closed(stage.folder)
    assert scan(stage) == [f"the pipelines folder {stage.folder} cannot be read; what is known stays scheduled"]
    assert scan(stage) == [] and stage.row("mart").next_due
    monkeypatch.undo()
    assert scan(stage) == [] and stage.row("mart").next_due


def test_a_file_moved_to_a_subfolder_stays_the_same_pipeline(stage):
    path = stage.pipeline("mart", DAILY)
    stage.at("2026-03-03 00:00")
    (stage.folder / "sub").mkdir()
    os.rename(path, stage.folder / "sub" / "mart.yaml")
    assert scan(stage) == ["pipeline mart: changed"]
    assert stage.row("mart").cursor == moment("2026-03-01 00:00") and stage.row("mart").path.endswith("sub/mart.yaml")


def test_two_files_of_one_name_are_told_and_what_is_in_force_stays(stage):
    path = stage.pipeline("mart", DAILY)
    good = stage.row("mart")
    other = stage.write("sub/mart", 'schedule: "@hourly"\n' + STEPS)
    said = [f"pipeline mart: another file makes the pipeline mart too: {other}; its last good version stays scheduled"]
    assert scan(stage) == said and scan(stage) == []
    stage.write("mart", STEPS)
    assert scan(stage) == said, "an edit of one of two is in force no more than the other"
    row = stage.row("mart")
    assert row.path == str(path) and row.problem == f"another file makes the pipeline mart too: {other}"
    assert (row.definition, row.next_due) == (good.definition, good.next_due)
    other.unlink()
    assert scan(stage) == ["pipeline mart: changed"]
    assert stage.row("mart").problem == "" and stage.row("mart").next_due is None


def test_two_new_files_of_one_name_are_none_until_one_goes(stage):
    stage.write("mart", DAILY + "\n" + STEPS)
    other = stage.write("sub/mart", 'schedule: "@hourly"\n' + STEPS)
    assert scan(stage) == [f"pipeline mart: another file makes the pipeline mart too: {other}"]
    assert stage.row("mart").definition is None and stage.row("mart").next_due is None
    other.unlink()
    assert scan(stage) == ["pipeline mart: changed"] and stage.row("mart").next_due == moment("2026-03-01 01:00")


def test_what_somebody_should_see_is_a_warning_and_what_is_well_is_none(stage):
    path = stage.pipeline("mart", DAILY)
    stage.pipeline("mart", 'schedule: "0 2 * * *"')
    assert stage.warned == []
    stage.write("mart", "steps: 5\n")
    broken = scan(stage)
    path.unlink()
    assert broken and stage.warned == broken + scan(stage)


def test_a_faulty_version_of_what_is_not_due_claims_no_schedule(stage):
    stage.pipeline("mart")
    stage.write("mart", "steps: 5\n")
    assert not scan(stage)[0].endswith("scheduled") and stage.row("mart").definition


@pytest.mark.parametrize("make, problem", [
    (lambda path: os.mkfifo(path), None),
    (lambda path: os.symlink("/nowhere/at/all.yaml", path), "cannot be read: No such file or directory"),
    (lambda path: path.write_bytes(b"\xff\xfe\x00"), None),
    (lambda path: path.write_bytes(b""), None),
    (lambda path: path.write_text("a: " * 3000), None),
    (lambda path: path.write_text("[" * 20000), None),
    (lambda path: path.write_text("a: &a [*a]\n" * 3), None),
])
def test_odd_files_are_told_in_words_and_stop_nobody(stage, make, problem):
    path = stage.folder / "odd.yaml"
    make(path)
    if not path.is_symlink():
        os.utime(path, (1e9, 1e9))
    stage.write("good", DAILY + "\n" + STEPS)
    scan(stage)
    assert stage.row("good").next_due
    odd = stage.row("odd")
    assert odd is None or (odd.problem and odd.next_due is None)
    if problem:
        assert odd.problem == problem


def test_a_name_in_another_encoding_is_told_once(stage):
    with open(os.fsencode(str(stage.folder)) + b"/\xb0\xa1.yaml", "w") as file:
        file.write(STEPS)
    stage.write("good", STEPS)
    assert [line for line in scan(stage) if "not UTF-8" in line] and stage.row("good")
    assert scan(stage) == []


def test_a_name_with_an_at_is_told_and_makes_no_runs(stage):
    stage.write("night@home", DAILY + "\n" + STEPS)
    assert scan(stage) == ["pipeline night@home: the name of a pipeline cannot have an @ in it: its runs are named PIPELINE@DATE"]
    row = stage.row("night@home")
    assert row.problem and row.next_due is None and scan(stage) == []


def test_hangul_names_are_names(stage):
    stage.pipeline("고객마트", DAILY, "timezone: Asia/Seoul")
    stage.at("2026-03-02 01:00", "Asia/Seoul").work()
    assert [run.name for run in stage.runs()] == ["고객마트@2026-03-02"]


# ------------------------------------------------------------------------------------------------- since when it counts


@pytest.mark.parametrize("before, after", [
    ([DAILY], ['schedule: "0 2 * * *"']),
    ([DAILY], [DAILY, "timezone: Asia/Seoul"]),
    ([DAILY], [DAILY, "start_date: 2026-01-01"]),
    ([], [DAILY]),
    (['schedule: "@once"'], [DAILY]),
])
def test_a_changed_schedule_never_reaches_back_before_the_change(stage, before, after):
    stage.pipeline("mart", *before, "catchup: all")
    stage.at("2026-03-05 12:00")
    stage.pipeline("mart", *after, "catchup: all")
    assert stage.row("mart").cursor == moment("2026-03-05 12:00") and stage.work() == 0


@pytest.mark.parametrize("after", [["# a word"], ["catchup: all"], ["description: other"], ["logical_date: interval_start"], ["max_active_runs: 3"]])
def test_any_other_change_goes_on_where_it_was(stage, after):
    stage.pipeline("mart", DAILY)
    stage.at("2026-03-03 12:00").restart()
    stage.pipeline("mart", DAILY, *after)
    assert stage.row("mart").cursor == moment("2026-03-01 00:00")
    stage.work()
    assert [due for due, _ in stage.dues("mart")] == [f"2026-03-0{day} 01:00" for day in (1, 2, 3)]


def test_another_zone_of_the_site_starts_those_anew_that_use_it(stage):
    stage.pipeline("own", DAILY, "timezone: UTC")
    stage.pipeline("sites", DAILY)
    stage.at("2026-03-01 12:00")
    stage.restart(Site("Asia/Seoul"))
    scan(stage)
    assert stage.row("own").cursor == moment("2026-03-01 00:00")
    assert stage.row("sites").cursor == moment("2026-03-01 12:00")
    assert stage.row("sites").next_due == moment("2026-03-02 01:00", "Asia/Seoul")


def test_another_logical_date_of_the_site_moves_no_due_time(stage):
    stage.pipeline("mart", DAILY)
    stage.at("2026-03-01 12:00")
    stage.restart(Site("UTC", "interval_start"))
    scan(stage)
    stage.work()
    assert [run.name for run in stage.runs("mart")] == ["mart@2026-02-28"]


@pytest.mark.parametrize("edit", [["timezone: Asia/Seoul"], ["end_date: 2027-01-01"], ["# a word"]])
def test_once_has_no_second_first_time(stage, edit):
    stage.pipeline("first", 'schedule: "@once"')
    stage.work()
    stage.at("2026-03-05 00:00")
    stage.pipeline("first", 'schedule: "@once"', *edit)
    stage.work()
    assert stage.dues("first") == [("2026-03-01 00:00", "queued")]


def test_once_that_has_not_run_takes_a_new_start_date(stage):
    stage.pipeline("first", 'schedule: "@once"', "start_date: 2026-03-10")
    stage.at("2026-03-02 00:00")
    stage.pipeline("first", 'schedule: "@once"', "start_date: 2026-03-03")
    assert stage.row("first").next_due == moment("2026-03-03 00:00")
    stage.at("2026-03-03 00:00").work()
    assert stage.dues("first") == [("2026-03-03 00:00", "queued")]


def test_once_that_comes_back_to_it_after_another_schedule_is_due_then(stage):
    stage.pipeline("first", DAILY)
    stage.at("2026-03-05 12:00")
    stage.pipeline("first", 'schedule: "@once"')
    stage.work()
    assert stage.dues("first") == [("2026-03-05 12:00", "queued")]


def test_a_pause_outlives_an_edit_and_a_broken_one(stage):
    stage.pipeline("mart", DAILY)
    with stage.store.transaction():
        stage.store.pipelines.pause("mart", "", "kim", stage.clock.now(), "why")
    stage.write("mart", "steps: 5\n")
    scan(stage)
    stage.pipeline("mart", 'schedule: "0 2 * * *"')
    assert (stage.row("mart").paused_by, stage.row("mart").pause_reason) == ("kim", "why")


def test_one_schedule_that_cannot_be_worked_out_is_told_and_stops_nobody(stage, monkeypatch):
    real = module.schedule.next_due
    monkeypatch.setattr(module.schedule, "next_due", lambda found, after: 1 / 0 if found.text == "0 3 * * *" else real(found, after))
    stage.write("bad", 'schedule: "0 3 * * *"\n' + STEPS)
    stage.write("good", DAILY + "\n" + STEPS)
    assert "pipeline bad: its schedule cannot be worked out: division by zero" in scan(stage) and len(stage.warned) == 1
    assert stage.row("bad").broken and stage.row("good").next_due
    monkeypatch.undo()
    stage.restart()
    scan(stage)
    assert stage.row("bad").broken == "" and stage.row("bad").next_due == stage.clock.now() + timedelta(hours=3)
