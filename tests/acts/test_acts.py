"""Each act: what it would do is only told, what it does is what was told, and the trail says who, why, before and after."""

from __future__ import annotations

import shlex
import threading

import click
import pytest

from runner import acts
from runner.acts import ACTS, Backfill, Hold, Mark, Pause, Release, Rerun, Stop, Trigger, Unpause, Who
from runner.errors import Conflict, NotFound, UsageError
from runner.store import Store

KIM = Who("kim", "page", "the disk was full")
FAILED, WAITS, MISSED = "mart@2026-02-26", "mart@2026-02-27", "mart@2026-02-20"


def paused(web):
    web.store.pipelines.pause("mart", "", "lee", web.clock.now(), "moving")


def held(web):
    web.store.pipelines.hold("mart", "load", "lee", web.clock.now(), "look first")


def running(web):
    """By a process that is no more."""
    run = web.store.run(WAITS)
    web.store.claim(run.id, "1-dead", None)
    web.store.move("run", run.id, "queued", "running", web.clock.now(), started_at=web.clock.now())


SAMPLES = [
    (Trigger("mart", "2026-02-25", ("region=US",), ("load",)), None, {}, {"state": "queued", "ds": "2026-02-25", "params": {"region": "US"}, "only": ["load"]}),
    (Trigger("mart", "2026-02-26", new=True), None, {}, {"state": "queued", "ds": "2026-02-26", "params": {"region": "KR"}}),
    (Trigger("mart", "2026-02-20", ("region=US",)), None, {"state": "missed"}, {"state": "queued", "ds": "2026-02-20", "params": {"region": "US"}}),
    (Rerun(FAILED, failed=True), None, {"state": "failed"}, {"state": "queued", "steps": ["clean", "load", "tidy"], "of": 4}),
    (Rerun(FAILED, start=("load",)), None, {"state": "failed"}, {"state": "queued", "steps": ["load", "tidy"], "of": 4}),
    (Rerun(FAILED, everything=True, keep_definition=True), None, {"state": "failed"}, {"state": "queued", "steps": ["extract", "clean", "load", "tidy"], "of": 4}),
    (Backfill("mart", "2026-02-19", "2026-02-26", ("region=US",), 2, True, True), None, {},
     {"backfill": 1, "from": "2026-02-19", "to": "2026-02-26", "runs": 8, "parallel": 2, "params": {"region": "US"}}),
    (Stop(WAITS), None, {"state": "queued"}, {"state": "killed"}),
    (Stop(WAITS), lambda web: web.store.claim(web.store.run(WAITS).id, "1-dead", None), {"state": "queued"}, {"state": "killed"}),
    (Stop(WAITS, force=True), running, {"state": "running"}, {"stop": "asked", "force": True}),
    (Mark(FAILED, "clean", "success"), None, {"step": "clean", "state": "failed", "run": "failed"}, {"step": "clean", "state": "success", "run": "failed"}),
    (Pause("mart"), None, {"paused": False}, {"paused": True}),
    (Unpause("mart"), paused, {"paused": True, "by": "lee", "reason": "moving"}, {"paused": False}),
    (Hold("mart"), None, {"held": False}, {"held": True}),
    (Hold("mart", step="load"), None, {"held": False, "step": "load"}, {"held": True, "step": "load"}),
    (Release("mart", step="load"), held, {"held": True, "step": "load"}, {"held": False, "step": "load"}),
]
EACH = pytest.mark.parametrize("asked, prepare, before, after", SAMPLES, ids=[" ".join([*asked.words(), *(["after", prepare.__name__] if prepare else [])]) for asked, prepare, *_ in SAMPLES])


def all_rows(web):
    connection = web.store.db.connection
    tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
    return {table: sorted(map(repr, (tuple(row) for row in connection.execute(f"SELECT * FROM {table}")))) for table in tables}


def made_ready(web, asked, prepare):
    if prepare:
        with web.store.transaction():
            prepare(web)
    return asked.ready(web.desk, web.store)


def test_there_is_a_sample_of_each_act():
    assert {type(asked) for asked, *_ in SAMPLES} == set(ACTS.values())


@EACH
def test_a_preview_changes_nothing(web, asked, prepare, before, after):
    ready = made_ready(web, asked, prepare)
    rows = all_rows(web)
    preview = ready.preview(web.store, "why", 10)
    assert all_rows(web) == rows
    assert preview.act == asked.words()[0] and preview.pipeline == "mart" and preview.refusal == ("", "")


