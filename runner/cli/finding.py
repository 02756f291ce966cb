"""The run that a word on the command line means."""

from __future__ import annotations

import os

from runner import model
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
