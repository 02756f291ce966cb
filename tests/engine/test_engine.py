"""The loop with a real store, a scripted executor and a clock that stands still: no thread, no process, no sleep."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runner import model
from runner.errors import Conflict
from runner.model import Retry
from tests.conftest import FakeExecutor, add_run, make_date, make_pipeline, make_step


def test_a_chain_runs_in_order_and_succeeds(house):
    run, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"])))
    assert run.state == "success" and executor.started == ["a", "b", "c"]
    assert run.ended_at and run.engine is None


def test_every_change_is_in_the_journal_in_an_order_that_makes_sense(house):
    run, _ = house.run(make_pipeline(make_step("a")))
    rows = [(row["kind"], row["to_state"]) for row in house.store.transitions(run.id)]
    assert rows == [("run", "queued"), ("run", "running"), ("attempt", "running"), ("step", "running"), ("attempt", "success"),
                    ("step", "success"), ("run", "success")]


def test_a_failure_is_retried_after_its_delay_and_may_then_succeed(house):
    run, executor = house.run(make_pipeline(make_step("a", retry=Retry(limit=2, delay=300))), {"a": [1, 1, 0]})
    attempts = house.store.attempts(run.id)
    assert run.state == "success" and [a.exit_code for a in attempts] == [1, 1, 0]
    gaps = [b.started_at - a.ended_at for a, b in zip(attempts, attempts[1:])]
    assert all(timedelta(seconds=300) <= gap < timedelta(seconds=302) for gap in gaps)
    assert [a.folder.rsplit("/", 1)[1] for a in attempts] == ["a.1", "a.2", "a.3"]


def test_a_retry_after_midnight_has_the_same_date(house):
    clock = house.clock  # 23:50 in Seoul
    run, executor = house.run(make_pipeline(make_step("a", retry=Retry(limit=1, delay=7200))), {"a": [1, 0]})
    assert clock.now() - run.created_at > timedelta(hours=1)
    assert [job.env["RUNNER_DS"] for job in executor.jobs] == ["2026-02-28", "2026-02-28"]


def test_a_failed_step_fails_the_run_and_what_is_behind_it(house):
    run, executor = house.run(make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c")), {"a": [3]})
    assert run.state == "failed" and "a" in run.reason
    assert house.states(run) == {"a": "failed", "b": "upstream_failed", "c": "success"}
    assert "b" not in executor.started


def test_a_timeout_sends_term_then_kill_and_counts_as_failure(house):
    run, executor = house.run(make_pipeline(make_step("a", timeout=60, kill_grace=30)), {"a": ["hang"]})
    assert executor.signals == [("TERM", "a"), ("KILL", "a")]
    attempt = house.store.attempts(run.id)[0]
    assert (attempt.state, attempt.exit_code) == ("failed", 137) and attempt.reason.startswith("timeout")
    assert timedelta(seconds=90) <= attempt.ended_at - attempt.started_at < timedelta(seconds=93)


def test_a_timeout_is_retried(house):
    pipeline = make_pipeline(make_step("a", timeout=60, kill_grace=1, retry=Retry(limit=1, delay=1)))
    run, executor = house.run(pipeline, {"a": ["hang", 0]})
    assert run.state == "success" and executor.started == ["a", "a"]


def test_a_stop_ends_running_steps_and_starts_nothing(house):
    pipeline = make_pipeline(make_step("a", kill_grace=5), make_step("b", ["a"]), make_step("tidy", ["a"], trigger_rule="all_done"))
    executor = FakeExecutor({"a": ["hang"]})
    run = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(run, pipeline)
    engine.turn([])
    with house.store.transaction():
        house.store.request_stop(run.id, "kim")
    house.play(engine, executor)
    engine.close()
    run = house.store.run_by_id(run.id)
    assert run.state == "killed" and "kim" in run.reason
    assert set(house.states(run).values()) == {"killed"} and executor.started == ["a"]


def test_the_whole_runs_timeout_fails_it(house):
    run, executor = house.run(make_pipeline(make_step("a", kill_grace=1), timeout=100), {"a": ["hang"]})
    assert run.state == "failed" and "timeout" in run.reason


def test_slots_are_never_passed(house):
    pipeline = make_pipeline(*[make_step(f"s{i}") for i in range(20)])
    executor = FakeExecutor({f"s{i}": ["hang"] for i in range(20)})
    run = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(run, pipeline)
    engine.turn([])
    most = 0
    while not engine.idle:
        most = max(most, len(executor.live_folders()))
        executor.end(executor.live_folders()[0], 0)
        engine.turn(executor.wait(0))
    engine.close()
    assert most == house.config.slots and len(executor.started) == 20


def test_when_decides_with_params_and_outputs_and_a_false_one_skips(house):
    pipeline = make_pipeline(make_step("a", when="ds == '2026-02-28'"), make_step("b", when="ds == '2026-03-01'"), make_step("c", ["b"]))
    run, executor = house.run(pipeline)
    assert house.states(run) == {"a": "success", "b": "skipped", "c": "skipped"} and run.state == "success"


def test_a_template_that_fails_fails_its_step_with_the_reason(house):
    step = model.Step(id="a", kind="bash", body={"run": "echo << outputs.zzz.rows >>"}, retry=Retry(limit=3))
    run, executor = house.run(make_pipeline(step))
    row = house.store.step_runs(run.id)[0]
    assert row.state == "failed" and row.reason.startswith("template") and executor.started == []


def test_noop_needs_no_process(house):
    step = model.Step(id="start", kind="noop", body={})
    run, executor = house.run(make_pipeline(step, make_step("a", ["start"])))
    assert run.state == "success" and executor.started == ["a"]


def test_two_engines_never_work_on_one_run(house):
    pipeline = make_pipeline(make_step("a"))
    run = add_run(house.store, pipeline, house.clock)
    first, second = house.engine(FakeExecutor({"a": ["hang"]})), house.engine(FakeExecutor())
    first.adopt(run, pipeline)
    with pytest.raises(Conflict, match="worked on by"):
        second.adopt(house.store.run_by_id(run.id), pipeline)
    first.close()
    second.adopt(house.store.run_by_id(run.id), pipeline)
    second.close()


def test_max_active_runs_makes_the_second_date_wait(house):
    pipeline = make_pipeline(make_step("a"))
    one, two = add_run(house.store, pipeline, house.clock), add_run(house.store, pipeline, house.clock, date=make_date("2026-03-01"))
    executor = FakeExecutor({"a": ["hang"]})
    engine = house.engine(executor)
    engine.adopt(one, pipeline)
    engine.adopt(two, pipeline)
    engine.turn([])
    assert [house.store.run_by_id(r.id).state for r in (one, two)] == ["running", "queued"]
    executor.end(executor.live_folders()[0], 0)
    house.play(engine, executor)
    engine.close()
    assert [house.store.run_by_id(r.id).state for r in (one, two)] == ["success", "success"]


def test_an_engine_that_died_between_commit_and_spawn_starts_the_same_attempt(house):
    pipeline = make_pipeline(make_step("a"))
    run = add_run(house.store, pipeline, house.clock)
    dead = FakeExecutor()
    dead.start = lambda job: None  # killed right after the commit
    engine = house.engine(dead)
    engine.adopt(run, pipeline)
    engine.turn([])
    engine.owner.close()  # its lock is gone, its claim is not
    executor = FakeExecutor()
    heir = house.engine(executor)
    heir.adopt(house.store.run_by_id(run.id), pipeline)
    house.play(heir, executor)
    heir.close()
    attempts = house.store.attempts(run.id)
    assert [(a.number, a.state) for a in attempts] == [(1, "success")] and executor.started == ["a"]


def test_events_are_told_after_they_are_durable(house):
    run, _ = house.run(make_pipeline(make_step("a")))
    assert [(e.step, e.state) for e in house.events] == [(None, "running"), ("a", "running"), ("a", "success"), (None, "success")]


def test_clock_steps_do_not_move_a_timeout(house):
    pipeline = make_pipeline(make_step("a", timeout=60, kill_grace=1))
    executor = FakeExecutor({"a": ["hang"]})
    run = add_run(house.store, pipeline, house.clock)
    engine = house.engine(executor)
    engine.adopt(run, pipeline)
    engine.turn([])
    house.clock.moment += timedelta(hours=1)  # somebody set the clock
    engine.turn([])
    assert executor.signals == []
    house.clock.advance(61)
    engine.turn([])
    assert executor.signals == [("TERM", "a")]
    house.play(engine, executor)
    engine.close()
