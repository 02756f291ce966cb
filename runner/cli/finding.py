"""The run that a word on the command line means: for reading the newest, for an act only what it can be meant for."""

from __future__ import annotations

import os
from typing import Optional, Sequence, Tuple

from runner import model, standing
from runner.cli.app import SUFFIXES, App
from runner.errors import NotFound, UsageError

LATEST = "latest"
SHOWN = 10  # runs that a refusal lists


def find_run(app: App, store, text: str) -> model.Run:
    """A run by its name, the newest of a pipeline by the pipeline's name or file, or the newest of all by `latest`."""
    if "@" in text:
        return store.run(text)
    pipeline = pipeline_of(text)
    runs = store.recent_runs(pipeline, None, 1) or (store.recent_runs(None, None, 1) if text == LATEST else [])
    if runs:
        return runs[0]
    if text == LATEST:
        raise NotFound("nothing ran here yet", "type: runner run PIPELINE")
    if text in app.pipeline_names() or text.endswith(SUFFIXES):
        raise NotFound(f"pipeline {pipeline} never ran", f"type: runner run {text}")
    return store.run(text)  # which names near ones


def find_open(app: App, store, text: str) -> model.Run:
    """The run to end: by its name, or the only one of a pipeline, or of all, that has not ended. Raises UsageError where there are several."""
    if "@" in text:
        return store.run(text)
    pipeline = _scope(store, text)
    found = [run for state in ("running", "queued") for run in store.recent_runs(pipeline, state, SHOWN + 1)]
    if len(found) > 1:
        raise several(pipeline, [(run.name, standing.shown_state(app, run)) for run in found])
    return found[0] if found else find_run(app, store, text)


def find_begun(app: App, store, text: str) -> model.Run:
    """The run to repair: by its name, or the newest of a pipeline, or of all, that has begun; one that only waits is none."""
    return store.run(text) if "@" in text else store.newest_begun(_scope(store, text)) or find_run(app, store, text)


def several(pipeline: Optional[str], found: Sequence[Tuple[str, str]]) -> UsageError:
    """The refusal to choose among (run, its state): each with what to type."""
    wide = max(len(name) for name, _ in found[:SHOWN])
    lines = [f"runner stop {name:<{wide}}   {state}" for name, state in found[:SHOWN]]
    more = [f"and more: runner runs{' ' + pipeline if pipeline else ''} --state queued"] if len(found) > SHOWN else []
    return UsageError(f"{'of ' + pipeline if pipeline else 'here'} more than one run has not ended: say which", "\n  ".join(lines + more))


def pipeline_of(text: str) -> str:
    """Of a pipeline's file its name."""
    return os.path.splitext(os.path.basename(text))[0] if text.endswith(SUFFIXES) else text


def _scope(store, text: str) -> Optional[str]:
    """The pipeline that is meant; None for all of them, which `latest` means unless a pipeline has that name."""
    return None if text == LATEST and not store.recent_runs(LATEST, None, 1) else pipeline_of(text)
