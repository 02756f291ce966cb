"""The engine as the daemon has it: it takes the runs that nobody works on. No thread, no process, no sleep."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from runner import config as config_module
from runner.definitions import Definitions
from runner.engine import BEGIN_AT_ONCE, Engine
from runner.spec.check import Site
from runner.workorder import Site as JobSite
from tests.conftest import FakeExecutor, add_run, make_date, make_pipeline, make_step


class House:
    """A store and its serving engines."""

    def __init__(self, folder, store, clock):
        self.store, self.clock, self.events = store, clock, []
        self.config = config_module.load({"HOME": str(folder), "TZ": "UTC", "RUNNER_SLOTS": "4", "RUNNER_POOLS": "hive=1"}, home=str(folder / "home"))
        self.definitions = Definitions(store, Site("UTC", "due", frozenset({"hive"})))

    def engine(self, script=None):
        executor = FakeExecutor(script)
        engine = Engine(self.store, executor, self.clock, self.config, JobSite({"PATH": "/bin"}), listener=self.events.append, serve=self.definitions)
        return engine, executor

    def add(self, pipeline, date="2026-02-28", **changes):
        """A waiting run."""
        run = add_run(self.store, pipeline, self.clock, date=make_date(date), **changes)
        self.definitions.keep(run.definition, pipeline)
        return run

    def turns(self, engine, executor):
        """Until it has nothing to do at once."""
        engine.look()
        for _ in range(1000):
            engine.turn(executor.wait(0))
            if not executor._done and engine.timeout() > 0:
                return
        raise AssertionError("it never comes to rest")

    def states(self):
        return [run.state for run in reversed(self.store.recent_runs(None, None, 1000))]


@pytest.fixture
def house(tmp_path, store, clock):
    return House(tmp_path, store, clock)


def die(engine):
    """As kill -9: the lock is free, its files and rows stay."""
    os.close(engine.owner._lock)
    os.close(engine.owner.bell)


def test_it_takes_what_waits_and_lets_go_of_what_ended(house):
    run = house.add(make_pipeline(make_step("a"), make_step("b", ["a"])))
    engine, executor = house.engine()
    house.turns(engine, executor)
    run = house.store.run_by_id(run.id)
    assert (run.state, run.engine, executor.started) == ("success", None, ["a", "b"]) and engine.idle


def test_it_reads_the_database_when_it_is_rung_and_says_so(house):
    engine, executor = house.engine()
    house.turns(engine, executor)
    run = house.add(make_pipeline(make_step("a")))
    assert engine.turn([]) is False and house.states() == ["queued"]
    engine.look()
    assert engine.turn([]) is True and house.store.run_by_id(run.id).state == "running"


def test_runs_of_a_dead_owner_go_on_with_its_attempts_and_those_of_a_living_one_are_left_alone(house):
    one = house.add(make_pipeline(make_step("a"), name="one"))
    first, hands = house.engine({"a": ["hang"]})
    house.turns(first, hands)
    second, executor = house.engine()
    house.turns(second, executor)
    assert second.idle and executor.started == []
    die(first)
    house.turns(second, executor)
    run = house.store.run_by_id(one.id)
    assert run.state == "success" and [a.number for a in house.store.attempts(one.id)] == [1]
    assert not os.path.exists(os.path.join(house.config.engines_folder, first.owner.id + ".lock"))


def test_what_waited_for_a_dead_owner_waits_again(house):
    pipeline = make_pipeline(make_step("a"))
    dead, _ = house.engine()
    run = house.add(pipeline, engine=dead.owner.id)
    die(dead)
    engine, executor = house.engine()
    house.turns(engine, executor)
    assert house.store.run_by_id(run.id).state == "success"


def test_so_many_runs_begin_in_one_turn_that_the_first_steps_start_soon(house):
    for number in range(BEGIN_AT_ONCE + 10):
        house.add(make_pipeline(make_step("a"), name=f"p{number}"))
    engine, executor = house.engine({"a": ["hang"] * 500})
    engine.look()
    engine.turn([])
    assert house.states().count("running") == BEGIN_AT_ONCE and len(executor.started) == 4
    assert engine.timeout() == 0
    engine.turn([])
    assert house.states().count("running") == BEGIN_AT_ONCE + 10


def test_a_backfill_leaves_a_slot_free_for_the_others(house):
    old = make_pipeline(make_step("a"), name="old", max_active_runs=9)
    number = house.store.pipelines.add_backfill("old", "2026-02-01", "2026-02-06", 9, "kim", house.clock.now())
    for day in range(1, 7):
        house.add(old, f"2026-02-0{day}", backfill=number, place=day)
    engine, executor = house.engine({"a": ["hang"] * 9})
    house.turns(engine, executor)
    assert executor.started == ["a"] * 3
    house.add(make_pipeline(make_step("tonight"), name="new"))
    house.turns(engine, executor)
    assert executor.started[-1] == "tonight"


def test_a_backfill_keeps_to_its_number_and_to_its_order(house):
    old = make_pipeline(make_step("a"), name="old", max_active_runs=9)
    number = house.store.pipelines.add_backfill("old", "2026-02-01", "2026-02-04", 2, "kim", house.clock.now())
    runs = [house.add(old, f"2026-02-0{day}", backfill=number, place=-day) for day in (1, 2, 3, 4)]
    engine, executor = house.engine({"a": ["hang"] * 4})
    house.turns(engine, executor)
    assert [house.store.run_by_id(run.id).state for run in runs] == ["queued", "queued", "running", "running"]


def test_a_drained_or_blocked_engine_begins_nothing(house):
    house.add(make_pipeline(make_step("a")))
    engine, executor = house.engine()
    engine.blocked = "the disk is full"
    house.turns(engine, executor)
    assert house.states() == ["queued"]
    engine.blocked, engine.draining = "", True
    house.turns(engine, executor)
    assert house.states() == ["queued"] and executor.started == []
    engine.draining = False
    house.turns(engine, executor)
    assert house.states() == ["success"]


def test_a_future_date_begins_when_its_time_has_come(house):
    run = house.add(make_pipeline(make_step("a")), "2026-03-01")  # in ten minutes
    engine, executor = house.engine()
    house.turns(engine, executor)
    assert house.states() == ["queued"]
    house.clock.advance(timedelta(minutes=10).total_seconds())
    house.turns(engine, executor)
    assert house.store.run_by_id(run.id).state == "success"


def test_a_definition_that_cannot_be_read_stops_nobody_else(house):
    bad = add_run(house.store, make_pipeline(make_step("a"), name="bad"), house.clock)  # its text: no steps
    house.add(make_pipeline(make_step("a"), name="good"))
    engine, executor = house.engine()
    house.turns(engine, executor)
    house.turns(engine, executor)
    assert [run.state for run in (house.store.run_by_id(bad.id), house.store.run_by_id(bad.id + 1))] == ["queued", "success"]
    assert [event.state for event in house.events if event.run.pipeline == "bad"] == ["unreadable"]


def test_a_pool_holds_over_all_runs_and_others_pass_by(house):
    for name in ("one", "two"):
        house.add(make_pipeline(make_step("sql", pool="hive"), name=name))
    house.add(make_pipeline(make_step("free"), name="three"))
    engine, executor = house.engine({"sql": ["hang", 0]})
    house.turns(engine, executor)
    assert executor.started == ["sql", "free"]
    executor.end(executor.live_folders()[0], 0)
    house.turns(engine, executor)
    assert executor.started == ["sql", "free", "sql"] and house.states() == ["success"] * 3


def test_one_wide_run_does_not_keep_the_others_out(house):
    house.add(make_pipeline(*[make_step(f"w{n}") for n in range(40)], name="wide"))
    engine, executor = house.engine({f"w{n}": ["hang"] for n in range(40)})
    house.turns(engine, executor)
    house.add(make_pipeline(make_step("small"), name="small"))
    house.turns(engine, executor)
    assert "small" not in executor.started
    executor.end(executor.live_folders()[0], 0)
    house.turns(engine, executor)
    assert executor.started[4] == "small"


def test_held_steps_and_pipelines_wait_and_go_on(house):
    house.store.pipelines.hold("mart", "b", "kim", house.clock.now(), "")
    house.store.pipelines.hold("shop", "", "kim", house.clock.now(), "")
    house.add(make_pipeline(make_step("a"), make_step("b", ["a"]), name="mart"))
    house.add(make_pipeline(make_step("x"), name="shop"))
    engine, executor = house.engine()
    house.turns(engine, executor)
    assert executor.started == ["a"] and house.states() == ["running", "queued"]
    house.store.pipelines.let_go("mart", "b")
    house.store.pipelines.let_go("shop", "")
    house.turns(engine, executor)
    assert sorted(executor.started) == ["a", "b", "x"] and house.states() == ["success", "success"]
