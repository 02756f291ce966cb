"""A run: in short as in a list, and whole with its steps, who works on it, and why something of it waits."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, Dict, Mapping, Optional
from zoneinfo import ZoneInfo

from runner import model, ownership, standing
from runner.errors import InvalidPipeline


def brief(app: Any, run: model.Run) -> Dict[str, Any]:
    """A run without its steps."""
    date, zone = run.date, ZoneInfo(run.date.timezone)
    return {
        "name": run.name, "pipeline": run.pipeline, "state": run.state, "reason": run.reason, "ds": f"{date.logical:%Y-%m-%d}",
        "logical_date": date.logical, "due_at": date.due, "data_interval_start": date.interval_start, "data_interval_end": date.interval_end,
        "timezone": date.timezone, "trigger": run.trigger, "params": dict(run.params), "only": list(run.only) if run.only else None,
        "backfill": run.backfill, "created_at": local(run.created_at, zone), "started_at": local(run.started_at, zone), "ended_at": local(run.ended_at, zone),
        "interrupted": standing.shown_state(app, run) == "interrupted",
    }


def whole(app: Any, store: Any, run: model.Run) -> Dict[str, Any]:
    """A run with its steps, as `runner status --json` gives it."""
    zone, rows = ZoneInfo(run.date.timezone), store.step_runs(run.id)
    reasons, notes = standing.steps_wait(app, store, run, rows), standing.notes(store, run, rows)
    failing = _allowed(app, store, run) if any(row.state == "failed" for row in rows) else {}
    steps = [{
        "id": row.step, "state": row.state, "reason": row.reason, "tries": row.tries, "started_at": local(row.started_at, zone),
        "ended_at": local(row.ended_at, zone), "retry_at": local(row.retry_at, zone), "outputs": dict(row.outputs), "item": row.item,
        "allow_failure": failing.get(model.parent_of(row.step), False), "waits": reasons.get(row.step) or None, "note": notes.get(row.step),
    } for row in rows]
    worked_on = standing.is_worked_on(app, run)
    return {
        **brief(app, run), "steps": steps, "waits": standing.waits(app, store, run) or None, "owner": bool(run.engine),
        "worked_on_by": ownership.about(app.config.engines_folder, run.engine) if worked_on else None, "stop_requested": run.stop_requested,
    }


def _allowed(app: Any, store: Any, run: model.Run) -> Mapping[str, bool]:
    """Step -> whether the run may succeed without it. Asked only where a step failed, since it parses the file."""
    from runner.definitions import Definitions

    try:
        definitions = app.definitions() if hasattr(app, "definitions") else Definitions(store, app.site())
        return {step.id: step.allow_failure for step in definitions.of(run).steps}
    except InvalidPipeline:  # a text of an older version
        return {}


def attempts(store: Any, run: model.Run, step: Optional[str] = None):
    """Each start of its steps, the oldest first."""
    zone = ZoneInfo(run.date.timezone)
    return [{
        "step": each.step, "number": each.number, "state": each.state, "reason": each.reason, "exit_code": each.exit_code,
        "started_at": local(each.started_at, zone), "ended_at": local(each.ended_at, zone),
    } for each in store.attempts(run.id, step)]


def local(moment: Optional[datetime], zone: Optional[tzinfo]) -> Optional[datetime]:
    return moment.astimezone(zone) if moment else None
