"""The forms of a rerun: of one run, and of runs and steps that are chosen in the grid."""

from __future__ import annotations

from typing import Any, List

from runner import acts, model
from runner.web.forms.subject import MOST_STEPS, Field, Given, Subject, Wrong, some_steps

MOST_RUNS, SQUARES = 30, 900  # of a grid to choose from


def rerun_fields(subject: Subject, given: Given) -> List[Field]:
    states = {row.step: row.state for row in subject.store.step_runs(subject.run.id)} if subject.run else {}
    steps = [(step, states.get(step, "none")) for step in subject.steps()]
    what = given.text("what", "from" if given.several("from") else "failed" if subject.run and subject.run.state != "success" else "all")
    return [
        Field("what", "radio", what, [("failed", ""), ("from", ""), ("all", "")]), some_steps("from", given, steps, "states"),
        Field("keep_definition", "switch", given.switch("keep_definition")),
    ]


def rerun(subject: Subject, given: Given) -> List[Any]:
    what, start = given.text("what"), tuple(given.several("from"))
    if what not in ("failed", "from", "all"):
        raise Wrong({"what": "choose one"})
    if what == "from" and not start:
        raise Wrong({"from": "choose the steps to begin from"})
    return [acts.Rerun(subject.name, what == "failed", start if what == "from" else (), what == "all", given.switch("keep_definition"))]


def grid_fields(subject: Subject, given: Given) -> List[Field]:
    most = max(5, min(MOST_RUNS, SQUARES // max(len(subject.steps()), 1)))
    ticks = list(reversed(subject.store.pages.newest_of(subject.pipeline, most)))
    states = subject.store.pages.step_states(subject.pipeline, most) if ticks else {}
    columns = [{"id": str(tick.id), "label": tick.label, "state": tick.state, "steps": states.get(tick.id, {}), "free": tick.state in model.RUN_TERMINAL and tick.id in states} for tick in ticks]
    grid = {"columns": columns, "steps": subject.steps()[:MOST_STEPS], "runs": set(given.several("runs"))}
    return [
        Field("cells", "grid", set(given.several("cells")), extra=grid), Field("each", "radio", given.text("each", "failed"), [("failed", ""), ("all", "")]),
        Field("keep_definition", "switch", given.switch("keep_definition")),
    ]


def grid(subject: Subject, given: Given) -> List[Any]:
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