@EACH
def test_an_act_leaves_its_row_in_the_trail_with_how_it_was_and_how_it_is(web, asked, prepare, before, after):
    ready = made_ready(web, asked, prepare)
    ready.do(web.store, KIM)
    [row] = web.store.audit.rows(10)
    assert (row.act, row.actor, row.source, row.reason, row.pipeline) == (asked.words()[0], "kim", "page", "the disk was full", "mart")
    assert {key: row.before.get(key) for key in before} == before
    assert row.after == after


@EACH
def test_the_act_and_its_row_are_there_together_or_not_at_all(web, asked, prepare, before, after, monkeypatch):
    ready = made_ready(web, asked, prepare)
    rows = all_rows(web)

    def fail(*args, **values):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(web.store.audit, "add", fail)
    with pytest.raises(RuntimeError):
        ready.do(web.store, KIM)
    assert all_rows(web) == rows


@EACH
def test_what_was_shown_is_what_is_done(web, asked, prepare, before, after):
    ready = made_ready(web, asked, prepare)
    preview = ready.preview(web.store)
    known = {row["name"] for row in web.store.db.execute_text("SELECT name FROM runs", {})}
    ready.do(web.store, KIM)
    made = {row["name"] for row in web.store.db.execute_text("SELECT name FROM runs", {})} - known
    assert made == {run.name for run in preview.runs if run.name not in known}
    for shown in preview.runs:
        run = web.store.run(shown.name)
        if run.engine is None:
            assert run.state == shown.becomes
            states = {row.step: row.state for row in web.store.step_runs(run.id)}
            assert {step.id: step.becomes for step in shown.steps} == {step.id: states[step.id] for step in shown.steps}
        if preview.params:
            assert run.params == preview.params or run.name == FAILED  # a rerun keeps the run's own


@EACH
def test_the_command_line_that_is_shown_asks_for_the_same(web, asked, prepare, before, after):
    [line] = made_ready(web, asked, prepare).preview(web.store, "it's 한글\nand \"more\"").commands
    words = shlex.split(line)
    assert words[0] == "runner"
    command, given = parsed(words[1:])
    assert given.pop("reason") == "it's 한글\nand \"more\""
    assert rebuilt(command, given) == asked


def parsed(words):
    """(command, its values) as click reads them."""
    from runner.cli import cli

    command = cli.get_command(click.Context(cli), words[0])
    with command.make_context(words[0], list(words[1:])) as context:
        return words[0], dict(context.params)


def rebuilt(command, v):
    return {
        "trigger": lambda: Trigger(v["pipeline"], v["date"], v["params"], v["only"], v["new"]),
        "rerun": lambda: Rerun(v["run_name"], v["failed"], v["start"], v["everything"], v["keep_definition"]),
        "backfill": lambda: Backfill(v["pipeline"], v["first"], v["last"], v["params"], v["parallel"], v["newest_first"], v["failed"], v["everything"]),
        "stop": lambda: Stop(v["run_name"], v["backfill"], v["force"]), "mark": lambda: Mark(v["run_name"], v["step"], v["state"]),
        "pause": lambda: Pause(v["pipeline"]), "unpause": lambda: Unpause(v["pipeline"]),
        "hold": lambda: Hold(v["pipeline"], v["step"]), "release": lambda: Release(v["pipeline"], v["step"]),
    }[command]()


def test_the_stamp_of_a_preview_changes_when_something_else_would_happen(web):
    asked = Rerun(FAILED, failed=True)
    first = asked.ready(web.desk, web.store).preview(web.store).stamp
    assert asked.ready(web.desk, web.store).preview(web.store, "another reason").stamp == first
    Mark(FAILED, "clean", "success").ready(web.desk, web.store).do(web.store, KIM)
    assert asked.ready(web.desk, web.store).preview(web.store).stamp != first
    second = Trigger("mart", "2026-02-25").ready(web.desk).preview(web.store, commands=9).stamp
    web.write("mart", (web.pipelines / "mart.yaml").read_text().replace("echo load", "echo something else"))
    assert Trigger("mart", "2026-02-25").ready(web.desk).preview(web.store, commands=9).stamp != second


