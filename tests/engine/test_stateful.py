"""Whatever people, steps and crashes do to runs, in whatever order: the engine keeps its promises.

Hypothesis plays trigger, stop, rerun, mark, pause, hold, edit, ends of processes, time, and the death of the engine. The
processes are a world of their own that outlives every engine, as real ones do.
"""

from __future__ import annotations

import collections
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner import acts, model
from runner import config as config_module
from runner.definitions import Definitions
from runner.engine import Engine
from runner.errors import Conflict
from runner.executors import Report
from runner.model import Retry
from runner.planning import plan
from runner.spec.check import Site
from runner.store import Store
from runner.store.store import definition_hash
from runner.workorder import Site as JobSite
from tests.conftest import FakeClock, make_date, make_pipeline, make_step

FULL = bool(os.environ.get("RUNNER_TEST_FULL"))
SLOTS, HIVE = 4, 2
DAYS = ("2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01")  # the last is ahead by ten minutes
NAMES = ("mart", "wide", "flaky")
STEPS = {"mart": "abc", "wide": "abcdef", "flaky": "ab"}
ME = "kim"


def pipeline_of(name, version):
    """Its steps; an edit changes one of them."""
    if name == "mart":
        steps = [make_step("a"), make_step("b", ["a"]), make_step("c", ["b"], trigger_rule="all_done")]
        more = {"max_active_runs": 1}
    elif name == "wide":
        steps = [make_step(step, pool="hive" if step < "d" else None, pool_slots=2 if step == "a" else 1) for step in "abcdef"]
        more = {"max_active_runs": 2, "max_active_steps": 3}
    else:
        steps = [make_step("a", retry=Retry(limit=2, delay=60), timeout=600, kill_grace=5), make_step("b", ["a"])]
        more = {"max_active_runs": 2}
    if version:
        steps[-1] = make_step(steps[-1].id, steps[-1].needs, env={"VERSION": str(version)})
    found = make_pipeline(*steps, name=name, **more)
    return model.Pipeline(**{**vars(found), "text": f"# {version}\n"})


class World:
    """The processes of this machine."""

    def __init__(self):
        self.live = {}  # folder -> (run, step)
        self.ended = {}  # folder -> exit code, or "lost"

    def start(self, job):
        key = (job.env["RUNNER_RUN_ID"], job.env["RUNNER_STEP"])
        assert job.folder not in self.live and job.folder not in self.ended, f"{job.folder} began twice"
        assert key not in self.live.values(), f"{key} runs twice at once"
        self.live[job.folder] = key

    def end(self, folder, code):
        del self.live[folder]
        self.ended[folder] = code


class Hands:
    """An executor of one engine over the world; dead hands act no more."""

    def __init__(self, world):
        self.world, self.dead, self.mine, self.reports = world, False, set(), []

    def watch(self, fd):
        pass

    unwatch = prepare = ready = discard = watch

    def start(self, job):
        if not self.dead:
            self.world.start(job)
            self.mine.add(job.folder)

    def ended(self, folder):
        code = self.world.ended.get(folder, "lost")
        return None if self.dead or code == "lost" else Report(folder, "exited", code)

    def recover(self, folder, boot=""):
        if self.dead:
            return "alive"
        if folder in self.world.live or folder in self.world.ended:
            self.mine.add(folder)
            return "alive"
        return "never"

    def refuse(self, folder, reason):
        self.reports.append(Report(folder, "refused", reason=reason))

    def terminate(self, folder):
        if not self.dead and folder in self.world.live and not folder.endswith("2"):  # some second attempts do not listen
            self.world.end(folder, 143)

    def kill(self, folder):
        if not self.dead and folder in self.world.live:
            self.world.end(folder, 137)

    def wait(self, timeout):
        out, self.reports = self.reports, []
        for folder in sorted(self.mine & set(self.world.ended)):
            self.mine.discard(folder)
            code = self.world.ended[folder]
            out.append(Report(folder, "lost", reason="lost: played") if code == "lost" else Report(folder, "exited", code))
        return out

    def close(self):
        pass


