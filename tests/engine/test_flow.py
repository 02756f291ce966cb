"""Mapped steps, branches, teardowns and runs that steps start: the loop with a real store and a scripted executor."""

from __future__ import annotations

import dataclasses

import pytest

from runner import acts, model
from runner.definitions import Definitions
from runner.model import Retry
from runner.planning import plan
from runner.spec.check import Site, check_text
from tests.conftest import FakeExecutor, add_run, make_date, make_pipeline, make_step


def pipeline_of(text, name="mart"):
    result = check_text(text, path="", name=name, site=Site("Asia/Seoul"), shown=name)
    assert result.pipeline, [problem.message for problem in result.problems]
    return result.pipeline


class Talking(FakeExecutor):
    """Steps that hand something on: step -> outputs."""

    def __init__(self, script=None, outputs=None):
        super().__init__(script)
        self.outputs = outputs or {}

    def wait(self, timeout):
        found = super().wait(timeout)
        return [dataclasses.replace(one, outputs=self.outputs.get(self._step(one.folder), {})) if one.how == "exited" else one for one in found]

    def _step(self, folder):
        return next(job.env["RUNNER_STEP"] for job in self.jobs if job.folder == folder)


def run(house, pipeline, script=None, outputs=None):
    executor = Talking(script, outputs)
    row = add_run(house.store, pipeline, house.clock)
    return again(house, pipeline, row, executor), executor


def again(house, pipeline, row, executor):
    engine = house.engine(executor)
    engine.adopt(row, pipeline)
    try:
        house.play(engine, executor)
    finally:
        engine.close()
    return house.store.run_by_id(row.id)


# ------------------------------------------------------------------------------------------------------------- foreach


def test_each_item_is_a_step_of_its_own_with_its_own_outputs(house):
    pipeline = make_pipeline(make_step("load", foreach=["KR", "US"]), make_step("join", ["load"]))
    row, executor = run(house, pipeline, outputs={"load[0]": {"rows": "1"}, "load[1]": {"rows": "2"}})
    assert row.state == "success" and executor.started == ["load[0]", "load[1]", "join"]
    assert [job.env["RUNNER_ITEM"] for job in executor.jobs[:2]] == ["KR", "US"]
    assert [job.folder.rsplit("/", 1)[1] for job in executor.jobs] == ["load.0.1", "load.1.1", "join.1"]
    rows = {each.step: each for each in house.store.step_runs(row.id)}
    assert list(rows) == ["load", "load[0]", "load[1]", "join"]
    assert rows["load"].outputs == {"rows": ["1", "2"]} and rows["load[1]"].item == "US"


def test_items_may_come_from_a_step_before(house):
    pipeline = make_pipeline(make_step("list"), make_step("load", ["list"], foreach="outputs.list.files"))
    row, executor = run(house, pipeline, outputs={"list": {"files": ["a", "b", "c"]}})
    assert executor.started == ["list", "load[0]", "load[1]", "load[2]"] and row.state == "success"


@pytest.mark.parametrize("found, items", [("a, b", ["a", "b"]), ("a\nb c\n", ["a", "b c"]), ('["a", 1]', ["a", 1]), ({"x": 1}, [{"key": "x", "value": 1}])])
def test_what_counts_as_a_list(house, found, items):
    pipeline = make_pipeline(make_step("list"), make_step("load", ["list"], foreach="outputs.list.files"))
    row, _ = run(house, pipeline, outputs={"list": {"files": found}})
    assert [each.item for each in house.store.step_runs(row.id)][2:] == items


@pytest.mark.parametrize("found, words", [(3, "a list is needed"), ("[broken", "begins like a JSON list"), (["x"] * 10001, "10000 is the most")])
def test_what_is_no_list_fails_the_step_with_a_reason(house, found, words):
    pipeline = make_pipeline(make_step("list"), make_step("load", ["list"], foreach="outputs.list.files", retry=Retry(limit=3)))
    row, executor = run(house, pipeline, outputs={"list": {"files": found}})
    assert row.state == "failed" and words in house.store.step_runs(row.id)[1].reason and executor.started == ["list"]


