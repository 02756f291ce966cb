"""Jobs made ahead: the same that would be made in their turn, never begun by themselves, and gone when they are not wanted."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from runner.executors.local import LocalExecutor
from runner.model import Retry
from tests.conftest import FakeExecutor, add_run, make_pipeline, make_step


def steps_of(jobs):
    return [job.env["RUNNER_STEP"] for job in jobs]


def while_a_runs(house):
    """(engine, executor, run): of a and then b, where a goes on until it is told to end."""
    executor = FakeExecutor({"a": ["hang"]})
    engine = house.engine(executor)
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]))
    run = add_run(house.store, pipeline, house.clock)
    engine.adopt(run, pipeline)
    engine.turn([])
    return engine, executor, run


def test_each_step_of_a_chain_is_made_while_the_one_before_runs(house):
    run, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"])))
    assert run.state == "success" and steps_of(executor.prepared) == ["b", "c"]
    assert executor.jobs[1] is executor.prepared[0] and executor.jobs[2] is executor.prepared[1] and not executor.discarded


def test_what_is_made_ahead_is_not_begun(house):
    engine, executor, run = while_a_runs(house)
    assert steps_of(executor.prepared) == ["b"] and executor.started == ["a"] and house.states(run)["b"] == "pending"
    engine.close()
    assert executor.discarded == executor.prepared


def test_what_waits_for_two_is_made_when_the_last_of_them_runs(house):
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["a", "b"]))
    _, executor = house.run(pipeline)
    assert steps_of(executor.prepared) == ["b", "c"]


@pytest.mark.parametrize("codes, discarded", [([1], ["b"]), ([1, 0], [])])
def test_what_never_has_its_turn_is_taken_away(house, codes, discarded):
    _, executor = house.run(make_pipeline(make_step("a", retry=Retry(limit=len(codes) - 1, delay=1)), make_step("b", ["a"])), {"a": codes})
    assert steps_of(executor.discarded) == discarded


def test_one_that_is_old_is_made_anew(house):
    """Its step may have waited for hours: what it was made of may have changed."""
    engine, executor, _ = while_a_runs(house)
    house.clock.advance(3)
    executor.end(executor.live_folders()[0], 0)
    house.play(engine, executor)
    engine.close()
    assert executor.started == ["a", "b"] and executor.jobs[1] is not executor.prepared[0] and executor.discarded == executor.prepared


def test_the_shell_of_the_next_step_is_started_when_the_one_before_has_succeeded(house):
    _, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"])))
    assert executor.readied == executor.prepared == executor.jobs[1:] and not executor.discarded


@pytest.mark.parametrize("code", [1, 99, "lost"])
def test_no_shell_is_started_behind_a_step_that_has_not_succeeded(house, code):
    _, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"])), {"a": [code]})
    assert steps_of(executor.prepared) == ["b"] and executor.readied == []


def test_no_shell_is_started_for_the_slot_of_another(house):
    """Who has the next slot is decided in the turn; a shell for each that might would take the machine from those that run."""
    house.config = replace(house.config, slots=1)
    _, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"])))
    assert steps_of(executor.prepared) == ["b"] and executor.readied == [] and executor.started == ["a", "b"]


def test_a_shell_that_was_started_for_nothing_goes_in_the_same_turn(house):
    engine, executor, _ = while_a_runs(house)
    engine.draining = True  # so that b is not begun
    executor.end(executor.live_folders()[0], 0)
    engine.turn(executor.wait(0))
    assert steps_of(executor.readied) == ["b"] and executor.discarded == executor.readied and executor.started == ["a"]
    engine.draining = False
    engine.turn([])
    house.play(engine, executor)
    assert executor.started == ["a", "b"]
    engine.close()


@pytest.mark.parametrize("change", [
    {"body": {"script": "b.sh"}}, {"when": "true"}, {"kind": "python", "body": {"code": "pass"}},
    {"body": {"run": "echo << outputs.a.x | default(1) >>"}, "text": "<< outputs.a.x | default(1) >>"},
    {"body": {"run": "true"}, "text": "env: {X: << var.x | default(1) >>}"},
])
def test_what_the_step_before_may_change_is_not_made_ahead(house, change):
    """A file that it writes, an output, a variable of the site."""
    text = change.pop("text", "steps: []\n")
    step = make_step("b", ["a"])
    _, executor = house.run(replace(make_pipeline(make_step("a"), replace(step, **change)), text=text))
    assert executor.prepared == [] and executor.started[0] == "a"


def test_a_wide_follow_up_is_not_made_ahead_all_at_once(house):
    _, executor = house.run(make_pipeline(make_step("a"), *(make_step(f"b{i}", ["a"]) for i in range(50))))
    assert len(executor.prepared) == 2 and len(executor.started) == 51


def test_its_files_are_there_before_and_gone_when_it_is_not_wanted(house):
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]))
    local = LocalExecutor(house.clock)
    engine = house.engine(local)
    run = add_run(house.store, pipeline, house.clock)
    engine.adopt(run, pipeline)
    engine.turn([])
    folder = os.path.join(house.config.runs_folder, "mart", "2026-02-28", "b.1")
    assert sorted(os.listdir(folder)) == ["job", "script.held"]  # nobody can run it yet
    engine.close()
    local.close()
    assert not os.path.exists(folder)


def test_files_that_a_killed_engine_left_do_not_cost_a_number(house):
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]))
    folder = os.path.join(house.config.runs_folder, "mart", "2026-02-28", "b.1")
    os.makedirs(folder)
    open(os.path.join(folder, "job"), "w").close()
    run, _ = house.run(pipeline)
    assert [(each.step, each.number) for each in house.store.attempts(run.id)] == [("a", 1), ("b", 1)]