def test_a_date_has_one_run_however_many_ask_at_once(web):
    outcomes, barrier = [], threading.Barrier(20)

    def ask():
        store = Store(web.config.database, "normal", create=False)
        try:
            ready = Trigger("mart", "2026-02-25").ready(web.desk)
            barrier.wait(60)
            outcomes.append(ready.do(store, KIM).name)
        except Conflict as conflict:
            outcomes.append(conflict.hint)
        finally:
            store.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcomes.count("mart@2026-02-25") == 1 and len(outcomes) == 20
    assert len(web.store.runs_of("mart", web.store.run("mart@2026-02-25").date.due)) == 1
    assert [row.act for row in web.store.audit.rows(50)] == ["trigger"]


@pytest.mark.parametrize("asked, kind, words", [
    (Trigger("mart", "2026-02-26"), None, "exists (failed)"), (Trigger("mart", "2026-02-27"), None, "waits already"),
    (Trigger("nothing"), NotFound, "no pipeline nothing"), (Trigger("mart", "2026-02-25", ("regoin=US",)), UsageError, "did you mean region"),
    (Trigger("mart", "yesterday"), UsageError, "yesterday"), (Rerun(WAITS, failed=True), Conflict, "waits already"), (Rerun(FAILED), UsageError, "say what to run again"),
    (Rerun(FAILED, start=("laod",)), NotFound, "no step laod"), (Stop(FAILED), Conflict, "has ended already"), (Stop(), UsageError, "say which run"), (Stop(WAITS, 1), UsageError, "and --backfill 1: not both"),
    (Rerun(FAILED, failed=True, start=("load",)), UsageError, "--failed and --from: not both"),
    (Stop(backfill=7), NotFound, "no backfill 7"), (Mark(WAITS, "load", "success"), Conflict, "cannot be marked"), (Mark(MISSED, "load", "success"), Conflict, "cannot be marked"),
    (Backfill("mart", "2026-02-27", "2026-02-26"), UsageError, "is before --from"), (Backfill("mart", "2026-02-26", "2026-02-26"), None, "nothing to run"),
    (Backfill("mart", "2026-02-01", "2026-02-02", parallel=9), UsageError, "allows 3 run"), (Unpause("mart"), None, "is not paused"), (Release("mart"), None, "is not held"),
    (Hold("mart", step="laod"), NotFound, "no step laod"),
], ids=lambda value: " ".join(value.words()) if hasattr(value, "words") else "")
def test_what_cannot_be_done_says_why_and_does_nothing(web, asked, kind, words):
    """`kind` None: the preview tells it as data, and `do` raises."""
    rows = all_rows(web)
    if kind is None:
        ready = asked.ready(web.desk, web.store)
        assert words in ready.preview(web.store).refusal[0]
        with pytest.raises((Conflict, UsageError)):
            ready.do(web.store, KIM)
    else:
        with pytest.raises(kind) as caught:
            asked.ready(web.desk, web.store).preview(web.store)
        assert words in f"{caught.value.message} {caught.value.hint}"
    assert all_rows(web) == rows


def test_why_stands_where_it_matters(web):
    Rerun(FAILED, failed=True).ready(web.desk, web.store).do(web.store, KIM)
    assert web.store.run(FAILED).reason == "rerun: the disk was full"
    Stop(WAITS).ready(web.desk, web.store).do(web.store, KIM)
    assert web.store.run(WAITS).reason == "stopped by kim: the disk was full"
    Stop(FAILED).ready(web.desk, web.store).do(web.store, Who("lee", "cli"))
    Mark(FAILED, "load", "skipped").ready(web.desk, web.store).do(web.store, KIM)
    assert {row.step: row.reason for row in web.store.step_runs(web.store.run(FAILED).id)}["load"] == "marked by kim: the disk was full"


def test_one_that_runs_is_asked_to_stop_with_the_reason(web):
    with web.store.transaction():
        running(web)
    [(_, came)] = Stop(WAITS, force=True).ready(web.desk, web.store).do(web.store, KIM)
    assert came == acts.stopping.LEFT and web.store.run(WAITS).stop_requested == "!kim: the disk was full"


def test_a_backfill_says_how_many_of_its_dates_are_to_come(web):
    year = web.clock.now().year + 2
    warned = Backfill("mart", f"{year}-01-01", f"{year}-01-03").ready(web.desk, web.store).preview(web.store).warnings
    assert len(warned) == 1 and warned[0].startswith(f"3 of them wait until they are due, the first until {year}-01-01 ")
    assert not Backfill("mart", "2025-01-01", "2025-01-03").ready(web.desk, web.store).preview(web.store).warnings


