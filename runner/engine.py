"""The loop: facts in, decide, commit, act.

One turn takes what ended, asks `plan` what follows, writes all of it in one transaction, and only then touches a
process. A crash between commit and act leaves an attempt row without a start file: the next engine starts that same
attempt. A crash anywhere else leaves a process with a start file: the next engine adopts it.
"""

from __future__ import annotations

import heapq
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from runner import acts, faults, model, template, workorder
from runner.alerts.recorder import Recorder
from runner.clock import Clock
from runner.config import Config
from runner.definitions import Definitions
from runner.errors import Conflict, InvalidPipeline, RunnerError
from runner.executors import Report, process
from runner.ownership import Owner, about, forget, is_alive
from runner.sitevalues import SiteValues
from runner.planning import plan, queue, retries
from runner.planning.slots import BACKFILL, Slots
from runner.store import Store
from runner.store.store import items_of, outputs_of
from runner.waits import News, Waits

HEARTBEAT = 1.0  # seconds between looks at the database when no bell rings
SERVE_HEARTBEAT = 10.0  # the same for a daemon, whom every command rings
BEGIN_AT_ONCE = 64  # waiting runs that begin in one turn
WAIT_SECONDS = 7 * 86400.0  # a wait without `timeout`
SINCE = ", since "
FORCE = "!"  # before the name of who stops a run for the second time: teardowns are ended too
CANDIDATES = 50  # waiting runs of one pipeline that are looked at: the first may wait for something the next does not


class Event(NamedTuple):
    """What a watcher is told, after it is durable."""

    run: model.Run
    step: Optional[str]  # None: about the run itself
    state: str
    reason: str
    number: Optional[int]  # of the attempt, where there is one
    at: datetime


@dataclass
class _Live:
    """An attempt whose process runs."""

    run_id: int
    step: str
    number: int
    folder: str
    deadline: Optional[float] = None  # monotonic seconds
    kill_at: Optional[float] = None  # monotonic seconds; set when TERM was sent
    cause: str = ""  # timeout | stopped, when we are ending it
    reason: str = ""
    waits: bool = False  # no process: something is looked at until it is there


