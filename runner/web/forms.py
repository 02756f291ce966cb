"""The form of each act: which fields it has, filled with what is known or was typed, and the act that they ask for.

One table, FORMS, says which act is asked for where. What is wrong with a field is said beside it, all at once, and nothing
that was typed is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from runner import acts, model, params, schedule
from runner.acts.backfill import day_of
from runner.acts.marking import STATES
from runner.errors import NotFound, RunnerError
from runner.web.desk import Desk
from runner.web.views.common import as_typed

MOST_RUNS, SQUARES, MOST_STEPS = 30, 900, 200  # what there is to choose from
LONGEST_REASON = 500
_NUMBERS = {"integer": "1", "number": "any"}


class Wrong(Exception):
    """Field -> what is wrong with it."""

    def __init__(self, faults: Mapping[str, str]):
        super().__init__(str(faults))
        self.faults = dict(faults)


@dataclass(frozen=True)
class Field:
    name: str
    kind: str  # text, date, number, area, choice, switch, several, radio, grid
    value: Any = ""
    choices: Sequence[Tuple[str, str]] = ()  # (value, words; "" to be told in the person's language)
    required: bool = False
    label: str = ""  # of a parameter its own name; else told in the person's language
    hint: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)  # attributes of a number or text: min, max, step, pattern
    extra: Any = None


class Given:
    """What was typed, or stands in the address; else what a form begins with."""

    def __init__(self, values: Any, posted: bool):
        self.values, self.posted = values, posted

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default).strip().replace("\r\n", "\n")

    def several(self, name: str) -> List[str]:
        return self.values.getlist(name)

    def switch(self, name: str) -> bool:
        return self.values.get(name, "") == "1"


class Subject:
    """What a form is about: a pipeline, a run with its pipeline, or a backfill with its pipeline."""

    def __init__(self, own: Desk, store: Any, of: str, name: str, now: datetime):
        self.desk, self.store, self.of, self.now = own, store, of, now
        self.run: Optional[model.Run] = store.run(name) if of == "run" else None
        self.backfill: Optional[model.Backfill] = store.pipelines.backfill(int(name)) if of == "backfill" else None
        if of == "backfill" and self.backfill is None:
            raise NotFound(f"there is no backfill {name}")
        self.pipeline: str = (self.run or self.backfill).pipeline if self.run or self.backfill else name  # type: ignore[union-attr]
        self.row = store.pipelines.get(self.pipeline)
        if of == "pipeline" and self.row is None:
            own.pipeline_path(name)
        self.name = self.run.name if self.run else f"backfill {name}" if self.backfill else name
        self._spec: Optional[model.Pipeline] = None

    @property
    def spec(self) -> model.Pipeline:
        """The file as it is. Raises InvalidPipeline."""
        if self._spec is None:
            self._spec = self.desk.pipeline(self.pipeline)
        return self._spec

    @property
    def known_spec(self) -> Optional[model.Pipeline]:
        """As the run has it, or as it was last good; None when nobody can say."""
        digest = self.run.definition if self.run else self.row.definition if self.row else None
        try:
            return self.desk.definitions().get(digest) if digest else None
        except RunnerError:
            return None

    def steps(self) -> List[str]:
        spec = self.known_spec
        return [step.id for step in spec.steps] if spec else []


class Form(NamedTuple):
    act: str
    fields: Callable[[Subject, Given], List[Field]]
    asked: Callable[[Subject, Given], List[Any]]  # acts of acts.ACTS; raises Wrong
    why: bool = False  # whether a reason has to be given


# ----------------------------------------------------------------------------------------------------------- parameters


def _param_fields(subject: Subject, given: Given) -> List[Field]:
    known, _ = params.judge(subject.spec, (), subject.desk.environ)
    return [_param_field(param, given.values.get("param." + name, _typed(param, known.get(name)))) for name, param in subject.spec.params.items()]


def _param_field(param: model.Param, value: str) -> Field:
    name, more = "param." + param.name, {"label": param.name, "hint": param.description, "required": param.required and param.type not in ("string", "list", "object")}
    if param.enum is not None:
        none = [("", "")] if param.required else []
        return Field(name, "choice", value, [*none, *((as_typed(one), as_typed(one)) for one in param.enum)], **more)
    if param.type == "boolean":
        return Field(name, "choice", value, [*([("", "")] if param.required else []), ("true", "true"), ("false", "false")], **more)
    if param.type in _NUMBERS:
        limits = {"min": param.minimum, "max": param.maximum, "step": _NUMBERS[param.type]}
        return Field(name, "number", value, limits={key: f"{limit:g}" if isinstance(limit, (int, float)) else limit for key, limit in limits.items() if limit is not None}, **more)
    if param.type in ("list", "object") or "\n" in value:
        return Field(name, "area", value, extra=param.type, **more)
    return Field(name, "date" if param.type == "date" else "text", value, **more)


def _typed(param: model.Param, value: Any) -> str:
    """A value as a form shows it: a list of words one a line."""
    if value is None:
        return ""
    if param.type == "list" and all(isinstance(one, str) and one.strip() == one and one and "\n" not in one and one[0] not in "[{" for one in value):
        return "\n".join(value)
    return as_typed(value)


def _param_words(subject: Subject, given: Given) -> Tuple[Tuple[str, ...], Dict[str, str]]:
    """`name=value` of each that is not as it would be anyway, and what is wrong with some."""
    known, _ = params.judge(subject.spec, (), subject.desk.environ)
    words = []
    for name, param in subject.spec.params.items():
        before = _typed(param, known.get(name))
        text = given.values.get("param." + name, before).replace("\r\n", "\n")
        text = text if param.type == "string" else text.strip()
        if text == before:
            continue
        if param.type == "list" and text and text[0] != "[":
            text = json.dumps([line.strip() for line in text.split("\n") if line.strip()], ensure_ascii=False)
        words.append(f"{name}={text}")
    _, faults = params.judge(subject.spec, words, subject.desk.environ)
    return tuple(words), {"param." + fault.name: fault.message for fault in faults}


# ---------------------------------------------------------------------------------------------------- trigger, backfill


def _trigger_fields(subject: Subject, given: Given) -> List[Field]:
    spec = subject.spec
    near = _near_labels(spec, subject.now)
    daily = all(len(label) == 10 for label in near)
    steps = [(step.id, step.id) for step in spec.steps[:MOST_STEPS]]
    return [
        Field("date", "date" if daily and len(given.text("date")) in (0, 10) else "text", given.text("date"), [(label, label) for label in near], hint=near[0] if near and not daily else ""),
        *_param_fields(subject, given), Field("only", "several", given.several("only"), steps), Field("new", "switch", given.switch("new")),
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


def _trigger(subject: Subject, given: Given) -> List[Any]:
    words, faults = _param_words(subject, given)
    date = given.text("date") or None
    try:
        acts.date_for(subject.spec, date, subject.now)
    except RunnerError as error:
        faults["date"] = _told(error)
    _stop_at(faults)
    return [acts.Trigger(subject.pipeline, date, words, tuple(given.several("only")), given.switch("new"))]


def _backfill_fields(subject: Subject, given: Given) -> List[Field]:
    most = subject.spec.max_active_runs
    return [
        Field("first", "date", given.text("first"), required=True), Field("last", "date", given.text("last"), required=True), *_param_fields(subject, given),
        Field("parallel", "number", given.text("parallel", "1"), limits={"min": "1", "max": str(most), "step": "1"}, hint=f"max_active_runs: {most}"),
        Field("order", "radio", given.text("order", "oldest"), [("oldest", ""), ("newest", "")]),
        Field("repeat", "radio", given.text("repeat", "none"), [("none", ""), ("failed", ""), ("all", "")]),
    ]


def _backfill(subject: Subject, given: Given) -> List[Any]:
    words, faults = _param_words(subject, given)
    first, last, parallel, repeat = given.text("first"), given.text("last"), given.text("parallel", "1"), given.text("repeat", "none")
    for name, text in (("first", first), ("last", last)):
        try:
            day_of(text, name)
        except RunnerError:
            faults[name] = "not a date; write it as 2026-02-28"
    if not parallel.isdigit() or not 1 <= int(parallel) <= subject.spec.max_active_runs:
        faults["parallel"] = f"{subject.spec.name} allows 1 to {subject.spec.max_active_runs} at once (max_active_runs)"
    _stop_at(faults)
    return [acts.Backfill(subject.pipeline, first, last, words, int(parallel), given.text("order") == "newest", repeat == "failed", repeat == "all")]


# ---------------------------------------------------------------------------------------------------------------- rerun


def _rerun_fields(subject: Subject, given: Given) -> List[Field]:
    states = {row.step: row.state for row in subject.store.step_runs(subject.run.id)} if subject.run else {}
    steps = [(step, states.get(step, "none")) for step in subject.steps()[:MOST_STEPS]]
    what = given.text("what", "from" if given.several("from") else "failed" if subject.run and subject.run.state != "success" else "all")
    return [
        Field("what", "radio", what, [("failed", ""), ("from", ""), ("all", "")]), Field("from", "several", given.several("from"), steps, extra="states"),
        Field("keep_definition", "switch", given.switch("keep_definition")),
    ]


def _rerun(subject: Subject, given: Given) -> List[Any]:
    what, start = given.text("what"), tuple(given.several("from"))
    if what not in ("failed", "from", "all"):
        raise Wrong({"what": "choose one"})
    if what == "from" and not start:
        raise Wrong({"from": "choose the steps to begin from"})
    return [acts.Rerun(subject.name, what == "failed", start if what == "from" else (), what == "all", given.switch("keep_definition"))]


def _grid_fields(subject: Subject, given: Given) -> List[Field]:
    most = max(5, min(MOST_RUNS, SQUARES // max(len(subject.steps()), 1)))
    ticks = list(reversed(subject.store.pages.newest_of(subject.pipeline, most)))
    states = subject.store.pages.step_states(subject.pipeline, most) if ticks else {}
    columns = [{"id": str(tick.id), "label": tick.label, "state": tick.state, "steps": states.get(tick.id, {}), "free": tick.state in model.RUN_TERMINAL and tick.id in states} for tick in ticks]
    grid = {"columns": columns, "steps": subject.steps()[:MOST_STEPS], "runs": set(given.several("runs"))}
    return [
        Field("cells", "grid", set(given.several("cells")), extra=grid), Field("each", "radio", given.text("each", "failed"), [("failed", ""), ("all", "")]),
        Field("keep_definition", "switch", given.switch("keep_definition")),
    ]


def _grid(subject: Subject, given: Given) -> List[Any]:
    """Runs that were chosen whole, and single steps of others, oldest first."""
    runs, cells = set(given.several("runs")), {}  # type: ignore[var-annotated]
    for cell in given.several("cells"):
        number, _, step = cell.partition(":")
        cells.setdefault(number, []).append(step)
    if not runs and not cells:
        raise Wrong({"cells": "choose at least one run or step"})
    if runs & set(cells):
        raise Wrong({"cells": "of one run choose it whole, or steps of it, not both"})
    out = []
    for number in sorted(runs | set(cells), key=lambda text: int(text) if text.isdigit() else 0):
        row = subject.store.db.one("run_by_id", id=int(number)) if number.isdigit() else None
        if row is None or row["pipeline"] != subject.pipeline:
            raise Wrong({"cells": f"there is no run {number[:20]} of {subject.pipeline}"})
        start, keep = tuple(cells.get(number, ())), given.switch("keep_definition")
        out.append(acts.Rerun(row["name"], not start and given.text("each") != "all", start, not start and given.text("each") == "all", keep))
    return out


# --------------------------------------------------------------------------------------- stop, mark, pause, hold, release


def _stop_fields(subject: Subject, given: Given) -> List[Field]:
    return [Field("force", "switch", given.switch("force"))]


def _stop(subject: Subject, given: Given) -> List[Any]:
    if subject.backfill:
        return [acts.Stop(None, subject.backfill.id, given.switch("force"))]
    return [acts.Stop(subject.name, None, given.switch("force"))]


def _mark_fields(subject: Subject, given: Given) -> List[Field]:
    steps = [(step, step) for step in subject.steps()]
    return [Field("step", "choice", given.text("step"), [("", ""), *steps], required=True), Field("state", "radio", given.text("state", "success"), [(state, "state") for state in STATES])]


def _mark(subject: Subject, given: Given) -> List[Any]:
    faults = {} if given.text("step") in subject.steps() else {"step": "choose the step"}
    if given.text("state") not in STATES:
        faults["state"] = "choose one"
    _stop_at(faults)
    return [acts.Mark(subject.name, given.text("step"), given.text("state"))]


def _none(subject: Subject, given: Given) -> List[Field]:
    return []


def _hold_fields(subject: Subject, given: Given) -> List[Field]:
    return [Field("step", "choice", given.text("step"), [("", "whole"), *((step, step) for step in subject.steps())])]


def _release_fields(subject: Subject, given: Given) -> List[Field]:
    held = subject.store.pipelines.holds().get(subject.pipeline, {})
    return [Field("step", "choice", given.text("step"), [(step, step or "whole") for step in held])]


FORMS: Dict[Tuple[str, str], Form] = {
    ("pipeline", "trigger"): Form("trigger", _trigger_fields, _trigger),
    ("pipeline", "backfill"): Form("backfill", _backfill_fields, _backfill),
    ("pipeline", "rerun"): Form("rerun", _grid_fields, _grid),
    ("run", "rerun"): Form("rerun", _rerun_fields, _rerun),
    ("run", "stop"): Form("stop", _stop_fields, _stop, why=True),
    ("backfill", "stop"): Form("stop", _stop_fields, _stop, why=True),
    ("run", "mark"): Form("mark", _mark_fields, _mark, why=True),
    ("pipeline", "pause"): Form("pause", _none, lambda subject, given: [acts.Pause(subject.pipeline)], why=True),
    ("pipeline", "unpause"): Form("unpause", _none, lambda subject, given: [acts.Unpause(subject.pipeline)]),
    ("pipeline", "hold"): Form("hold", _hold_fields, lambda subject, given: [acts.Hold(subject.pipeline, given.text("step"))], why=True),
    ("pipeline", "release"): Form("release", _release_fields, lambda subject, given: [acts.Release(subject.pipeline, given.text("step"))]),
}


def fields_of(form: Form, subject: Subject, given: Given) -> List[Field]:
    """All of a form, with the reason as the last."""
    return [*form.fields(subject, given), Field("reason", "text", given.text("reason"), required=form.why, limits={"maxlength": str(LONGEST_REASON)})]


def asked_of(form: Form, subject: Subject, given: Given) -> Tuple[List[Any], str]:
    """The acts that are asked for, and why. Raises Wrong with every fault."""
    reason, faults = given.text("reason"), {}
    if form.why and not reason:
        faults["reason"] = "say why: it is kept, and shown to whoever wonders"
    if len(reason) > LONGEST_REASON:
        faults["reason"] = f"longer than {LONGEST_REASON} characters"
    try:
        found = form.asked(subject, given)
    except Wrong as wrong:
        raise Wrong({**wrong.faults, **faults}) from None
    _stop_at(faults)
    return found, reason


def _told(error: RunnerError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _stop_at(faults: Mapping[str, str]) -> None:
    if faults:
        raise Wrong(faults)
