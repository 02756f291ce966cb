"""Making a run of a date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from runner import faults, model, ownership, params, schedule
from runner.actor import actor
from runner.acts import coming, planned
from runner.acts.holding import held
from runner.acts.named import check_steps
from runner.acts.preview import PlannedRun, PlannedStep, Preview
from runner.acts.who import Who, command, each, flag, option, record
from runner.alerts import deadlines
from runner.errors import Conflict, UsageError
from runner.store import Store


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


def revive(
    store: Store, run: model.Run, pipeline: model.Pipeline, *, at: datetime, who: str, params: Optional[Mapping[str, Any]] = None,
    only: Optional[Sequence[str]] = None,
) -> model.Run:
    """Run a missed date after all: it gets its steps and waits like any other. `params`: others than it was missed with."""
    check_steps(pipeline, only or ())
    with store.transaction():
        store.redefine(run, pipeline, at, only, params)
        store.move("run", run.id, "missed", "queued", at, reason="", actor=who)
    return store.run_by_id(run.id)


def preview_run(pipeline: model.Pipeline, date: model.LogicalDate, params: Mapping[str, Any], now: datetime, only=None, number: int = 0) -> model.Run:
    """The run that `create_run` would make, without making it."""
    return model.Run(
        id=0, name=f"{pipeline.name}@{label_for(pipeline, date)}" + (f"#{number + 1}" if number else ""), pipeline=pipeline.name, number=number,
        definition="", date=date, trigger="manual", params=params, state="queued", reason="", created_at=now, started_at=None, ended_at=None,
        engine=None, stop_requested=None, only=tuple(only) if only else None,
    )


def already(app: Any, run: model.Run, resume: bool = False) -> Conflict:
    """The refusal for a date that has a run: what there is, and what to type."""
    if run.state in model.RUN_TERMINAL:
        if resume:
            return Conflict(f"run {run.name} has ended ({run.state}): nothing to resume", f"type: runner rerun {run.name} --failed | --all")
        return Conflict(
            f"run {run.name} exists ({run.state})",
            f"runner rerun {run.name} --failed | --all   repeats it and keeps its history; --new makes a second run of this date",
        )
    if ownership.is_alive(app.config.engines_folder, run.engine):
        who = ownership.about(app.config.engines_folder, run.engine)
        return Conflict(f"run {run.name} is running already: {who}", f"watch it: runner logs {run.name} -f   end it: runner stop {run.name}")
    if run.state == "queued" and not run.engine:
        return Conflict(f"run {run.name} waits already", f"what for: runner status {run.name}   take it out: runner stop {run.name}")
    return Conflict(f"run {run.name} was interrupted", f"finish it: runner rerun {run.name} --resume   end it: runner stop {run.name}")


# -------------------------------------------------------------------------------------------------------------- trigger


@dataclass(frozen=True)
class Trigger:
    """Let the daemon run a pipeline for one date."""

    pipeline: str
    date: Optional[str] = None
    params: Tuple[str, ...] = ()  # name=value
    only: Tuple[str, ...] = ()
    new: bool = False

    def words(self) -> List[str]:
        return ["trigger", self.pipeline, *option("--date", self.date), *each("--param", self.params), *each("--only", self.only), *flag("--new", self.new)]

    def ready(self, app: Any, store: Any = None) -> "Making":
        """Checked against the file. Raises what `runner trigger` says."""
        return self.checked(app, app.pipeline(self.pipeline))

    def checked(self, app: Any, spec: model.Pipeline) -> "Making":
        values = params.resolve(spec, self.params, app.environ)
        return Making(app, self, spec, date_for(spec, self.date, app.clock.now()), values)


@dataclass(frozen=True)
class Making:
    """A run that may be made."""

    app: Any
    asked: Trigger
    spec: model.Pipeline
    date: model.LogicalDate
    params: Mapping[str, Any]

    @property
    def fixed(self) -> Trigger:
        """The same with its date written out: who confirms it at midnight gets what was shown."""
        return replace(self.asked, date=label_for(self.spec, self.date))

    def run(self, number: int = 0) -> model.Run:
        """The run as it would be. Raises NotFound for a step that the pipeline does not have."""
        check_steps(self.spec, self.asked.only)
        return preview_run(self.spec, self.date, self.params, self.app.clock.now(), self.asked.only, number)

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        """`commands`: of how many steps it is shown what they execute."""
        existing = store.runs_of(self.spec.name, self.date.due)
        last = existing[-1] if existing else None
        refused = last is not None and last.state != "missed" and not self.asked.new
        number = last.number + 1 if last is not None and self.asked.new else 0
        run = self.run(number)
        names = [name for name in planned.order(self.spec) if not self.asked.only or name in self.asked.only]
        refusal = already(self.app, last) if refused and last else None
        return Preview(
            "trigger", self.spec.name, (command(self.fixed.words(), reason),),
            runs=(PlannedRun(run.name, f"{self.date.logical:%Y-%m-%d}", self.date.due, last.state if last and not number else "", "queued",
                             tuple(PlannedStep(name, "", "pending") for name in names), len(self.spec.steps)),),
            steps=tuple(planned.as_dicts(self.app, planned.jobs(self.app, store, self.spec, run, names[:commands]))),
            params=dict(self.params), warnings=tuple(self._warnings(store, run)), refusal=(refusal.message, refusal.hint) if refusal else ("", ""),
        )

    def _warnings(self, store: Store, run: model.Run) -> List[str]:
        out = []
        if self.date.due > self.app.clock.now():
            out.append(f"it begins {self.date.due:%Y-%m-%d %H:%M %Z}, when it is due")
        out += coming.narrowed(self.app, self.spec, run)
        out += held(store, self.spec.name)
        active = [run.name for run in store.recent_runs(self.spec.name, "running", self.spec.max_active_runs)]
        if len(active) >= self.spec.max_active_runs:
            out.append(f"it waits for {active[-1]} (max_active_runs: {self.spec.max_active_runs})")
        return out

    def do(self, store: Store, who: Who) -> model.Run:
        """Make it, or let a missed one run. Raises Conflict for a date that has its run, with it as `.run`."""
        with store.transaction():
            try:
                return self.make(store, who)
            except Conflict as conflict:
                existing = conflict.run
            if existing.state != "missed":
                refusal = already(self.app, existing)
                refusal.run = existing
                raise refusal
            now = self.app.clock.now()
            run = revive(store, existing, self.spec, at=now, who=who.name, params=self.params, only=self.asked.only or None)
            record(store, who, "trigger", now, pipeline=self.spec.name, run=run.name, before={"state": existing.state}, after=self._after(run))
        return run

    def make(self, store: Store, who: Who, act: str = "trigger", **more: Any) -> model.Run:
        """As `create_run`, with its row of the audit trail."""
        now = self.app.clock.now()
        with store.transaction():
            run = create_run(store, self.spec, self.date, params=self.params, at=now, only=self.asked.only or None, new=self.asked.new, who=who.name, **more)
            record(store, who, act, now, pipeline=self.spec.name, run=run.name, after=self._after(run))
        return run

    def _after(self, run: model.Run) -> Mapping[str, Any]:
        only = {"only": list(self.asked.only)} if self.asked.only else {}
        return {"state": run.state, "ds": f"{run.date.logical:%Y-%m-%d}", "params": dict(self.params), **only}
