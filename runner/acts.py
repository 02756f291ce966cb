"""What a person may do to a run that no engine is working on: make it, repeat it, set a result by hand."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence

from runner import faults, model, schedule
from runner.actor import actor
from runner.alerts import deadlines
from runner.errors import Conflict, NotFound, UsageError
from runner.planning import plan
from runner.store import Store


# --------------------------------------------------------------------------------------------------------- making


def date_for(pipeline: model.Pipeline, text: Optional[str], now: datetime) -> model.LogicalDate:
    """The date of a run started by hand (semantics D16). Raises schedule.DateError with the choices."""
    try:
        due = schedule.due_for(pipeline.schedule, pipeline.logical_date, pipeline.timezone, text, now)
    except schedule.DateError as error:
        if text in error.message:
            raise
        raise UsageError(f"{text}: {error.message}", error.hint) from None
    return schedule.date_of(pipeline.schedule, pipeline.logical_date, pipeline.timezone, due)


def label_for(pipeline: model.Pipeline, date: model.LogicalDate) -> str:
    return schedule.run_label(pipeline.schedule, pipeline.logical_date, pipeline.timezone, date)


def create_run(
    store: Store,
    pipeline: model.Pipeline,
    date: model.LogicalDate,
    *,
    params: Mapping[str, Any],
    at: datetime,
    trigger: str = "manual",
    only: Optional[Sequence[str]] = None,
    new: bool = False,
    who: str = "",
    **more: Any,
) -> model.Run:
    """Make a run; `more` as for Store.create_run. Raises Conflict, with the run that is there as `.run`."""
    check_steps(pipeline, only or ())
    faults.point("acts.makes")
    with store.transaction():
        run = store.create_run(
            pipeline, date, label_for(pipeline, date), trigger=trigger, params=params, at=at, only=only, new=new,
            wide_label=date.logical.strftime("%Y-%m-%dT%H:%M"), actor=who or actor(), **more,
        )
        for step, moment in deadlines.all_of(pipeline, run).items():
            store.alerts.add_deadline(run.id, step, moment)
    return run


def preview_run(pipeline: model.Pipeline, date: model.LogicalDate, params: Mapping[str, Any], now: datetime, only=None) -> model.Run:
    """The run that `create_run` would make, without making it."""
    return model.Run(
        id=0, name=f"{pipeline.name}@{label_for(pipeline, date)}", pipeline=pipeline.name, number=0, definition="", date=date,
        trigger="manual", params=params, state="queued", reason="", created_at=now, started_at=None, ended_at=None,
        engine=None, stop_requested=None, only=tuple(only) if only else None,
    )


def check_steps(pipeline: model.Pipeline, names: Sequence[str]) -> None:
    """Raises NotFound for a step that the pipeline does not have."""
    import difflib

    known = [step.id for step in pipeline.steps]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else "steps: " + ", ".join(known[:20])
            raise NotFound(f"pipeline {pipeline.name} has no step {name}", hint)


# ------------------------------------------------------------------------------------------------------- repeating


def definition_changes(before: model.Pipeline, after: model.Pipeline) -> List[str]:
    """What a rerun by today's file changes: one line a step."""
    old = {step.id: step for step in before.steps}
    new = {step.id: step for step in after.steps}
    lines = [f"+ {name}: new in the file" for name in new if name not in old]
    lines += [f"- {name}: gone from the file" for name in old if name not in new]
    for name, step in new.items():
        if name in old and dataclasses.replace(old[name], line=0, file="") != dataclasses.replace(step, line=0, file=""):
            fields = [f.name for f in dataclasses.fields(step) if f.name not in ("line", "file") and getattr(step, f.name) != getattr(old[name], f.name)]
            lines.append(f"~ {name}: {', '.join(fields)} changed")
    return lines


