"""Due times to rows: a real store and real files, a clock that stands still, the daemon's catalogue and dispatch by hand."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import acts, schedule
from runner.config import load
from runner.daemon import dispatch as module
from runner.engine import Engine
from runner.errors import EnvironmentFault
from runner.workorder import Site as JobSite
from tests.conftest import FakeExecutor
from tests.daemon.stage import UTC, Stage, moment

DAILY = 'schedule: "0 1 * * *"'
MINUTELY = 'schedule: "* * * * *"'


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.close()


# -------------------------------------------------------------------------------------------------------- on time


def test_a_due_time_makes_one_run_with_the_date_of_its_row(stage):
    stage.pipeline("mart", DAILY, "timezone: Asia/Seoul")
    assert stage.at("2026-03-02 00:59:59", "Asia/Seoul").work() == 0 and stage.runs("mart") == []
    stage.at("2026-03-02 01:00", "Asia/Seoul").work()
    run, = stage.runs("mart")
    assert (run.name, run.state, run.trigger) == ("mart@2026-03-02", "queued", "schedule")
    assert run.date.due == moment("2026-03-02 01:00", "Asia/Seoul") and run.date.timezone == "Asia/Seoul"
    assert run.date.interval_start == moment("2026-03-01 01:00", "Asia/Seoul")
    assert [step.step for step in stage.store.step_runs(run.id)] == ["a"]
    row = stage.row("mart")
    assert row.cursor == run.date.due and row.next_due == moment("2026-03-03 01:00", "Asia/Seoul")
    assert stage.work() == 0, "it is due once"


def test_interval_start_gives_the_day_before(stage):
    stage.pipeline("mart", DAILY, "logical_date: interval_start")
    stage.at("2026-03-01 01:00").work()
    run, = stage.runs("mart")
    assert run.name == "mart@2026-02-28" and run.date.due == moment("2026-03-01 01:00")


def test_a_late_wake_up_is_no_outage_until_five_minutes_have_passed(stage):
    stage.pipeline("near", 'schedule: "0 1 * * *"', "catchup: none")
    stage.pipeline("far", 'schedule: "59 0 * * *"', "catchup: none")
    stage.at("2026-03-01 01:05").work()
    assert stage.dues("near") == [("2026-03-01 01:00", "queued")] and stage.dues("far") == [("2026-03-01 00:59", "missed")]
    assert stage.runs("near")[0].trigger == "schedule"


def test_what_a_person_made_ahead_is_the_run_of_that_date(stage):
    stage.pipeline("mart", DAILY)
    spec = stage.definitions.get(stage.row("mart").definition)
    date = acts.date_for(spec, "2026-03-02", stage.clock.now())
    made = acts.create_run(stage.store, spec, date, params={}, at=stage.clock.now())
    stage.at("2026-03-02 01:00").work()
    assert [run.id for run in stage.runs("mart") if run.name == "mart@2026-03-02"] == [made.id]
    assert stage.row("mart").next_due == moment("2026-03-03 01:00")


@pytest.mark.parametrize("only, stopped, how", [
    (None, False, "manual, queued"), (None, True, "manual, killed: stopped by kim"), (["a"], False, "manual, queued, only a"),
])
def test_a_due_time_that_finds_a_run_which_is_not_its_own_is_told(stage, only, stopped, how):
    stage.pipeline("mart", DAILY)
    spec = stage.definitions.get(stage.row("mart").definition)
    made = acts.create_run(stage.store, spec, acts.date_for(spec, "2026-03-02", stage.clock.now()), params={}, at=stage.clock.now(), only=only)
    if stopped:
        acts.take_out(stage.store, made, at=stage.clock.now(), who="kim")
    stage.at("2026-03-02 01:00").work()
    assert f"run mart@2026-03-02 is the one of this due time already ({how}); the schedule makes no other" in stage.said
    stage.at("2026-03-01 23:00").dispatch.rewind(stage.clock.now())
    stage.at("2026-03-03 01:00").work()
    assert sum("already" in line for line in stage.said) == 2 and stage.dues("mart")[-1] == ("2026-03-03 01:00", "queued")


def test_one_of_the_schedule_itself_is_not_told_again(stage):
    stage.pipeline("mart", DAILY, "catchup: all")
    stage.at("2026-03-02 01:00").work()
    stage.at("2026-03-01 00:30").dispatch.rewind(stage.clock.now())
    stage.at("2026-03-02 01:00").work()
    assert not any("already" in line for line in stage.said) and len(stage.runs("mart")) == 2


def test_default_parameters_are_kept_with_the_run(stage):
    stage.pipeline("mart", DAILY, "params: {region: KR}")
    stage.at("2026-03-01 01:00").work()
    assert dict(stage.runs("mart")[0].params) == {"region": "KR"}


# ------------------------------------------------------------------------------------------------------- an outage


@pytest.mark.parametrize("lines, ran, missed", [
    (["catchup: last"], ["2026-03-03"], ["2026-03-01", "2026-03-02"]),
    (["catchup: all"], ["2026-03-01", "2026-03-02", "2026-03-03"], []),
    (["catchup: none"], [], ["2026-03-01", "2026-03-02", "2026-03-03"]),
    (["catchup: all", "catchup_limit: 2"], ["2026-03-02", "2026-03-03"], ["2026-03-01"]),
    (["catchup: true"], ["2026-03-01", "2026-03-02", "2026-03-03"], []),
    (["catchup: false"], ["2026-03-03"], ["2026-03-01", "2026-03-02"]),
    ([], ["2026-03-03"], ["2026-03-01", "2026-03-02"]),
])
def test_three_days_down(stage, lines, ran, missed):
    stage.pipeline("mart", DAILY, *lines)
    stage.at("2026-03-03 12:00").restart()
    stage.catalogue.scan()
    stage.work()
    runs = stage.runs("mart")
    assert [run.name[5:] for run in runs if run.state == "queued"] == ran
    assert [run.name[5:] for run in runs if run.state == "missed"] == missed
    assert {run.trigger for run in runs} == {"catchup"}
    word = "all, catchup_limit: 2" if "catchup_limit: 2" in lines else {"catchup: none": "none"}.get((lines or [""])[0], "last")
    assert {run.reason for run in runs if run.state == "missed"} == ({f"no daemon started it at that time (catchup: {word})"} if missed else set())
    assert all(run.ended_at and not stage.store.step_runs(run.id) for run in runs if run.state == "missed")


def test_a_long_outage_keeps_the_latest_rows_and_says_that_there_were_more(stage):
    stage.pipeline("mart", MINUTELY)
    stage.at("2026-03-03 00:00")
    assert stage.work() == 3, "rows in bites of ROWS"
    runs = stage.runs("mart")
    assert [run.state for run in runs] == ["missed"] * module.MISSED_ROWS + ["queued"]
    assert runs[-1].date.due == moment("2026-03-03 00:00")
    gaps = {b.date.due - a.date.due for a, b in zip(runs, runs[1:])}
    assert gaps == {timedelta(minutes=1)}
    assert runs[0].reason.endswith("; so were all since 2026-03-01 00:00 UTC")
    assert all("so were all" not in run.reason for run in runs[1:])


@pytest.mark.parametrize("minutes", [module.MISSED_ROWS, module.MISSED_ROWS + 1, module.MISSED_ROWS + 2])
@pytest.mark.parametrize("catchup", ["last", "none"])
def test_no_due_time_is_lost_at_the_edge_of_the_cap(stage, catchup, minutes):
    """Each has its row, or the first row says that there were earlier ones."""
    stage.pipeline("mart", MINUTELY, f"catchup: {catchup}", "end_date: " + f"{moment('2026-03-01 00:00') + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}")
    stage.at("2026-03-03 00:00").work()
    runs = stage.runs("mart")
    told = "so were all since" in runs[0].reason
    assert told == (len(runs) < minutes), (len(runs), minutes, runs[0].reason)
    assert len([run for run in runs if run.state == "missed"]) == min(minutes - (catchup == "last"), module.MISSED_ROWS)


def test_all_without_a_limit_has_a_run_for_every_due_time_oldest_first_in_bites(stage):
    stage.pipeline("mart", MINUTELY, "catchup: all")
    stage.at("2026-03-02 00:00")
    assert stage.dispatch.run(stage.clock.now())
    assert stage.states("mart") == {"queued": module.ROWS}
    assert stage.row("mart").cursor == moment("2026-03-01 00:00") + timedelta(minutes=module.ROWS)
    assert stage.work() == 2
    assert stage.states("mart") == {"queued": 1440}
    assert stage.runs("mart")[-1].date.due == moment("2026-03-02 00:00")


def test_a_limit_above_one_bite_holds_over_all_bites(stage):
    stage.pipeline("mart", MINUTELY, "catchup: all", "catchup_limit: 600")
    stage.at("2026-03-03 00:00").work()
    assert stage.states("mart") == {"missed": module.MISSED_ROWS, "queued": 600}
    assert "so were all since" in stage.runs("mart")[0].reason


def test_catching_up_of_one_does_not_keep_the_others_waiting(stage):
    """What is due now is not behind the rows of a month."""
    stage.pipeline("long", MINUTELY, "catchup: all")
    stage.at("2026-03-02 00:59")
    stage.pipeline("mart", DAILY)
    stage.at("2026-03-02 01:00")
    stage.dispatch.run(stage.clock.now())
    assert stage.dues("mart") == [("2026-03-02 01:00", "queued")]
    stage.work()
    assert stage.states("long") == {"queued": 1440 + 60}


def test_more_pipelines_than_one_batch(stage):
    for i in range(module.BATCH + 5):
        stage.write(f"p{i:03}", DAILY + "\nsteps: [{id: a, bash: 'true'}]\n")
    stage.catalogue.scan()
    stage.at("2026-03-01 01:00")
    assert stage.work() == 2
    assert [run.state for run in stage.runs()] == ["queued"] * (module.BATCH + 5)


# ---------------------------------------------------------------------------------------------------------- pausing


def pause(stage, name, who, reason=""):
    row = stage.row(name)
    with stage.store.transaction():
        stage.store.pipelines.pause(name, row.path, who, stage.clock.now(), reason)


def test_a_paused_pipeline_leaves_missed_rows_and_goes_on_from_then(stage):
    stage.pipeline("mart", 'schedule: "@hourly"', "catchup: all")
    pause(stage, "mart", "kim", "repair of the source")
    for hour in (1, 2, 3):
        stage.at(f"2026-03-01 0{hour}:00").work()
    assert {run.reason for run in stage.runs("mart")} == {"paused by kim: repair of the source"}
    stage.at("2026-03-01 03:30")
    pause(stage, "mart", None)
    stage.work()
    stage.at("2026-03-01 04:00").work()
    assert [state for _, state in stage.dues("mart")] == ["missed", "missed", "missed", "queued"]


@pytest.mark.parametrize("catchup", ["all", "last", "none"])
def test_unpausing_while_no_daemon_lives_runs_nothing_from_before(stage, catchup):
    stage.pipeline("mart", 'schedule: "@hourly"', f"catchup: {catchup}")
    stage.at("2026-03-01 00:30")
    pause(stage, "mart", "kim")
    stage.at("2026-03-01 03:30")
    pause(stage, "mart", None)
    stage.at("2026-03-01 05:01").restart()
    stage.catalogue.scan()
    stage.work()
    ran = {"all": ["queued", "queued"], "last": ["missed", "queued"], "none": ["missed", "queued"]}[catchup]
    assert [state for _, state in stage.dues("mart")] == ["missed"] * 3 + ran
    assert {run.reason for run in stage.runs("mart")[:3]} == {"paused until 2026-03-01 03:30 UTC"}


def test_what_a_person_reads_of_a_missed_run_is_by_the_clock_of_its_pipeline(stage):
    stage.pipeline("mart", MINUTELY, "timezone: Asia/Seoul")
    stage.at("2026-03-03 00:00").work()
    assert stage.runs("mart")[0].reason.endswith("; so were all since 2026-03-01 09:00 KST")


def test_a_paused_outage_runs_nothing(stage):
    stage.pipeline("mart", DAILY, "catchup: all")
    pause(stage, "mart", "kim")
    stage.at("2026-03-04 00:00").work()
    assert stage.states("mart") == {"missed": 3}


# --------------------------------------------------------------------------------------------------- kinds of schedule


def test_once_runs_once_whatever_is_restarted_and_reloaded(stage):
    stage.pipeline("first", 'schedule: "@once"')
    stage.work()
    run, = stage.runs("first")
    assert run.date.due == moment("2026-03-01 00:00") and run.state == "queued"
    for day in (2, 3):
        stage.at(f"2026-03-0{day} 00:00").restart()
        stage.write("first", '# changed\nschedule: "@once"\nsteps: [{id: a, bash: "true"}]\n')
        stage.catalogue.scan()
        stage.work()
    assert len(stage.runs("first")) == 1 and stage.row("first").next_due is None


def test_once_with_a_start_date_runs_then(stage):
    stage.pipeline("later", 'schedule: "@once"', "start_date: 2026-03-05T06:00")
    assert stage.work() == 0 and stage.row("later").next_due == moment("2026-03-05 06:00")
    stage.at("2026-03-05 06:00").work()
    stage.at("2026-04-05 06:00").work()
    assert stage.dues("later") == [("2026-03-05 06:00", "queued")]


def test_once_with_a_start_date_that_has_passed_runs_at_once(stage):
    stage.pipeline("late", 'schedule: "@once"', "start_date: 2026-01-01")
    stage.work()
    assert stage.dues("late") == [("2026-01-01 00:00", "queued")]


def test_start_and_end_bound_the_due_times_both_included(stage):
    stage.pipeline("mart", 'schedule: "@daily"', "start_date: 2026-03-03", "end_date: 2026-03-05", "catchup: all")
    stage.at("2026-03-02 23:00").work()
    assert stage.runs("mart") == []
    stage.at("2026-03-20 00:00").work()
    assert [due for due, _ in stage.dues("mart")] == ["2026-03-03 00:00", "2026-03-04 00:00", "2026-03-05 00:00"]
    assert stage.row("mart").next_due is None and stage.work() == 0


def test_a_new_pipeline_never_runs_the_past(stage):
    stage.pipeline("mart", DAILY, "start_date: 2020-01-01", "catchup: all")
    assert stage.work() == 0 and stage.row("mart").next_due == moment("2026-03-01 01:00")


def test_every_three_days_counts_on_over_months_and_restarts(stage):
    stage.pipeline("mart", "schedule: {every: 3d}", "start_date: 2026-02-27T06:00")
    for day in range(1, 15):
        stage.at(f"2026-03-{day:02} 06:00").restart()
        stage.catalogue.scan()
        stage.work()
    assert [due for due, _ in stage.dues("mart")] == [f"2026-03-{day:02} 06:00" for day in (2, 5, 8, 11, 14)]


def test_every_in_hours_keeps_its_phase_over_restarts(stage):
    stage.pipeline("mart", "schedule: {every: 5h}", "catchup: all")
    anchor = moment("2000-01-01 00:00")
    for hour in range(0, 48, 7):
        stage.go(moment("2026-03-01 00:00") + timedelta(hours=hour))
        stage.restart()
        stage.catalogue.scan()
        stage.work()
    dues = [run.date.due for run in stage.runs("mart")]
    assert len(dues) == 9 and all((due - anchor) % timedelta(hours=5) == timedelta(0) for due in dues)


def test_a_flip_of_the_logical_date_neither_skips_nor_doubles_a_due_time(stage):
    stage.pipeline("mart", DAILY, "logical_date: interval_start")
    stage.at("2026-03-01 01:00").work()
    stage.at("2026-03-02 01:00").work()
    stage.pipeline("mart", DAILY, "logical_date: due")
    for day in (3, 4):
        stage.at(f"2026-03-0{day} 01:00").work()
    assert stage.dues("mart") == [(f"2026-03-0{day} 01:00", "queued") for day in (1, 2, 3, 4)]
    assert [run.name for run in stage.runs("mart")] == ["mart@2026-02-28", "mart@2026-03-01", "mart@2026-03-03", "mart@2026-03-04"]


def test_a_flip_the_other_way_gives_one_label_twice_and_names_stay_different(stage):
    stage.pipeline("mart", DAILY)
    stage.at("2026-03-01 01:00").work()
    stage.pipeline("mart", DAILY, "logical_date: interval_start")
    stage.at("2026-03-02 01:00").work()
    one, two = stage.runs("mart")
    assert (one.name, two.name) == ("mart@2026-03-01", "mart@2026-03-01T01:00")
    assert one.date.logical == two.date.logical == moment("2026-03-01 01:00")


# ------------------------------------------------------------------------------------------------- one bad pipeline


def test_one_schedule_that_raises_is_marked_broken_and_stops_nobody(stage, monkeypatch):
    stage.pipeline("bad", DAILY)
    stage.pipeline("good", DAILY)
    real = schedule.due_between
    monkeypatch.setattr(schedule, "due_between", lambda found, *rest: 1 / 0 if found.text == "bad" else real(found, *rest))
    bad = stage.definitions.get(stage.row("bad").definition)
    object.__setattr__(bad.schedule, "text", "bad")
    stage.at("2026-03-01 01:00").work()
    assert stage.dues("good") == [("2026-03-01 01:00", "queued")] and stage.runs("bad") == []
    row = stage.row("bad")
    assert row.broken == "its schedule cannot be worked out: division by zero" and row.next_due is None
    assert row.cursor == moment("2026-03-01 00:00"), "a repaired one knows what it missed"
    assert stage.said[-1] == "run good@2026-03-01 queued" or any("bad" in line and "due no more" in line for line in stage.said)
    assert [line for line in stage.warned if "due no more" in line] and not [line for line in stage.warned if "good" in line]
    monkeypatch.undo()
    stage.write("bad", DAILY + "\n# repaired\nsteps: [{id: a, bash: 'true'}]\n")
    stage.catalogue.scan()
    stage.work()
    assert stage.row("bad").broken == "" and stage.dues("bad") == [("2026-03-01 01:00", "queued")]


def test_a_definition_that_is_read_no_more_breaks_only_its_pipeline(stage):
    stage.pipeline("bad", DAILY)
    stage.pipeline("good", DAILY)
    digest = stage.row("bad").definition
    stage.restart()
    with stage.store.transaction():
        stage.store.db.execute_text("UPDATE definitions SET text = 'steps: 5' WHERE hash = :hash", {"hash": digest})
    stage.at("2026-03-01 01:00").work()
    assert stage.dues("good") == [("2026-03-01 01:00", "queued")] and stage.row("bad").broken


def test_a_write_that_fails_for_one_leaves_the_others_theirs(stage, monkeypatch):
    for name in ("a", "b", "c"):
        stage.pipeline(name, DAILY)
    real = acts.create_run

    def create(store, spec, *rest, **more):
        if spec.name == "b":
            raise ValueError("no such luck")
        return real(store, spec, *rest, **more)

    monkeypatch.setattr(acts, "create_run", create)
    stage.at("2026-03-01 01:00").work()
    assert [stage.states(name) for name in ("a", "b", "c")] == [{"queued": 1}, {}, {"queued": 1}]
    assert stage.row("b").broken.endswith("no such luck") and stage.row("b").next_due is None
    assert not stage.row("a").broken


def test_a_fault_of_the_machine_marks_nobody_broken_and_writes_nothing(stage, monkeypatch):
    for name in ("a", "b"):
        stage.pipeline(name, DAILY)
    real = acts.create_run

    def create(store, spec, *rest, **more):
        if spec.name == "b":
            raise EnvironmentFault("the disk is full", "")
        return real(store, spec, *rest, **more)

    monkeypatch.setattr(acts, "create_run", create)
    stage.at("2026-03-01 01:00")
    with pytest.raises(EnvironmentFault):
        stage.dispatch.run(stage.clock.now())
    assert stage.runs() == [] and not stage.row("a").broken and not stage.row("b").broken
    monkeypatch.undo()
    stage.work()
    assert len(stage.runs()) == 2


# ------------------------------------------------------------------------------------------- the clock that was set


def test_a_clock_set_back_runs_nothing_twice_and_loses_nothing(stage):
    stage.pipeline("mart", 'schedule: "*/10 * * * *"')
    for minute in (10, 20, 30):
        stage.at(f"2026-03-01 00:{minute}").work()
    ids = [run.id for run in stage.runs("mart")]
    stage.at("2026-02-28 23:31")  # an hour back
    stage.dispatch.rewind(stage.clock.now())
    assert stage.row("mart").cursor == moment("2026-02-28 23:31") and stage.row("mart").next_due == moment("2026-02-28 23:40")
    for text in ("2026-02-28 23:40", "2026-02-28 23:50", "2026-03-01 00:00", "2026-03-01 00:10", "2026-03-01 00:20", "2026-03-01 00:30", "2026-03-01 00:40"):
        stage.at(text).work()
    runs = stage.runs("mart")
    assert [run.id for run in runs if run.id in ids] == ids, "what ran is what it was"
    assert [f"{run.date.due:%H:%M}" for run in runs] == ["23:40", "23:50", "00:00", "00:10", "00:20", "00:30", "00:40"]
    assert {run.number for run in runs} == {0}


def test_a_clock_ahead_by_hours_and_put_right_gives_each_date_one_run(stage):
    """What was recorded as missed on the wrong clock becomes due after all, and runs then."""
    stage.pipeline("mart", 'schedule: "@hourly"')
    stage.at("2026-03-01 04:30").work()  # the clock jumped from midnight
    assert stage.dues("mart") == [("2026-03-01 01:00", "missed"), ("2026-03-01 02:00", "missed"), ("2026-03-01 03:00", "missed"), ("2026-03-01 04:00", "queued")]
    stage.at("2026-03-01 00:01")
    stage.dispatch.rewind(stage.clock.now())
    for hour in (1, 2, 3, 4, 5):
        stage.at(f"2026-03-01 0{hour}:00").work()
    assert stage.dues("mart") == [(f"2026-03-01 0{hour}:00", "queued") for hour in (1, 2, 3, 4, 5)]


def test_rewind_touches_only_what_lies_ahead(stage):
    stage.pipeline("daily", DAILY)
    stage.at("2026-03-01 01:00").work()
    stage.pipeline("hourly", 'schedule: "@hourly"')
    stage.at("2026-03-01 02:00").work()
    before = stage.row("daily")
    stage.at("2026-03-01 01:30")
    stage.dispatch.rewind(stage.clock.now())
    assert stage.row("daily") == before
    assert stage.row("hourly").next_due == moment("2026-03-01 02:00")


def test_rewind_of_one_that_cannot_be_worked_out_leaves_the_others(stage, monkeypatch):
    for name in ("a", "b"):
        stage.pipeline(name, DAILY)
    stage.at("2026-03-01 01:00").work()
    real = stage.definitions.get
    monkeypatch.setattr(stage.definitions, "get", lambda digest: 1 / 0 if digest == stage.row("a").definition else real(digest))
    stage.at("2026-03-01 00:30")
    stage.dispatch.rewind(stage.clock.now())
    assert stage.row("a").broken and stage.row("a").next_due is None
    assert stage.row("b").next_due == moment("2026-03-01 01:00") and not stage.row("b").broken


def test_once_is_not_run_again_by_a_clock_set_back(stage):
    stage.pipeline("first", 'schedule: "@once"')
    stage.work()
    stage.at("2026-02-28 12:00")
    stage.dispatch.rewind(stage.clock.now())
    stage.at("2026-03-01 12:00").work()
    assert len(stage.runs("first")) == 1


# ---------------------------------------------------------------------------------------------- zones and expressions

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul"]
EXPRESSIONS = ["30 2 * * *", "0 2 * * *", "30 * * * *", "30 1,2,3 * * *", "0 */2 * * *", "0 0 * * *", "*/30 1-3 * * *", "30 1 * * *", "*/15 * * * *"]
SPRING = {"Europe/Berlin": "2026-03-28", "America/New_York": "2026-03-07", "Australia/Lord_Howe": "2026-10-03", "Asia/Seoul": "2026-03-28"}
AUTUMN = {"Europe/Berlin": "2026-10-24", "America/New_York": "2026-10-31", "Australia/Lord_Howe": "2026-04-04", "Asia/Seoul": "2026-10-24"}


def walls(expression, zone, first, last):
    """The oracle of cronie's rule, minute by minute: (instant, wall time) of each due time in the span."""
    place = ZoneInfo(zone)
    minute, hour = (_field(word, most) for word, most in zip(expression.split()[:2], (60, 24)))
    follows = expression[0] == "*" or expression.split()[1][0] == "*"
    out, instant, skipped = [], first, False
    while instant <= last:
        local = instant.astimezone(place)
        before = (instant - timedelta(minutes=1)).astimezone(place)
        gap = local.replace(tzinfo=None) - before.replace(tzinfo=None) - timedelta(minutes=1)
        if not follows and gap > timedelta(0):  # what the gap swallowed runs once, right behind it
            walls_lost = [before.replace(tzinfo=None) + timedelta(minutes=i + 1) for i in range(int(gap.total_seconds() / 60))]
            skipped = any(wall.minute in minute and wall.hour in hour for wall in walls_lost)
        if (local.minute in minute and local.hour in hour and (follows or not local.fold)) or skipped:
            out.append(instant)
        skipped = False
        instant += timedelta(minutes=1)
    return out