def test_no_items_skip_the_step(house):
    pipeline = make_pipeline(make_step("list"), make_step("load", ["list"], foreach="outputs.list.files"), make_step("join", ["load"]))
    row, _ = run(house, pipeline, outputs={"list": {"files": []}})
    assert house.states(row) == {"list": "success", "load": "skipped", "join": "skipped"} and row.state == "success"


def test_days_from_one_to_another(house):
    pipeline = pipeline_of("steps:\n  - id: d\n    foreach: {from: << month_start_ds >>, to: << ds >>, every: 9d}\n    bash: echo << item >>\n")
    row, executor = run(house, pipeline)
    assert [job.env["RUNNER_ITEM"] for job in executor.jobs] == ["2026-02-01", "2026-02-10", "2026-02-19", "2026-02-28"]
    assert executor.jobs[0].files["script"] == "echo 2026-02-01\n"


def test_never_more_at_once_than_max_parallel(house):
    pipeline = make_pipeline(make_step("load", foreach=list(range(9)), max_parallel=2))
    executor = FakeExecutor({f"load[{i}]": ["hang"] for i in range(9)})
    row = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(row, pipeline)
    engine.turn([])
    most = 0
    while not engine.idle:
        assert executor.live_folders(), "nothing runs, and the run has not ended"
        most = max(most, len(executor.live_folders()))
        executor.end(executor.live_folders()[0], 0)
        engine.turn(executor.wait(0))
    engine.close()
    assert most == 2 and len(executor.started) == 9


def test_a_failed_item_fails_the_step_and_a_repair_runs_that_item_only(house):
    pipeline = make_pipeline(make_step("load", foreach=["a", "b", "c"]), make_step("join", ["load"]))
    row, _ = run(house, pipeline, {"load[1]": [3]}, {"load[0]": {"n": "0"}})
    assert row.state == "failed" and row.reason == "failed: load[1]"
    assert house.store.step_runs(row.id)[0].reason == "1 of 3 failed: load[1]"
    chosen = plan.rerun_set(pipeline, {each.step: each.state for each in house.store.step_runs(row.id)}, failed=True)
    acts.reset(house.store, row, pipeline, chosen, at=house.clock.now(), who="kim", repair=True)
    executor = Talking({}, {"load[1]": {"n": "1"}})
    row = again(house, pipeline, house.store.run_by_id(row.id), executor)
    assert row.state == "success" and executor.started == ["load[1]", "join"]
    assert house.store.step_runs(row.id)[0].outputs == {"n": ["0", "1", None]}


def test_a_rerun_of_all_makes_the_items_anew(house):
    pipeline = make_pipeline(make_step("list"), make_step("load", ["list"], foreach="outputs.list.files"))
    row, _ = run(house, pipeline, outputs={"list": {"files": ["a", "b", "c"]}})
    acts.reset(house.store, row, pipeline, ["list", "load"], at=house.clock.now(), who="kim")
    executor = Talking({}, {"list": {"files": ["x"]}})
    row = again(house, pipeline, house.store.run_by_id(row.id), executor)
    assert executor.started == ["list", "load[0]"] and [each.step for each in house.store.step_runs(row.id)] == ["list", "load", "load[0]"]
    assert house.store.attempts(row.id, "load[0]")[-1].number == 2


def test_items_that_may_fail_leave_a_gap_in_what_is_handed_on(house):
    pipeline = make_pipeline(make_step("load", foreach=["a", "b"], allow_failure=True), make_step("count", ["load"], when="outputs.load.n == ['0', none]"))
    row, executor = run(house, pipeline, {"load[1]": [1]}, {"load[0]": {"n": "0"}})
    assert row.state == "success" and house.states(row)["count"] == "success"


def test_an_item_is_retried_by_itself(house):
    row, executor = run(house, make_pipeline(make_step("load", foreach=["a", "b"], retry=Retry(limit=1, delay=60))), {"load[0]": [1, 0]})
    assert row.state == "success" and executor.started == ["load[0]", "load[1]", "load[0]"]


def test_a_condition_about_the_item_is_asked_of_each(house):
    row, executor = run(house, make_pipeline(make_step("load", foreach=["a", "b"], when="item == 'b'")))
    assert executor.started == ["load[1]"] and row.state == "success"


