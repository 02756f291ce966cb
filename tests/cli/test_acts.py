"""Every act of the command line leaves its row in the trail: who, from where, why."""

from __future__ import annotations

import json
import os

import pytest

from runner.cli import planning, running, triggering

PIPELINE = """\
params: {region: {type: string, default: KR}}
steps:
  - {id: good, bash: "true"}
  - {id: bad, needs: good, bash: "exit 3"}
"""


@pytest.fixture
def trail(app, call, tmp_path):
    """trail(command, words...): the rows that one call adds, oldest first."""
    (tmp_path / "pipelines").mkdir()
    path = tmp_path / "pipelines" / "mart.yaml"
    path.write_text(PIPELINE)
    os.utime(path, (1e9, 1e9))

    def invoke(command, *words, code=0):
        before = len(app.store(create=True).audit.rows(100))
        found, _, err = call(command, *words)
        assert found == code, err
        rows = app.store().audit.rows(100)
        return [row for row in reversed(rows[: len(rows) - before])]

    return invoke


def test_each_command_that_acts_is_in_the_trail(trail, app):
    from runner.acts import actor

    told = []

    def does(command, *words, code=0, reason="because it's so"):
        rows = trail(command, *words, *(["--reason", reason] if reason else []), code=code)
        assert all((row.actor, row.source, row.reason, row.pipeline) == (actor(), "cli", reason, "mart") for row in rows)
        told.extend((row.act, row.run, row.before.get("state"), row.after.get("state")) for row in rows)

    does(triggering.trigger, "mart", "--date", "2026-02-01", "--param", "region=US")
    does(running.stop, "mart@2026-02-01")
    does(running.run, "mart", "--date", "2026-02-02", "-q", code=1, reason="")
    does(running.rerun, "mart@2026-02-02", "--failed", "-q", code=1)
    does(running.mark, "mart@2026-02-02", "bad", "success")
    does(triggering.backfill, "mart", "--from", "2026-02-03", "--to", "2026-02-04", "--yes")
    does(running.stop, "--backfill", "1")
    does(triggering.pause, "mart")
    does(triggering.unpause, "mart")
    does(triggering.hold, "mart", "bad")
    does(triggering.release, "mart", "bad")
    assert told == [
        ("trigger", "mart@2026-02-01", None, "queued"), ("stop", "mart@2026-02-01", "queued", "killed"), ("run", "mart@2026-02-02", None, "queued"),
        ("rerun", "mart@2026-02-02", "failed", "queued"), ("mark", "mart@2026-02-02", "failed", "success"), ("backfill", "", None, None),
        ("stop", "mart@2026-02-03", "queued", "killed"), ("stop", "mart@2026-02-04", "queued", "killed"),
        ("pause", "", None, None), ("unpause", "", None, None), ("hold", "", None, None), ("release", "", None, None),
    ]


def test_what_is_refused_or_only_looked_at_leaves_no_row(trail, app):
    from runner.errors import Conflict

    trail(triggering.trigger, "mart", "--date", "2026-02-01")
    with pytest.raises(Conflict):
        trail(triggering.trigger, "mart", "--date", "2026-02-01")
    assert trail(triggering.backfill, "mart", "--from", "2026-02-01", "--to", "2026-02-04", "--dry-run") == []
    with pytest.raises(Conflict):
        trail(triggering.unpause, "mart")
    assert [row.act for row in app.store().audit.rows(9)] == ["trigger"]


def test_a_missed_date_runs_with_the_parameters_that_are_given_now(trail, app):
    from runner import acts

    spec = app.pipeline("mart")
    store = app.store(create=True)
    acts.create_run(store, spec, acts.date_for(spec, "2026-02-01", app.clock.now()), params={"region": "KR"}, at=app.clock.now(), state="missed", reason="paused")
    trail(triggering.trigger, "mart", "--date", "2026-02-01", "--param", "region=US", "--only", "good")
    run = store.run("mart@2026-02-01")
    assert (run.state, run.params, run.only) == ("queued", {"region": "US"}, ("good",))


# --------------------------------------------------------------------------------------------- a date that is to come

SCHEDULED = PIPELINE + "timezone: UTC\nschedule: '0 1 * * *'\n"


@pytest.fixture
def ahead(trail, app, call, tmp_path):
    """ahead(command, words...): (stdout, stderr) of a call; the pipeline has a schedule."""
    (tmp_path / "pipelines" / "mart.yaml").write_text(SCHEDULED)
    app.store(create=True).close()
    return lambda command, *words: call(command, *words)[1:]