def reset(
    store: Store, run: model.Run, pipeline: model.Pipeline, chosen: Sequence[str], *, at: datetime, who: str, repair: bool = False
) -> model.Run:
    """Take the chosen steps back to pending and the run to queued. Earlier attempts and other outputs stay.

    `repair`: of a step with `foreach` only the items that did not succeed run again, unless what it needs runs again too.
    """
    if not chosen:
        raise UsageError(f"run {run.name}: nothing to run again", "choose: --failed, --from STEP or --all")
    with store.transaction():
        run = store.run_by_id(run.id)
        if run.state not in model.RUN_TERMINAL:
            raise Conflict(f"run {run.name} is {run.state}", f"type: runner stop {run.name}   or   runner rerun {run.name} --resume")
        store.redefine(run, pipeline, at)
        rows = {row.step: row for row in store.step_runs(run.id)}
        for step in _with_mapped(store, run, pipeline, chosen, rows, repair):
            if rows[step].state != "pending":
                store.move("step", run.id, rows[step].state, "pending", at, step=step, reason="rerun", actor=who, tries=0, started_at=None, outputs=None)
        store.move("run", run.id, run.state, "queued", at, reason="rerun", actor=who, stop_requested=None)
    return store.run_by_id(run.id)


def _with_mapped(store: Store, run: model.Run, pipeline: model.Pipeline, chosen: Sequence[str], rows, repair: bool) -> List[str]:
    """The chosen steps, and the mapped ones that stay with them; the other mapped ones are forgotten."""
    out = list(chosen)
    for name in chosen:
        step = pipeline.step(name)
        children = [row for row in rows.values() if row.step != name and model.parent_of(row.step) == name]
        if repair and step.foreach is not None and not set(step.needs) & set(chosen):
            out += [row.step for row in children if row.state not in ("success", "skipped")]
        elif children:
            store.drop_mapped(run.id, name)
    return out


def revive(store: Store, run: model.Run, pipeline: model.Pipeline, *, at: datetime, who: str) -> model.Run:
    """Run a missed date after all: it gets its steps and waits like any other."""
    with store.transaction():
        store.redefine(run, pipeline, at)
        store.move("run", run.id, "missed", "queued", at, reason="", actor=who)
    return store.run_by_id(run.id)


def take_out(store: Store, run: model.Run, *, at: datetime, who: str, why: str = "") -> bool:
    """End a waiting run that nobody works on; False when it has begun, ended, or has an owner."""
    why = why or f"stopped by {who}"
    with store.transaction():
        run = store.run_by_id(run.id)
        if run.state != "queued" or run.engine:
            return False
        for row in store.step_runs(run.id):
            if row.state == "pending":
                store.move("step", run.id, "pending", "killed", at, step=row.step, reason=why, actor=who)
        store.move("run", run.id, "queued", "killed", at, reason=why, actor=who)
    return True


# ---------------------------------------------------------------------------------------------------- by hand


def mark(store: Store, run: model.Run, pipeline: model.Pipeline, step: str, state: str, *, at: datetime, who: str) -> Dict[str, str]:
    """Set a finished or never-run step's result. Returns {"step": old state, "run": new run state}.

    The run's own state is worked out again. Raises Conflict for a step that runs.
    """
    check_steps(pipeline, [step])
    with store.transaction():
        run = store.run_by_id(run.id)
        rows = {row.step: row for row in store.step_runs(run.id)}
        old = rows[step].state
        if old in ("running", "retry_wait") or run.state not in model.RUN_TERMINAL:
            raise Conflict(f"step {step} of {run.name} cannot be marked: the run is {run.state}, the step {old}", f"first: runner stop {run.name}")
        if old != state:
            store.move("step", run.id, old, state, at, step=step, reason=f"marked by {who}", actor=who)
        after = _result(pipeline, run, {**{name: row.state for name, row in rows.items()}, step: state})
        if after != run.state:
            store.move("run", run.id, run.state, after, at, reason=f"{step} marked {state} by {who}", actor=who)
    return {"step": old, "run": after}


def _result(pipeline: model.Pipeline, run: model.Run, states: Mapping[str, str]) -> str:
    """The state a finished run has by its steps; one whose steps never all ran keeps what it had."""
    if any(state not in model.STEP_TERMINAL for state in states.values()):
        return run.state
    view = plan.RunPlan(pipeline, {name: (state, 0, None) for name, state in states.items()}, run.only)
    decisions = view.settle()
    end = decisions[-1] if decisions and isinstance(decisions[-1], plan.EndRun) else None
    return end.state if end else run.state