@dataclass
class _Active:
    """A run this engine works on."""

    run: model.Run
    pipeline: model.Pipeline
    plan: plan.RunPlan
    numbers: Dict[str, int]
    outputs: Dict[str, Mapping[str, str]]
    prev_success: Optional[model.LogicalDate]
    deadline: Optional[float] = None  # monotonic seconds, of the whole run
    live: Dict[str, _Live] = field(default_factory=dict)  # folder -> attempt


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
        self.store, self.executor, self.clock, self.config, self.site = store, executor, clock, config, site
        self.slots = Slots(slots or config.slots, config.pools)
        self.owner = Owner(config.engines_folder, about_me)
        self.draining = False  # nothing new starts
        self.blocked = ""  # why no run may begin: a full disk, a clock that jumped
        self._serve = serve
        self._alerts = alerts
        self.listener = listener
        self._active: Dict[int, _Active] = {}  # runs that have begun
        self._queue: Dict[int, model.Pipeline] = {}  # runs given to us that have not begun
        self._owners: Dict[str, _Active] = {}  # folder of a live attempt -> its run
        self._busy: Dict[str, int] = {}  # pipeline -> its live attempts, for fairness
        self._dirty: Dict[int, None] = {}  # runs to decide on, in order
        self._wakes: List[Tuple[float, int]] = []  # (monotonic seconds, run): look at that run then
        self._holds: Dict[str, Dict[str, str]] = {}
        self._unreadable: Set[int] = set()  # runs whose definition this runner cannot read
        self._stop: Optional[str] = None  # set by a signal handler
        self._next_look = 0.0
        self._effects: List[Callable[[], None]] = []
        self._events: List[Event] = []
        self._begin_all = True  # a waiting run may begin, of any pipeline
        self._begin_some: Set[str] = set()  # or of these, since one of their runs ended
        executor.watch(self.owner.bell)
        self._waits = Waits(store, serve or definitions, config, clock, executor.watch, executor.unwatch)

    def close(self) -> None:
        """Let go of the runs. What runs goes on and can be adopted."""
        try:
            for run_id in (*self._active, *self._queue):
                self.store.release(run_id, self.owner.id)
        except RunnerError:  # a full disk, say: the lock that goes with us tells the next engine as much
            pass
        self._waits.close()
        self.owner.close()

    @property
    def live(self) -> int:
        """Attempts whose processes run."""
        return len(self._owners)

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing that was given waits."""
        return not (self._active or self._queue)

    # ---------------------------------------------------------------------------------------------------- taking over

    def adopt(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """Take a run, new or left behind by a dead process. Raises Conflict when a living one works on it."""
        if run.engine and run.engine != self.owner.id and is_alive(self.config.engines_folder, run.engine):
            raise Conflict(
                f"run {run.name} is being worked on by {about(self.config.engines_folder, run.engine)}",
                f"type: runner status {run.name}",
            )
        with self.store.transaction():
            if not self.store.claim(run.id, self.owner.id, run.engine):
                raise Conflict(f"run {run.name} was just taken by another process", f"type: runner status {run.name}")
            run = self.store.run_by_id(run.id)
            if run.state == "queued":
                self._queue[run.id] = pipeline
                self._begin_all = True
            else:
                self._take_over(run, pipeline)
        self._act()
        if run.engine:
            self._forget(run.engine)

    def _forget(self, owner_id: str) -> None:
        if owner_id != self.owner.id:
            forget(self.config.engines_folder, owner_id)

    def _take_over(self, run: model.Run, pipeline: model.Pipeline) -> _Active:
        """Have all of a claimed run in memory, and pick up its attempts."""
        rows = self.store.step_runs(run.id)
        prev = self.store.last_success_before(run.pipeline, run.date.due) if workorder.wants(pipeline, "prev_success") else None
        active = _Active(
            run=run, pipeline=pipeline,
            plan=plan.RunPlan(pipeline, {row.step: (row.state, row.tries, row.retry_at) for row in rows}, run.only,
                              items=items_of(rows), chosen=_chosen(pipeline, rows)),
            numbers=self.store.attempt_numbers(run.id), outputs=outputs_of(rows), prev_success=prev.date if prev else None,
        )
        active.plan.hold(self._held_steps(run.pipeline))
        self._active[run.id] = active
        if run.started_at and pipeline.timeout:
            active.deadline = self._monotonic(run.started_at) + pipeline.timeout
            self._set_wake(active.deadline, active)
        for attempt in self.store.live_attempts(run.id):
            self._recover(active, attempt)
        self._touch(active)
        return active

    def _recover(self, active: _Active, attempt: model.Attempt) -> None:
        """Pick up one attempt of a dead engine (the recovery table of docs/architecture.md)."""
        live = _Live(active.run.id, attempt.step, attempt.number, attempt.folder, reason=attempt.reason,
                     waits=active.plan.spec_of(attempt.step).slotless)
        if attempt.deadline_at:
            live.deadline = self._monotonic(attempt.deadline_at)
        if attempt.kill_at:
            live.kill_at = self._monotonic(attempt.kill_at)
            live.cause = "timeout" if attempt.reason.startswith("timeout") else "stopped"
        self._keep(active, live)
        self._set_wake(live.kill_at if live.cause else live.deadline, active)
        self._effects.append(lambda: self._find_process(active, live))

    def _find_process(self, active: _Active, live: _Live) -> None:
        """Adopt what still runs, learn what ended; an attempt that was committed and never began begins now."""
        faults.point("engine.recovers")
        if live.waits:
            self._wait_again(active, live)
        elif self.executor.recover(live.folder) == "never":
            try:
                self.executor.start(self._job(active, active.plan.spec_of(live.step), live.number))
            except (RunnerError, OSError) as error:
                self.executor.refuse(live.folder, _refusal(error))

    def _keep(self, active: _Active, live: _Live) -> None:
        active.live[live.folder] = live
        self._owners[live.folder] = active
        if not live.waits:
            self._busy[active.run.pipeline] = self._busy.get(active.run.pipeline, 0) + 1
            self.slots.take(_pools(active, live.step, self.slots))

    def _let_go(self, active: _Active, folder: str) -> _Live:
        live = active.live.pop(folder)
        if not live.waits:
            self._busy[active.run.pipeline] -= 1
            self.slots.give_back(_pools(active, live.step, self.slots))
        return live

    def _monotonic(self, moment: datetime) -> float:
        return self.clock.monotonic() + (moment - self.clock.now()).total_seconds()

    # ------------------------------------------------------------------------------------------------------- the loop

    def look(self) -> None:
        """Read the database in the next turn: something was written to it."""
        self._next_look = 0.0

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
        look = tick >= self._next_look or self.owner.heard() or self._stop is not None
        begin = self._begin_all or self._begin_some
        news = self._waits.heard()
        if not (reports or news or look or begin or self._dirty or (self._wakes and self._wakes[0][0] <= tick)):
            return False
        with self.store.transaction():
            for report in reports:
                self._take_report(report, now)
            for one in news:
                self._take_news(one, now)
            if look:
                self._look(now, tick)
            self._begin_waiting(now)
            self._wake(now, tick)
            self._decide(now, tick)
            faults.point("engine.decided")
        faults.point("engine.committed")
        self._act()
        faults.point("engine.acted")
        return look

    def timeout(self) -> float:
        """Seconds until something is due; 0 when there is something to do at once."""
        if self._begin_all or self._begin_some or self._dirty:
            return 0.0
        tick = self.clock.monotonic()
        moments = (self._next_look, self._wakes[0][0] if self._wakes else None, self._waits.next_look())
        return max(min(moment for moment in moments if moment is not None) - tick, 0.0)

    def _touch(self, active: _Active) -> None:
        """Something about this run changed: decide on it in this turn or the next."""
        self._dirty[active.run.id] = None

    def _set_wake(self, moment: Optional[float], active: _Active) -> None:
        if moment is not None:
            heapq.heappush(self._wakes, (moment, active.run.id))

    def _wake(self, now: datetime, tick: float) -> None:
        """Runs for which a moment has come: a retry, a timeout, the KILL behind a TERM."""
        while self._wakes and self._wakes[0][0] <= tick:
            active = self._active.get(heapq.heappop(self._wakes)[1])
            if active:
                self._end_overdue(active, now, tick)
                active.plan.wake(now)
                self._touch(active)

    def _act(self) -> None:
        effects, self._effects = self._effects, []
        for effect in effects:
            effect()
        events, self._events = self._events, []
        if self.listener:
            for event in events:
                self.listener(event)

    # ------------------------------------------------------------------------------------------------------ facts in

    def _take_report(self, report: Report, now: datetime) -> None:
        active = self._owners.pop(report.folder, None)
        if active:
            self._take_end(active, self._let_go(active, report.folder), report, now)
            self._touch(active)

    def _take_end(self, active: _Active, live: _Live, report: Report, now: datetime) -> None:
        step = active.plan.spec_of(live.step)
        ended, outputs, chosen = self._ended(active, live, report)
        tries = active.plan.tries_of(live.step)
        verdict = retries.judge(step, ended, tries, now, f"{active.run.name}/{live.step}/{live.number}")
        if active.plan.stopping and verdict.step == "retry_wait":
            verdict = retries.Verdict("killed", "killed", verdict.reason)
        reason = verdict.reason
        note = process.read_note(live.folder) if verdict.attempt != "success" else ""
        if note:
            reason = f"{reason}; {note}" if reason else note
        if report.leftovers:
            reason = (reason + "; " if reason else "") + "left processes in the background: ended"
        run_id = active.run.id
        self.store.move(
            "attempt", run_id, "running", verdict.attempt, now, step=live.step, number=live.number, reason=reason,
            exit_code=report.exit_code,
        )
        columns: Dict[str, Any] = {"retry_at": verdict.retry_at}
        if verdict.step == "success":
            columns["outputs"] = outputs or None
            active.outputs[live.step] = outputs
        self.store.move("step", run_id, "running", verdict.step, now, step=live.step, reason=reason, **columns)
        active.plan.learn(live.step, verdict.step, verdict.retry_at, chosen)
        self._say(active, live.step, verdict.step, reason, live.number, now)

    def _ended(self, active: _Active, live: _Live, report: Report):
        """What a report means, what the step hands on, and for a branch who goes on."""
        if live.cause == "timeout":
            return retries.Ended("expired" if live.waits else "timeout", report.exit_code, live.reason), {}, None
        if live.cause == "stopped":
            return retries.Ended("stopped", report.exit_code, live.reason), {}, None
        if report.how != "exited" or report.exit_code != 0:
            return retries.Ended(report.how, report.exit_code, report.reason), {}, None
        try:
            outputs = process.read_outputs(report.folder) if report.outputs is None else report.outputs
            step = active.plan.spec_of(live.step)
            return retries.Ended("exited", 0), outputs, plan.chosen_of(active.pipeline, step, outputs) if step.branch else None
        except (ValueError, OSError) as error:
            return retries.Ended("refused", 0, str(error)), {}, None

    # ------------------------------------------------------------------------------------------------------- waiting

    def _take_news(self, news: News, now: datetime) -> None:
        """What a wait waits for is there, can never be, or is still missing."""
        active = self._owners.get(news.folder)
        live = active.live.get(news.folder) if active else None
        if live is None or live.cause:
            return
        if news.report is not None:
            self._take_report(news.report, now)
        elif not live.reason.startswith(news.missing + SINCE):
            since = now.astimezone(active.run.date.logical.tzinfo)
            live.reason = f"{news.missing}{SINCE}{since:%Y-%m-%d %H:%M}"
            self.store.note(live.run_id, live.step, live.number, live.reason)
            self._say(active, live.step, "waiting", live.reason, live.number, now)

    def _wait(self, active: _Active, live: _Live, job: model.Job) -> None:
        self._waits.begin(live.folder, job, active.run, self._let_begin)

    def _let_begin(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """A run that one of our steps has made or repaired: a daemon takes it from the queue, else it is ours."""
        if run.state != "queued" or run.engine:
            return
        if self._serve:
            self._begin_some.add(run.pipeline)
        elif self.store.claim(run.id, self.owner.id, None):
            self._queue[run.id] = pipeline
            self._begin_all = True

    def _wait_again(self, active: _Active, live: _Live) -> None:
        """A wait of an engine that died: nothing of it is lost, it is begun anew with the deadline that it had."""
        try:
            self._wait(active, live, self._job(active, active.plan.spec_of(live.step), live.number))
        except (RunnerError, OSError) as error:
            self.executor.refuse(live.folder, _refusal(error))

    def _look(self, now: datetime, tick: float) -> None:
        """Read what other processes asked for, and take what they left."""
        self._next_look = tick + (HEARTBEAT if not self._serve else SERVE_HEARTBEAT)
        if self._serve:
            self._adopt_orphans()
        self._begin_all = True
        holds = self.store.pipelines.holds()
        if holds != self._holds:
            self._holds = holds
            for active in self._active.values():
                active.plan.hold(self._held_steps(active.run.pipeline))
                self._touch(active)
        asked = self.store.stop_requests(self.owner.id)
        if not (asked or self._stop):
            return
        for run_id in list(self._queue):
            actor = self._stop or asked.get(run_id)
            if actor:
                self._begin(self.store.run_by_id(run_id), self._queue.pop(run_id), now)
        for run_id, active in self._active.items():
            actor = self._stop or asked.get(run_id)
            force = bool(actor) and actor.startswith(FORCE)
            if actor and not (active.plan.forced if force else active.plan.stopping):
                actor = actor[len(FORCE):] if force else actor
                active.plan.stop(actor, active.plan.stop_state, force)
                self._end_attempts(active, "stopped", f"stopped by {actor}", now, tick)
                self._touch(active)

    def _held_steps(self, pipeline: str) -> Set[str]:
        """A held pipeline begins no run; its held steps begin no attempt."""
        return {step for step in self._holds.get(pipeline, ()) if step}

    def _adopt_orphans(self) -> None:
        """Runs whose process died: those that run are taken over, those that wait stand in the queue again."""
        dead: Dict[str, bool] = {}
        for row in self.store.unfinished_of_others(self.owner.id):
            owner = row["engine"]
            if owner and owner not in dead:
                dead[owner] = not is_alive(self.config.engines_folder, owner)
            if (owner and not dead[owner]) or row["id"] in self._unreadable:
                continue
            if row["state"] == "queued":
                self.store.release(row["id"], owner)
                continue
            run = self.store.run_by_id(row["id"])
            pipeline = self._read(run)
            if pipeline and self.store.claim(run.id, self.owner.id, owner):
                self._say_run(self._take_over(self.store.run_by_id(run.id), pipeline).run, "adopted", f"from {owner}, which died" if owner else "its process had left it")
        for owner in dead:
            if dead[owner]:
                self._effects.append(lambda owner=owner: self._forget(owner))

    def _read(self, run: model.Run) -> Optional[model.Pipeline]:
        """The run's own definition; None, told once, when this version of runner cannot read it."""
        try:
            return self._serve.of(run)
        except InvalidPipeline as error:
            self._unreadable.add(run.id)
            self._say_run(run, "unreadable", f"its definition: {error.problems[0].message}; runner rerun {run.name} takes today's file")
            return None

    # ------------------------------------------------------------------------------------------------------ beginning

    def _begin_waiting(self, now: datetime) -> None:
        """queued -> running, in the order of the queue, as far as `queue.why_waits` lets them."""
        everything, some, self._begin_all, self._begin_some = self._begin_all, self._begin_some, False, set()
        if self.draining or not (everything or some):
            return
        for run_id, pipeline in list(self._queue.items()):
            run = self.store.run_by_id(run_id)
            try:
                if not self._is_full(run, pipeline):
                    del self._queue[run_id]
                    self._begin(run, pipeline, now)
            except Conflict as error:
                if run.parent is None:
                    raise
                del self._queue[run_id]  # the step that made it fails, and says why
                self.store.release(run_id, self.owner.id)
                acts.take_out(self.store, run, at=now, who="runner", why=error.message)
        names = [] if not self._serve else self.store.waiting_pipelines() if everything else sorted(some)
        room = BEGIN_AT_ONCE
        for i, name in enumerate(names):
            room -= self._begin_of(name, now, room)
            if room <= 0:
                self._begin_some.update(names[i:])  # in the next turn, so that the first steps start at once
                return

    def _begin_of(self, pipeline: str, now: datetime, room: int) -> int:
        """Begin waiting runs of one pipeline; how many began."""
        began = 0
        active: Optional[List[str]] = None
        for limit in (1, CANDIDATES):  # mostly the first tells that there is no room
            for run in self.store.waiting_runs(pipeline, now, limit):
                spec = None if run.id in self._unreadable else self._read(run)
                if spec is None:
                    continue
                if active is None:
                    active = [other.name for other in self.store.other_active_runs(run)]
                if began >= room or len(active) >= spec.max_active_runs:
                    return began
                if not queue.why_waits(run, spec, self._facts(run, spec, now, active)) and self.store.claim(run.id, self.owner.id, None):
                    self._begin(run, spec, now)
                    active.append(run.name)
                    began += 1
        return began

    def _facts(self, run: model.Run, spec: model.Pipeline, now: datetime, active: List[str]) -> queue.Facts:
        return queue_facts(self.store, run, spec, now, active=active, holds=self._holds, site=self.blocked)

    def _begin(self, run: model.Run, pipeline: model.Pipeline, now: datetime) -> None:
        self.store.move("run", run.id, "queued", "running", now, started_at=now)
        active = self._take_over(self.store.run_by_id(run.id), pipeline)
        self._set_wake(active.deadline, active)
        self._say(active, None, "running", "", None, now)

    def _is_full(self, run: model.Run, pipeline: model.Pipeline) -> bool:
        """Whether max_active_runs says wait. Raises Conflict when it would be for ever, since nobody works on the other."""
        others = self.store.other_active_runs(run)
        limit = pipeline.max_active_runs
        if len(others) < limit:
            return False
        for other in others:
            if not is_alive(self.config.engines_folder, other.engine):
                raise Conflict(
                    f"run {other.name} was interrupted and still counts as running (max_active_runs: {limit})",
                    f"finish it: runner rerun {other.name} --resume   or end it: runner stop {other.name}",
                )
        self._say_run(run, "queued", f"waits for {others[0].name} (max_active_runs: {limit})")
        return True

    # ------------------------------------------------------------------------------------------------------- ending

    def _end_overdue(self, active: _Active, now: datetime, tick: float) -> None:
        if active.deadline is not None and tick >= active.deadline and not active.plan.stopping:
            reason = f"the run's timeout of {active.pipeline.timeout:g} s is over"
            active.plan.stop(reason, "failed")
            self._end_attempts(active, "stopped", reason, now, tick)
        for live in list(active.live.values()):
            if not live.cause and live.deadline is not None and tick >= live.deadline:
                self._end_attempt(active, live, "timeout", self._overdue(active, live), now, tick)
            elif live.cause and live.kill_at is not None and tick >= live.kill_at:
                live.kill_at = None
                self._effects.append(lambda folder=live.folder: self.executor.kill(folder))

    def _overdue(self, active: _Active, live: _Live) -> str:
        limit = active.plan.spec_of(live.step).timeout or WAIT_SECONDS
        return f"timeout after {limit:g} s" + (f": {live.reason}" if live.waits and live.reason else "")

    def _end_attempts(self, active: _Active, cause: str, reason: str, now: datetime, tick: float) -> None:
        for live in list(active.live.values()):
            if not live.cause and not active.plan.survives_stop(live.step):
                self._end_attempt(active, live, cause, reason, now, tick)

    def _end_attempt(self, active: _Active, live: _Live, cause: str, reason: str, now: datetime, tick: float) -> None:
        """TERM now, KILL after the step's kill_grace: both instants are stored, so a restart carries on."""
        grace = active.plan.spec_of(live.step).kill_grace
        live.cause, live.reason, live.kill_at = cause, reason, tick + grace
        if live.waits:
            self._stop_child(active, self._waits.end(live.folder), now)
            self._take_report(Report(live.folder, "stopped"), now)
            return
        self._set_wake(live.kill_at, active)
        self.store.set_kill(live.run_id, live.step, live.number, now + timedelta(seconds=grace), reason)
        self._effects.append(lambda: self.executor.terminate(live.folder))

    def _stop_child(self, active: _Active, run_id: Optional[int], now: datetime) -> None:
        """Who stops a run means the runs too that its steps have made and wait for."""
        child = None if run_id is None else self.store.run_by_id(run_id)
        if child is None or child.parent != active.run.id or child.state in model.RUN_TERMINAL:
            return
        who = f"run {active.run.name}"
        if not acts.take_out(self.store, child, at=now, who=who):
            self.store.request_stop(child.id, who)
            self.look()

    # ------------------------------------------------------------------------------------------------------- deciding

    def _decide(self, now: datetime, tick: float) -> None:
        """What needs no slot is decided for every run that changed; then the free slots go out, one by one."""
        dirty, self._dirty = self._dirty, {}
        for run_id in dirty:
            if run_id in self._active:
                self._settle(self._active[run_id], now, tick)
                self._offer(run_id, now)
        while self.slots.free > 0 and not self.draining:
            run_id = self.slots.best()
            if run_id is None:
                return
            active = self._active[run_id]
            step = active.plan.best(now)
            if step is None:
                self.slots.withdraw(run_id)
                continue
            full = self.slots.full_pool(_pools(active, step, self.slots))
            if full:
                self.slots.park(run_id, full)
                continue
            active.plan.begin(step)
            self._start(active, step, now, tick)
            self._settle(active, now, tick)  # a step that ended at once may have followers
            self._offer(run_id, now)

    def _offer(self, run_id: int, now: datetime) -> None:
        """Let a run compete for slots with its best step, and wake it for its next retry."""
        active = self._active.get(run_id)
        step = active.plan.best(now) if active else None
        if step is None:
            self.slots.withdraw(run_id)
        else:
            run = active.run
            self.slots.offer(run_id, (run.lane, -active.plan.weight_of(step), self._busy.get(run.pipeline, 0), run_id))
        wake = active.plan.next_wake() if active else None
        if wake is not None:
            self._set_wake(max(self._monotonic(wake), self.clock.monotonic() + 0.001), active)

    def _settle(self, active: _Active, now: datetime, tick: float) -> None:
        """All that needs no slot: ends without an attempt, joints, waits, the making of mapped steps."""
        while True:
            decisions = active.plan.settle()
            for decision in decisions:
                if isinstance(decision, plan.EndRun):
                    self._end_run(active, decision, now)
                    return
                self._finish(active, decision.step, decision.state, decision.reason, now)
            free = [] if self.draining else active.plan.free()
            for step_id in free:
                if active.plan.spec_of(step_id).foreach is not None:
                    self._expand(active, step_id, now)
                else:
                    self._start(active, step_id, now, tick)
            if not (decisions or free):
                return

    def _finish(self, active: _Active, step: str, state: str, reason: str, now: datetime) -> None:
        columns: Dict[str, Any] = {}
        if state in ("success", "failed") and active.plan.is_expanded(step):  # a failed one may be allowed to fail
            active.outputs[step] = columns["outputs"] = _gathered(active.plan.children(step), active.outputs)
        self.store.move("step", active.run.id, active.plan.state_of(step), state, now, step=step, reason=reason, **columns)
        active.plan.learn(step, state)
        self._say(active, step, state, reason, None, now)

    def _expand(self, active: _Active, step_id: str, now: datetime) -> None:
        """Make the mapped steps of one with `foreach`; those of a repaired run are there already."""
        step, rows = active.plan.spec_of(step_id), self.store.step_runs(active.run.id)
        try:
            if step.when is not None and not model.asks_item(step) and not self._when(active, step):
                self._finish(active, step_id, "skipped", f"when: {step.when}", now)
                return
            items = items_of(rows).get(step_id)
            if items is None:
                items = workorder.items(active.pipeline, active.run, step, active.outputs, active.prev_success, self.site.home)
                self.store.add_mapped(active.run.id, step_id, items)
        except RunnerError as error:
            self._finish(active, step_id, "failed", _refusal(error), now)
            return
        self.store.move("step", active.run.id, "pending", "running", now, step=step_id, started_at=now)
        active.plan.learn(step_id, "running")
        active.plan.expand(step_id, items, {row.step: (row.state, row.tries, row.retry_at) for row in rows})
        self._say(active, step_id, "running", f"{len(items)} items", None, now)

    def _start(self, active: _Active, step_id: str, now: datetime, tick: float) -> None:
        step = active.plan.spec_of(step_id)
        frm = active.plan.state_of(step_id)
        if step.pool and not self.slots.has_pool(step.pool):
            known = ", ".join(self.config.pools) or "none"
            self._finish(active, step_id, "failed", f"unknown pool {step.pool} (settings, pools: {known})", now)
            return
        number, folder = self._next_attempt(active, step_id)
        try:
            if frm == "pending" and step.when is not None and not self._when(active, step):
                self._finish(active, step_id, "skipped", f"when: {step.when}", now)
                return
            job = self._job(active, step, number)
        except (RunnerError, OSError) as error:
            self._finish(active, step_id, "failed", _refusal(error), now)  # no retry could help
            return
        if not job.argv and job.probe is None:  # a kind with nothing to run
            self._finish(active, step_id, "success", "", now)
            return
        active.numbers[step_id] = number
        limit = step.timeout or (None if job.probe is None else WAIT_SECONDS)
        deadline = now + timedelta(seconds=limit) if limit else None
        self.store.add_attempt(active.run.id, step_id, number, folder, now, deadline)
        self.store.move(
            "step", active.run.id, frm, "running", now, step=step_id, tries=active.plan.tries_of(step_id) + 1, started_at=now
        )
        active.plan.learn(step_id, "running")
        live = _Live(active.run.id, step_id, number, folder, tick + limit if limit else None, waits=job.probe is not None)
        self._keep(active, live)
        self._set_wake(live.deadline, active)
        if live.waits:
            self._wait(active, live, job)
        else:
            self._effects.append(lambda: self.executor.start(job))
        self._say(active, step_id, "running", "", number, now)

    def _next_attempt(self, active: _Active, step_id: str) -> Tuple[int, str]:
        """Number and folder. A folder that is there belongs to an attempt that the database forgot: it was brought back from a copy."""
        number = active.numbers.get(step_id, 0)
        while True:
            number += 1
            folder = workorder.attempt_folder(self.config.runs_folder, active.run, step_id, number)
            if not os.path.lexists(folder):
                return number, folder

    def _when(self, active: _Active, step: model.Step) -> bool:
        context = workorder.context_of(active.pipeline, active.run, step, 1, active.outputs, active.prev_success, SiteValues(self.site.home).makers())
        return bool(template.evaluate(step.when, context))

    def _job(self, active: _Active, step: model.Step, number: int) -> model.Job:
        folder = workorder.attempt_folder(self.config.runs_folder, active.run, step.id, number)
        return workorder.make_job(
            active.pipeline, active.run, step, number, folder, self.site,
            outputs=active.outputs, prev_success=active.prev_success,
        )

    def _end_run(self, active: _Active, end: plan.EndRun, now: datetime) -> None:
        self.store.move("run", active.run.id, active.run.state, end.state, now, reason=end.reason, stop_requested=None)
        self.store.release(active.run.id, self.owner.id)
        active.run = self.store.run_by_id(active.run.id)
        self._say(active, None, end.state, end.reason, None, now)
        del self._active[active.run.id]
        self._begin_some.add(active.run.pipeline)
        self._waits.ended(active.run.pipeline)

    def _say(self, active: _Active, step: Optional[str], state: str, reason: str, number: Optional[int], now: datetime) -> None:
        if self._alerts:
            self._alerts.note(self.store, active.run, active.pipeline, step, state, reason, number, now)
        if self.listener:
            self._events.append(Event(active.run, step, state, reason, number, now))

    def _say_run(self, run: model.Run, state: str, reason: str) -> None:
        if self.listener:
            self._events.append(Event(run, None, state, reason, None, self.clock.now()))


