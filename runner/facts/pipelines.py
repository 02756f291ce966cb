"""A pipeline: as one of a list, whole as its file says it, and the next times it is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Union
from zoneinfo import ZoneInfo

from runner import model, schedule, standing
from runner.definitions import Definitions
from runner.errors import RunnerError
from runner.spec import folder
from runner.spec.report import brief_place


class Entry(NamedTuple):
    """One pipeline file, good or not."""

    file: folder.FileReport
    due: Optional[datetime]  # the next time, in the pipeline's zone
    last: Optional[Any]  # its newest run that began: name, state, ended and timezone by those names
    last_state: str
    row: Optional[model.PipelineRow] = None  # what the daemon knows of it
    held: str = ""  # by whom, when the whole of it is held
    good: Optional[Mapping[str, Any]] = None  # of a file with faults: what its last good text says
    waiting: int = 0  # runs that wait to begin


def first_fault(file: folder.FileReport) -> Optional[str]:
    errors = [problem for problem in file.problems if problem.severity == "error"]
    return f"{brief_place(errors[0], file.path)}: {errors[0].message}" if errors else None


def last_good(definitions: Definitions, file: folder.FileReport, row: Optional[model.PipelineRow]) -> Optional[Mapping[str, Any]]:
    """What a list shows of the text that stays in force while the file has faults; None where there is none, and of a good file."""
    if file.good or row is None or not row.definition or row.gone_at:
        return None
    try:
        return folder.summary(definitions.get(row.definition))
    except RunnerError:  # a text of an older version
        return None


def in_its_zone(app: Any, row: Optional[model.PipelineRow], about: Optional[Mapping[str, Any]]) -> Optional[datetime]:
    """When the daemon starts it next, by the pipeline's clock."""
    return row.next_due.astimezone(ZoneInfo((about or {}).get("timezone") or app.config.timezone)) if row and row.next_due else None


def as_entry(entry: Entry) -> Dict[str, Any]:
    """As `runner list --json` gives it."""
    from runner.facts.runs import local

    file, row = entry.file, entry.row
    about: Mapping[str, Any] = entry.good or file.summary or {}
    last = {"name": entry.last.name, "state": entry.last.state, "interrupted": entry.last_state == "interrupted",
            "ended_at": local(entry.last.ended_at, ZoneInfo(entry.last.date.timezone))} if entry.last else None
    return {
        "name": file.name, "path": file.path, "problem": first_fault(file), "schedule": about.get("schedule"), "timezone": about.get("timezone"),
        "next_due": entry.due, "held": entry.held or None, "paused_by": row.paused_by if row else None, "pause_reason": row.pause_reason if row else "",
        "broken": row.broken or None if row else None, "owner": about.get("owner", ""), "tags": list(about.get("tags", ())),
        "description": about.get("description", ""), "last_run": last,
        "waiting": entry.waiting,
    }


def as_shown(spec: model.Pipeline) -> Dict[str, Any]:
    """As `runner show --json` gives it."""
    return {
        "name": spec.name, "path": spec.path, "description": spec.description, "doc_md": spec.doc_md, "owner": spec.owner, "tags": list(spec.tags),
        "schedule": spec.schedule.text if spec.schedule else None, "timezone": spec.timezone, "logical_date": spec.logical_date,
        "catchup": spec.catchup, "max_active_runs": spec.max_active_runs, "max_active_steps": spec.max_active_steps,
        "depends_on_past": spec.depends_on_past, "timeout": spec.timeout, **_telling(spec),
        "params": {name: {"type": p.type, "default": p.default, "required": p.required, "enum": list(p.enum) if p.enum else None,
                          "description": p.description} for name, p in spec.params.items()},
        "steps": [
            {"id": s.id, "kind": s.kind, "needs": list(s.needs), "trigger_rule": s.trigger_rule, "when": s.when,
             "retries": s.retry.limit, "retry_delay": s.retry.delay, "timeout": s.timeout, "allow_failure": s.allow_failure,
             "description": s.description, "line": s.line, **_telling(s)}
            for s in in_order(spec)
        ],
    }


def _telling(said: Union[model.Pipeline, model.Step]) -> Dict[str, Any]:
    tells = {f"on_{event}": {"alert": list(tell.channels), "bash": tell.bash} for event, tell in said.tell.items()}
    return {"deadline": said.deadline.text if said.deadline else None, **tells}


def in_order(spec: model.Pipeline) -> List[model.Step]:
    """Each step behind what it needs, and otherwise as in the file: a branch is followed before the next begins."""
    waits = {step.id: len(step.needs) for step in spec.steps}
    behind: Dict[str, List[model.Step]] = {step.id: [] for step in spec.steps}
    for step in spec.steps:
        for need in step.needs:
            behind[need].append(step)
    ready = [step for step in reversed(spec.steps) if not step.needs]
    out = []
    while ready:
        step = ready.pop()
        out.append(step)
        for follower in reversed(behind[step.id]):
            waits[follower.id] -= 1
            if not waits[follower.id]:
                ready.append(follower)
    return out


def times(spec: model.Pipeline, after: datetime, count: int) -> List[model.LogicalDate]:
    """The next dates; fewer where the schedule ends."""
    out: List[model.LogicalDate] = []
    moment: Optional[datetime] = after
    while spec.schedule and moment is not None and len(out) < count:
        moment = schedule.next_due(spec.schedule, moment)
        if moment is not None:
            out.append(schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, moment))
    return out


def as_date(date: model.LogicalDate) -> Dict[str, Any]:
    """As `runner next --json` gives each."""
    return {"due_at": date.due, "timezone": date.timezone, "ds": f"{date.logical:%Y-%m-%d}", "logical_date": date.logical, "data_interval_start": date.interval_start,
            "data_interval_end": date.interval_end}


def entries_of_rows(app: Any, store: Any, files: Sequence[folder.FileReport]) -> Iterator[Entry]:
    """The files with what the daemon keeps of them: the due times are those it will take."""
    known = {row.name: row for row in store.pipelines.all()}
    holds, waiting = store.pipelines.holds(), store.waiting_counts()
    for file in files:
        row, last = known.get(file.name), store.last_run_of(file.name)
        good = last_good(app.definitions(), file, row)
        state, held = standing.shown_state(app, last) if last else "", holds.get(file.name, {}).get("", "")
        yield Entry(file, in_its_zone(app, row, good or file.summary), last, state, row, held, good, waiting.get(file.name, 0))
