"""What one engine has in its hands: the runs it works on, their live attempts, and what is to be done after the commit."""

from __future__ import annotations

import heapq
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from runner import model, workorder
from runner.alerts.recorder import Recorder
from runner.clock import Clock
from runner.config import Config
from runner.ownership import Owner
from runner.planning import plan
from runner.planning.slots import BACKFILL, Slots
from runner.store import Store
from runner.store.store import items_of, outputs_of


class Event(NamedTuple):
    """What a watcher is told, after it is durable."""

    run: model.Run
    step: Optional[str]  # None: about the run itself
    state: str
    reason: str
    number: Optional[int]  # of the attempt, where there is one
    at: datetime


@dataclass
class Live:
    """An attempt that goes on."""

    run_id: int
    step: str
    number: int
    folder: str
    deadline: Optional[float] = None  # monotonic seconds
    kill_at: Optional[float] = None  # monotonic seconds; set when TERM was sent
    cause: str = ""  # timeout | stopped, when we are ending it
    reason: str = ""
    waits: bool = False  # no process: something is looked at until it is there


@dataclass
class Active:
    """A run that has begun and is ours."""

    run: model.Run
    pipeline: model.Pipeline
    plan: plan.RunPlan
    numbers: Dict[str, int]
    outputs: Dict[str, Mapping[str, Any]]
    prev_success: Optional[model.LogicalDate]
    deadline: Optional[float] = None  # monotonic seconds, of the whole run
    live: Dict[str, Live] = field(default_factory=dict)  # folder -> attempt

    @classmethod
    def load(cls, store: Store, run: model.Run, pipeline: model.Pipeline, first: bool = False) -> "Active":
        """All of it from its rows. `first`: it has had no attempt yet."""
        rows = store.step_runs(run.id)
        prev = store.last_success_before(run.pipeline, run.date.due) if workorder.wants(pipeline, "prev_success") else None
        view = plan.RunPlan(
            pipeline, {row.step: (row.state, row.tries, row.retry_at) for row in rows}, run.only, items=items_of(rows), chosen=_chosen(pipeline, rows))
        return cls(
            run=run, pipeline=pipeline, plan=view, numbers={} if first else store.attempt_numbers(run.id), outputs=outputs_of(rows), prev_success=prev.date if prev else None)

    def gather(self, step: str) -> Dict[str, List[Any]]:
        """What the mapped steps of one handed on: key -> a list with one value for each item, None where there is none."""
        children: Sequence[str] = self.plan.children(step)
        keys = dict.fromkeys(key for child in children for key in self.outputs.get(child, ()))
        return {key: [self.outputs.get(child, {}).get(key) for child in children] for key in keys}


def _chosen(pipeline: model.Pipeline, rows) -> Dict[str, List[str]]:
    """Branch that succeeded -> the followers that it named."""
    out = {}
    for row in rows:
        if row.state == "success" and pipeline.step(row.step).branch:
            try:
                out[row.step] = plan.chosen_of(pipeline, pipeline.step(row.step), row.outputs)
            except ValueError:  # marked by a person, or the file has changed: all go on
                pass
    return out


