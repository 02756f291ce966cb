"""A run as programs read it: the shape that every JSON of one has."""

from __future__ import annotations

from typing import Sequence

from runner import model


def run_json(run: model.Run, rows: Sequence[model.StepRun]) -> dict:
    """The run with its steps."""
    return {
        "name": run.name, "pipeline": run.pipeline, "state": run.state, "reason": run.reason,
        "ds": run.date.logical.strftime("%Y-%m-%d"), "logical_date": run.date.logical, "due_at": run.date.due,
        "data_interval_start": run.date.interval_start, "data_interval_end": run.date.interval_end,
        "trigger": run.trigger, "params": dict(run.params), "created_at": run.created_at, "started_at": run.started_at,
        "ended_at": run.ended_at,
        "steps": [
            {"id": row.step, "state": row.state, "reason": row.reason, "tries": row.tries, "started_at": row.started_at,
             "ended_at": row.ended_at, "retry_at": row.retry_at, "outputs": dict(row.outputs)}
            for row in rows
        ],
    }
