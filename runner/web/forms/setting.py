"""The forms of what is set: the end of a run, the result of a step, a schedule and what is held."""

from __future__ import annotations

from typing import Any, List

from runner import acts
from runner.acts.marking import STATES
from runner.web.forms.subject import Field, Given, Subject, one_step, stop_at


def stop_fields(subject: Subject, given: Given) -> List[Field]:
    return [Field("force", "switch", given.switch("force"))]


def stop(subject: Subject, given: Given) -> List[Any]:
    if subject.backfill:
        return [acts.Stop(None, subject.backfill.id, given.switch("force"))]
    return [acts.Stop(subject.name, None, given.switch("force"))]


def mark_fields(subject: Subject, given: Given) -> List[Field]:
    return [one_step(given, subject.steps(), "", True), Field("state", "radio", given.text("state", "success"), [(state, "state") for state in STATES])]


def mark(subject: Subject, given: Given) -> List[Any]:
    faults = {} if given.text("step") in subject.steps() else {"step": "choose the step"}
    if given.text("state") not in STATES:
        faults["state"] = "choose one"
    stop_at(faults)
    return [acts.Mark(subject.name, given.text("step"), given.text("state"))]


def no_fields(subject: Subject, given: Given) -> List[Field]:
    return []


def hold_fields(subject: Subject, given: Given) -> List[Field]:
    return [one_step(given, subject.steps(), "whole")]


def release_fields(subject: Subject, given: Given) -> List[Field]:
    held = subject.store.pipelines.holds().get(subject.pipeline, {})
    return [Field("step", "choice", given.text("step"), [(step, step or "whole") for step in held])]


def pause(subject: Subject, given: Given) -> List[Any]:
    return [acts.Pause(subject.pipeline)]


def unpause(subject: Subject, given: Given) -> List[Any]:
    return [acts.Unpause(subject.pipeline)]


def hold(subject: Subject, given: Given) -> List[Any]:
    return [acts.Hold(subject.pipeline, given.text("step"))]


def release(subject: Subject, given: Given) -> List[Any]:
    return [acts.Release(subject.pipeline, given.text("step"))]