def _field(text, most):
    out = set()
    for part in text.split(","):
        span, _, by = part.partition("/")
        low, _, high = span.partition("-")
        values = range(most) if span == "*" else range(int(low), int(high or low) + 1)
        out.update(list(values)[:: int(by or 1)])
    return out


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("change", ["spring", "autumn"])
def test_through_a_change_of_clocks_each_due_time_has_its_run_and_its_own_name(stage, zone, expression, change):
    first = moment((SPRING if change == "spring" else AUTUMN)[zone] + " 12:00", zone)
    stage.go(first)
    stage.pipeline("mart", f'schedule: "{expression}"', f"timezone: {zone}", "catchup: all")
    last = first + timedelta(hours=36)
    while stage.row("mart").next_due <= last:  # each on its own moment, as the daemon does
        stage.go(stage.row("mart").next_due)
        assert stage.work() == 1
    runs = stage.runs("mart")
    assert [run.date.due.astimezone(UTC) for run in runs] == walls(expression, zone, first + timedelta(minutes=1), last)
    assert len({run.name for run in runs}) == len(runs)
    spec = stage.definitions.get(stage.row("mart").definition)
    for run in runs:
        local = run.date.due.astimezone(ZoneInfo(zone))
        assert run.date.logical.astimezone(ZoneInfo(zone)).date() == local.date() and run.name.startswith(f"mart@{local:%Y-%m-%d}")
        typed = run.name.partition("@")[2]
        assert acts.date_for(spec, typed, stage.clock.now()).due == run.date.due, "the name, typed, means this run"


