"""Which change tells whom: rows in the transaction of the change itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runner import acts
from runner import config as config_module
from runner.alerts.recorder import Recorder
from runner.clock import to_text
from runner.engine import Engine
from runner.errors import EnvironmentFault
from runner.workorder import Site
from tests.conftest import FakeExecutor, add_run


class House:
    def __init__(self, home):
        self.home = home
        self.recorder = Recorder(str(home.folder))

    def play(self, text, script, stop=False, **about):
        """Run to the end with scripted exit codes; the alerts as (event, step, channel)."""
        home = self.home
        pipeline = home.pipeline(text)
        executor = FakeExecutor(script)
        config = config_module.load({"HOME": str(home.folder), "TZ": "UTC"}, home=str(home.folder))
        engine = Engine(home.store, executor, home.clock, config, Site({"PATH": "/bin"}), alerts=self.recorder)
        self.run = add_run(home.store, pipeline, home.clock, **about)
        engine.adopt(self.run, pipeline)
        try:
            engine.turn([])
            if stop:
                engine.request_stop("kim")
            for _ in range(1000):
                if engine.idle:
                    break
                reports = executor.wait(0)
                if not reports:
                    home.clock.advance(max(engine.timeout(), 0.001))
                engine.turn(reports)
            assert engine.idle
        finally:
            engine.close()
        return self.told()

    def told(self):
        rows = self.home.store.db.execute_text("SELECT * FROM alerts ORDER BY id", {}).fetchall()
        return [(row["event"], row["step"], row["channel"]) for row in rows]

    def alert(self, n=-1):
        channel = self.told()[n][2]
        return [each for each in self.home.store.alerts.due(channel, self.home.clock.now())][n]


@pytest.fixture
def house(home):
    return House(home)


STEPS = """
steps:
  - {id: a, bash: "true"}
  - {id: b, bash: "true", needs: a}
"""
CHANNELS = "channels: {ops: {command: x}, duty: {command: x}}\n"


def test_a_pipeline_tells_of_the_end_of_its_run(house):
    assert house.play("on_failure: [ops, duty]\non_success: good" + STEPS, {"a": [1]}) == [("failure", "", "ops"), ("failure", "", "duty")]
    assert house.recorder.news
    assert house.play("on_failure: ops\non_success: good" + STEPS, {}, new=True)[2:] == [("success", "", "good")]


def test_nothing_is_told_where_nobody_is_named(house):
    assert house.play(STEPS, {"a": [1]}) == [] and not house.recorder.news


def test_the_site_tells_for_pipelines_that_do_not_say(house):
    house.home.alerts(CHANNELS + "default: {on_failure: [ops]}")
    assert house.play(STEPS, {"a": [1]}) == [("failure", "", "ops")]
    assert house.play("on_failure: duty" + STEPS, {"a": [1]}, new=True)[1:] == [("failure", "", "duty")]


def test_an_empty_list_is_nobody_on_purpose(house):
    house.home.alerts(CHANNELS + "default: {on_failure: [ops]}")
    assert house.play("on_failure: []" + STEPS, {"a": [1]}) == []


def test_the_default_is_read_again_when_it_changed(house):
    house.home.alerts(CHANNELS + "default: {on_failure: [ops]}")
    house.play(STEPS, {"a": [1]})
    house.home.alerts(CHANNELS + "default: {on_failure: [ops, duty]}")
    assert house.play(STEPS, {"a": [1]}, new=True)[1:] == [("failure", "", "ops"), ("failure", "", "duty")]


def test_while_alerts_yaml_has_a_fault_it_is_left_open_who_is_told(house):
    house.home.alerts("channels: [")
    assert house.play(STEPS, {"a": [1]}) == [("failure", "", "default")]


RETRIES = """
    on_retry: ops
    steps:
      - {id: a, bash: "true", retries: 2, retry_delay: 60s}
"""


def test_each_retry_is_told_with_its_count_and_the_next_time(house):
    assert house.play(RETRIES, {"a": [1, 7, 0]}) == [("retry", "a", "ops")] * 2
    body = house.alert().body
    assert (body["attempt"], body["attempts"], body["exit_code"], body["number"]) == (2, 3, 7, 2)
    assert body["next_at"] == to_text(house.home.store.attempts(house.run.id)[1].ended_at + timedelta(seconds=60))
    assert body["log_file"].endswith("/a.2/log") and body["ds"] == "2026-02-28"


def test_a_step_has_its_own_and_defaults_are_for_all_steps(house):
    text = """
    defaults: {on_failure: {alert: steps, bash: echo}}
    on_failure: run
    steps:
      - {id: a, bash: "true", on_success: mine}
      - {id: b, bash: "true", on_failure: []}
      - {id: c, bash: "true"}
    """
    wanted = [("failure", "", "run"), ("failure", "c", "bash"), ("failure", "c", "steps"), ("success", "a", "mine")]
    assert sorted(house.play(text, {"b": [1], "c": [2]})) == wanted


def test_a_failed_run_names_the_step_that_failed_first_and_its_attempt(house):
    house.play("on_failure: ops\nsteps: [{id: a, bash: 'true'}, {id: b, bash: 'true', needs: a, trigger_rule: all_done}]", {"a": [3], "b": [4]})
    body = house.alert().body
    assert (body["step"], body["reason"], body["exit_code"], body["failed"]) == ("a", "exit 3", 3, [["a", "exit 3"], ["b", "exit 4"]])


def test_who_stops_a_run_is_not_told_of_it(house):
    assert house.play("on_failure: ops\nsteps: [{id: a, bash: 'true', kill_grace: 1s}]", {"a": ["hang"]}, stop=True) == []
    assert house.home.store.run_by_id(house.run.id).state == "killed"


def test_a_rerun_that_fails_again_is_told_again(house):
    house.play("on_failure: ops" + STEPS, {"a": [1]})
    pipeline = house.home.pipeline("on_failure: ops" + STEPS)
    run = acts.reset(house.home.store, house.home.store.run_by_id(house.run.id), pipeline, ["a", "b"], at=house.home.clock.now(), who="kim")
    executor = FakeExecutor({"a": [1]})
    engine = Engine(house.home.store, executor, house.home.clock, house.home.config, Site({"PATH": "/bin"}), alerts=house.recorder)
    engine.adopt(run, pipeline)
    house.home.clock.advance(1)
    engine.turn([])
    engine.turn(executor.wait(0))
    engine.close()
    assert house.told() == [("failure", "", "ops")] * 2


def test_a_transaction_that_is_undone_tells_nothing(house):
    """The alert and the state are one: a full disk loses both or none."""
    pipeline = house.home.pipeline("on_failure: ops" + STEPS)
    run = add_run(house.home.store, pipeline, house.home.clock)
    with pytest.raises(EnvironmentFault):
        with house.home.store.transaction():
            house.recorder.note(house.home.store, run, pipeline, None, "failed", "x", None, house.home.clock.now())
            raise EnvironmentFault("the disk is full")
    assert house.told() == []


def test_something_odd_about_a_run_stops_neither_it_nor_the_telling(house, monkeypatch):
    monkeypatch.setattr("runner.alerts.recorder._run_facts", lambda *_: 1 / 0)
    assert house.play("on_failure: ops" + STEPS, {"a": [1]}) == [("failure", "", "ops")]
    assert house.home.store.run_by_id(house.run.id).state == "failed"
    assert house.alert().body["reason"] == "failed: a (more is not known: ZeroDivisionError: division by zero)"