class Machine(RuleBasedStateMachine):
    """One home."""

    @initialize()
    def begin(self):
        self.folder = tempfile.mkdtemp(prefix="runner-stateful-")
        self.clock, self.world = FakeClock(), World()
        self.config = config_module.load({"HOME": self.folder, "TZ": "UTC", "RUNNER_SLOTS": str(SLOTS), "RUNNER_POOLS": f"hive={HIVE}"}, home=self.folder)
        os.makedirs(self.folder, exist_ok=True)
        self.store = Store(self.config.database, "normal", create=True)
        self.definitions = Definitions(self.store, Site("UTC", "due", frozenset({"hive"})))
        self.versions = dict.fromkeys(NAMES, 0)
        self.pipelines = {}
        for name in NAMES:
            self.edit(name, 0)
        self.made = set()  # (pipeline, day): dates that were asked for
        self.held, self.paused = set(), set()
        self.new_engine()

    def teardown(self):
        if hasattr(self, "engine"):
            try:
                self.come_to_rest()
            finally:
                self.engine.close()
                self.store.close()
                shutil.rmtree(self.folder)

    def new_engine(self):
        self.hands = Hands(self.world)
        self.engine = Engine(self.store, self.hands, self.clock, self.config, JobSite({"PATH": "/bin"}), serve=self.definitions)
        self.turn()

    def turn(self):
        """Turn until it has nothing more to do at once."""
        self.engine.look()
        for _ in range(100):
            self.engine.turn(self.hands.wait(0))
            if not self.hands.reports and not (self.hands.mine & set(self.world.ended)) and self.engine.timeout() > 0:
                return
        raise AssertionError("it never comes to rest")

    def forget_engine(self):
        """As a kill -9 does: its lock is free, its files and rows stay."""
        os.close(self.engine.owner._lock)
        os.close(self.engine.owner.bell)
        self.engine._waits.close()

    def edit(self, name, version):
        spec = pipeline_of(name, version)
        self.pipelines[name], self.versions[name] = spec, version
        self.definitions.keep(definition_hash(spec.name, spec.path, spec.text), spec)

    def rows(self, text):
        return self.store.db.connection.execute(text).fetchall()

    def runs(self, *states):
        return [self.store.run_by_id(row["id"]) for row in self.rows("SELECT id, state FROM runs ORDER BY id") if not states or row["state"] in states]

    def pick(self, data, runs):
        name = data.draw(st.sampled_from([run.name for run in runs]))
        return next(run for run in runs if run.name == name)

    # -- what people do

    @rule(name=st.sampled_from(NAMES), day=st.sampled_from(DAYS), trigger=st.sampled_from(["manual", "schedule"]), new=st.booleans())
    def trigger(self, name, day, trigger, new):
        try:
            acts.create_run(self.store, self.pipelines[name], make_date(day), params={}, at=self.clock.now(), trigger=trigger, new=new, who=ME)
            assert new or (name, day) not in self.made
        except Conflict:
            assert (name, day) in self.made and not new
        self.made.add((name, day))
        self.turn()

    @rule(name=st.sampled_from(NAMES), parallel=st.integers(1, 2))
    def backfill(self, name, parallel):
        with self.store.transaction():
            number = self.store.pipelines.add_backfill(name, DAYS[0], DAYS[2], parallel, ME, self.clock.now())
            for place, day in enumerate(DAYS[:3]):
                if (name, day) not in self.made:
                    acts.create_run(self.store, self.pipelines[name], make_date(day), params={}, at=self.clock.now(), trigger="backfill",
                                    backfill=number, place=place, who=ME)
                    self.made.add((name, day))
        self.turn()

    @precondition(lambda self: self.runs())
    @rule(data=st.data())
    def stop(self, data):
        run = self.pick(data, self.runs())
        if not acts.take_out(self.store, run, at=self.clock.now(), who=ME) and run.state == "running":
            with self.store.transaction():
                self.store.request_stop(run.id, ME)
        self.turn()

    @precondition(lambda self: self.runs(*model.RUN_TERMINAL))
    @rule(data=st.data(), how=st.sampled_from(["failed", "everything", "start"]))
    def rerun(self, data, how):
        run = self.pick(data, self.runs(*model.RUN_TERMINAL))
        spec = self.pipelines[run.pipeline]
        states = {row.step: row.state for row in self.store.step_runs(run.id)}
        chosen = plan.rerun_set(spec, states, failed=how == "failed", start=["b"] if how == "start" else (), everything=how == "everything")
        if chosen:
            acts.reset(self.store, run, spec, chosen, at=self.clock.now(), who=ME)
        self.turn()

    @precondition(lambda self: self.runs())
    @rule(data=st.data(), state=st.sampled_from(["success", "failed", "skipped"]))
    def mark(self, data, state):
        run = self.pick(data, self.runs())
        step = data.draw(st.sampled_from(STEPS[run.pipeline]))
        try:
            acts.mark(self.store, run, self.definitions.of(run), step, state, at=self.clock.now(), who=ME)
            assert run.state in model.RUN_TERMINAL
        except Conflict:
            assert run.state not in model.RUN_TERMINAL
        self.turn()

    @rule(name=st.sampled_from(NAMES))
    def pause_or_unpause(self, name):
        self.paused ^= {name}
        with self.store.transaction():
            self.store.pipelines.pause(name, "", ME if name in self.paused else None, self.clock.now())
        self.turn()

    @rule(name=st.sampled_from(NAMES), step=st.sampled_from(["", "a", "b"]))
    def hold_or_release(self, name, step):
        with self.store.transaction():
            if (name, step) in self.held:
                assert self.store.pipelines.let_go(name, step)
            else:
                assert self.store.pipelines.hold(name, step, ME, self.clock.now(), "")
        self.held ^= {(name, step)}
        before = set(self.world.live) | set(self.world.ended)
        self.turn()
        for folder in set(self.world.live) - before:
            run, begun = self.world.live[folder]
            assert (run.partition("@")[0], begun) not in self.held, f"{begun} of {run} began though it is held"

    @rule(name=st.sampled_from(NAMES))
    def edit_file(self, name):
        self.edit(name, self.versions[name] + 1)

    # -- what the machine does

    @precondition(lambda self: self.world.live)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, 1, 99, "lost"]))
    def a_process_ends(self, data, code):
        self.world.end(data.draw(st.sampled_from(sorted(self.world.live))), code)
        self.turn()

    @rule(seconds=st.sampled_from([1, 30, 70, 700]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        self.turn()

    @rule()
    def the_engine_is_killed(self):
        self.forget_engine()
        self.new_engine()

    @rule(seconds=st.sampled_from([0, 70, 700]), name=st.sampled_from(NAMES), day=st.sampled_from(DAYS))
    def the_engine_is_killed_between_commit_and_act(self, seconds, name, day):
        self.hands.dead = True
        self.clock.advance(seconds)
        if (name, day) not in self.made:
            acts.create_run(self.store, self.pipelines[name], make_date(day), params={}, at=self.clock.now(), who=ME)
            self.made.add((name, day))
        self.engine.look()
        self.engine.turn(self.hands.wait(0))
        self.forget_engine()
        self.new_engine()

    @rule()
    def the_engine_leaves_and_another_comes(self):
        self.engine.close()
        self.new_engine()

    # -- what always holds

    @invariant()
    def a_date_has_one_run(self):
        if hasattr(self, "engine"):
            assert not self.rows("SELECT 1 FROM runs GROUP BY pipeline, due_at, number HAVING count(*) > 1")
            assert {(row["pipeline"], row["name"].partition("@")[2].partition("#")[0]) for row in self.rows("SELECT pipeline, name FROM runs")} == self.made

    @invariant()
    def attempts_and_processes_agree(self):
        if hasattr(self, "engine"):
            running = [os.path.join(self.folder, row["folder"]) for row in self.rows("SELECT folder FROM attempts WHERE ended_at IS NULL")]
            assert sorted(running) == sorted(self.world.live), "the database and the processes disagree"
            assert not self.rows("SELECT 1 FROM attempts WHERE ended_at IS NULL GROUP BY run_id, step HAVING count(*) > 1")
            assert len(self.rows("SELECT 1 FROM attempts WHERE state = 'running'")) == len(self.rows("SELECT 1 FROM step_runs WHERE state = 'running'"))

    @invariant()
    def no_limit_is_passed(self):
        if hasattr(self, "engine"):
            assert len(self.world.live) <= SLOTS
            live = [(run.partition("@")[0], step) for run, step in self.world.live.values()]
            room = sum((2 if step == "a" else 1) for name, step in live if name == "wide" and step < "d")
            assert room <= HIVE, live
            active = collections.Counter(run.pipeline for run in self.runs("running"))
            assert all(count <= self.pipelines[name].max_active_runs for name, count in active.items()), active
            for row in self.rows("SELECT b.parallel, count(*) n FROM runs r JOIN backfills b ON b.id = r.backfill WHERE r.state = 'running' GROUP BY b.id"):
                assert row["n"] <= row["parallel"]
            assert max(collections.Counter(run for run, _ in self.world.live.values() if run.startswith("wide@")).values(), default=0) <= 3

    @invariant()
    def runs_agree_with_their_steps(self):
        if not hasattr(self, "engine"):
            return
        for run in self.runs():
            states = {row.state for row in self.store.step_runs(run.id)}
            if run.state == "queued":
                assert not states & {"running", "retry_wait"} and run.engine is None, (run, states)
            elif run.state == "running":
                assert run.engine == self.engine.owner.id and not states <= model.STEP_TERMINAL, (run, states)
            else:
                assert run.engine is None and states <= model.STEP_TERMINAL | {"pending"}, (run, states)
                if run.state == "success":
                    assert not states & {"failed", "upstream_failed", "killed", "pending"}, (run, states)
                if run.state == "failed":
                    assert states & {"failed", "upstream_failed", "killed"}, (run, states)  # killed ones, where others were marked

    def come_to_rest(self):
        """When nothing stands in the way any more, every run ends."""
        for name, step in list(self.held):
            self.hold_or_release(name, step)
        for name in list(self.paused):
            self.pause_or_unpause(name)
        for _ in range(500):
            if not self.runs("queued", "running"):
                break
            for folder in sorted(self.world.live):
                self.world.end(folder, 0)
            self.clock.advance(61)
            self.turn()
        assert not self.runs("queued", "running"), [(run.name, run.state) for run in self.runs("queued", "running")]
        self.attempts_and_processes_agree()
        self.runs_agree_with_their_steps()


Machine.TestCase.settings = settings(
    max_examples=500 if FULL else 25, stateful_step_count=60 if FULL else 40, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), print_blob=True,
)
TestEngineInAnyOrder = Machine.TestCase
TestEngineInAnyOrder.__test__ = True