def test_the_names_of_a_repeated_hour_carry_the_offset(stage):
    stage.at("2026-10-24 23:00")
    stage.pipeline("hourly", 'schedule: "0 * * * *"', "timezone: Europe/Berlin", "catchup: all")
    stage.at("2026-10-25 02:00").work()
    assert [run.name for run in stage.runs("hourly")] == [
        "hourly@2026-10-25T02:00+02:00", "hourly@2026-10-25T02:00+01:00", "hourly@2026-10-25T03:00"]
    assert stage.work() == 0


def test_an_outage_that_ends_in_the_repeated_hour(stage):
    """Wall clocks go back in it: what is latest must be told by the instant."""
    stage.at("2026-10-24 20:00")
    stage.pipeline("hourly", 'schedule: "*/30 * * * *"', "timezone: Europe/Berlin")
    assert stage.at("2026-10-25 01:10").work() == 1  # 02:10+01:00
    runs = stage.runs("hourly")
    assert [run.state for run in runs] == ["missed"] * 9 + ["queued"]
    assert runs[-1].name == "hourly@2026-10-25T02:00+01:00"
    assert stage.row("hourly").cursor == moment("2026-10-25 01:00") and stage.row("hourly").next_due == moment("2026-10-25 01:30")


def test_a_cap_reached_in_the_repeated_hour_keeps_each_row_once(stage, monkeypatch):
    monkeypatch.setattr(module, "MISSED_ROWS", 4)
    stage.at("2026-10-24 20:00")
    stage.pipeline("hourly", 'schedule: "*/30 * * * *"', "timezone: Europe/Berlin")
    stage.at("2026-10-25 01:40").work()
    assert [f"{run.date.due.astimezone(UTC):%H:%M}" for run in stage.runs("hourly")] == ["23:30", "00:00", "00:30", "01:00", "01:30"]


