"""Deadlines, decided: which moment one means, whether it counts for a run, whether it was kept. Pure.

The wall time of a deadline is that of the run's own zone and date: the first one after the instant the run is due.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from datetime import time as Time
from typing import Dict, NamedTuple, Optional

from runner import model
from runner.schedule.cron import first_instant

BY_ITSELF = ("schedule", "catchup")  # triggers: nobody chose that moment, so being late says something


def moment_of(deadline: model.Deadline, date: model.LogicalDate) -> datetime:
    """The instant (UTC) by which it must be done."""
    from runner.clock import UTC
    from runner.schedule.zones import zone

    if deadline.after is not None:
        return date.due.astimezone(UTC) + timedelta(seconds=deadline.after)
    place = zone(date.timezone)
    local = date.due.astimezone(place)
    for days in range(3):
        found = first_instant(datetime.combine(local.date() + timedelta(days=days), Time(*deadline.time)), place)
        if found > date.due:
            return found
    raise AssertionError(f"no {deadline.text} within two days of {date.due}")  # every day has one, or the end of its gap


def all_of(pipeline: model.Pipeline, run: model.Run) -> Dict[str, datetime]:
    """Step, or "" for the whole run -> its moment, of those that count for this run.

    A run that a person made for a date whose deadline had passed already is late on purpose; of steps that were not chosen
    nobody expects anything.
    """
    said = {"": pipeline.deadline, **{step.id: step.deadline for step in pipeline.steps if run.only is None or step.id in run.only}}
    found = {step: moment_of(deadline, run.date) for step, deadline in said.items() if deadline}
    return {step: at for step, at in found.items() if run.trigger in BY_ITSELF or at > run.created_at}


class Facts(NamedTuple):
    """How a run, or a step of it, stands."""

    state: str  # of the run, or of the step
    ended_at: Optional[datetime] = None
    started_at: Optional[datetime] = None
    reason: str = ""
    run_state: str = ""  # of the whole run
    waits: str = ""  # why it has not begun


def missed(at: datetime, facts: Facts, now: datetime) -> Optional[str]:
    """Why a deadline was not kept, in words; None when it was. Asked at `at` or later."""
    state = facts.state
    if state in ("success", "skipped"):
        ended = facts.ended_at or now
        return None if ended <= at else f"ended {_minutes(ended - at)} late"
    if state == "running":
        return "still running" + (f" since {facts.started_at:%Y-%m-%d %H:%M %Z}" if facts.started_at else "")
    if state == "retry_wait":
        return "failed, and waits for its next attempt" + (f": {facts.reason}" if facts.reason else "")
    if state == "missed":
        return "did not run: " + (facts.reason or "nobody started it")
    if state == "upstream_failed":
        return "cannot run: what it needs failed"
    if state in ("failed", "killed"):
        return f"{state}" + (f": {facts.reason}" if facts.reason else "")
    if facts.run_state == "success":
        return None  # the run is done without it
    if facts.run_state in ("failed", "killed", "missed"):
        return f"did not run: the run {facts.run_state}" + (f": {facts.reason}" if facts.reason else "")
    return "has not begun" + (f": {facts.waits}" if facts.waits else "")


def _minutes(time: timedelta) -> str:
    seconds = time.total_seconds()
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
