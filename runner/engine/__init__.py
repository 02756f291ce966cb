"""The loop: facts in, decide, commit, act.

One turn takes what ended, asks `planning` what follows, writes all of it in one transaction, and only then touches a
process. A crash between commit and act leaves an attempt row without a start file: the next engine starts that same
attempt. A crash anywhere else leaves a process with a start file: the next engine adopts it. (A shell may be
started before the commit, behind a gate that only we can open: `ahead`.)

`active` what is in hand, `waiting` runs that may begin, `attempts` their attempts, `deciding` from decisions to rows, `ahead` jobs
made before their turn.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Callable, Dict, List, Optional, Sequence

from runner import faults, model, workorder
from runner.alerts.recorder import Recorder
from runner.clock import Clock
from runner.config import Config
from runner.definitions import Definitions
from runner.engine.active import Active, Event, Hands
from runner.engine.ahead import Ahead
from runner.engine.attempts import Attempts
from runner.engine.deciding import Deciding
from runner.engine.waiting import BEGIN_AT_ONCE, Waiting, queue_facts
from runner.errors import Conflict, RunnerError
from runner.executors import Report
from runner.ownership import Owner, about, forget, is_alive
from runner.planning import plan
from runner.store import Store
from runner.waits import Waits

__all__ = ["BEGIN_AT_ONCE", "FORCE", "Engine", "Event", "queue_facts"]

HEARTBEAT = 1.0  # seconds between looks at the database when no bell rings
SERVE_HEARTBEAT = 10.0  # the same for a daemon, whom every command rings
FORCE = model.FORCE


class Engine:
    """Works on runs until they end. One per process, one thread.

    In the foreground it works on the runs it was given by `adopt`. With `serve` it takes every run that nobody works on:
    those that wait, and those whose process died.
    """

    def __init__(
        self,
        store: Store,
        executor,
        clock: Clock,
        config: Config,
        site: workorder.Site,
        *,
        about_me: str = "runner",
        listener: Optional[Callable[[Event], None]] = None,
        slots: Optional[int] = None,
        serve: Optional[Definitions] = None,
        definitions: Optional[Definitions] = None,
        alerts: Optional[Recorder] = None,
    ):
        """`definitions`: to find other pipelines by, for steps that wait for them; with `serve` they are the same."""
        self.store, self.executor, self.clock = store, executor, clock
        self.owner = Owner(config.engines_folder, about_me)
        self._engines, self._serve = config.engines_folder, serve
        self._stop: Optional[str] = None  # set by a signal handler
        self._next_look = 0.0
        executor.watch(self.owner.bell)
        self._hands = Hands(store, executor, clock, config, site, slots or config.slots, self.owner, alerts)
        self._waiting = Waiting(self._hands, serve, self._take_over)
        self._waits = Waits(store, serve or definitions, clock, executor.watch, executor.unwatch)
        self._attempts = Attempts(self._hands, self._waits, self._waiting.let_begin)
        self._ahead = Ahead(self._hands)
        self._deciding = Deciding(self._hands, self._attempts, self._ahead, self._end_run)
        self.listener = listener

    def close(self) -> None:
        """Let go of the runs. What runs goes on and can be adopted."""
        try:
            for run_id in (*self._hands.active, *self._waiting.given):
                self.store.release(run_id, self.owner.id)
        except RunnerError:  # a full disk, say: the lock that goes with us tells the next engine as much
            pass
        self._ahead.forget()
        self._waits.close()
        self.owner.close()

    @property
    def live(self) -> int:
        """Attempts whose processes run."""
        return sum(1 for folder, active in self._hands.owners.items() if not active.live[folder].waits)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing that was given waits."""
        return not (self._hands.active or self._waiting.given)

    @property
    def listener(self) -> Optional[Callable[[Event], None]]:
        """Who is told what happens."""
        return self._hands.listener

    @listener.setter
    def listener(self, listener: Optional[Callable[[Event], None]]) -> None:
        self._hands.listener = listener

    @property
    def draining(self) -> bool:
        """Nothing new starts, but the teardown of runs that are being stopped."""
        return self._deciding.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._deciding.draining = draining
        for active in self._hands.active.values():
            self._hands.touch(active)

    @property
    def blocked(self) -> str:
        """Why no run may begin: a full disk, a clock that jumped."""
        return self._waiting.blocked

    @blocked.setter
    def blocked(self, reason: str) -> None:
        self._waiting.blocked = reason

    # ---------------------------------------------------------------------------------------------------- taking over

    def adopt(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """Take a run, new or left behind by a dead process. Raises Conflict when a living one works on it."""
        if run.engine and run.engine != self.owner.id and is_alive(self._engines, run.engine):
            raise Conflict(f"run {run.name} is being worked on by {about(self._engines, run.engine)}", f"type: runner status {run.name}")
        with self.store.transaction():
            if not self.store.claim(run.id, self.owner.id, run.engine):
                raise Conflict(f"run {run.name} was just taken by another process", f"type: runner status {run.name}")
            run = self.store.run_by_id(run.id)
            if run.state == "queued":
                self._waiting.give(run, pipeline)
            else:
                self._take_over(run, pipeline)
        self._hands.act()
        if run.engine:
            self._forget(run.engine)

    def _forget(self, owner_id: str) -> None:
        if owner_id != self.owner.id:
            forget(self._engines, owner_id)

    def _take_over(self, run: model.Run, pipeline: model.Pipeline, first: bool = False) -> Active:
        """Have all of a claimed run in memory, and pick up its attempts. `first`: it begins for the first time and has none."""
        active = self._hands.active[run.id] = Active.load(self.store, run, pipeline, first)
        active.plan.hold(self._waiting.held_steps(run.pipeline))
        if run.started_at and pipeline.timeout:
            active.deadline = self._hands.monotonic(run.started_at) + pipeline.timeout
            self._hands.set_wake(active.deadline, active)
        if not first:
            now, tick = self.clock.now(), self.clock.monotonic()
            for attempt in self.store.live_attempts(run.id):
                self._attempts.recover(active, attempt, now, tick)
        self._hands.touch(active)
        return active

    def _adopt_orphans(self) -> None:
        """Runs whose process died: those that run are taken over, those that wait stand in the queue again."""
        dead: Dict[str, bool] = {}
        for row in self.store.unfinished_of_others(self.owner.id):
            owner = row["engine"]
            if owner and owner not in dead:
                dead[owner] = not is_alive(self._engines, owner)
            if (owner and not dead[owner]) or row["id"] in self._waiting.unreadable:
                continue
            if row["state"] == "queued":
                self.store.release(row["id"], owner)
                continue
            run = self.store.run_by_id(row["id"])
            pipeline = self._waiting.read(run)
            if pipeline and self.store.claim(run.id, self.owner.id, owner):
                run = self.store.run_by_id(run.id)
                self._hands.say_run(run, "adopted", f"from {owner}, which died" if owner else "its process had left it")
                self._take_over(run, pipeline)
        for owner in dead:
            if dead[owner]:
                self._hands.then(lambda owner=owner: self._forget(owner))

    # ------------------------------------------------------------------------------------------------------- the loop

    def look(self) -> None:
        """Read the database in the next turn: something was written to it."""
        self._hands.look_now = True

    def stir(self, pipelines: Sequence[str]) -> None:
        """Runs of these were made."""
        for name in pipelines:
            self._waiting.stir(name)

    def request_stop(self, actor: str, force: bool = False) -> None:
        """Stop all runs of this engine, with `force` without their teardowns; may be called from a signal handler."""
        self._stop = FORCE + actor if force else actor

    def run_until_done(self) -> None:
        """Turn until every run has ended."""
        self.turn([])
        while not self.idle:
            self.turn(self.executor.wait(self.timeout()))

    def turn(self, reports: List[Report]) -> bool:
        """One turn of the loop: everything known now is decided, committed, acted upon. True when it read what others wrote."""
        now, tick = self.clock.now(), self.clock.monotonic()
        look = self._hands.look_now or tick >= self._next_look or self.owner.heard() or self._stop is not None
        news = self._waits.heard()
        wake = self._hands.next_wake()
        if not (reports or news or look or self._waiting.stirred or self._hands.dirty or (wake is not None and wake <= tick)):
            return False
        for report in reports:
            if report.how == "exited" and report.exit_code == 0 and report.folder in self._hands.owners:
                active = self._hands.owners[report.folder]
                self._ahead.ready(active, active.live[report.folder].step, tick)
                faults.point("engine.readied")
        with self.store.transaction():
            for report in reports:
                self._attempts.take_report(report, now)
            for one in news:
                self._attempts.take_news(one, now)
            if look:
                self._look(now, tick)
            self._waiting.begin_some(now, self.draining)
            for active in self._hands.woken(tick):
                self._attempts.end_overdue(active, now, tick)
                active.plan.wake(now)
                self._hands.touch(active)
            self._deciding.decide(now, tick)
            faults.point("engine.decided")
        faults.point("engine.committed")
        self._hands.act()
        faults.point("engine.acted")
        self._ahead.make(tick)
        return look

    def timeout(self) -> float:
        """Seconds until something is due; 0 when there is something to do at once."""
        if self._waiting.stirred or self._hands.dirty or self._hands.look_now:
            return 0.0
        moments = (self._next_look, self._hands.next_wake(), self._waits.next_look())
        return max(min(moment for moment in moments if moment is not None) - self.clock.monotonic(), 0.0)

    def _look(self, now: datetime, tick: float) -> None:
        """Read what other processes asked for, and take what they left."""
        self._hands.look_now, self._next_look = False, tick + (HEARTBEAT if not self._serve else SERVE_HEARTBEAT)
        if self._serve:
            self._adopt_orphans()
        self._waiting.stir()
        holds = self.store.pipelines.holds()
        if holds != self._waiting.holds:
            self._waiting.holds = holds
            for active in self._hands.active.values():
                active.plan.hold(self._waiting.held_steps(active.run.pipeline))
                self._hands.touch(active)
        asked = self.store.stop_requests(self.owner.id)
        if asked or self._stop:
            self._stop_asked(asked, now, tick)

    def _stop_asked(self, asked: Dict[int, str], now: datetime, tick: float) -> None:
        """End the runs that somebody wants to end; a second time, with FORCE before the name, their teardowns too."""
        for run_id in list(self._waiting.given):
            if self._stop or run_id in asked:  # it begins, so that it ends like any other
                self._waiting.begin(self.store.run_by_id(run_id), self._waiting.given.pop(run_id), now)
        for run_id, active in self._hands.active.items():
            actor = asked.get(run_id) or ""
            if self._stop and not actor.startswith(FORCE):
                actor = self._stop
            if self._stop and self._serve and run_id not in asked:  # so that the next daemon knows, should this one be killed meanwhile
                self.store.request_stop(run_id, self._stop)
            force = actor.startswith(FORCE)
            if actor and not (active.plan.forced if force else active.plan.stopping):
                actor = actor[len(FORCE):] if force else actor
                active.plan.stop(actor, active.plan.stop_state, force)
                self._attempts.end_all(active, f"stopped by {actor}", now, tick)
                self._hands.touch(active)

    def _end_run(self, active: Active, end: plan.EndRun, now: datetime) -> None:
        self.store.move("run", active.run.id, active.run.state, end.state, now, reason=end.reason, stop_requested=None, engine=None)
        active.run = replace(active.run, state=end.state, reason=end.reason, ended_at=now, engine=None, stop_requested=None)
        self._hands.say(active, None, end.state, end.reason, None, now)
        self._ahead.forget(active.run.id)
        del self._hands.active[active.run.id]
        self._waiting.ended(active.run.pipeline)
        self._waits.ended(active.run.pipeline)
