"""Attempts: begun, found again after a crash, ended, and what their ends mean for their steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Dict, Optional

from runner import acts, faults, final, model
from runner.engine.active import Active, Hands, Live, refusal
from runner.errors import RunnerError
from runner.executors import Report, process
from runner.planning import plan, retries
from runner.waits import News, Waits

WAIT_SECONDS = 7 * 86400.0  # a wait without `timeout`
LATE_LOOK = 60.0  # seconds that a wait has when its time ran out while nobody looked: what it waits for may have come before
SINCE = ", since "


class Attempts:
    """The live attempts of one engine."""

    def __init__(self, hands: Hands, waits: Waits, let_begin):
        """`let_begin(run, pipeline)`: takes care of a run that a step has made."""
        self._hands, self._store, self._executor, self.waits, self._let_begin = hands, hands.store, hands.executor, waits, let_begin

    # -- beginning

    def begin(self, active: Active, step: model.Step, number: int, job: model.Job, now: datetime, tick: float) -> None:
        """Write the intent; the process starts after the commit, a wait is looked for from now on."""
        limit = step.timeout or (None if job.probe is None else WAIT_SECONDS)
        frm = active.plan.state_of(step.id)
        active.numbers[step.id] = number
        self._store.add_attempt(active.run.id, step.id, number, job.folder, now, now + timedelta(seconds=limit) if limit else None, process.boot())
        self._store.move(
            "step", active.run.id, frm, "running", now, step=step.id, tries=active.plan.tries_of(step.id) + 1, started_at=now)
        active.plan.learn(step.id, "running")
        live = Live(active.run.id, step.id, number, job.folder, tick + limit if limit else None, waits=job.probe is not None)
        self._hands.keep(active, live)
        self._hands.set_wake(live.deadline, active)
        if live.waits:
            self.waits.begin(live.folder, job, active.run, self._let_begin)
        else:
            self._hands.then(lambda: self._executor.start(job))
        self._hands.say(active, step.id, "running", "", number, now)

    def recover(self, active: Active, attempt: model.Attempt, now: datetime, tick: float) -> None:
        """Pick up one attempt of a dead engine (the recovery table of docs/architecture.md)."""
        live = Live(active.run.id, attempt.step, attempt.number, attempt.folder, reason=attempt.reason,
                    waits=active.plan.spec_of(attempt.step).slotless)
        if attempt.kill_at:
            live.kill_at = self._hands.monotonic(attempt.kill_at)
            live.cause = "timeout" if attempt.reason.startswith("timeout") else "stopped"
        self._hands.keep(active, live)
        report = None if live.waits else self._executor.ended(live.folder)
        if report:  # before anybody asks whether it has taken too long
            at = min(max(report.at or now, attempt.started_at), now)  # the clock may have been set meanwhile
            self.take_report(replace(report, at=at), now)
            return
        if attempt.deadline_at:
            live.deadline = max(self._hands.monotonic(attempt.deadline_at), tick + LATE_LOOK if live.waits else tick)
        self._hands.set_wake(live.kill_at if live.cause else live.deadline, active)
        self._hands.then(lambda: self._find(active, live, attempt.boot))

    def _find(self, active: Active, live: Live, boot: str) -> None:
        """Adopt what still runs, learn what ended; what was committed and never began begins now, and so does a wait."""
        faults.point("engine.recovers")
        if not live.waits and self._executor.recover(live.folder, boot) != "never":
            return
        try:
            job = self._hands.job(active, active.plan.spec_of(live.step), live.number)
            if live.waits:
                self.waits.begin(live.folder, job, active.run, self._let_begin)
            else:
                self._executor.start(job)
        except (RunnerError, OSError) as error:
            self._executor.refuse(live.folder, refusal(error))

    # -- facts in

    def take_report(self, report: Report, now: datetime) -> None:
        """An attempt is over."""
        active = self._hands.owners.pop(report.folder, None)
        if active:
            self._take_end(active, self._hands.let_go(active, report.folder), report, now)
            self._hands.touch(active)

    def _take_end(self, active: Active, live: Live, report: Report, now: datetime) -> None:
        step = active.plan.spec_of(live.step)
        ended, outputs, chosen = self._ended(active, live, report)
        verdict = retries.judge(step, ended, active.plan.tries_of(live.step), now, f"{active.run.name}/{live.step}/{live.number}")
        if active.plan.stopping and verdict.step == "retry_wait":
            verdict = retries.Verdict("killed", "killed", verdict.reason)
        note = process.read_note(live.folder) if verdict.attempt != "success" else ""
        left = "left processes in the background: ended" if report.leftovers else ""
        reason = "; ".join(filter(None, (verdict.reason, note, left)))
        run_id = active.run.id
        self._store.move(
            "attempt", run_id, "running", verdict.attempt, now, ended=report.at, step=live.step, number=live.number, reason=reason,
            exit_code=report.exit_code)
        columns: Dict[str, Any] = {"retry_at": verdict.retry_at}
        if verdict.step == "success":
            columns["outputs"] = outputs or None
            active.outputs[live.step] = outputs
        self._store.move("step", run_id, "running", verdict.step, now, ended=report.at, step=live.step, reason=reason, **columns)
        active.plan.learn(live.step, verdict.step, verdict.retry_at, chosen)
        self._hands.say(active, live.step, verdict.step, reason, live.number, now)

    def _ended(self, active: Active, live: Live, report: Report):
        """What a report means, what the step hands on, and for a branch who goes on."""
        if live.cause == "timeout":
            return retries.Ended("expired" if live.waits else "timeout", report.exit_code, live.reason), {}, None
        if live.cause == "stopped":
            return retries.Ended("stopped", report.exit_code, live.reason), {}, None
        if report.how != "exited" or report.exit_code != 0:
            return retries.Ended(report.how, report.exit_code, report.reason, report.how == "exited" and final.is_marked(report.folder)), {}, None
        try:
            outputs = process.read_outputs(report.folder) if report.outputs is None else report.outputs
            step = active.plan.spec_of(live.step)
            return retries.Ended("exited", 0), outputs, plan.chosen_of(active.pipeline, step, outputs) if step.branch else None
        except (ValueError, OSError) as error:
            return retries.Ended("refused", 0, str(error)), {}, None

    def take_news(self, news: News, now: datetime) -> None:
        """What a wait waits for is there, can never be, or is still missing."""
        active = self._hands.owners.get(news.folder)
        live = active.live.get(news.folder) if active else None
        if live is None or live.cause:
            return
        if news.report is not None:
            self.take_report(news.report, now)
        elif not live.reason.startswith(news.missing + SINCE):
            since = now.astimezone(active.run.date.logical.tzinfo)
            live.reason = f"{news.missing}{SINCE}{since:%Y-%m-%d %H:%M}"
            self._store.note(live.run_id, live.step, live.number, live.reason)
            self._hands.say(active, live.step, "waiting", live.reason, live.number, now)

    # -- ending

    def end_overdue(self, active: Active, now: datetime, tick: float) -> None:
        """What has taken too long: the run, or an attempt; and the KILL behind a TERM."""
        if active.deadline is not None and tick >= active.deadline and active.plan.open and not active.plan.stopping:
            reason = f"the run's timeout of {active.pipeline.timeout:g} s is over"
            active.plan.stop(reason, "failed")
            self.end_all(active, reason, now, tick)
        for live in list(active.live.values()):
            if not live.cause and live.deadline is not None and tick >= live.deadline:
                limit = active.plan.spec_of(live.step).timeout or WAIT_SECONDS
                missing = f": {live.reason}" if live.waits and live.reason else ""
                self._end(active, live, "timeout", f"timeout after {limit:g} s{missing}", now, tick)
            elif live.cause and live.kill_at is not None and tick >= live.kill_at:
                live.kill_at = None
                self._hands.then(lambda folder=live.folder: self._executor.kill(folder))

    def end_all(self, active: Active, reason: str, now: datetime, tick: float) -> None:
        """A run is stopped: its attempts are ended, teardowns spared unless the stop is forced."""
        for live in list(active.live.values()):
            if not live.cause and not active.plan.survives_stop(live.step):
                self._end(active, live, "stopped", reason, now, tick)

    def _end(self, active: Active, live: Live, cause: str, reason: str, now: datetime, tick: float) -> None:
        """TERM now, KILL after the step's kill_grace: both instants are stored, so a restart carries on."""
        grace = active.plan.spec_of(live.step).kill_grace
        live.cause, live.reason, live.kill_at = cause, reason, tick + grace
        if live.waits:
            self._stop_child(active, self.waits.end(live.folder), now)
            self.take_report(Report(live.folder, "stopped"), now)
            return
        self._hands.set_wake(live.kill_at, active)
        self._store.set_kill(live.run_id, live.step, live.number, now + timedelta(seconds=grace), reason)
        self._hands.then(lambda: self._executor.terminate(live.folder))

    def _stop_child(self, active: Active, run_id: Optional[int], now: datetime) -> None:
        """Who stops a run means the runs too that its steps have made and wait for."""
        child = None if run_id is None else self._store.run_by_id(run_id)
        if child is None or child.parent != active.run.id or child.state in model.RUN_TERMINAL:
            return
        who = f"run {active.run.name}"
        if not acts.take_out(self._store, child, at=now, who=who):
            self._store.request_stop(child.id, who)
            self._hands.look_now = True