class Hands:
    """Shared by the parts of one engine. Nothing here decides."""

    def __init__(self, store: Store, executor, clock: Clock, config: Config, site: workorder.Site, slots: int, owner: Owner, alerts: Optional[Recorder]):
        self.store, self.executor, self.clock, self.config, self.site, self.owner = store, executor, clock, config, site, owner
        self.slots = Slots(slots, config.pools)
        self.listener: Optional[Callable[[Event], None]] = None
        self.active: Dict[int, Active] = {}  # runs that have begun
        self.owners: Dict[str, Active] = {}  # folder of a live attempt -> its run
        self.busy: Dict[str, int] = {}  # pipeline -> its live attempts, for fairness
        self.dirty: Dict[int, None] = {}  # runs to decide on, in order
        self.look_now = True  # something was written to the database that is to be read
        self._wakes: List[Tuple[float, int]] = []  # (monotonic seconds, run): look at that run then
        self._alerts = alerts
        self._effects: List[Callable[[], None]] = []
        self._events: List[Event] = []

    # -- attempts

    def keep(self, active: Active, live: Live) -> None:
        """From now on it goes on, and takes its slot and its pools."""
        active.live[live.folder] = live
        self.owners[live.folder] = active
        if not live.waits:
            self.busy[active.run.pipeline] = self.busy.get(active.run.pipeline, 0) + 1
            self.slots.take(self.pools(active, live.step))

    def let_go(self, active: Active, folder: str) -> Live:
        """It has ended."""
        live = active.live.pop(folder)
        if not live.waits:
            self.busy[active.run.pipeline] -= 1
            self.slots.give_back(self.pools(active, live.step))
        return live

    def pools(self, active: Active, step_id: str) -> Dict[str, int]:
        """The pools a step takes room of."""
        step = active.plan.spec_of(step_id)
        pools = {BACKFILL: 1} if active.run.lane else {}
        if step.pool and self.slots.has_pool(step.pool):
            pools[step.pool] = step.pool_slots
        return pools

    def job(self, active: Active, step: model.Step, number: int) -> model.Job:
        """What the attempt executes. Raises RunnerError, OSError."""
        folder = workorder.attempt_folder(self.config.runs_folder, active.run, step.id, number)
        return workorder.make_job(
            active.pipeline, active.run, step, number, folder, self.site, outputs=active.outputs, prev_success=active.prev_success)

    def next_number(self, active: Active, step_id: str) -> int:
        """The number of a step's next attempt. A folder in which something has begun belongs to an attempt that the database
        forgot, since it was brought back from a copy."""
        number = active.numbers.get(step_id, 0) + 1
        while os.path.lexists(os.path.join(workorder.attempt_folder(self.config.runs_folder, active.run, step_id, number), "start")):
            number += 1
        return number

    # -- time

    def monotonic(self, moment: datetime) -> float:
        return self.clock.monotonic() + (moment - self.clock.now()).total_seconds()

    def touch(self, active: Active) -> None:
        """Something about this run changed: decide on it in this turn or the next."""
        self.dirty[active.run.id] = None

    def set_wake(self, moment: Optional[float], active: Active) -> None:
        if moment is not None:
            heapq.heappush(self._wakes, (moment, active.run.id))

    def next_wake(self) -> Optional[float]:
        return self._wakes[0][0] if self._wakes else None

    def woken(self, tick: float) -> Iterator[Active]:
        """The runs for which a moment has come: a retry, a timeout, the KILL behind a TERM."""
        while self._wakes and self._wakes[0][0] <= tick:
            active = self.active.get(heapq.heappop(self._wakes)[1])
            if active:
                yield active

    # -- after the commit

    def then(self, effect: Callable[[], None]) -> None:
        """Do this when the transaction is durable."""
        self._effects.append(effect)

    def act(self) -> None:
        effects, self._effects = self._effects, []
        for effect in effects:
            effect()
        events, self._events = self._events, []
        if self.listener:
            for event in events:
                self.listener(event)

    def say(self, active: Active, step: Optional[str], state: str, reason: str, number: Optional[int], now: datetime) -> None:
        if self._alerts:
            self._alerts.note(self.store, active.run, active.pipeline, step, state, reason, number, now)
        if self.listener:
            self._events.append(Event(active.run, step, state, reason, number, now))

    def say_run(self, run: model.Run, state: str, reason: str) -> None:
        if self.listener:
            self._events.append(Event(run, None, state, reason, None, self.clock.now()))


def refusal(error: Exception) -> str:
    """Why an attempt cannot be started, as its reason."""
    if isinstance(error, OSError):
        return f"cannot start: {error.strerror}: {error.filename}"
    return f"template: {error}"
