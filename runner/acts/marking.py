"""Setting the result of a step by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Mapping, Tuple

from runner import model
from runner.acts.named import as_run_has_it, check_steps
from runner.acts.preview import PlannedRun, PlannedStep, Preview
from runner.acts.who import Who, because, command, record
from runner.errors import Conflict
from runner.planning import plan
from runner.store import Store

STATES = ("success", "failed", "skipped")


def mark(store: Store, run: model.Run, pipeline: model.Pipeline, step: str, state: str, *, at: datetime, who: str, why: str = "") -> Dict[str, str]:
    """Set a finished or never-run step's result. Returns {"step": old state, "run": new run state}.

    The run's own state is worked out again. Raises Conflict for a step that runs.
    """
    with store.transaction():
        run = store.run_by_id(run.id)
        old, after = outcome(store, run, pipeline, step, state)
        if old != state:
            store.move("step", run.id, old, state, at, step=step, reason=because(f"marked by {who}", why), actor=who)
        if after != run.state:
            store.move("run", run.id, run.state, after, at, reason=because(f"{step} marked {state} by {who}", why), actor=who)
    return {"step": old, "run": after}


def outcome(store: Store, run: model.Run, pipeline: model.Pipeline, step: str, state: str) -> Tuple[str, str]:
    """(the step's state as it is, the run's as it would be). Raises Conflict for a step that runs, NotFound for none."""
    check_steps(pipeline, [step])
    states = {row.step: row.state for row in store.step_runs(run.id)}
    old = states.get(step, "pending")
    if old in ("running", "retry_wait") or run.state not in model.RUN_TERMINAL:
        raise Conflict(f"step {step} of {run.name} cannot be marked: the run is {run.state}, the step {old}", f"first: runner stop {run.name}")
    if step not in states:
        raise Conflict(f"step {step} of {run.name} cannot be marked: the run never began", f"type: runner trigger {run.pipeline} --date {run.name.partition('@')[2]}")
    return old, _result(pipeline, run, {**states, step: state})


def _result(pipeline: model.Pipeline, run: model.Run, states: Mapping[str, str]) -> str:
    """The state a finished run has by its steps; one whose steps never all ran keeps what it had."""
    if any(state not in model.STEP_TERMINAL for state in states.values()):
        return run.state
    view = plan.RunPlan(pipeline, {name: (state, 0, None) for name, state in states.items()}, run.only)
    decisions = view.settle()
    end = decisions[-1] if decisions and isinstance(decisions[-1], plan.EndRun) else None
    return end.state if end else run.state


@dataclass(frozen=True)
class Mark:
    """Set the result of a step."""

    run: str
    step: str
    state: str

    def words(self) -> List[str]:
        return ["mark", self.run, self.step, self.state]

    def ready(self, app: Any, store: Store) -> "Marking":
        run = store.run(self.run)
        return Marking(app, self, run, as_run_has_it(app, store, run))


@dataclass(frozen=True)
class Marking:
    app: Any
    asked: Mark
    run: model.Run
    spec: model.Pipeline

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        """Raises Conflict for a step that runs."""
        asked, run = self.asked, self.run
        old, after = outcome(store, run, self.spec, asked.step, asked.state)
        return Preview(
            "mark", run.pipeline, (command(asked.words(), reason),), before={"step": old, "run": run.state}, after={"step": asked.state, "run": after},
            runs=(PlannedRun(run.name, f"{run.date.logical:%Y-%m-%d}", run.date.due, run.state, after, (PlannedStep(asked.step, old, asked.state),), len(self.spec.steps)),),
            warnings=(f"{asked.step} is {asked.state} already",) if old == asked.state else (),
        )

    def do(self, store: Store, who: Who) -> Dict[str, str]:
        """As `mark`."""
        now, asked, run = self.app.clock.now(), self.asked, self.run
        with store.transaction():
            was = store.run_by_id(run.id).state
            result = mark(store, run, self.spec, asked.step, asked.state, at=now, who=who.name, why=who.reason)
            record(store, who, "mark", now, pipeline=run.pipeline, run=run.name,
                   before={"step": asked.step, "state": result["step"], "run": was}, after={"step": asked.step, "state": asked.state, "run": result["run"]})
        return result
