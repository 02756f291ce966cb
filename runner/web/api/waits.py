"""What has not begun, and why."""

from __future__ import annotations

from typing import Any, Dict

from runner import standing
from runner.errors import RunnerError
from runner.web.api.ask import Ask
from runner.web.api.operation import read, schemas
from runner.web.api.shapes import many, moment, ref, text, thing, truth, whole

schemas(Waits=thing(
    "What waits.", items=many(thing("A run, or a step of one.", run=text("The run."), step=text("The step; empty: the run itself."), why=text("Why."), since=moment("Since when.")), "The newest runs first."),
    whole=truth("Whether these are all."),
))


@read("/waits", ref("Waits"), pipeline=text("Only of this one.", 300), limit=whole("At most so many runs are looked at.", 1, 1000, default=100))
def get_waits(ask: Ask) -> Dict[str, Any]:
    """Runs that have not begun and steps that could go on but do not, each with its reason."""
    pipeline, limit = ask.query.get("pipeline"), ask.query["limit"]
    queued, going = (ask.store.recent_runs(pipeline, state, limit + 1) for state in ("queued", "running"))
    out = []
    for run in queued[:limit]:
        try:
            why = standing.waits(ask.desk, ask.store, run)
        except RunnerError as error:  # a text of an older version
            why = error.message
        out.append({"run": run.name, "step": "", "why": why, "since": run.created_at})
    for run in going[:limit]:
        reasons = standing.steps_wait(ask.desk, ask.store, run, ask.store.step_runs(run.id))
        out += [{"run": run.name, "step": step, "why": why, "since": run.started_at or run.created_at} for step, why in reasons.items() if why]
    return {"items": out, "whole": max(len(queued), len(going)) <= limit}
