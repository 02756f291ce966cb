"""From what `planning` answers to rows and attempts: which step begins, which ends without an attempt, which becomes many."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Dict, Tuple

from runner import model, template, workorder
from runner.engine.active import Active, Hands, refusal
from runner.engine.ahead import Ahead
from runner.engine.attempts import Attempts
from runner.errors import RunnerError
from runner.planning import plan
from runner.sitevalues import SiteValues
from runner.store.store import items_of


class Deciding:
    """Carries out decisions, inside the turn's transaction."""

    def __init__(self, hands: Hands, attempts: Attempts, ahead: Ahead, end_run: Callable[[Active, plan.EndRun, datetime], None]):
        self._hands, self._store, self._attempts, self._ahead, self._end_run = hands, hands.store, attempts, ahead, end_run
        self.draining = False  # nothing new starts but the teardown of runs that are being stopped

    def decide(self, now: datetime, tick: float) -> None:
        """What needs no slot is decided for every run that changed; then the free slots go out, one by one."""
        hands, slots = self._hands, self._hands.slots
        dirty, hands.dirty = hands.dirty, {}
        for run_id in dirty:
            if run_id in hands.active:
                self._settle(hands.active[run_id], now, tick)
                self._offer(run_id, now)
        while slots.free > 0:
            run_id = slots.best()
            if run_id is None:
                return
            active = hands.active[run_id]
            step = active.plan.best(now)
            if step is None:
                slots.withdraw(run_id)
                continue
            full = slots.full_pool(hands.pools(active, step))
            if full:
                slots.park(run_id, full)
                continue
            active.plan.begin(step)
            self._start(active, step, now, tick)
            self._settle(active, now, tick)  # a step that ended at once may have followers
            self._offer(run_id, now)

    def _may_begin(self, active: Active) -> bool:
        return not self.draining or bool(active.plan.stopping)

    def _offer(self, run_id: int, now: datetime) -> None:
        """Let a run compete for slots with its best step, and wake it for its next retry."""
        hands = self._hands
        active = hands.active.get(run_id)
        step = active.plan.best(now) if active and self._may_begin(active) else None
        if step is None:
            hands.slots.withdraw(run_id)
        else:
            run = active.run
            hands.slots.offer(run_id, (run.lane, -active.plan.weight_of(step), hands.busy.get(run.pipeline, 0), run_id))
        wake = active.plan.next_wake() if active else None
        if wake is not None:
            hands.set_wake(max(hands.monotonic(wake), hands.clock.monotonic() + 0.001), active)

    def _settle(self, active: Active, now: datetime, tick: float) -> None:
        """All that needs no slot: ends without an attempt, joints, waits, the making of mapped steps."""
        while True:
            decisions = active.plan.settle()
            for decision in decisions:
                if isinstance(decision, plan.EndRun):
                    self._end_run(active, decision, now)
                    return
                self._finish(active, decision.step, decision.state, decision.reason, now)
            free = active.plan.free() if self._may_begin(active) else []
            for step_id in free:
                if active.plan.spec_of(step_id).foreach is not None:
                    self._expand(active, step_id, now)
                else:
                    self._start(active, step_id, now, tick)
            if not (decisions or free):
                return

    def _finish(self, active: Active, step: str, state: str, reason: str, now: datetime) -> None:
        columns: Dict[str, Any] = {}
        if state in ("success", "failed") and active.plan.is_expanded(step):  # a failed one may be allowed to fail
            active.outputs[step] = columns["outputs"] = active.gather(step)
        self._store.move("step", active.run.id, active.plan.state_of(step), state, now, step=step, reason=reason, **columns)
        active.plan.learn(step, state)
        self._hands.say(active, step, state, reason, None, now)

    def _expand(self, active: Active, step_id: str, now: datetime) -> None:
        """Make the mapped steps of one with `foreach`; those of a repaired run are there already."""
        step, rows = active.plan.spec_of(step_id), self._store.step_runs(active.run.id)
        try:
            if step.when is not None and not model.asks_item(step) and not self._when(active, step):
                self._finish(active, step_id, "skipped", f"when: {step.when}", now)
                return
            items = items_of(rows).get(step_id)
            if items is None:
                items = workorder.items(active.pipeline, active.run, step, active.outputs, active.prev_success, self._hands.site.home)
                self._store.add_mapped(active.run.id, step_id, items)
        except RunnerError as error:
            self._finish(active, step_id, "failed", refusal(error), now)
            return
        self._store.move("step", active.run.id, "pending", "running", now, step=step_id, started_at=now)
        active.plan.learn(step_id, "running")
        active.plan.expand(step_id, items, {row.step: (row.state, row.tries, row.retry_at) for row in rows})
        self._hands.say(active, step_id, "running", f"{len(items)} items", None, now)

    def _start(self, active: Active, step_id: str, now: datetime, tick: float) -> None:
        """Begin an attempt, unless the step is skipped, refused, or has nothing to run."""
        step = active.plan.spec_of(step_id)
        if step.pool and not self._hands.slots.has_pool(step.pool):
            known = ", ".join(self._hands.config.pools) or "none"
            self._finish(active, step_id, "failed", f"unknown pool {step.pool} (settings, pools: {known})", now)
            return
        try:
            if active.plan.state_of(step_id) == "pending" and step.when is not None and not self._when(active, step):
                self._finish(active, step_id, "skipped", f"when: {step.when}", now)
                return
            number, job = self._ahead.take(active, step_id, tick) or self._job(active, step)
        except (RunnerError, OSError) as error:
            self._finish(active, step_id, "failed", refusal(error), now)  # no retry could help
            return
        if not job.argv and job.probe is None:  # a kind with nothing to run
            self._finish(active, step_id, "success", "", now)
            return
        self._attempts.begin(active, step, number, job, now, tick)
        self._ahead.begun(active, step_id)

    def _job(self, active: Active, step: model.Step) -> Tuple[int, model.Job]:
        number = self._hands.next_number(active, step.id)
        return number, self._hands.job(active, step, number)

    def _when(self, active: Active, step: model.Step) -> bool:
        site = SiteValues(self._hands.site.home).makers()
        context = workorder.context_of(active.pipeline, active.run, step, 1, active.outputs, active.prev_success, site)
        return template.holds(step.when, context)
