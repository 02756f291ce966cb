"""One run: its steps and why each waits, in time and as a graph, and what differs from the last good one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from runner import acts, model, ownership, standing
from runner.web.desk import Desk
from runner.web.draw import gantt, graph
from runner.web.views import common

MOST_ROWS = 300  # steps of the table; of more, those that went well and were made by foreach are left out
MOST_LINES = 120  # of the picture in time


def view(desk: Desk, store, now: datetime, args: Mapping[str, str], name: str, address) -> Dict[str, Any]:
    """`address(step)`: where the log of a step is shown. Raises NotFound for a run that is not there."""
    run = store.run(name)
    rows = store.step_runs(run.id)
    spec = common.definition(desk, run)
    zone = run.date.due.tzinfo
    facts = common.run_facts(desk, run)
    facts.update(
        only=list(run.only) if run.only else None, stop_requested=run.stop_requested, backfill=run.backfill, waits=standing.waits(desk, store, run) if spec else "",
        worked_on_by=ownership.about(desk.config.engines_folder, run.engine) if run.engine and standing.is_worked_on(desk, run) else None,
        parent=_name(store, run.parent), terminal=run.state in model.RUN_TERMINAL, definition=run.definition,
    )
    steps = _steps(desk, store, run, rows, spec, zone)
    shown = steps if len(steps) <= MOST_ROWS else [step for step in steps if step["item"] is None or step["state"] != "success"][:MOST_ROWS]
    deadlines = store.pages.deadlines_of(run.id)
    lit = _critical(steps, now)
    return {
        "place": "", "run": facts, "steps": shown, "left_out": len(steps) - len(shown), "counts": _counts(steps),
        "deadlines": [{"step": step, "at": common.local(each["at"], zone), "outcome": each["outcome"]} for step, each in deadlines.items()],
        "alerts": [{**each, "at": common.local(each["at"], zone)} for each in store.pages.alerts_of(run.name)],
        "changes": _changes(desk, store, run, spec), "about": {"description": spec.description if spec else "", "owner": spec.owner if spec else "", "tags": list(common.tags_of(desk, store, run.pipeline))},
        "pictures": {"gantt": _gantt(run, shown, now, deadlines, address, lit), "graph": _graph(spec, steps, now, address, lit)}, "critical": sorted(lit),
        "every": 2 if run.state not in model.RUN_TERMINAL else 10,
    }


def _name(store, number: Optional[int]) -> Optional[str]:
    row = store.db.one("run_by_id", id=number) if number is not None else None
    return row["name"] if row else None


def _steps(desk: Desk, store, run: model.Run, rows: Sequence[model.StepRun], spec: Optional[model.Pipeline], zone) -> List[Dict[str, Any]]:
    waits, notes = standing.steps_wait(desk, store, run, rows), standing.notes(store, run, rows)
    attempts: Dict[str, List[Dict[str, Any]]] = {}
    for each in store.attempts(run.id):
        attempts.setdefault(each.step, []).append({
            "number": each.number, "state": each.state, "reason": each.reason, "exit_code": each.exit_code,
            "started_at": common.local(each.started_at, zone), "ended_at": common.local(each.ended_at, zone),
        })
    out, states = [], {row.step: row.state for row in rows}
    for row in rows:
        step = _step(spec, row.step)
        out.append({
            "id": row.step, "kind": step.kind if step else "", "needs": list(step.needs) if step else [], "state": row.state, "reason": row.reason,
            "waits": waits.get(row.step) or (_waits_for(step, states) if run.state == "running" and row.state == "pending" else None), "note": notes.get(row.step), "tries": row.tries, "retries": step.retry.limit if step else 0,
            "started_at": common.local(row.started_at, zone), "ended_at": common.local(row.ended_at, zone), "retry_at": common.local(row.retry_at, zone),
            "item": row.item, "outputs": {key: common.as_typed(value) for key, value in row.outputs.items()}, "attempts": attempts.get(row.step, []),
            "description": step.description if step else "", "has_log": bool(attempts.get(row.step)) and not (step and step.slotless),
            "allow_failure": bool(step and step.allow_failure), "trigger_rule": step.trigger_rule if step else "all_success",
        })
    return out


def _waits_for(step: Optional[model.Step], states: Mapping[str, str]) -> Optional[str]:
    """The steps that it needs and that have not ended."""
    open_ones = [need for need in step.needs if states.get(need) not in model.STEP_TERMINAL] if step else []
    return f"waits for {', '.join(open_ones[:5])}" + (f" and {len(open_ones) - 5} more" if len(open_ones) > 5 else "") if open_ones else None


def _step(spec: Optional[model.Pipeline], step_id: str) -> Optional[model.Step]:
    try:
        return spec.step(step_id) if spec else None
    except KeyError:
        return None


def _counts(steps: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
    """State -> how many, in the order of the states."""
    found = [step["state"] for step in steps]
    return {state: found.count(state) for state in model.STEP_STATES if state in found}


def _changes(desk: Desk, store, run: model.Run, spec: Optional[model.Pipeline]) -> Optional[Dict[str, Any]]:
    """What differs from the last run that went well, which is where one looks first when this one did not."""
    last = store.last_success_before(run.pipeline, run.date.due)
    if last is None or spec is None or run.state == "success":
        return None
    before = common.definition(desk, last)
    lines = acts.definition_changes(before, spec) if before is not None and last.definition != run.definition else []
    params = [f"{name}: {common.as_typed(last.params.get(name))} → {common.as_typed(run.params.get(name))}"
              for name in sorted({*last.params, *run.params}) if last.params.get(name) != run.params.get(name)]
    return {"since": last.name, "file": last.definition != run.definition, "steps": lines, "params": params, "before": last.definition, "after": run.definition}


def _critical(steps: Sequence[Mapping[str, Any]], now: datetime) -> Set[str]:
    """The steps that made the run as long as it is; of one that goes on, as long as it is by now."""
    needs = {step["id"]: step["needs"] for step in steps}
    return gantt.critical(needs, {step["id"]: step["ended_at"] or now for step in steps if step["attempts"]})


def _gantt(run: model.Run, steps: Sequence[Mapping[str, Any]], now: datetime, deadlines, address, lit: Set[str]) -> str:
    began = [step["attempts"][0]["started_at"] for step in steps if step["attempts"]]
    if not began:
        return ""
    lines = []
    for step in steps[:MOST_LINES]:
        bars = [gantt.Bar(each["state"], each["started_at"], each["ended_at"], each["reason"]) for each in step["attempts"]]
        lines.append(gantt.Line(step["id"], step["state"], bars, address(step["id"]) if step["has_log"] else ""))
    whole = deadlines.get("")
    near = [whole["at"]] if whole and run.started_at and abs((whole["at"] - (run.ended_at or now)).total_seconds()) < 4 * max(60.0, ((run.ended_at or now) - min(began)).total_seconds()) else []
    return gantt.gantt(lines, min(began), now, run.date.due.tzinfo, lit=lit, ended=run.ended_at, deadlines=near, label=run.name)


def _graph(spec: Optional[model.Pipeline], steps: Sequence[Mapping[str, Any]], now: datetime, address, lit: Set[str]) -> str:
    if spec is None or len(spec.steps) > graph.MOST:
        return ""
    known = {step["id"]: step for step in steps}
    made: Dict[str, List[str]] = {}
    for step in steps:
        if model.parent_of(step["id"]) != step["id"]:
            made.setdefault(model.parent_of(step["id"]), []).append(step["state"])
    nodes = []
    for step in spec.steps:
        row = known.get(step.id)
        state = row["state"] if row else "none"
        under = common.took(row["started_at"], row["ended_at"], now) if row else ""
        if step.id in made:
            under = f"{made[step.id].count('success')}/{len(made[step.id])}  {under}"
        words = f"{step.id} ({step.kind}): {state}" + (f": {row['reason'] or row['waits'] or ''}" if row else "")
        nodes.append(graph.Node(step.id, step.needs, state, words, under, address(step.id) if row and row["has_log"] else ""))
    return graph.graph(nodes, spec.name, lit)
