"""May a waiting run begin, and if not, why: one sentence that `status` shows and the engine obeys.

Pure: the facts are arguments. The engine asks inside its transaction; a reading command asks the same question later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Optional, Sequence

from runner import model


@dataclass(frozen=True)
class Facts:
    """What stands around one waiting run."""

    now: datetime
    active: Sequence[str] = ()  # names of its pipeline's runs that run now
    previous: Optional[model.Run] = None  # the run of the date before, missed ones left aside
    cause: Optional[model.Run] = None  # when that one waits too: the first of those before it that does not, or that waits for something else
    paused: str = ""  # by whom and why its schedule is paused
    held: str = ""  # by whom and why the pipeline is held
    site: str = ""  # why nothing new may begin at all: a full disk, a clock that jumped
    backfill_active: int = 0  # runs of its backfill that run now
    parallel: Optional[int] = None  # how many of its backfill may run at once


def why_waits(run: model.Run, pipeline: model.Pipeline, facts: Facts) -> str:
    """The reason for which it waits; "" when it may begin."""
    if run.date.due > facts.now:
        return f"it is due {run.date.due:%Y-%m-%d %H:%M %Z}"
    if facts.site:
        return facts.site
    if facts.held:
        return f"{run.pipeline} is {facts.held}; runner release {run.pipeline}"
    if facts.paused and run.trigger in ("schedule", "catchup"):
        return f"{run.pipeline} is {facts.paused}; runner unpause {run.pipeline}"
    if len(facts.active) >= pipeline.max_active_runs:
        return f"waits for {facts.active[0]} (max_active_runs: {pipeline.max_active_runs})"
    if facts.parallel is not None and facts.backfill_active >= facts.parallel:
        return f"backfill {run.backfill} runs {facts.parallel} at a time"
    if pipeline.depends_on_past and facts.previous is not None and facts.previous.state != "success":
        return f"{pipeline.past_key}: {facts.previous.name} is {facts.previous.state}" + _behind(facts.previous, facts.cause)
    return ""


def _behind(previous: model.Run, cause: Optional[model.Run]) -> str:
    """Where to look: after a month's backfill the run before is only the neighbour."""
    return f", behind {cause.name}, which is {cause.state}" if cause is not None and cause.id != previous.id else ""
