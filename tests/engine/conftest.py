"""One engine over one real store, with a scripted executor and a clock that stands still."""

from __future__ import annotations

import pytest

from runner import config as config_module
from runner.engine import Engine
from runner.workorder import Site
from tests.conftest import FakeExecutor, add_run


class House:
    """One engine over one store."""

    def __init__(self, tmp_path, store, clock):
        self.store, self.clock = store, clock
        self.config = config_module.load({"HOME": str(tmp_path), "TZ": "UTC"}, home=str(tmp_path / "home"))
        self.events = []

    def engine(self, executor):
        return Engine(self.store, executor, self.clock, self.config, Site({"PATH": "/bin"}), listener=self.events.append)

    def play(self, engine, executor, turns=30000):
        """Turn until all runs ended, letting time jump to whatever is next."""
        engine.turn([])
        for _ in range(turns):
            if engine.idle:
                return
            reports = executor.wait(0)
            if not reports:
                self.clock.advance(max(engine.timeout(), 0.001))
            engine.turn(reports)
        raise AssertionError("the run never ended")

    def run(self, pipeline, script=None, **changes):
        executor = FakeExecutor(script)
        run = add_run(self.store, pipeline, self.clock, **changes)
        engine = self.engine(executor)
        engine.adopt(run, pipeline)
        try:
            self.play(engine, executor)
        finally:
            engine.close()
        return self.store.run_by_id(run.id), executor

    def states(self, run):
        return {row.step: row.state for row in self.store.step_runs(run.id)}


@pytest.fixture
def house(tmp_path, store, clock):
    return House(tmp_path, store, clock)
