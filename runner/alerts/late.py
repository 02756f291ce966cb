"""Looks at the deadlines whose moment has come, and writes down who is told of those that were missed.

Each is looked at once: the row says how it came out. A run that was never made has no row; its due time is then the key, so
that a row which comes later tells nobody twice.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Callable, Dict, Optional

from runner import model, schedule
from runner.alerts import deadlines
from runner.alerts.recorder import Recorder, facts_of
from runner.clock import to_text
from runner.errors import EnvironmentFault, InvalidPipeline
from runner.store.alerts import Deadline


def look(store, definitions, recorder: Recorder, now: datetime, why: Callable[[model.Run, model.Pipeline], str], say: Callable[[str], None]) -> int:
    """Deal with a bite of what is due; how many were missed. `why` tells what a waiting run waits for."""
    found = store.alerts.passed_deadlines(now)
    late = 0
    if found:
        with store.transaction():
            for deadline in store.alerts.passed_deadlines(now):  # again, under the lock: another process may have looked
                late += _look_at(store, definitions, recorder, deadline, now, why, say)
    return late


def _look_at(store, definitions, recorder, found: Deadline, now, why, say) -> bool:
    run = store.run_by_id(found.run_id)
    try:
        pipeline = definitions.of(run)
    except InvalidPipeline:
        pipeline = None
    words = deadlines.missed(found.at, _facts(store, run, pipeline, found.step, why), now)
    store.alerts.close_deadline(found, "met" if words is None else "late")
    if words is None:
        return False
    say(f"run {run.name}" + (f" step {found.step}" if found.step else "") + f" is late: {words}")
    if pipeline is not None:
        tell = recorder.whom(pipeline, found.step or None, "late")
        if tell:
            facts = {**facts_of(pipeline, run), "state": "late", "run_state": run.state, "reason": words, "deadline": to_text(found.at)}
            if found.step:
                facts["step"] = found.step
            facts.update(_log_of(store, run, found.step))
            recorder.add(store, tell, key_of(run.pipeline, run.date.due, found.step, run.number), "late", now, facts,
                         run=run.name, pipeline=run.pipeline, step=found.step)
    return True


def _facts(store, run: model.Run, pipeline: Optional[model.Pipeline], step: str, why) -> deadlines.Facts:
    waits = why(run, pipeline) if run.state == "queued" and pipeline is not None else ""
    row = next((row for row in store.step_runs(run.id) if row.step == step), None) if step else None
    about = row or run
    started = about.started_at and about.started_at.astimezone(run.date.due.tzinfo)
    if step and row is None:  # a missed run has no steps
        return deadlines.Facts("pending", run_state=run.state, reason=run.reason, waits=waits)
    reason = about.reason or (run.reason if step else "")
    return deadlines.Facts(about.state, about.ended_at, started, reason, run.state, waits)


def _log_of(store, run: model.Run, step: str) -> Dict[str, str]:
    """What runs while its time is over: the end of its log says how far it is."""
    live = [attempt for attempt in store.live_attempts(run.id) if step in ("", attempt.step.partition("[")[0])]
    return {"log_file": os.path.join(live[0].folder, "log"), "log_of": live[0].step} if live else {}


def key_of(pipeline: str, due: datetime, step: str, number: int = 0) -> str:
    return "/".join(part for part in (f"{pipeline}@{to_text(due)}" + (f"#{number + 1}" if number else ""), step, "late") if part)


def look_for_unmade(store, definitions, recorder: Recorder, now: datetime, reason: str, say: Callable[[str], None]) -> int:
    """Due times that nobody made a run of, although their deadline has passed; `reason` says why not."""
    late = 0
    for row in store.pipelines.due(now, 200):
        try:
            pipeline = definitions.get(row.definition)
            if not (pipeline.deadline and pipeline.schedule):
                continue
            date = schedule.date_of(pipeline.schedule, pipeline.logical_date, pipeline.timezone, row.next_due)
        except EnvironmentFault:
            raise
        except Exception:  # noqa: BLE001 - a schedule that cannot be worked out: whoever makes the runs says so
            continue
        at, key = deadlines.moment_of(pipeline.deadline, date), key_of(row.name, date.due, "")
        if at > now or store.alerts.known(key):
            continue
        tell = recorder.whom(pipeline, None, "late")
        if tell:
            facts = {
                "ds": f"{date.logical:%Y-%m-%d}", "zone": date.timezone, "owner": pipeline.owner, "description": pipeline.description,
                "state": "late", "reason": f"no run was made: {reason}", "deadline": to_text(at),
            }
            with store.transaction():
                late += recorder.add(store, tell, key, "late", now, facts, pipeline=row.name)
            say(f"pipeline {row.name} is late: no run was made: {reason}")
    return late
