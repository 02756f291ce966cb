"""A run that a step starts for its own date, and waits for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, List, Mapping, Tuple

from runner import acts, model, params
from runner.definitions import Definitions
from runner.errors import Conflict, UsageError
from runner.planning import plan
from runner.store import Store
from runner.waits.runs import Seen

DEPTH = 10  # runs that start runs that start runs


def begin(
    store: Store, definitions: Definitions, probe: Mapping[str, Any], parent: model.Run, now: datetime
) -> Tuple[model.Run, model.Pipeline]:
    """The run of the named pipeline for the date: made, or the one that is there, repaired when it had failed.

    It has the same date as the run above, unless the step says another. Raises RunnerError with what is in the way.
    """
    name, who = probe["pipeline"], f"run {parent.name}"
    above = _above(store, parent)
    if name in above:
        raise UsageError("pipelines start each other in a circle: " + " -> ".join([*reversed(above), name]))
    if len(above) >= DEPTH:
        raise UsageError(f"{DEPTH} pipelines have started each other already: " + " -> ".join(reversed(above)))
    spec = definitions.named(name, probe.get("beside", ""))
    date = acts.date_for(spec, probe.get("date") or parent.name.partition("@")[2].partition("#")[0], now)
    values = params.resolve(spec, [f"{key}={_text(value)}" for key, value in (probe.get("params") or {}).items()], {})
    there = store.runs_of(spec.name, date.due)
    if not there or (probe.get("if_exists") == "again" and there[-1].parent != parent.id):
        return acts.create_run(
            store, spec, date, params=values, at=now, trigger="pipeline", who=who, parent=parent.id, new=bool(there)
        ), spec
    run = there[-1]
    if probe.get("if_exists") == "fail" and run.parent != parent.id:
        raise Conflict(f"run {run.name} exists ({run.state})", "if_exists: continue takes it as it is and repairs what failed")
    if run.state == "missed":
        return acts.revive(store, run, spec, at=now, who=who), spec
    if run.state in ("failed", "killed"):
        states = {row.step: row.state for row in store.step_runs(run.id)}
        return acts.reset(store, run, spec, plan.rerun_set(spec, states, failed=True), at=now, who=who, repair=True), spec
    return run, spec


def _above(store: Store, run: model.Run) -> List[str]:
    """The pipelines that led to this run, the nearest first."""
    names = [run.pipeline]
    while run.parent is not None and len(names) <= DEPTH:
        run = store.run_by_id(run.parent)
        names.append(run.pipeline)
    return names


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def look(store: Store, run_id: int) -> Seen:
    """Whether it has ended, and how."""
    run = store.run_by_id(run_id)
    if run.state == "success":
        return Seen(ready={"run": run.name})
    if run.state in model.RUN_TERMINAL:
        return Seen(failed=f"run {run.name} {run.state}" + (f" ({run.reason})" if run.reason else ""))
    return Seen(missing=f"run {run.name} is {run.state}")
