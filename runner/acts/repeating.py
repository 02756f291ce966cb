"""Repeating steps of a run with its own date."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from runner import model
from runner.acts import planned
from runner.acts.holding import held
from runner.acts.making import already
from runner.acts.named import as_run_has_it, check_steps, todays
from runner.acts.preview import PlannedRun, PlannedStep, Preview
from runner.acts.who import Who, because, command, each, flag, record
from runner.errors import Conflict, UsageError
from runner.planning import plan
from runner.store import Store
from runner.store.store import outputs_of

MOST_KEPT = 50  # names of steps that a row of the audit trail holds


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
    store: Store, run: model.Run, pipeline: model.Pipeline, chosen: Sequence[str], *, at: datetime, who: str, repair: bool = False, why: str = ""
) -> model.Run:
    """Take the chosen steps back to pending and the run to queued. Earlier attempts and other outputs stay.

    `repair`: of a step with `foreach` only the items that did not succeed run again, unless what it needs runs again too.
    """
    if not chosen:
        raise UsageError(f"run {run.name}: nothing to run again", "choose: --failed, --from STEP or --all")
    reason = because("rerun", why)
    with store.transaction():
        run = store.run_by_id(run.id)
        if run.state not in model.RUN_TERMINAL:
            raise Conflict(f"run {run.name} is {run.state}", f"type: runner stop {run.name}   or   runner rerun {run.name} --resume")
        store.redefine(run, pipeline, at)
        rows = {row.step: row for row in store.step_runs(run.id)}
        for step in _with_mapped(store, run, pipeline, chosen, rows, repair):
            if rows[step].state != "pending":
                store.move("step", run.id, rows[step].state, "pending", at, step=step, reason=reason, actor=who, tries=0, started_at=None, outputs=None)
        store.move("run", run.id, run.state, "queued", at, reason=reason, actor=who, stop_requested=None)
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


# ---------------------------------------------------------------------------------------------------------------- rerun


@dataclass(frozen=True)
class Rerun:
    """Repeat steps of a run: what failed, what is behind some steps, or all."""

    run: str
    failed: bool = False
    start: Tuple[str, ...] = ()
    everything: bool = False
    keep_definition: bool = False

    def words(self) -> List[str]:
        return ["rerun", self.run, *flag("--failed", self.failed), *each("--from", self.start), *flag("--all", self.everything),
                *flag("--keep-definition", self.keep_definition)]

    def ready(self, app: Any, store: Store) -> "Repeating":
        """Checked against the run and the file. Raises Conflict for a run that has not ended."""
        run = store.run(self.run)
        if run.state not in model.RUN_TERMINAL:
            raise already(app, run)
        said = [*flag("--failed", self.failed), *flag("--from", bool(self.start)), *flag("--all", self.everything)]
        if len(said) > 1:
            raise UsageError(f"run {run.name} ({run.state}): {' and '.join(said)}: not both", "one of: --failed, --from STEP, --all")
        if not said:
            raise UsageError(f"run {run.name} ({run.state}): say what to run again", "one of: --failed, --from STEP, --all")
        before = as_run_has_it(app, store, run)
        spec = before if self.keep_definition else todays(app, before)
        states = {row.step: row.state for row in store.step_runs(run.id)}
        check_steps(spec, self.start)
        chosen = plan.rerun_set(spec, states, failed=self.failed, start=self.start, everything=self.everything)
        return Repeating(app, self, run, before, spec, states, chosen)


@dataclass(frozen=True)
class Repeating:
    """A run of which steps may be repeated."""

    app: Any
    asked: Rerun
    run: model.Run
    before: model.Pipeline
    spec: model.Pipeline  # what it will be repeated by
    states: Mapping[str, str]
    chosen: Sequence[str]

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        """`commands`: of how many steps it is shown what they execute."""
        run, steps = self.run, tuple(PlannedStep(name, self.states.get(name, "not there"), "pending") for name in self.chosen)
        gone = not self.asked.keep_definition and not os.path.isfile(self.before.path)
        refusal = "" if self.chosen else f"run {run.name}: nothing to run again"
        return Preview(
            "rerun", run.pipeline, (command(self.asked.words(), reason),),
            runs=(PlannedRun(run.name, f"{run.date.logical:%Y-%m-%d}", run.date.due, run.state, "queued", steps, len(self.spec.steps)),),
            steps=tuple(self._commands(store, commands)), params=dict(run.params),
            changes=tuple(definition_changes(self.before, self.spec) or ["~ the file changed, but none of its steps"]) if self.before.text != self.spec.text else (),
            warnings=(*((f"{self.before.path} is gone: the run's own definition is used",) if gone else ()), *held(store, run.pipeline)),
            refusal=(refusal, "choose: --failed, --from STEP or --all") if refusal else ("", ""),
        )

    def _commands(self, store: Store, most: int) -> List[Dict[str, Any]]:
        """By what the steps handed on that are not repeated."""
        if not most:
            return []
        known = outputs_of(row for row in store.step_runs(self.run.id) if model.parent_of(row.step) not in self.chosen)
        names = [name for name in planned.order(self.spec) if name in self.chosen][:most]
        return planned.as_dicts(self.app, planned.jobs(self.app, store, self.spec, self.run, names, known))

    def do(self, store: Store, who: Who) -> model.Run:
        now = self.app.clock.now()
        with store.transaction():
            run = reset(store, self.run, self.spec, self.chosen, at=now, who=who.name, repair=self.asked.failed, why=who.reason)
            record(store, who, "rerun", now, pipeline=run.pipeline, run=run.name, before={"state": self.run.state},
                   after={"state": run.state, "steps": list(self.chosen[:MOST_KEPT]), "of": len(self.spec.steps)})
        return run
