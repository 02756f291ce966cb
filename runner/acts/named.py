"""What a person means by a name: a pipeline's file, and its text as a run has it or as it is today.

`app` is what a command line or a page has: `config`, `clock`, `environ`, `site()`, `pipeline(name)`, `pipeline_path(name)`
and `store_if_any()`.
"""

from __future__ import annotations

import difflib
import os
from typing import Any, Sequence, Tuple

from runner import model
from runner.errors import NotFound
from runner.spec.finding import SUFFIXES


def known(app: Any, reference: str) -> Tuple[str, str]:
    """A pipeline's name and file; one whose file is gone or has faults is known by its row."""
    try:
        path = app.pipeline_path(reference)
        return os.path.splitext(os.path.basename(path))[0], path
    except NotFound:
        store = app.store_if_any()
        row = store.pipelines.get(reference) if store and not reference.endswith(SUFFIXES) else None
        if row is None:
            raise
        return row.name, row.path


def as_run_has_it(app: Any, store: Any, run: model.Run) -> model.Pipeline:
    """The pipeline as the run has it."""
    from runner.spec.check import load_text

    row = store.definition(run.definition)
    return load_text(row["text"], row["path"], row["pipeline"], app.site())


def todays(app: Any, before: model.Pipeline) -> model.Pipeline:
    """The file as it is now; as the run has it when the file is gone."""
    from runner.spec.check import load_pipeline

    return load_pipeline(before.path, app.site()) if os.path.isfile(before.path) else before


def check_steps(pipeline: model.Pipeline, wanted: Sequence[str]) -> None:
    """Raises NotFound for a step that the pipeline does not have."""
    known_ones = [step.id for step in pipeline.steps]
    for name in wanted:
        if name not in known_ones:
            near = difflib.get_close_matches(name, known_ones, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else "steps: " + ", ".join(known_ones[:20])
            raise NotFound(f"pipeline {pipeline.name} has no step {name}", hint)