def queue_facts(
    store: Store, run: model.Run, spec: model.Pipeline, now: datetime, *, active: Optional[List[str]] = None,
    holds: Optional[Mapping[str, Mapping[str, str]]] = None, site: str = "",
) -> queue.Facts:
    """What stands around a waiting run, from the store; also for whoever shows why it waits."""
    row = store.pipelines.get(run.pipeline)
    paused = f"paused by {row.paused_by}" + (f": {row.pause_reason}" if row.pause_reason else "") if row and row.paused_by else ""
    batch = store.pipelines.backfill(run.backfill) if run.backfill is not None else None
    return queue.Facts(
        now=now, active=[other.name for other in store.other_active_runs(run)] if active is None else active,
        previous=store.run_before(run) if spec.depends_on_past else None, paused=paused,
        held=(store.pipelines.holds() if holds is None else holds).get(run.pipeline, {}).get("", ""), site=site,
        backfill_active=store.pipelines.active_of_backfill(batch.id) if batch else 0, parallel=batch.parallel if batch else None,
    )


def _chosen(pipeline: model.Pipeline, rows) -> Dict[str, List[str]]:
    """Branch that succeeded -> the followers that it named."""
    out = {}
    for row in rows:
        if row.state == "success" and pipeline.step(row.step).branch:
            try:
                out[row.step] = plan.chosen_of(pipeline, pipeline.step(row.step), row.outputs)
            except ValueError:  # marked by a person, or the file has changed: all go on
                pass
    return out


def _gathered(children: Sequence[str], outputs: Mapping[str, Mapping[str, Any]]) -> Dict[str, List[Any]]:
    """What mapped steps handed on: key -> a list with one value for each item, None where there is none."""
    keys = dict.fromkeys(key for child in children for key in outputs.get(child, ()))
    return {key: [outputs.get(child, {}).get(key) for child in children] for key in keys}


def _pools(active: _Active, step_id: str, slots: Slots) -> Dict[str, int]:
    """The pools a step takes room of."""
    step = active.plan.spec_of(step_id)
    pools = {BACKFILL: 1} if active.run.lane else {}
    if step.pool and slots.has_pool(step.pool):
        pools[step.pool] = step.pool_slots
    return pools


def _refusal(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot start: {error.strerror}: {error.filename}"
    return f"template: {error}"

