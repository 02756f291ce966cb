"""The run that a word on the command line means, and whether anybody works on it."""

from __future__ import annotations

import os
from zoneinfo import ZoneInfo

from runner import model, ownership
from runner.cli.app import SUFFIXES, App
from runner.errors import NotFound

LATEST = "latest"


def find_run(app: App, store, text: str) -> model.Run:
    """A run by its name, the newest of a pipeline by the pipeline's name or file, or the newest of all by `latest`."""
    if "@" in text:
        return store.run(text)
    pipeline = os.path.splitext(os.path.basename(text))[0] if text.endswith(SUFFIXES) else text
    runs = store.recent_runs(pipeline, None, 1) or (store.recent_runs(None, None, 1) if text == LATEST else [])
    if runs:
        return runs[0]
    if text == LATEST:
        raise NotFound("nothing ran here yet", "type: runner run PIPELINE")
    if text in app.pipeline_names() or text.endswith(SUFFIXES):
        raise NotFound(f"pipeline {pipeline} never ran", f"type: runner run {text}")
    return store.run(text)  # which names near ones


def zone_of(run: model.Run) -> ZoneInfo:
    """The zone in which a run's moments are shown: its own."""
    return ZoneInfo(run.date.timezone)


def is_worked_on(app: App, run: model.Run) -> bool:
    """Whether a living process works on the run."""
    return ownership.is_alive(app.config.engines_folder, run.engine)


def shown_state(app: App, run: model.Run) -> str:
    """The run's state; `interrupted` where the process that worked on it died."""
    if run.state in model.RUN_TERMINAL or is_worked_on(app, run):
        return run.state
    return "interrupted" if run.state == "running" or run.engine else run.state
