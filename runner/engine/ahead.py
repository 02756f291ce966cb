"""Jobs made while the last step that they need still runs, and shells started while their attempt is committed: between two
steps of a run the machine shall not wait for us.

Nothing is begun by it. Only what hangs on the run's own row is made ahead (a kind says so by EARLY), and only for the near
future: a file, a variable or an output may be changed by the very step that goes before.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from runner import model, steps
from runner.engine.active import Active, Hands
from runner.errors import RunnerError

SECONDS = 2.0  # so long a job made ahead is good
MOST = 2  # jobs made ahead in one turn: who has many followers has no use for haste
_CHANGEABLE = re.compile(r"\b(outputs|var|conn|secret)\b")


class _Made(NamedTuple):
    tick: float  # monotonic seconds
    number: int
    job: model.Job


class Ahead:
    """Of one engine."""

    def __init__(self, hands: Hands):
        self._hands = hands
        self._begun: List[Tuple[Active, str]] = []
        self._made: Dict[Tuple[int, str], _Made] = {}  # run, step
        self._ready: List[Tuple[int, str]] = []

    def begun(self, active: Active, step_id: str) -> None:
        """An attempt of this step begins in this turn: its followers may be next."""
        self._begun.append((active, step_id))

    def ready(self, active: Active, step_id: str, tick: float) -> None:
        """At the beginning of a turn: this step has succeeded, so its follower will most likely be begun by it."""
        if self._hands.slots.free > 0:  # nobody else waits for one
            for name in active.plan.next_of(step_id):
                made = self._made.get((active.run.id, name))
                if made and tick - made.tick <= SECONDS:
                    self._ready.append((active.run.id, name))
                    self._hands.executor.ready(made.job)

    def make(self, tick: float) -> None:
        """After the processes of this turn were started: get ready what may follow them; away with what was not wanted."""
        for key in self._ready:
            self._discard(key)
        self._ready.clear()
        begun, self._begun = self._begun, []
        room = MOST
        for active, step_id in begun:
            for name in active.plan.next_of(step_id) if room else ():
                step = active.plan.spec_of(name)
                if room and _is_early(active.pipeline, step):
                    room -= 1
                    self._make(active, step, tick)

    def _make(self, active: Active, step: model.Step, tick: float) -> None:
        number = self._hands.next_number(active, step.id)
        try:
            job = self._hands.job(active, step, number)
            self._hands.executor.prepare(job)
        except (RunnerError, OSError):
            return  # whoever begins it meets the same, and says so
        self._made[active.run.id, step.id] = _Made(tick, number, job)

    def take(self, active: Active, step_id: str, tick: float) -> Optional[Tuple[int, model.Job]]:
        """(number, job) of an attempt that was made ahead and is still good."""
        key = active.run.id, step_id
        made = self._made.get(key)
        if made and tick - made.tick > SECONDS:
            self._discard(key)
            return None
        self._made.pop(key, None)
        return (made.number, made.job) if made else None

    def forget(self, run_id: Optional[int] = None) -> None:
        """A run has ended, or all are let go: what was not begun is taken away."""
        for key in [key for key in self._made if run_id in (None, key[0])]:
            self._discard(key)

    def _discard(self, key: Tuple[int, str]) -> None:
        made = self._made.pop(key, None)
        if made:
            self._hands.executor.discard(made.job)


def _is_early(pipeline: model.Pipeline, step: model.Step) -> bool:
    early = getattr(steps.get(step.kind), "EARLY", "")
    return bool(early) and early in step.body and step.when is None and not step.kerberos and not _CHANGEABLE.search(pipeline.text)