def test_who_takes_a_future_date_of_the_schedule_out_hears_that_nothing_will_run_then(ahead):
    ahead(triggering.trigger, "mart", "--date", "2027-03-02")
    out, err = ahead(running.stop, "mart@2027-03-02")
    assert out == "mart@2027-03-02  killed\n"
    assert "the schedule makes no other run of mart@2027-03-02" in err and "to have it run after all: runner rerun mart@2027-03-02 --all" in err
    out, err = ahead(planning.next_, "mart", "-n", "2", "--after", "2027-03-01T12:00")
    assert "2027-03-02 01:00" in out and "mart@2027-03-02 is there already (killed: stopped by " in err
    assert "mart@" not in ahead(planning.next_, "mart", "-n", "2", "--after", "2027-03-02T12:00")[1]


def test_a_future_date_that_is_none_of_the_schedule_is_taken_out_without_a_word(ahead):
    ahead(triggering.trigger, "mart", "--date", "2027-03-02T05:30")
    assert "makes no other" not in ahead(running.stop, "mart@2027-03-02T05:30")[1]


def test_of_a_backfill_over_dates_to_come_it_is_said_once(ahead):
    ahead(triggering.backfill, "mart", "--from", "2027-03-01", "--to", "2027-03-03", "--yes")
    assert ahead(running.stop, "--backfill", "1")[1].count("the schedule makes no other run of mart@2027-03-01 and 2 more") == 1


def test_some_steps_of_a_future_date_take_the_place_of_all(ahead):
    assert "makes no other run" not in ahead(triggering.trigger, "mart", "--date", "2027-03-01")[1]
    _, err = ahead(triggering.trigger, "mart", "--date", "2027-03-02", "--only", "good")
    words = "its other steps do not run then; all of them, afterwards: runner rerun mart@2027-03-02 --all"
    assert words in err and words in ahead(planning.next_, "mart", "--after", "2027-03-01T12:00")[1]
    assert "makes no other run" not in ahead(triggering.trigger, "mart", "--date", "2025-03-02", "--only", "good")[1]


# ------------------------------------------------------------------------------------------------- what is only shown


def test_the_dates_of_a_dry_run_are_its_result_and_those_to_come_say_that_they_wait(ahead):
    out, err = ahead(triggering.backfill, "mart", "--from", "2024-02-29", "--to", "2024-03-01", "--dry-run")
    assert out == "  mart@2024-02-29\n  mart@2024-03-01\n" and err == ""
    out, _ = ahead(triggering.backfill, "mart", "--from", "2099-02-28", "--to", "2099-03-01", "--dry-run")
    assert out == "  mart@2099-02-28  (waits until it is due)\n  mart@2099-03-01  (waits until it is due)\n"
    out, err = ahead(triggering.backfill, "mart", "--from", "2024-02-29", "--to", "2024-02-29", "--yes")
    assert out == "backfill 1: 1 run waits, 1 at a time\n" and "  mart@2024-02-29\n" in err, "what is done is the result of the others"


@pytest.mark.parametrize("words, left, hint", [
    ([], 3, "--failed repeats what failed, --all what succeeded too"), (["--failed"], 2, "--all repeats what succeeded too"), (["--all"], 1, "none of them has ended"),
])
def test_dates_that_are_left_alone_are_told_with_what_was_not_asked_for_yet(ahead, app, words, left, hint):
    for day, states in (("01", ()), ("02", ("running", "success")), ("03", ("running", "failed"))):
        ahead(triggering.trigger, "mart", "--date", f"2024-02-{day}")
        store = app.store()
        run = store.run(f"mart@2024-02-{day}")
        with store.transaction():
            for frm, to in zip(("queued", *states), states):
                store.move("run", run.id, frm, to, app.clock.now())
    _, err = ahead(triggering.backfill, "mart", "--from", "2024-02-01", "--to", "2024-02-04", "--dry-run", *words)
    alone = "1 date has a run already and is" if left == 1 else f"{left} dates have a run already and are"
    assert f"{alone} left alone ({hint})" in err


def test_what_a_rerun_would_do_is_a_result_where_only_that_is_asked_for(trail, call):
    trail(running.run, "mart", "--date", "2026-02-02", "-q", code=1)
    shown = "runs again for mart@2026-02-02 (2026-02-02): 1 of 2 steps\n  bad  (was failed)\n"
    assert call(running.rerun, "mart@2026-02-02", "--failed", "--dry-run") == (0, shown, "")
    assert json.loads(call(running.rerun, "mart@2026-02-02", "--failed", "--dry-run", "--json")[1]) == {
        "run": "mart@2026-02-02", "ds": "2026-02-02", "of": 2, "steps": [{"id": "bad", "was": "failed"}], "changes": []}
    code, out, err = call(running.rerun, "mart@2026-02-02", "--failed", "-q")
    assert code == 1 and shown in err and "runs again" not in out
