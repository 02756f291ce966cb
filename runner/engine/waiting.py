"""Runs that wait: the order in which they begin, and the facts by which `planning.queue` lets them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Callable, Dict, List, Mapping, Optional, Set

from runner import acts, model
from runner.definitions import Definitions
from runner.engine.active import Active, Hands
from runner.errors import Conflict, InvalidPipeline
from runner.ownership import is_alive
from runner.planning import queue
from runner.store import Store

BEGIN_AT_ONCE = 64  # waiting runs that begin in one turn
CANDIDATES = 50  # waiting runs of one pipeline that are looked at: the first may wait for something the next does not


class Waiting:
    """queued -> running: of runs that were given to us, and with `serve` of every run that nobody works on."""

    def __init__(self, hands: Hands, serve: Optional[Definitions], take_over: Callable[[model.Run, model.Pipeline, bool], Active]):
        self._hands, self._store, self._serve, self._take_over = hands, hands.store, serve, take_over
        self.blocked = ""  # why no run may begin: a full disk, a clock that jumped
        self.given: Dict[int, model.Pipeline] = {}  # runs given to us that have not begun
        self.holds: Dict[str, Dict[str, str]] = {}
        self.unreadable: Set[int] = set()  # runs whose definition this runner cannot read
        self._all = True  # a waiting run may begin, of any pipeline
        self._some: Dict[str, None] = {}  # or of these, in order: one of their runs was made or ended
        self._more: Set[str] = set()  # pipelines of which runs waited when we looked last

    @property
    def stirred(self) -> bool:
        """Whether a run may be able to begin."""
        return self._all or bool(self._some)

    def stir(self, pipeline: str = "") -> None:
        """Something changed for the waiting runs, of all pipelines or of one."""
        if pipeline:
            self._more.add(pipeline)
            self._some[pipeline] = None
        else:
            self._all = True

    def ended(self, pipeline: str) -> None:
        """A run of it has ended, so another may begin, if one waits: of those that were made since we are told."""
        if pipeline in self._more or not self._serve:
            self._some[pipeline] = None

    def give(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """A run that this engine has claimed."""
        self.given[run.id] = pipeline
        self._all = True

    def let_begin(self, run: model.Run, pipeline: model.Pipeline) -> None:
        """A run that one of our steps has made or repaired: a daemon takes it from the queue, else it is ours."""
        if run.state != "queued" or run.engine:
            return
        if self._serve:
            self.stir(run.pipeline)
        elif self._store.claim(run.id, self._hands.owner.id, None):
            self.give(run, pipeline)

    def read(self, run: model.Run) -> Optional[model.Pipeline]:
        """The run's own definition; None, told once, when this version of runner cannot read it."""
        try:
            return self._serve.of(run)
        except InvalidPipeline as error:
            self.unreadable.add(run.id)
            self._hands.say_run(run, "unreadable", f"its definition: {error.problems[0].message}; runner rerun {run.name} takes today's file")
            return None

    def begin_some(self, now: datetime, draining: bool) -> None:
        """In the order of the queue, as far as `queue.why_waits` lets them."""
        everything, some, self._all, self._some = self._all, self._some, False, {}
        if draining or not (everything or some):
            return
        full: Set[str] = set()  # when one of a pipeline's runs has no room, the others have none
        for run_id, pipeline in list(self.given.items()):
            if pipeline.name not in full and (everything or pipeline.name in some):
                if not self._begin_given(self._store.run_by_id(run_id), pipeline, now):
                    full.add(pipeline.name)
        if not self._serve:
            return
        if everything:
            some = dict.fromkeys(self._store.waiting_pipelines())
            self._more = set(some)
        room = BEGIN_AT_ONCE
        while some and room > 0:
            name = next(iter(some))
            room -= self._begin_of(name, now, room)
            if room > 0:
                del some[name]
        self._some = some  # the others in the next turn, so that the first steps start at once

    def _begin_given(self, run: model.Run, pipeline: model.Pipeline, now: datetime) -> bool:
        """False when its pipeline has no room for a further run."""
        try:
            if self._is_full(run, pipeline):
                return False
            del self.given[run.id]
            self.begin(run, pipeline, now)
        except Conflict as error:
            if run.parent is None:
                raise
            del self.given[run.id]  # the step that made it fails, and says why
            self._store.release(run.id, self._hands.owner.id)
            acts.take_out(self._store, run, at=now, who="runner", why=error.message)
        return True

    def _begin_of(self, pipeline: str, now: datetime, room: int) -> int:
        """Begin waiting runs of one pipeline; how many began."""
        began = 0
        active: Optional[List[str]] = None
        for limit in (2, CANDIDATES):  # mostly there is no room, or no other
            runs = self._store.waiting_runs(pipeline, now, limit)
            before = began
            for run in runs:
                spec = None if run.id in self.unreadable else self.read(run)
                if spec is None:
                    continue
                if active is None:
                    active = [other.name for other in self._store.other_active_runs(run)]
                if began >= room or len(active) >= spec.max_active_runs:
                    return began
                facts = queue_facts(self._store, run, spec, now, active=active, holds=self.holds, site=self.blocked)
                if not queue.why_waits(run, spec, facts):  # nobody else can take it: the transaction has the write lock
                    self.begin(run, spec, now)
                    active.append(run.name)
                    began += 1
            if len(runs) < limit:
                if began - before == len(runs):
                    self._more.discard(pipeline)
                break
        return began

    def begin(self, run: model.Run, pipeline: model.Pipeline, now: datetime) -> None:
        """A run that is nobody's, or ours already, begins and is ours."""
        self._store.move("run", run.id, "queued", "running", now, started_at=now, engine=self._hands.owner.id)
        begun = replace(run, state="running", reason="", started_at=now, ended_at=None, engine=self._hands.owner.id)
        active = self._take_over(begun, pipeline, run.started_at is None)
        self._hands.set_wake(active.deadline, active)
        self._hands.say(active, None, "running", "", None, now)

    def _is_full(self, run: model.Run, pipeline: model.Pipeline) -> bool:
        """Whether max_active_runs says wait. Raises Conflict when it would be for ever, since nobody works on the other."""
        others = self._store.other_active_runs(run)
        limit = pipeline.max_active_runs
        if len(others) < limit:
            return False
        for other in others:
            if not is_alive(self._hands.config.engines_folder, other.engine):
                raise Conflict(
                    f"run {other.name} was interrupted and still counts as running (max_active_runs: {limit})",
                    f"finish it: runner rerun {other.name} --resume   or end it: runner stop {other.name}",
                )
        self._hands.say_run(run, "queued", f"waits for {others[0].name} (max_active_runs: {limit})")
        return True

    def held_steps(self, pipeline: str) -> Set[str]:
        """A held pipeline begins no run; its held steps begin no attempt."""
        return {step for step in self.holds.get(pipeline, ()) if step}


def queue_facts(
    store: Store, run: model.Run, spec: model.Pipeline, now: datetime, *, active: Optional[List[str]] = None,
    holds: Optional[Mapping[str, Mapping[str, str]]] = None, site: str = "", shown: bool = False,
) -> queue.Facts:
    """What stands around a waiting run, from the store. `shown`: with what only people want to know, not the loop."""
    row = store.pipelines.get(run.pipeline)
    paused = f"paused by {row.paused_by}" + (f": {row.pause_reason}" if row.pause_reason else "") if row and row.paused_by else ""
    batch = store.pipelines.backfill(run.backfill) if run.backfill is not None else None
    previous = store.run_before(run) if spec.depends_on_past else None
    return queue.Facts(
        now=now, active=[other.name for other in store.other_active_runs(run)] if active is None else active,
        previous=previous, cause=store.cause_before(run) if shown and previous is not None and previous.state == "queued" else None, paused=paused,
        held=(store.pipelines.holds() if holds is None else holds).get(run.pipeline, {}).get("", ""), site=site,
        backfill_active=store.pipelines.active_of_backfill(batch.id) if batch else 0, parallel=batch.parallel if batch else None,
    )
