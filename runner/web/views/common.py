"""What several screens say alike of a run."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from typing import Any, Dict, Optional, Sequence

from runner import model, shown, standing
from runner.clock import to_text
from runner.errors import InvalidPipeline
from runner.store.pages import Tick


def run_facts(desk, run: model.Run) -> Dict[str, Any]:
    """A run as every screen names it; moments in its own zone."""
    zone = run.date.due.tzinfo
    return {
        "name": run.name, "pipeline": run.pipeline, "label": run.name.partition("@")[2], "state": standing.shown_state(desk, run), "reason": run.reason,
        "ds": f"{run.date.logical:%Y-%m-%d}", "logical_date": run.date.logical, "due_at": run.date.due, "interval_start": run.date.interval_start,
        "interval_end": run.date.interval_end, "timezone": run.date.timezone, "trigger": run.trigger, "params": dict(run.params),
        "created_at": local(run.created_at, zone), "started_at": local(run.started_at, zone), "ended_at": local(run.ended_at, zone),
    }


def tick_facts(desk, tick: Tick) -> Dict[str, Any]:
    """The same of a run of which little is known."""
    return {
        "id": tick.id, "name": tick.name, "pipeline": tick.pipeline, "label": tick.label, "state": standing.shown_state(desk, tick), "reason": tick.reason,
        "due_at": tick.moment(tick.due), "started_at": tick.moment(tick.started), "ended_at": tick.moment(tick.ended), "seconds": tick.seconds,
    }


def local(moment: Optional[datetime], zone: Optional[tzinfo]) -> Optional[datetime]:
    return moment.astimezone(zone) if moment else None


def definition(desk, run: model.Run) -> Optional[model.Pipeline]:
    """The pipeline as the run has it; None when this version no longer reads the text."""
    try:
        return desk.definitions().of(run)
    except InvalidPipeline:
        return None


def tags_of(desk, store, name: str) -> Sequence[str]:
    """Of a pipeline as it is now, by which is decided who may act on it; none of one that is not known."""
    row = store.pipelines.get(name)
    try:
        if row is not None and row.definition:
            return desk.definitions().get(row.definition).tags
    except InvalidPipeline:
        pass
    about = next((file.summary or {} for file in desk.files() if file.name == name), {})
    return tuple(about.get("tags", ()))


def as_typed(value: Any) -> str:
    """A value as a person would type it: true, not True."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def took(begin: Optional[datetime], end: Optional[datetime], now: datetime) -> str:
    return shown.elapsed(begin, end, now)


def kept(moment: datetime) -> str:
    """A moment as the store keeps it."""
    return to_text(moment)
