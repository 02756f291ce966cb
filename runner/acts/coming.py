"""A date of the schedule that is still to come, made by hand ahead of its time: the schedule makes no other run of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, List, Sequence

from runner import model, schedule
from runner.acts.named import as_run_has_it
from runner.clock import UTC, to_text
from runner.definitions import Definitions
from runner.errors import InvalidPipeline
from runner.store import Store

NO_OTHER = "the schedule makes no other run of"
_TICK = timedelta(microseconds=1)


def is_coming(app: Any, spec: model.Pipeline, run: model.Run) -> bool:
    """Whether the schedule will be due at the run's own instant."""
    due = run.date.due.astimezone(UTC)  # two zones of one moment are never equal in a repeated hour
    if due <= app.clock.now() or not spec.schedule:
        return False
    found = schedule.next_due(spec.schedule, due - _TICK)
    return found is not None and found.astimezone(UTC) == due


def not_by_itself(app: Any, store: Store, spec: model.Pipeline, dates: Sequence[model.LogicalDate]) -> List[str]:
    """Of due times that are to come, those whose run is there already and was taken out, or has some steps only."""
    if not dates:
        return []
    runs = store.runs_between(spec.name, dates[0].due, dates[-1].due + timedelta(seconds=1))
    last = {to_text(run.date.due): run for run in runs if is_coming(app, spec, run) and run.state != "missed"}  # of one instant the last run counts
    return [line for run in last.values() for line in ([_stands(run)] if run.state in model.RUN_TERMINAL else narrowed(app, spec, run))]


def _stands(run: model.Run) -> str:
    why = f": {run.reason}" if run.reason else ""
    return f"{run.name} is there already ({run.state}{why}), and the schedule makes no other; to have it run: runner rerun {run.name} --all"


def narrowed(app: Any, spec: model.Pipeline, run: model.Run) -> List[str]:
    """What of such a date is left out by a run of some steps only."""
    if not run.only or not is_coming(app, spec, run):
        return []
    return [f"{NO_OTHER} {run.name}: its other steps do not run then; all of them, afterwards: runner rerun {run.name} --all"]


def given_up(app: Any, store: Store, runs: Sequence[model.Run]) -> List[str]:
    """What a stop of these runs means for the schedule; nothing where it will not be due then."""
    waiting = [run for run in runs if run.state == "queued" and run.started_at is None and run.date.due > app.clock.now()]
    if not waiting:
        return []
    try:
        spec = _todays(app, store, waiting[0])
    except InvalidPipeline:  # a text of another version
        return []
    names = [run.name for run in waiting if is_coming(app, spec, run)]
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    again = f"runner rerun {names[0]} --all" + (", and so of each" if more else "")
    return [f"{NO_OTHER} {names[0]}{more}: taken out, nothing of it runs when it is due; to have it run after all: {again}"]


def _todays(app: Any, store: Store, run: model.Run) -> model.Pipeline:
    """As the daemon knows it; as the run has it where none has looked yet."""
    row = store.pipelines.get(run.pipeline)
    return Definitions(store, app.site()).get(row.definition) if row and row.definition and not row.gone_at else as_run_has_it(app, store, run)