def test_a_condition_reads_the_texts_that_a_step_hands_on(house):
    said = {"yes": "true", "no": "False", "nought": "0", "empty": "", "state": "done"}
    steps = [make_step(name, ["look"], when=f"outputs.look.{name}") for name in said]
    row, executor = run(house, make_pipeline(make_step("look"), *steps, make_step("each", ["look"], foreach=["false", "on"], when="item")), outputs={"look": said})
    states = {each.step: each for each in house.store.step_runs(row.id)}
    assert {name: states[name].state for name in said} == {"yes": "success", "no": "skipped", "nought": "skipped", "empty": "skipped", "state": "failed"}
    assert states["state"].reason.startswith("template: outputs.look.state: 'done' is a text, neither true nor false: compare it, as in == 'done'")
    assert executor.started == ["look", "yes", "each[1]"] and states["each[0]"].state == "skipped"


def test_a_mapped_step_whose_condition_says_neither_fails_at_once(house):
    row, executor = run(house, make_pipeline(make_step("load", foreach=["a", "b"], when="pipeline", retry=Retry(limit=3))))
    assert row.state == "failed" and executor.started == [] and "neither true nor false" in house.store.step_runs(row.id)[0].reason


def test_a_dead_engine_leaves_the_items_to_the_next(house):
    pipeline = make_pipeline(make_step("load", foreach=["a", "b", "c"], max_parallel=1), make_step("join", ["load"]))
    executor = FakeExecutor({"load[1]": ["hang"]})
    row = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(row, pipeline)
    while executor.started != ["load[0]", "load[1]"]:
        engine.turn(executor.wait(0))
    engine.close()
    second = FakeExecutor()
    row = again(house, pipeline, house.store.run_by_id(row.id), second)
    assert row.state == "success" and second.started == ["load[1]", "load[2]", "join"]


def test_a_stop_ends_items_too(house):
    pipeline = make_pipeline(make_step("load", foreach=["a", "b"], kill_grace=1))
    executor = FakeExecutor({"load[0]": ["hang"], "load[1]": ["hang"]})
    row = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(row, pipeline)
    engine.turn([])
    house.store.request_stop(row.id, "kim")
    house.play(engine, executor)
    engine.close()
    assert set(house.states(row).values()) == {"killed"} and house.store.run_by_id(row.id).state == "killed"


# -------------------------------------------------------------------------------------------------------------- branch


def branching():
    return make_pipeline(
        make_step("pick", branch=True), make_step("kr", ["pick"]), make_step("us", ["pick"]), make_step("after_us", ["us"]),
        make_step("join", ["pick", "kr", "us"], trigger_rule="none_failed"))


def test_only_the_named_followers_go_on_and_a_join_is_not_cut_off(house):
    row, executor = run(house, branching(), outputs={"pick": {"branch": "kr"}})
    assert house.states(row) == {"pick": "success", "kr": "success", "us": "skipped", "after_us": "skipped", "join": "success"}
    assert {each.step: each.reason for each in house.store.step_runs(row.id)}["us"] == "not chosen by pick" and row.state == "success"


def test_none_named_ends_all_ways(house):
    row, executor = run(house, branching(), outputs={"pick": {"branch": ""}})
    assert executor.started == ["pick"] and row.state == "success"


@pytest.mark.parametrize("said, words", [({}, "handed on no `branch`"), ({"branch": "jp"}, "jp is no step that needs pick: kr, us, join")])
def test_a_branch_that_names_nothing_known_fails(house, said, words):
    row, _ = run(house, branching(), outputs={"pick": said})
    assert row.state == "failed" and words in house.store.step_runs(row.id)[0].reason


def test_a_choice_survives_the_engine(house):
    pipeline = branching()
    row, _ = run(house, pipeline, {"kr": [1]}, {"pick": {"branch": ["kr"]}})
    acts.reset(house.store, row, pipeline, ["kr", "us", "after_us", "join"], at=house.clock.now(), who="kim")
    second = FakeExecutor()
    row = again(house, pipeline, house.store.run_by_id(row.id), second)
    assert second.started == ["kr", "join"] and row.state == "success"


# ------------------------------------------------------------------------------------------------------------ teardown