# ------------------------------------------------------------------------------------------- the past must have succeeded


def test_depends_on_past_waits_for_the_run_before_and_passes_over_missed_ones(stage, tmp_path):
    stage.pipeline("mart", DAILY, "depends_on_past: true", "catchup: all")
    executor = FakeExecutor({"a": [0, 1, 0, 0]})
    config = load({"HOME": str(tmp_path), "TZ": "UTC"}, home=str(tmp_path / "home"))
    engine = Engine(stage.store, executor, stage.clock, config, JobSite({"PATH": "/bin"}), serve=stage.definitions)

    def day(text):
        stage.at(text).work()
        turn()

    def turn():
        engine.look()
        for _ in range(8):
            engine.turn(executor.wait(0))

    def states():
        return [run.state for run in stage.runs("mart")]

    day("2026-03-01 01:00")
    assert states() == ["success"], "the first passes"
    pause(stage, "mart", "kim")
    day("2026-03-02 01:00")
    pause(stage, "mart", None)
    day("2026-03-03 01:00")
    assert states() == ["success", "missed", "failed"], "a missed one is passed over"
    day("2026-03-04 01:00")
    assert states() == ["success", "missed", "failed", "queued"]
    failed, waiting = stage.runs("mart")[2:]
    spec = stage.definitions.get(stage.row("mart").definition)
    acts.reset(stage.store, failed, spec, ["a"], at=stage.clock.now(), who="kim")
    turn()
    assert states() == ["success", "missed", "success", "success"]
    engine.close()


