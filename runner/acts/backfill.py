"""Making and repeating the runs of a span of dates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date as Day
from datetime import datetime, timedelta
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from runner import model, params, schedule
from runner.acts import planned
from runner.acts.holding import held
from runner.acts.making import create_run, label_for, preview_run, revive
from runner.acts.preview import PlannedRun, PlannedStep, Preview
from runner.acts.repeating import reset
from runner.acts.who import Who, command, each, flag, option, record
from runner.clock import to_text
from runner.errors import Conflict, UsageError
from runner.store import Store

MOST_DAYS = 36600


class Wanted(NamedTuple):
    """One date of a backfill."""

    date: model.LogicalDate
    label: str
    existing: Optional[model.Run]  # the run that will be repeated


@dataclass(frozen=True)
class Backfill:
    """Run every date of a span: the dates the schedule has, or one a day without one."""

    pipeline: str
    first: str  # days as 2026-02-28, both included
    last: str
    params: Tuple[str, ...] = ()  # name=value
    parallel: int = 1
    newest_first: bool = False
    failed: bool = False
    everything: bool = False

    def words(self) -> List[str]:
        return ["backfill", self.pipeline, "--from", self.first, "--to", self.last, *each("--param", self.params),
                *option("--parallel", self.parallel if self.parallel != 1 else None), *flag("--newest-first", self.newest_first),
                *flag("--failed", self.failed), *flag("--all", self.everything)]

    def ready(self, app: Any, store: Any = None) -> "Filling":
        """Checked against the file. Raises what `runner backfill` says."""
        spec = app.pipeline(self.pipeline)
        if self.parallel > spec.max_active_runs:
            raise UsageError(f"--parallel {self.parallel}: {spec.name} allows {spec.max_active_runs} run at once",
                             f"write max_active_runs: {self.parallel} in {spec.path}, if its runs may overlap")
        values = params.resolve(spec, self.params, app.environ)
        first, last = day_of(self.first, "--from"), day_of(self.last, "--to")
        if last < first:
            raise UsageError(f"--to {last} is before --from {first}", "give the earlier day to --from")
        if (last - first).days > MOST_DAYS:
            raise UsageError("the span is longer than a hundred years", "give --from and --to as 2026-02-28")
        return Filling(app, self, spec, values, first, last)


def further(failed: bool, everything: bool) -> str:
    """How the dates are repeated that are left alone since they have a run, beyond what was asked for."""
    if everything:
        return "none of them has ended"
    return "--all repeats what succeeded too" if failed else "--failed repeats what failed, --all what succeeded too"


def day_of(text: str, option: str) -> Day:
    """Raises UsageError."""
    try:
        return Day.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: not a date", f"write it as 2026-02-28: {option} 2026-02-28") from None


@dataclass(frozen=True)
class Filling:
    """A span of dates that may be run."""

    app: Any
    asked: Backfill
    spec: model.Pipeline
    params: Mapping[str, Any]
    first: Day
    last: Day
    shown: List[Wanted] = field(default_factory=list, compare=False)  # by a preview: it is done as it was shown, or not at all

    def dates(self, store: Store) -> Tuple[List[Wanted], int]:
        """The dates to run, and how many are left out because they have a run."""
        wanted: List[Wanted] = []
        left, spec, dues = 0, self.spec, self._dues()
        runs = store.runs_between(spec.name, dues[0], dues[-1] + timedelta(seconds=1)) if dues else []
        last = {to_text(run.date.due): run for run in runs}  # of one instant the last run counts
        for due in dues:
            existing = last.get(to_text(due))
            if self._runs(existing.state if existing else "missed"):
                date = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, due)
                wanted.append(Wanted(date, label_for(spec, date), existing))
            else:
                left += 1
        return wanted, left

    def _dues(self) -> List[datetime]:
        """The due instants of the span, in order."""
        spec, out = self.spec, []
        for n in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=n)
            if spec.schedule:
                out += schedule.dues_on(spec.schedule, spec.logical_date, spec.timezone, day)
            else:
                out.append(schedule.due_for(None, spec.logical_date, spec.timezone, day.isoformat(), self.app.clock.now()))
        return out

    def _runs(self, state: str) -> bool:
        """Whether a date whose last run has this state runs; one without a run is like a missed one."""
        return state == "missed" or (self.asked.failed and state in ("failed", "killed")) or (self.asked.everything and state in model.RUN_TERMINAL)

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        """`commands`: of how many steps of the first date it is shown what they execute."""
        wanted, left = self.dates(store)
        self.shown[:] = wanted
        names = planned.order(self.spec)
        steps = tuple(PlannedStep(name, "", "pending") for name in names)
        shown = wanted[-1:] if self.asked.newest_first else wanted[:1]
        runs = [preview_run(self.spec, each.date, self.params, self.app.clock.now()) for each in shown]
        nothing = "nothing to run: every date of the span has its run" if left else "nothing to run: the schedule has no date in this span"
        return Preview(
            "backfill", self.spec.name, (command([*self.asked.words(), "--yes"], reason),), params=dict(self.params), left=left,
            runs=tuple(PlannedRun(each.existing.name if each.existing else f"{self.spec.name}@{each.label}", f"{each.date.logical:%Y-%m-%d}", each.date.due,
                                  each.existing.state if each.existing else "", "queued", steps, len(names))
                       for each in (reversed(wanted) if self.asked.newest_first else wanted)),
            steps=tuple(step for run in runs for step in planned.as_dicts(self.app, planned.jobs(self.app, store, self.spec, run, names[:commands]))),
            warnings=(*self._ahead(wanted), *held(store, self.spec.name)), refusal=("", "") if wanted else (nothing, further(self.asked.failed, self.asked.everything) if left else ""),
        )

    def _ahead(self, wanted: List[Wanted]) -> List[str]:
        coming = [each.date.due for each in wanted if each.date.due > self.app.clock.now()]
        return [f"{len(coming)} of them wait until they are due, the first until {coming[0]:%Y-%m-%d %H:%M %Z}"] if coming else []

    def do(self, store: Store, who: Who, wanted: Optional[List[Wanted]] = None) -> Tuple[int, List[int]]:
        """The backfill's number and the runs: all rows in one transaction, so it is there whole or not at all. `wanted`: what was
        shown. Raises Conflict when one of its dates has got a run since."""
        now, asked = self.app.clock.now(), self.asked
        ids: List[int] = []
        with store.transaction():
            found = wanted or self.shown or self.dates(store)[0]
            if not found:
                raise UsageError(f"{self.spec.name}: nothing to run from {self.first} to {self.last}", further(asked.failed, asked.everything))
            number = store.pipelines.add_backfill(self.spec.name, asked.first, asked.last, asked.parallel, who.name, now)
            for n, one in enumerate(found):
                place = -n if asked.newest_first else n
                if one.existing is None:
                    run = create_run(store, self.spec, one.date, params=self.params, at=now, trigger="backfill", who=who.name, backfill=number, place=place)
                else:
                    run = self._again(store, one.existing, who)
                    store.join_backfill(run.id, number, place)
                ids.append(run.id)
            record(store, who, "backfill", now, pipeline=self.spec.name, after={
                "backfill": number, "from": asked.first, "to": asked.last, "runs": len(ids), "parallel": asked.parallel, "params": dict(self.params)})
        return number, ids

    def _again(self, store: Store, run: model.Run, who: Who) -> model.Run:
        now, before = self.app.clock.now(), run.state
        run = store.run_by_id(run.id)
        if run.state != before:
            raise Conflict(f"run {run.name} was {before}, and is {run.state} now", "look again at what would be run")
        if run.state == "missed":
            return revive(store, run, self.spec, at=now, who=who.name, params=self.params)
        return reset(store, run, self.spec, [step.id for step in self.spec.steps], at=now, who=who.name, why=who.reason)