CLUSTER = """
steps:
  - {id: up, bash: up}
  - {id: load, needs: up, bash: load, kill_grace: 1}
  - {id: mart, needs: load, bash: mart}
  - {id: down, teardown: up, bash: down, kill_grace: 1}
  - {id: mail, needs: down, trigger_rule: all_done, bash: mail}
"""


@pytest.mark.parametrize("script, started, state", [
    ({}, ["up", "load", "mart", "down", "mail"], "success"),
    ({"load": [1]}, ["up", "load", "down", "mail"], "failed"),
    ({"up": [1]}, ["up", "down", "mail"], "failed"),
])
def test_what_was_set_up_is_taken_away_however_the_rest_ended(house, script, started, state):
    row, executor = run(house, pipeline_of(CLUSTER), script)
    assert executor.started == started and row.state == state


def test_nothing_is_taken_away_that_was_not_set_up(house):
    text = CLUSTER.replace("{id: up, bash: up}", "{id: first, bash: first}\n  - {id: up, needs: first, bash: up}")
    row, executor = run(house, pipeline_of(text), {"first": [1]})
    assert executor.started == ["first", "mail"] and house.states(row)["down"] == "skipped"


def hanging(house, script):
    pipeline, executor = pipeline_of(CLUSTER), FakeExecutor(script)
    row = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(row, pipeline)
    while not executor.live_folders():
        engine.turn(executor.wait(0))
    return row, engine, executor


def test_a_stopped_run_takes_away_what_it_set_up(house):
    row, engine, executor = hanging(house, {"load": ["hang"]})
    house.store.request_stop(row.id, "kim")
    house.play(engine, executor)
    engine.close()
    assert executor.started == ["up", "load", "down"] and house.store.run_by_id(row.id).state == "killed"
    assert house.states(row) == {"up": "success", "load": "killed", "mart": "killed", "down": "success", "mail": "killed"}


def test_a_second_stop_ends_the_teardown(house):
    row, engine, executor = hanging(house, {"load": ["hang"], "down": ["hang"]})
    house.store.request_stop(row.id, "kim")
    engine.look()
    while "down" not in executor.started:
        house.clock.advance(1)
        engine.turn(executor.wait(0))
    house.store.request_stop(row.id, "!kim")
    house.play(engine, executor)
    engine.close()
    assert house.states(row)["down"] == "killed" and ("KILL", "down") in executor.signals


def test_a_repair_sets_up_again_what_was_taken_away(house):
    pipeline = pipeline_of(CLUSTER)
    row, _ = run(house, pipeline, {"load": [1]})
    chosen = plan.rerun_set(pipeline, house.states(row), failed=True)
    assert chosen == ["up", "load", "mart", "down", "mail"]


# ------------------------------------------------------------------------------------------------------ other pipelines


class Folder(Definitions):
    """Pipelines by name, without files."""

    def __init__(self, store, *specs):
        super().__init__(store, None)
        self._specs = {spec.name: spec for spec in specs}

    def named(self, name, beside=""):
        return self._specs[name]

    def of(self, run):
        return self._specs[run.pipeline]


def pair(house, child_text="steps: [{id: a, bash: a}]\n", body="child"):
    child = pipeline_of(child_text, "child")
    parent = pipeline_of(f"steps:\n  - {{id: start, pipeline: {body}}}\n  - {{id: after, needs: start, bash: after}}\n", "parent")
    return parent, child, Folder(house.store, parent, child)


def play_pair(house, parent, folder, script=None, row=None):
    from runner.engine import Engine
    from runner.workorder import Site as JobSite

    executor = FakeExecutor(script)
    row = row or add_run(house.store, parent, house.clock)
    engine = Engine(house.store, executor, house.clock, house.config, JobSite({"PATH": "/bin"}), definitions=folder)
    engine.adopt(row, parent)
    try:
        house.play(engine, executor)
    finally:
        engine.close()
    return house.store.run_by_id(row.id), executor


def test_a_step_starts_another_pipeline_for_its_own_date_and_waits(house):
    parent, child, folder = pair(house)
    row, executor = play_pair(house, parent, folder)
    other = house.store.run("child@2026-02-28")
    assert (row.state, other.state, other.trigger, other.parent) == ("success", "success", "pipeline", row.id)
    assert executor.started == ["a", "after"] and other.date.logical.date() == row.date.logical.date()
    assert house.store.step_runs(row.id)[0].outputs == {"run": "child@2026-02-28"}


