"""The steps of a run, each with its attempts."""

from __future__ import annotations

from typing import Any, Dict

from runner import model
from runner.errors import NotFound
from runner.facts import runs as facts
from runner.web.api.ask import Ask
from runner.web.api.operation import read, schemas
from runner.web.api.shapes import many, maybe, moment, ref, text, thing, whole

schemas(
    Attempt=thing(
        "One start of a step.", step=text("The step."), number=whole("Counted over the life of the run."), state=text("running, success, failed, skipped, killed or lost."),
        reason=text("Why."), exit_code=maybe(whole("What its command ended with.", -1000)), started_at=moment("When it began."), ended_at=maybe(moment("When it ended.")),
    ),
    StepWhole=thing("A step of a run with its attempts.", run=text("The run."), step=ref("Step"), attempts=many(ref("Attempt"), "The oldest first.")),
)


def step_of(ask: Ask, run: str, step: str) -> model.Run:
    """The run. Raises NotFound for a step that it has not."""
    import difflib

    found = ask.store.run(run)
    known = [row.step for row in ask.store.step_runs(found.id)]
    if step not in known:
        near = difflib.get_close_matches(step, known, 1, 0.5)
        raise NotFound(f"run {run} has no step {step}", f"did you mean {near[0]}?" if near else "steps: " + ", ".join(known[:20]))
    return found


@read("/runs/{run}/steps/{step}", ref("StepWhole"))
def get_step(ask: Ask, run: str, step: str) -> Dict[str, Any]:
    """One step of a run, and each of its attempts."""
    found = step_of(ask, run, step)
    whole_ = facts.whole(ask.desk, ask.store, found)
    return {"run": found.name, "step": next(each for each in whole_["steps"] if each["id"] == step), "attempts": facts.attempts(ask.store, found, step)}
