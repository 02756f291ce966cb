"""The loop: facts in, decide, commit, act.

One turn takes what ended, asks `plan` what follows, writes all of it in one transaction, and only then touches a
process. A crash between commit and act leaves an attempt row without a start file: the next engine starts that same
attempt. A crash anywhere else leaves a process with a start file: the next engine adopts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from runner import faults, model, plan, template, workorder
from runner.clock import Clock
from runner.config import Config
from runner.errors import Conflict, RunnerError
from runner.executors import Report, process
from runner.ownership import Owner, about, forget, is_alive
from runner.store import Store
from runner.store.store import outputs_of

HEARTBEAT = 1.0  # seconds between looks at the database when no bell rings


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
    """Works on the runs it was given until they end. One per process, one thread."""

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
    ):
        self.store, self.executor, self.clock, self.config, self.site = store, executor, clock, config, site
        self.slots = slots or config.slots
        self.owner = Owner(config.engines_folder, about_me)
        self._listener = listener
        self._active: Dict[int, _Active] = {}  # runs that have begun
        self._queue: Dict[int, _Active] = {}  # runs that wait for max_active_runs, oldest first
        self._owners: Dict[str, _Active] = {}  # folder of a live attempt -> its run
        self._stop: Optional[str] = None  # set by a signal handler
        self._next_look = 0.0
        self._effects: List[Callable[[], None]] = []
        self._events: List[Event] = []
        self._begin_due = True  # a run ended or came: a queued one may begin
        executor.watch(self.owner.bell)

    def close(self) -> None:
        """Let go of the runs. What runs goes on and can be adopted."""
        try:
            for run_id in (*self._active, *self._queue):
                self.store.release(run_id, self.owner.id)
        except RunnerError:  # a full disk, say: the lock that goes with us tells the next engine as much
            pass
        self.owner.close()

    # ---------------------------------------------------------------------------------------------------- taking over

    def adopt(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """Take a run, new or left behind by a dead process. Raises Conflict when a living one works on it."""
        if run.engine and is_alive(self.config.engines_folder, run.engine):
            raise Conflict(
                f"run {run.name} is being worked on by {about(self.config.engines_folder, run.engine)}",
                f"type: runner status {run.name}",
            )
        with self.store.transaction():
            if not self.store.claim(run.id, self.owner.id, run.engine):
                raise Conflict(f"run {run.name} was just taken by another process", f"type: runner status {run.name}")
        if run.engine:
            forget(self.config.engines_folder, run.engine)
        run = self.store.run_by_id(run.id)
        rows = self.store.step_runs(run.id)
        prev = self.store.last_success_before(run.pipeline, run.date.due) if workorder.wants(pipeline, "prev_success") else None
        active = _Active(
            run=run, pipeline=pipeline,
            plan=plan.RunPlan(pipeline, {row.step: (row.state, row.tries, row.retry_at) for row in rows}, run.only),
            numbers=self.store.attempt_numbers(run.id), outputs=outputs_of(rows), prev_success=prev.date if prev else None,
        )
        if run.started_at:
            active.deadline = self._run_deadline(active, run.started_at)
        (self._queue if run.state == "queued" else self._active)[run.id] = active
        self._begin_due = True
        for attempt in self.store.live_attempts(run.id):
            self._recover(active, attempt)

    def _recover(self, active: _Active, attempt: model.Attempt) -> None:
        """Pick up one attempt of a dead engine (the recovery table of docs/architecture.md)."""
        live = _Live(active.run.id, attempt.step, attempt.number, attempt.folder, reason=attempt.reason)
        if attempt.deadline_at:
            live.deadline = self._monotonic(attempt.deadline_at)
        if attempt.kill_at:
            live.kill_at = self._monotonic(attempt.kill_at)
            live.cause = "timeout" if attempt.reason.startswith("timeout") else "stopped"
        self._keep(active, live)
        if self.executor.recover(attempt.folder) == "never":
            step = active.pipeline.step(attempt.step)
            try:
                self.executor.start(self._job(active, step, attempt.number))
            except (RunnerError, OSError) as error:
                self.executor.refuse(attempt.folder, _refusal(error))

    def _keep(self, active: _Active, live: _Live) -> None:
        active.live[live.folder] = live
        self._owners[live.folder] = active

    def _monotonic(self, moment: datetime) -> float:
        return self.clock.monotonic() + (moment - self.clock.now()).total_seconds()

    def _run_deadline(self, active: _Active, started: datetime) -> Optional[float]:
        limit = active.pipeline.timeout
        return self._monotonic(started) + limit if limit else None

    # ------------------------------------------------------------------------------------------------------- the loop

    def request_stop(self, actor: str) -> None:
        """Stop all runs of this engine; may be called from a signal handler."""
        self._stop = actor

    def run_until_done(self) -> None:
        """Turn until every run has ended."""
        self.turn([])
        while self._active or self._queue:
            self.turn(self.executor.wait(self._timeout()))

    def turn(self, reports: List[Report]) -> None:
        """One turn of the loop: everything known now is decided, committed, acted upon."""
        now, tick = self.clock.now(), self.clock.monotonic()
        look = tick >= self._next_look or self.owner.heard() or self._stop is not None
        if not (reports or look or self._begin_due or self._timeout() <= 0.0):
            return
        with self.store.transaction():
            for report in reports:
                self._take_report(report, now)
            if look:
                self._look(now, tick)
            if look or self._begin_due:
                self._begin_queued(now)
            self._end_overdue(now, tick)
            self._decide(now, tick)
        faults.point("engine.committed")
        self._act()

    def _timeout(self) -> float:
        """Seconds until something is due; 0 when a run ended and another waits for its place."""
        if self._begin_due:
            return 0.0
        now, tick = self.clock.now(), self.clock.monotonic()
        nearest = HEARTBEAT
        for active in self._active.values():
            wake = active.plan.next_wake()
            if wake is not None:
                nearest = min(nearest, (wake - now).total_seconds())
            if active.deadline is not None:
                nearest = min(nearest, active.deadline - tick)
            for live in active.live.values():
                moment = live.kill_at if live.cause else live.deadline
                if moment is not None:
                    nearest = min(nearest, moment - tick)
        return max(nearest, 0.0)

    def _act(self) -> None:
        effects, self._effects = self._effects, []
        for effect in effects:
            effect()
        events, self._events = self._events, []
        if self._listener:
            for event in events:
                self._listener(event)

    # ------------------------------------------------------------------------------------------------------ facts in

    def _take_report(self, report: Report, now: datetime) -> None:
        active = self._owners.pop(report.folder, None)
        if active:
            self._take_end(active, active.live.pop(report.folder), report, now)

    def _take_end(self, active: _Active, live: _Live, report: Report, now: datetime) -> None:
        step = active.pipeline.step(live.step)
        ended, outputs = self._ended(live, report)
        tries = active.plan.tries_of(live.step)
        verdict = plan.judge(step, ended, tries, now, f"{active.run.name}/{live.step}/{live.number}")
        if active.plan.stopping and verdict.step == "retry_wait":
            verdict = plan.Verdict("killed", "killed", verdict.reason)
        reason = verdict.reason
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
        active.plan.learn(live.step, verdict.step, verdict.retry_at)
        self._say(active, live.step, verdict.step, reason, live.number, now)

    def _ended(self, live: _Live, report: Report):
        """What a report means, and what the step hands on."""
        if live.cause == "timeout":
            return plan.Ended("timeout", report.exit_code, live.reason), {}
        if live.cause == "stopped":
            return plan.Ended("stopped", report.exit_code, live.reason), {}
        if report.how == "exited" and report.exit_code == 0:
            try:
                return plan.Ended("exited", 0), process.read_outputs(report.folder)
            except (ValueError, OSError) as error:
                return plan.Ended("refused", 0, str(error)), {}
        return plan.Ended(report.how, report.exit_code, report.reason), {}

    def _look(self, now: datetime, tick: float) -> None:
        """Read what other processes asked for."""
        self._next_look = tick + HEARTBEAT
        asked = self.store.stop_requests(self.owner.id)
        for run_id, active in (*self._active.items(), *self._queue.items()):
            actor = self._stop or asked.get(run_id)
            if actor and not active.plan.stopping:
                active.plan.stop(actor)
                self._end_attempts(active, "stopped", f"stopped by {actor}", now, tick)

    def _begin_queued(self, now: datetime) -> None:
        """queued -> running, oldest first, as far as each pipeline's max_active_runs lets them."""
        self._begin_due = False
        full = set()
        for run_id, active in list(self._queue.items()):
            if active.run.pipeline in full and not active.plan.stopping:
                continue
            if not active.plan.stopping and self._is_full(active, now):
                full.add(active.run.pipeline)
                continue
            del self._queue[run_id]
            self._active[run_id] = active
            self.store.move("run", run_id, "queued", "running", now, started_at=now)
            active.run = self.store.run_by_id(run_id)
            active.deadline = self._run_deadline(active, now)
            self._say(active, None, "running", "", None, now)

    def _is_full(self, active: _Active, now: datetime) -> bool:
        """Whether max_active_runs says wait. Raises Conflict when it would be for ever, since nobody works on the other."""
        others = self.store.other_active_runs(active.run)
        limit = active.pipeline.max_active_runs
        if len(others) < limit:
            return False
        for other in others:
            if not is_alive(self.config.engines_folder, other.engine):
                raise Conflict(
                    f"run {other.name} was interrupted and still counts as running (max_active_runs: {limit})",
                    f"finish it: runner rerun {other.name} --resume   or end it: runner stop {other.name}",
                )
        self._say(active, None, "queued", f"waits for {others[0].name} (max_active_runs: {limit})", None, now)
        return True

    def _end_overdue(self, now: datetime, tick: float) -> None:
        for active in self._active.values():
            if active.deadline is not None and tick >= active.deadline and not active.plan.stopping:
                reason = f"the run's timeout of {active.pipeline.timeout:g} s is over"
                active.plan.stop(reason, "failed")
                self._end_attempts(active, "stopped", reason, now, tick)
            for live in active.live.values():
                if not live.cause and live.deadline is not None and tick >= live.deadline:
                    limit = active.pipeline.step(live.step).timeout
                    self._end_attempt(active, live, "timeout", f"timeout after {limit:g} s", now, tick)
                elif live.cause and live.kill_at is not None and tick >= live.kill_at:
                    live.kill_at = None
                    self._effects.append(lambda folder=live.folder: self.executor.kill(folder))

    def _end_attempts(self, active: _Active, cause: str, reason: str, now: datetime, tick: float) -> None:
        for live in active.live.values():
            if not live.cause:
                self._end_attempt(active, live, cause, reason, now, tick)

    def _end_attempt(self, active: _Active, live: _Live, cause: str, reason: str, now: datetime, tick: float) -> None:
        """TERM now, KILL after the step's kill_grace: both instants are stored, so a restart carries on."""
        grace = active.pipeline.step(live.step).kill_grace
        live.cause, live.reason, live.kill_at = cause, reason, tick + grace
        self.store.set_kill(live.run_id, live.step, live.number, now + timedelta(seconds=grace), reason)
        self._effects.append(lambda: self.executor.terminate(live.folder))

    # ------------------------------------------------------------------------------------------------------- deciding

    def _decide(self, now: datetime, tick: float) -> None:
        for active in list(self._active.values()):
            self._settle(active, now)
            while True:
                starts = active.plan.take(now, self.slots - len(self._owners))
                if not starts:
                    break
                for start in starts:
                    self._start(active, start.step, now, tick)
                self._settle(active, now)  # a step that ended at once may have followers

    def _settle(self, active: _Active, now: datetime) -> None:
        while True:
            decisions = active.plan.settle()
            if not decisions:
                return
            for decision in decisions:
                if isinstance(decision, plan.EndRun):
                    self._end_run(active, decision, now)
                    return
                self._finish(active, decision.step, decision.state, decision.reason, now)

    def _finish(self, active: _Active, step: str, state: str, reason: str, now: datetime) -> None:
        self.store.move("step", active.run.id, active.plan.state_of(step), state, now, step=step, reason=reason)
        active.plan.learn(step, state)
        self._say(active, step, state, reason, None, now)

    def _start(self, active: _Active, step_id: str, now: datetime, tick: float) -> None:
        step = active.pipeline.step(step_id)
        frm = active.plan.state_of(step_id)
        number = active.numbers.get(step_id, 0) + 1
        folder = workorder.attempt_folder(self.config.runs_folder, active.run, step_id, number)
        try:
            if frm == "pending" and step.when is not None and not self._when(active, step):
                self._finish(active, step_id, "skipped", f"when: {step.when}", now)
                return
            job = self._job(active, step, number)
        except (RunnerError, OSError) as error:
            self._finish(active, step_id, "failed", _refusal(error), now)  # no retry could help
            return
        if not job.argv:  # a kind with nothing to run
            self._finish(active, step_id, "success", "", now)
            return
        active.numbers[step_id] = number
        deadline = now + timedelta(seconds=step.timeout) if step.timeout else None
        self.store.add_attempt(active.run.id, step_id, number, folder, now, deadline)
        self.store.move(
            "step", active.run.id, frm, "running", now, step=step_id, tries=active.plan.tries_of(step_id) + 1, started_at=now
        )
        active.plan.learn(step_id, "running")
        self._keep(active, _Live(active.run.id, step_id, number, folder, tick + step.timeout if step.timeout else None))
        self._effects.append(lambda: self.executor.start(job))
        self._say(active, step_id, "running", "", number, now)

    def _when(self, active: _Active, step: model.Step) -> bool:
        context = workorder.context_of(active.pipeline, active.run, step, 1, active.outputs, active.prev_success)
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
        self._begin_due = bool(self._queue)

    def _say(self, active: _Active, step: Optional[str], state: str, reason: str, number: Optional[int], now: datetime) -> None:
        if self._listener:
            self._events.append(Event(active.run, step, state, reason, number, now))


def _refusal(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot start: {error.strerror}: {error.filename}"
    return f"template: {error}"

