"""The forms of one run and of the runs of a span of dates."""

from __future__ import annotations

from datetime import datetime
from typing import Any, List

from runner import acts, model, schedule
from runner.acts.backfill import day_of
from runner.errors import RunnerError
from runner.web.forms import parameters
from runner.web.forms.subject import Field, Given, Subject, some_steps, stop_at, told


def trigger_fields(subject: Subject, given: Given) -> List[Field]:
    spec = subject.spec
    near = _near_labels(spec, subject.now)
    daily = all(len(label) == 10 for label in near)
    steps = [(step.id, step.id) for step in spec.steps]
    return [
        Field("date", "date" if daily and len(given.text("date")) in (0, 10) else "text", given.text("date"), [(label, label) for label in near], hint=near[0] if near and not daily else ""),
        *parameters.fields(subject, given), some_steps("only", given, steps), Field("new", "switch", given.switch("new")),
    ]


def _near_labels(spec: model.Pipeline, now: datetime) -> List[str]:
    """Dates that its schedule has around now, as they are typed."""
    if spec.schedule is None:
        return []
    out, moment = [], now
    try:
        for _ in range(5):
            found = schedule.previous_due(spec.schedule, moment)
            if found is None:
                break
            moment = found
            out.append(acts.label_for(spec, schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, moment)))
    except RunnerError:
        pass
    return out


def trigger(subject: Subject, given: Given) -> List[Any]:
    words, faults = parameters.words_of(subject, given)
    date = given.text("date") or None
    try:
        acts.date_for(subject.spec, date, subject.now)
    except RunnerError as error:
        faults["date"] = told(error)
    stop_at(faults)
    return [acts.Trigger(subject.pipeline, date, words, tuple(given.several("only")), given.switch("new"))]


def backfill_fields(subject: Subject, given: Given) -> List[Field]:
    most = subject.spec.max_active_runs
    return [
        Field("first", "date", given.text("first"), required=True), Field("last", "date", given.text("last"), required=True), *parameters.fields(subject, given),
        Field("parallel", "number", given.text("parallel", "1"), limits={"min": "1", "max": str(most), "step": "1"}, hint=f"max_active_runs: {most}"),
        Field("order", "radio", given.text("order", "oldest"), [("oldest", ""), ("newest", "")]),
        Field("repeat", "radio", given.text("repeat", "none"), [("none", ""), ("failed", ""), ("all", "")]),
    ]


def backfill(subject: Subject, given: Given) -> List[Any]:
    words, faults = parameters.words_of(subject, given)
    first, last, parallel, repeat = given.text("first"), given.text("last"), given.text("parallel", "1"), given.text("repeat", "none")
    for name, text in (("first", first), ("last", last)):
        try:
            day_of(text, name)
        except RunnerError:
            faults[name] = "not a date; write it as 2026-02-28"
    if not parallel.isdigit() or not 1 <= int(parallel) <= subject.spec.max_active_runs:
        faults["parallel"] = f"{subject.spec.name} allows 1 to {subject.spec.max_active_runs} at once (max_active_runs)"
    stop_at(faults)
    return [acts.Backfill(subject.pipeline, first, last, words, int(parallel), given.text("order") == "newest", repeat == "failed", repeat == "all")]