def test_several_acts_are_shown_as_one(web):
    previews = [Rerun(FAILED, failed=True).ready(web.desk, web.store).preview(web.store), Rerun(FAILED, everything=True).ready(web.desk, web.store).preview(web.store)]
    both = acts.together(previews)
    assert both.commands == (f"runner rerun {FAILED} --failed", f"runner rerun {FAILED} --all") and len(both.runs) == 2
    assert both.stamp not in (previews[0].stamp, previews[1].stamp)


def test_the_order_of_the_steps_and_what_they_execute_is_that_of_the_plan(web):
    from runner.acts import planned

    ready = Trigger("mart", "2026-02-25", ("region=US",)).ready(web.desk)
    shown = ready.preview(web.store, commands=99).steps
    assert [step["id"] for step in shown] == ["extract", "clean", "load", "tidy"]
    assert list(shown) == planned.as_dicts(web.desk, planned.jobs(web.desk, web.store, ready.spec, ready.run(), planned.order(ready.spec)))
    assert "echo load" in shown[2]["files"]["script"] and len(ready.preview(web.store, commands=2).steps) == 2


def test_commands_that_change_a_run_are_all_acts():
    from runner.cli import COMMANDS, cli

    changing = {name for name, (module, _) in COMMANDS.items() if module in ("running", "triggering")}
    assert changing - {"run"} == set(ACTS)  # `run` works here and now, in the terminal
    for name in ACTS:
        assert any("--reason" in param.opts for param in cli.get_command(click.Context(cli), name).params), name


@pytest.mark.parametrize("meanwhile", [Trigger("mart", "2026-02-25"), Trigger("mart", "2026-02-20"), Rerun(FAILED, everything=True)], ids=["made", "revived", "repeated"])
def test_a_backfill_is_done_as_it_was_shown_or_not_at_all(web, meanwhile):
    ready = Backfill("mart", "2026-02-20", "2026-02-27", failed=True).ready(web.desk)
    assert [run.was for run in ready.preview(web.store).runs] == ["missed", "", "", "", "", "", "failed"]
    meanwhile.ready(web.desk, web.store).do(web.store, KIM)
    rows = all_rows(web)
    with pytest.raises(Conflict):
        ready.do(web.store, KIM)
    assert all_rows(web) == rows


def test_of_a_date_with_two_runs_the_last_counts(web):
    run = web.run("mart", "2026-02-26", dict.fromkeys(("extract", "clean", "load", "tidy"), "success"), "success", new=True)
    assert run.name == "mart@2026-02-26#2"
    preview = Backfill("mart", "2026-02-26", "2026-02-26", failed=True).ready(web.desk).preview(web.store)
    assert preview.runs == () and preview.left == 1


def test_the_two_hours_of_one_name_in_autumn_are_two_dates_of_a_backfill(web):
    web.write("hourly", "timezone: Europe/Berlin\nschedule: '0 * * * *'\nstart_date: 2025-01-01\nsteps: [{id: a, bash: 'true'}]\n")
    ready = Backfill("hourly", "2025-10-26", "2025-10-26").ready(web.desk)
    assert len(ready.preview(web.store).runs) == 25
    Trigger("hourly", "2025-10-26T02:00+01:00").ready(web.desk).do(web.store, KIM)
    names = [run.name for run in ready.preview(web.store).runs]
    assert len(names) == 24 and "hourly@2025-10-26T02:00+02:00" in names and "hourly@2025-10-26T02:00+01:00" not in names


def test_a_date_to_come_that_was_taken_out_is_put_back_with_all_its_steps(web):
    day = f"{web.clock.now().year + 2}-03-01"
    run = Trigger("mart", day, only=("load",)).ready(web.desk, web.store).do(web.store, KIM)
    stopping = Stop(run.name).ready(web.desk, web.store)
    [told] = stopping.preview(web.store).warnings
    assert told.endswith(f"to have it run after all: runner rerun {run.name} --all")
    stopping.do(web.store, KIM)
    Rerun(run.name, everything=True).ready(web.desk, web.store).do(web.store, KIM)
    run = web.store.run(run.name)
    assert (run.state, run.only) == ("queued", None) and {row.state for row in web.store.step_runs(run.id)} == {"pending"}
