"""What the steps of a run printed."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

import flask

from runner import logtail, model
from runner.errors import NotFound
from runner.facts import logs as facts
from runner.web.api.ask import Ask
from runner.web.api.operation import Bytes, read, schemas
from runner.web.api.shapes import many, ref, text, thing, truth, whole
from runner.web.api.steps import step_of

_LINES = whole("How many lines of the end.", 0, 100_000, default=50)
_ATTEMPT = whole("Which attempt; else the last.", 1, 1_000_000)
schemas(
    LogPart=thing(
        "Lines of the log of one attempt.", step=text("The step."), attempt=whole("Its number."), state=text("How the attempt stands."), path=text("Its file, on the server."),
        size=whole("Bytes that were written."), offset=whole("Where these lines begin."), next=whole("Where to read on."),
        over=truth("Whether nothing more comes after `next`."), removed=truth("Whether it was removed since."), lines=many(text("A line."), "Without their ends."),
    ),
    Logs=thing("The ends of the logs of a run.", run=text("The run."), steps=many(ref("LogPart"), "Of each step that started, in that order.")),
)


@read("/runs/{run}/logs", ref("Logs"), lines=whole("How many lines of the end of each.", 0, 10_000, default=10))
def get_logs(ask: Ask, run: str) -> Dict[str, Any]:
    """The end of what each step of a run printed."""
    found = ask.store.run(run)
    last: Dict[str, model.Attempt] = {}
    for attempt in ask.store.attempts(found.id):
        last.pop(attempt.step, None)  # a later attempt takes a later place
        last[attempt.step] = attempt
    share = max(facts.MOST_BYTES * 4 // max(len(last), 1), 2000)
    return {"run": found.name, "steps": [facts.part(each, ask.query["lines"], most=min(share, facts.MOST_BYTES)) for each in last.values()]}


@read("/runs/{run}/steps/{step}/log", ref("LogPart"), attempt=_ATTEMPT, lines=_LINES, offset=whole("On from this byte: `next` of the answer before.", 0, 2**53))
def get_log(ask: Ask, run: str, step: str) -> Dict[str, Any]:
    """What a step printed: the end of it, or on from a place. While the step runs only whole lines are given."""
    found = step_of(ask, run, step)
    attempt = attempt_of(ask, found, step)
    if attempt is None:
        raise NotFound(f"step {step} of {run} has not begun: there is no log", f"GET /api/v1/runs/{run} says how it stands")
    return facts.part(attempt, ask.query["lines"], ask.query.get("offset"))


@read("/runs/{run}/steps/{step}/log.txt", {}, attempt=_ATTEMPT)
def get_log_file(ask: Ask, run: str, step: str) -> Bytes:
    """The whole log as it was written, plain or, when it is old, compressed; parts of it by the header Range."""
    attempt = attempt_of(ask, step_of(ask, run, step), step)
    path = logtail.place_of(os.path.join(attempt.folder, "log")) if attempt else ""
    if attempt is None or not os.path.exists(path):
        raise NotFound(f"step {step} of {run} has no log", "it never began, prints nothing, or its log was removed by age")
    kind = "application/gzip" if path.endswith(".gz") else "text/plain"  # Flask says the charset
    return Bytes(flask.send_file(path, mimetype=kind, as_attachment=True, download_name=f"{run}.{step}.{attempt.number}.{os.path.basename(path)}", conditional=True, etag=False))


def attempt_of(ask: Ask, run: model.Run, step: str) -> Optional[model.Attempt]:
    """The one that is asked for; None for a step that never began. Raises NotFound."""
    attempts: List[model.Attempt] = ask.store.attempts(run.id, step)
    number = ask.query.get("attempt")
    if number is None:
        return attempts[-1] if attempts else None
    found = next((each for each in attempts if each.number == number), None)
    if found is None:
        raise NotFound(f"step {step} of {run.name} has no attempt {number}", "there are: " + (", ".join(str(each.number) for each in attempts) or "none"))
    return found