def test_the_failure_of_the_other_run_is_the_steps(house):
    parent, child, folder = pair(house)
    row, executor = play_pair(house, parent, folder, {"a": [1]})
    assert row.state == "failed" and house.store.step_runs(row.id)[0].reason == "run child@2026-02-28 failed (failed: a)"
    acts.reset(house.store, row, parent, ["start", "after"], at=house.clock.now(), who="kim")
    row, executor = play_pair(house, parent, folder, row=house.store.run_by_id(row.id))
    assert executor.started == ["a", "after"] and row.state == "success", "the repair repairs the other run too"


@pytest.mark.parametrize("rule, state, runs", [("continue", "success", 1), ("fail", "failed", 1), ("again", "success", 2)])
def test_a_date_that_has_run_already(house, rule, state, runs):
    parent, child, folder = pair(house, body=f"{{name: child, if_exists: {rule}}}")
    play_pair(house, child, folder)
    row, executor = play_pair(house, parent, folder)
    assert row.state == state and len(house.store.runs_of("child", make_date().due)) == runs


def test_a_circle_of_pipelines_is_refused(house):
    parent, child, folder = pair(house, "steps: [{id: back, pipeline: parent}]\n")
    row, _ = play_pair(house, parent, folder)
    other = house.store.run("child@2026-02-28")
    assert row.state == "failed" and "circle: parent -> child -> parent" in house.store.step_runs(other.id)[0].reason


def test_params_reach_the_other_run(house):
    parent, child, folder = pair(house, "params: {n: 1}\nsteps: [{id: a, bash: a}]\n", "{name: child, params: {n: 7}}")
    play_pair(house, parent, folder)
    assert house.store.run("child@2026-02-28").params == {"n": 7}
    assert isinstance(house.store.run("child@2026-02-28"), model.Run)


def test_without_waiting_the_step_succeeds_at_once(house):
    parent, child, folder = pair(house, body="{name: child, wait: false}")
    row, executor = play_pair(house, parent, folder, {"a": [1]})
    assert row.state == "success" and house.store.run("child@2026-02-28").state == "failed"


def test_a_stop_stops_the_other_run_too(house):
    from runner.engine import Engine
    from runner.workorder import Site as JobSite

    parent, child, folder = pair(house, "steps: [{id: a, bash: a, kill_grace: 1}]\n")
    executor = FakeExecutor({"a": ["hang"]})
    row = add_run(house.store, parent, house.clock)
    engine = Engine(house.store, executor, house.clock, house.config, JobSite({"PATH": "/bin"}), definitions=folder)
    engine.adopt(row, parent)
    while not executor.live_folders():
        engine.turn(executor.wait(0))
    house.store.request_stop(row.id, "kim")
    house.play(engine, executor)
    engine.close()
    assert house.store.run_by_id(row.id).state == "killed" and house.store.run("child@2026-02-28").state == "killed"


# -------------------------------------------------------------------------------------------------------------- folders


def test_an_attempt_never_lands_where_another_began(house):
    import os

    pipeline = make_pipeline(make_step("a"))
    left = os.path.join(house.config.runs_folder, "mart", "2026-02-28", "a.1")
    os.makedirs(left)  # of a run that a database brought back from a copy knows nothing of
    open(os.path.join(left, "start"), "w").close()
    row, executor = run(house, pipeline)
    assert [each.number for each in house.store.attempts(row.id)] == [2] and executor.jobs[0].folder != left


def test_a_home_that_was_moved_still_knows_its_folders(house, tmp_path):
    from runner.store import Store

    row, _ = run(house, make_pipeline(make_step("a")))
    house.store.close()
    (tmp_path / "runner.db").rename((tmp_path / "elsewhere").mkdir() or tmp_path / "elsewhere" / "runner.db")
    moved = Store(str(tmp_path / "elsewhere" / "runner.db"))
    assert moved.attempts(row.id)[0].folder == str(tmp_path / "elsewhere" / "home" / "runs" / "mart" / "2026-02-28" / "a.1")
    moved.close()
