"""What is held or paused, by whom and why."""

from __future__ import annotations

from typing import Any, Dict

from runner.web.api.ask import Ask
from runner.web.api.operation import read, schemas
from runner.web.api.shapes import many, moment, ref, text, thing

schemas(Holds=thing(
    "What does not begin because somebody said so.",
    held=many(thing("A pipeline, or a step of one.", pipeline=text("The pipeline."), step=text("The step; empty: the whole pipeline."), words=text("Who, since when and why.")), "What is held."),
    paused=many(thing("A pipeline whose schedule is stopped.", pipeline=text("The pipeline."), by=text("Who."), since=moment("Since when."), reason=text("Why.")), "What is paused."),
))


@read("/holds", ref("Holds"))
def get_holds(ask: Ask) -> Dict[str, Any]:
    """What is held, and what is paused."""
    held = [{"pipeline": pipeline, "step": step, "words": words} for pipeline, steps in sorted(ask.store.pipelines.holds().items()) for step, words in sorted(steps.items())]
    paused = [{"pipeline": row.name, "by": row.paused_by, "since": row.paused_at, "reason": row.pause_reason} for row in ask.store.pipelines.all() if row.paused_by and not row.gone_at]
    return {"held": held, "paused": paused}
