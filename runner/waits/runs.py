"""Waiting for a run of another pipeline, or a step of it, by date: pure but for reading rows."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple
from zoneinfo import ZoneInfo

from runner import model, schedule
from runner.definitions import Definitions
from runner.errors import RunnerError
from runner.store import Store

REACH = timedelta(days=400)  # a run whose date is the start of its interval is due when that is over: a year at most


class Seen(NamedTuple):
    """One look: `ready` is what the step hands on, `missing` what is not there yet, `failed` why it never will be."""

    ready: Optional[Mapping[str, Any]] = None
    missing: str = ""
    failed: str = ""


def look(store: Store, definitions: Definitions, probe: Mapping[str, Any]) -> Seen:
    """Whether the runs that the probe names have ended as it wants."""
    name, step = probe["run"], probe.get("step")
    try:
        first, last = span(probe["date"])
        spec = definitions.named(name, probe.get("beside", ""))
    except ValueError:
        return Seen(failed=f"date: {probe['date']!r} is neither a day (2026-02-28) nor a month (2026-02)")
    except RunnerError as error:
        return Seen(missing=error.message)
    if step is not None and step not in {each.id for each in spec.steps}:
        return Seen(failed=f"pipeline {name} has no step {step}")
    zone = ZoneInfo(spec.timezone)
    begin, end = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    newest = {run.date.due: run for run in store.runs_between(name, begin - timedelta(days=1), end + REACH) if first <= run.date.logical.date() <= last}
    dues = wanted(spec, first, last, probe.get("runs", "all"))
    if not dues:
        if not newest or spec.schedule:
            return Seen(missing=f"{name} has no run of {probe['date']}" + (": its schedule has no time on that date" if spec.schedule else ""))
        dues = [max(newest)]
    return _judge(store, spec, probe, [(due, newest.get(due)) for due in dues])


def span(text: str) -> Tuple[date, date]:
    """First and last day of `2026-02-28` or `2026-02`. Raises ValueError."""
    if len(text) == 7:
        day = datetime.strptime(text, "%Y-%m").date()
        return day, day.replace(day=calendar.monthrange(day.year, day.month)[1])
    day = datetime.strptime(text, "%Y-%m-%d").date()
    return day, day


def wanted(spec: model.Pipeline, first: date, last: date, which: str) -> List[datetime]:
    """The due instants of the runs that the schedule makes for these days; none for a pipeline without a schedule."""
    if not spec.schedule:
        return []
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    dues = [due for day in days for due in schedule.dues_on(spec.schedule, spec.logical_date, spec.timezone, day) if _inside(spec.schedule, due)]
    return dues[-1:] if which == "last" else dues


def _inside(found: model.Schedule, due: datetime) -> bool:
    return not (found.start and due < found.start) and not (found.end and due > found.end)


def _judge(store: Store, spec: model.Pipeline, probe: Mapping[str, Any], found: List[Tuple[datetime, Optional[model.Run]]]) -> Seen:
    good = ("success",) if probe.get("state", "success") == "success" else tuple(model.RUN_TERMINAL | model.STEP_TERMINAL)
    lacking, failed = [], []
    for due, run in found:
        if run is None:
            day = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, due)
            lacking.append(f"{spec.name}@{schedule.run_label(spec.schedule, spec.logical_date, spec.timezone, day)} has not begun")
            continue
        state, word = run.state, run.name
        if probe.get("step") and run.state != "missed":
            rows = {row.step: row.state for row in store.step_runs(run.id)}
            state, word = rows.get(probe["step"], "pending"), f"step {probe['step']} of {run.name}"
        if state not in good:
            lacking.append(f"{word} is {state}")
            if state in ("failed", "killed", "missed", "upstream_failed", "skipped"):
                failed.append(lacking[-1])
    if failed and probe.get("if_failed") == "fail":
        return Seen(failed="; ".join(failed[:3]) + (" ..." if len(failed) > 3 else ""))
    if lacking:
        return Seen(missing="; ".join(lacking[:3]) + (f"; {len(lacking) - 3} more" if len(lacking) > 3 else ""))
    names = [run.name for _, run in found if run]
    return Seen(ready={"runs": names, "run": names[-1]})