# ------------------------------------------------------------------------------------------------ whatever the outages


hours = st.integers(min_value=0, max_value=200).map(lambda n: timedelta(minutes=17 * n))


@settings(max_examples=300 if os.environ.get("RUNNER_TEST_FULL") else 15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    gaps=st.lists(st.tuples(hours, st.sampled_from(["go", "restart", "one go", "pause", "unpause", "back"])), min_size=1, max_size=12),
    expression=st.sampled_from(["*/20 * * * *", "@hourly", "0 1 * * *", "30 2 * * *"]),
    zone=st.sampled_from(ZONES),
    catchup=st.sampled_from(["last", "all", "none"]),
    limit=st.sampled_from([None, 1, 7]),
    start=st.sampled_from(["2026-03-07 12:00", "2026-03-28 12:00", "2026-10-24 12:00", "2026-12-30 12:00", "2028-02-28 12:00"]),
    rows=st.sampled_from([1, 3, 500]),
)
def test_whatever_the_outages_every_due_time_has_exactly_one_row(gaps, expression, zone, catchup, limit, start, rows):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS", rows)
        stage = Stage(Path(folder), start)
        lines = [f"catchup_limit: {limit}"] if limit else []
        stage.pipeline("mart", f'schedule: "{expression}"', f"timezone: {zone}", f"catchup: {catchup}", *lines)
        first = latest = stage.clock.now()
        for gap, act in gaps:
            if act == "back":
                stage.go(max(stage.clock.now() - gap, first))
                stage.dispatch.rewind(stage.clock.now())
                continue
            stage.go(stage.clock.now() + gap)
            latest = max(latest, stage.clock.now())
            if act == "restart":
                stage.restart()
                stage.catalogue.scan()
            elif act in ("pause", "unpause"):
                pause(stage, "mart", "kim" if act == "pause" else None)
            if act == "one go":
                stage.dispatch.run(stage.clock.now())
            else:
                stage.work()
        stage.go(latest)
        stage.work()
        spec = stage.definitions.get(stage.row("mart").definition)
        wanted = [due.astimezone(UTC) for due in schedule.due_between(spec.schedule, first, latest)]
        found = [(run.date.due.astimezone(UTC), run.number) for run in stage.runs("mart")]
        assert found == [(due, 0) for due in wanted]
        assert len({run.name for run in stage.runs("mart")}) == len(found)
        assert set(stage.states("mart")) <= {"queued", "missed"}
        stage.close()
