"""Writes what is to be told, in the transaction of the change that it tells of. The engine calls `note` at each change."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence

from runner import model
from runner.alerts import channels
from runner.clock import to_text
from runner.errors import EnvironmentFault

_OF_STEP = {"failed": "failure", "success": "success", "retry_wait": "retry"}
_OF_RUN = {"failed": "failure", "success": "success"}


class Recorder:
    """For one process; `news` is set when something was written, and taken back by whoever sends it."""

    def __init__(self, home: str):
        self.book = channels.Kept(home).book
        self.news = False

    def note(
        self, store, run: model.Run, pipeline: model.Pipeline, step: Optional[str], state: str, reason: str, number: Optional[int], now: datetime
    ) -> None:
        """A run, or a step of it, has come to `state`."""
        event = (_OF_RUN if step is None else _OF_STEP).get(state)
        if step and "[" in step and event != "retry":
            return  # one of a mapped step: the whole of it tells
        tell = event and self.whom(pipeline, step, event)
        if not tell:
            return
        facts = {**facts_of(pipeline, run), "state": state, "reason": reason, "step": step}
        try:
            about = (store, run, pipeline)
            facts.update(_run_facts(*about, state, reason) if step is None else _step_facts(*about, step, state, reason, number))
        except EnvironmentFault:  # of the database: the change itself is not written either
            raise
        except Exception as error:  # noqa: BLE001 - whatever is odd about it, the run goes on and somebody is told
            facts["reason"] = f"{reason} (more is not known: {type(error).__name__}: {error})"
        key = "/".join(str(part) for part in (run.name, step, number, event, to_text(now)) if part)
        self.add(store, tell, key, event, now, facts, run=run.name, pipeline=pipeline.name, step=step or "")

    def add(self, store, tell: model.Tell, key: str, event: str, now: datetime, facts: Mapping[str, Any], **about: str) -> bool:
        """One row for each channel; False when all of them are there already."""
        added = [store.alerts.add(key, name, event, now, facts, **about) for name in tell.channels]
        if tell.bash:
            added.append(store.alerts.add(key, channels.BASH, event, now, {**facts, "bash": tell.bash}, **about))
        self.news = self.news or any(added)
        return any(added)

    def whom(self, pipeline: model.Pipeline, step: Optional[str], event: str) -> Optional[model.Tell]:
        """Who is told: as the step says, else the pipeline, else the site; of a deadline, else who is told of failures."""
        for said in self._said(pipeline, step, event):
            if said is not None:
                return said if said.channels or said.bash else None
        return None

    def _said(self, pipeline: model.Pipeline, step: Optional[str], event: str):
        found = pipeline.step(step) if step else None
        if found:
            yield found.tell.get(event)
            if event in ("failure", "success"):
                return  # the pipeline's is about the run
        yield pipeline.tell.get(event)
        yield self._site(event)
        if event == "late":
            yield found.tell.get("failure") if found else None
            yield pipeline.tell.get("failure")
            yield self._site("failure")

    def _site(self, event: str) -> Optional[model.Tell]:
        """What alerts.yaml says; while it has a fault this is left open, so that nothing is lost by it."""
        try:
            default = self.book().default
        except EnvironmentFault:
            return model.Tell((channels.DEFAULT,))
        return model.Tell(default[event]) if event in default else None


def facts_of(pipeline: model.Pipeline, run: model.Run) -> Dict[str, Any]:
    """What every alert about a run holds."""
    return {
        "ds": f"{run.date.logical:%Y-%m-%d}", "zone": run.date.timezone, "owner": pipeline.owner, "description": pipeline.description,
        "trigger": run.trigger,
    }


def _run_facts(store, run: model.Run, pipeline: model.Pipeline, state: str, reason: str) -> Dict[str, Any]:
    """Of a run that failed it is told which step did first, and what that said."""
    facts: Dict[str, Any] = {"state": state, "reason": reason}
    failed = [row for row in store.step_runs(run.id) if row.state == "failed"] if state == "failed" else []
    if not failed:
        return facts
    first = min(failed, key=lambda row: row.ended_at or run.created_at)
    facts.update(_step_facts(store, run, pipeline, first.step, state, first.reason or reason, None))
    return {**facts, "failed": [[row.step, row.reason] for row in failed[:200]]}


def _step_facts(store, run, pipeline, step: str, state: str, reason: str, number: Optional[int]) -> Dict[str, Any]:
    row = next(row for row in store.step_runs(run.id) if row.step == step)
    return {
        "state": state, "reason": reason, "step": step, "attempt": row.tries, "attempts": pipeline.step(step).retry.limit + 1,
        "next_at": to_text(row.retry_at) if row.retry_at else None, **_attempt_facts(store, run, step, number),
    }


def _attempt_facts(store, run: model.Run, step: str, number: Optional[int]) -> Dict[str, Any]:
    attempts: List[model.Attempt] = store.attempts(run.id, step)
    found: Sequence[model.Attempt] = [each for each in attempts if each.number == number] or attempts[-1:]
    if not found:
        mapped = [row.step for row in store.step_runs(run.id) if row.step.startswith(step + "[") and row.state == "failed"]
        return {**_attempt_facts(store, run, mapped[0], None), "log_of": mapped[0]} if mapped else {}
    return {"number": found[0].number, "exit_code": found[0].exit_code, "log_file": os.path.join(found[0].folder, "log")}
