"""Every decision about one run, and nothing else: which step may start, how its steps end without an attempt, when it is over.

No clock, no database, no process: time and facts are arguments, decisions are return values. `RunPlan` keeps counts per
step, so that the work of a whole run is linear in its steps and edges.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from runner.model import STEP_TERMINAL, Pipeline, Step, mapped, mapped_id, parent_of
from runner.planning.rules import GO, WAIT, Upstream, verdict
from runner.planning.weights import weights

# ---------------------------------------------------------------------------------------------------------- decisions


@dataclass(frozen=True)
class Finish:
    """End a step without an attempt: skipped, upstream_failed, killed."""

    step: str
    state: str
    reason: str


@dataclass(frozen=True)
class EndRun:
    state: str
    reason: str


Decision = Union[Finish, EndRun]
Entry = Tuple[int, float, str]  # -weight, order, step: how ready steps stand in their heap


@dataclass
class _StepState:
    spec: Step
    state: str
    tries: int
    order: float
    upstream: Upstream
    cut: str = ""  # the branch that did not choose it


@dataclass
class _Group:
    """The mapped steps of one with `foreach`."""

    children: List[str]
    limit: Optional[int]
    left: int = 0
    running: int = 0
    aside: List[Entry] = field(default_factory=list)  # ready ones beyond the limit


class RunPlan:
    """What is known of one run, told by `learn` and `expand`, asked by `settle`, `free` and `best`."""

    def __init__(
        self, pipeline: Pipeline, states: Mapping[str, Tuple[str, int, Optional[datetime]]], only: Optional[Iterable[str]] = None,
        *, items: Optional[Mapping[str, Sequence[Any]]] = None, chosen: Optional[Mapping[str, Sequence[str]]] = None,
    ):
        """`states`: step -> (state, tries, retry_at), as in the store. `only`: the steps that may run, others stay out.

        `items`: step with `foreach` -> the items it was expanded to. `chosen`: branch that succeeded -> the followers that go on.
        """
        inside = set(only) if only else None
        self.pipeline = pipeline
        self.stopping: Optional[str] = None  # who asked
        self.stop_state = "killed"
        self.forced = False  # a stop that leaves out teardowns too
        self.ended = False
        self._steps: Dict[str, _StepState] = {}
        self._followers: Dict[str, List[str]] = {step.id: [] for step in pipeline.steps}
        self._ready: List[Entry] = []
        self._free: List[Entry] = []  # ready ones that need no slot
        self._queued: Set[str] = set()  # what is ready: a rule may come true more than once before a slot is free
        self._waiting: List[Tuple[datetime, str]] = []
        self._dirty: Set[str] = set()
        self._outside: Set[str] = set()
        self._groups: Dict[str, _Group] = {}
        self._chosen = dict(chosen or {})
        self.running: Set[str] = set()  # those that hold a slot
        self.held: Set[str] = set()  # steps that nobody may begin for now
        self._aside: List[Entry] = []  # held ones that were ready
        self._weights = weights(pipeline)
        self.open = 0
        for order, step in enumerate(pipeline.steps):
            state, tries, _ = states.get(step.id, ("pending", 0, None))
            self._steps[step.id] = _StepState(step, state, tries, order, Upstream())
            if inside is not None and step.id not in inside:
                self._outside.add(step.id)
        for step in pipeline.steps:
            self._link(step)
        for step in pipeline.steps:
            self._take_in(step, states.get(step.id, ("pending", 0, None)))
            if step.foreach is not None and self._steps[step.id].state == "running":
                self.expand(step.id, (items or {}).get(step.id, ()), states)

    def _link(self, step: Step) -> None:
        for need in step.needs:
            if need not in self._outside:  # with --only, what was not chosen is not waited for
                self._followers[need].append(step.id)
                self._steps[step.id].upstream.total += 1

    def _take_in(self, step: Step, row: Tuple[str, int, Optional[datetime]]) -> None:
        state, _, retry_at = row
        if step.id in self._outside:
            return
        if state in STEP_TERMINAL:
            self._count(step.id, state)
            return
        self.open += 1
        if state == "running":
            self._occupy(step)
        elif state == "retry_wait":
            heapq.heappush(self._waiting, (retry_at, step.id))
        else:
            self._dirty.add(step.id)

    def _occupy(self, step: Step) -> None:
        if not step.slotless and step.foreach is None:
            self.running.add(step.id)
        if step.index is not None:
            self._groups[parent_of(step.id)].running += 1

    def _count(self, step_id: str, state: str) -> None:
        """Tell the followers how a step ended."""
        step = self._steps[step_id].spec
        goes_on = self._goes_on(step_id) if step.branch and state == "success" else None
        for follower in self._followers.get(step_id, ()):
            other = self._steps[follower]
            other.upstream.count(state, step.allow_failure)
            if goes_on is not None and follower not in goes_on:
                other.cut = step_id
            if other.state == "pending":
                self._dirty.add(follower)

    def _goes_on(self, branch: str) -> Optional[Set[str]]:
        """The chosen followers and all behind them: a join of two ways is not cut off. None: all, as a person marked it."""
        return None if branch not in self._chosen else downstream(self.pipeline, self._chosen[branch])

    # -- mapped steps

    def expand(self, parent: str, items: Sequence[Any], states: Optional[Mapping[str, Tuple[str, int, Optional[datetime]]]] = None) -> None:
        """A running step with `foreach` is from now on as many steps as there are items."""
        above = self._steps[parent]
        group = self._groups[parent] = _Group([mapped_id(parent, i) for i in range(len(items))], above.spec.max_parallel)
        self._dirty.add(parent)  # all of them may have ended already
        for i, item in enumerate(items):
            step = mapped(above.spec, i, item)
            row = (states or {}).get(step.id, ("pending", 0, None))
            self._steps[step.id] = _StepState(step, row[0], row[1], above.order + (i + 1) / (len(items) + 1), Upstream())
            self._weights[step.id] = self._weights[parent]
            if row[0] not in STEP_TERMINAL:
                group.left += 1
            self._take_in(step, row)

    def is_expanded(self, step_id: str) -> bool:
        return step_id in self._groups

    def children(self, parent: str) -> Sequence[str]:
        return self._groups[parent].children

    def _of_group(self, parent: str) -> Finish:
        """How a step with `foreach` ends, once all that were made of it have."""
        states = [self._steps[child].state for child in self.children(parent)]
        bad = [child for child in self.children(parent) if self._steps[child].state in ("failed", "killed")]
        if bad:
            state = "killed" if self.stopping and "failed" not in states else "failed"
            return Finish(parent, state, f"{len(bad)} of {len(states)} {state}: " + _some(bad, 3))
        return Finish(parent, "skipped" if set(states) <= {"skipped"} else "success", "" if states else "foreach: no items")

    # -- facts

    def spec_of(self, step_id: str) -> Step:
        """The step, also a mapped one."""
        return self._steps[step_id].spec

    def state_of(self, step_id: str) -> str:
        return self._steps[step_id].state

    def tries_of(self, step_id: str) -> int:
        return self._steps[step_id].tries

    def states(self) -> Dict[str, str]:
        return {step_id: step.state for step_id, step in self._steps.items()}

    def learn(self, step_id: str, state: str, retry_at: Optional[datetime] = None, chosen: Optional[Sequence[str]] = None) -> None:
        """A step's state has been committed. `chosen`: of a branch that succeeded, the followers that go on."""
        step = self._steps[step_id]
        group = self._groups.get(parent_of(step_id)) if step.spec.index is not None else None
        if group and step.state == "running":
            group.running -= 1
            if group.aside:
                heapq.heappush(self._ready, group.aside.pop(0))
        step.state = state
        self.running.discard(step_id)
        if chosen is not None:
            self._chosen[step_id] = chosen
        if state == "running":
            step.tries += 1
            self._occupy(step.spec)
        elif state == "retry_wait":
            heapq.heappush(self._waiting, (retry_at, step_id))
        elif state in STEP_TERMINAL:
            self.open -= 1
            self._count(step_id, state)
            if group:
                group.left -= 1
                self._dirty.add(parent_of(step_id))

    def stop(self, actor: str, state: str = "killed", force: bool = False) -> None:
        """A person, or the run's own timeout, ends the run: nothing new starts but the teardown of what ran.

        `force`: not even that.
        """
        self.stopping = self.stopping or actor
        self.stop_state = state
        self.forced = self.forced or force

    def survives_stop(self, step_id: str) -> bool:
        """A teardown runs on, and starts, in a run that is being stopped."""
        return bool(self._steps[step_id].spec.teardown) and not self.forced

    def hold(self, steps: Set[str]) -> None:
        """These steps are held from now on, the others are not."""
        if steps != self.held:
            self.held = set(steps)
            for entry in self._aside:
                heapq.heappush(self._free if self._is_free(entry[2]) else self._ready, entry)
            self._aside = []

    # -- questions

    def next_wake(self) -> Optional[datetime]:
        """When the nearest retry is due."""
        while self._waiting and self._steps[self._waiting[0][1]].state != "retry_wait":
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def settle(self) -> List[Decision]:
        """Decisions that need no slot. Call again after each was committed and learned, until nothing comes."""
        if self.ended:
            return []
        out: List[Decision] = []
        if self.stopping:
            for step_id, step in self._steps.items():
                if step.state in ("pending", "retry_wait") and step_id not in self._outside and not self._still_to_do(step_id):
                    out.append(Finish(step_id, "killed", f"stopped by {self.stopping}"))
        for step_id in sorted(self._dirty, key=lambda name: self._steps[name].order):
            step = self._steps[step_id]
            if step.state == "running" and step_id in self._groups:
                if not self._groups[step_id].left:
                    out.append(self._of_group(step_id))
                continue
            if step.state != "pending" or step_id in self._queued or (self.stopping and not self._still_to_do(step_id)):
                continue
            answer = self._answer(step)
            if answer == GO:
                self._enqueue(step_id)
            elif answer != WAIT:
                out.append(Finish(step_id, answer, self._because(step, answer)))
        self._dirty.clear()
        if not out and self.open == 0:
            self.ended = True
            out.append(self._end())
        return out

    def _still_to_do(self, step_id: str) -> bool:
        """Also in a run that is being stopped."""
        return self.survives_stop(step_id) and self._setup_ran(self._steps[step_id].spec)

    def _setup_ran(self, step: Step) -> bool:
        """Whether there is, or may come to be, something to take away."""
        return any(self._steps[setup].tries for setup in step.teardown)

    def _answer(self, step: _StepState) -> str:
        """go, wait, skipped or upstream_failed."""
        if step.spec.teardown:
            return WAIT if not step.upstream.done else GO if self._setup_ran(step.spec) else "skipped"
        if step.cut:
            return "skipped"
        return verdict(step.spec.trigger_rule, step.upstream)

    def _because(self, step: _StepState, answer: str) -> str:
        if step.spec.teardown:
            return "nothing to take away: " + _some(step.spec.teardown, 3) + " did not run"
        if step.cut:
            return f"not chosen by {step.cut}"
        wanted = ("skipped",) if answer == "skipped" else ("failed", "killed", "upstream_failed")
        causes = [need for need in step.spec.needs if self._steps[need].state in wanted]
        if not causes:
            return f"trigger_rule {step.spec.trigger_rule}"
        return _some([f"{need} {self._steps[need].state}" for need in causes], 3)

    def _end(self) -> EndRun:
        if self.stopping:
            return EndRun(self.stop_state, f"stopped by {self.stopping}" if self.stop_state == "killed" else self.stopping)
        inside = [step for step_id, step in self._steps.items() if step_id not in self._outside]
        bad = [s for s in inside if s.state in ("failed", "upstream_failed", "killed") and not s.spec.allow_failure]
        if not bad:
            return EndRun("success", "")
        roots = [s.spec.id for s in bad if s.state in ("failed", "killed") and s.spec.id not in self._groups]
        return EndRun("failed", "failed: " + _some(roots or [s.spec.id for s in bad], 5))

    def ready(self) -> List[str]:
        """All that could begin if there were room, in order, held ones too."""
        parked = [entry for group in self._groups.values() for entry in group.aside]
        entries = sorted({*self._ready, *self._free, *self._aside, *parked})
        return [entry[2] for entry in entries if self._may_begin(entry[2])]

    def is_crowded(self, step_id: str) -> bool:
        """Whether as many of its siblings run as `max_parallel` says."""
        if self._steps[step_id].spec.index is None:
            return False
        group = self._groups[parent_of(step_id)]
        return group.limit is not None and group.running >= group.limit

    def free(self) -> List[str]:
        """The ready steps that need no slot, each told once: waits, joints, and those that `foreach` has to expand."""
        out: List[str] = []
        while self._free:
            entry = heapq.heappop(self._free)
            if entry[2] in self.held:
                self._aside.append(entry)
                continue
            self._queued.discard(entry[2])
            if self._may_begin(entry[2]):
                out.append(entry[2])
        return out

    def best(self, now: datetime) -> Optional[str]:
        """The step that would start next: due retries are ready too, then by weight, then by the file's order.

        None when none is ready, or max_active_steps is reached.
        """
        if self.ended:
            return None
        self.wake(now)
        limit = self.pipeline.max_active_steps
        if limit is not None and len(self.running) >= limit:
            return None
        while self._ready:
            step_id = self._ready[0][2]
            if not self._may_begin(step_id):
                self._queued.discard(heapq.heappop(self._ready)[2])
            elif step_id in self.held or parent_of(step_id) in self.held:
                self._aside.append(heapq.heappop(self._ready))
            elif self.is_crowded(step_id):
                self._groups[parent_of(step_id)].aside.append(heapq.heappop(self._ready))
            else:
                return step_id
        return None

    def next_of(self, step_id: str) -> List[str]:
        """The followers that could begin if this step succeeded now."""
        return [name for name in self._followers.get(step_id, ()) if self._would_go(self._steps[name], self._steps[step_id].spec)]

    def _would_go(self, step: _StepState, need: Step) -> bool:
        if step.state != "pending" or step.cut or step.spec.id in self._queued or step.spec.teardown or need.branch or self._is_free(step.spec.id):
            return False
        upstream = replace(step.upstream)
        upstream.count("success", need.allow_failure)
        return verdict(step.spec.trigger_rule, upstream) == GO

    def wake(self, now: datetime) -> None:
        """Steps whose retry is due are ready again."""
        while self._waiting and self._waiting[0][0] <= now:
            _, step_id = heapq.heappop(self._waiting)
            if self._steps[step_id].state == "retry_wait" and step_id not in self._queued:
                self._enqueue(step_id)

    def _may_begin(self, step_id: str) -> bool:
        return self._steps[step_id].state in ("pending", "retry_wait") and (not self.stopping or self._still_to_do(step_id))

    def weight_of(self, step_id: str) -> int:
        return self._weights[step_id]

    def begin(self, step_id: str) -> None:
        """The step that `best` named begins: it is ready no more."""
        assert self._ready[0][2] == step_id, step_id
        heapq.heappop(self._ready)
        self._queued.discard(step_id)

    def _is_free(self, step_id: str) -> bool:
        step = self._steps[step_id].spec
        return step.slotless or step.foreach is not None

    def _enqueue(self, step_id: str) -> None:
        self._queued.add(step_id)
        entry = (-self._weights[step_id], self._steps[step_id].order, step_id)
        heapq.heappush(self._free if self._is_free(step_id) else self._ready, entry)


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def chosen_of(pipeline: Pipeline, step: Step, outputs: Mapping[str, Any]) -> List[str]:
    """The followers that a branch named in its output `branch`. Raises ValueError with what is wrong."""
    if "branch" not in outputs:
        raise ValueError("branch: it handed on no `branch`: echo branch=STEP >>\"$RUNNER_OUTPUT\", or branch= for none")
    said = outputs["branch"]
    names = [str(name) for name in said] if isinstance(said, list) else str(said).replace(",", " ").split()
    followers = [other.id for other in pipeline.steps if step.id in other.needs]
    for name in names:
        if name not in followers:
            raise ValueError(f"branch: {name} is no step that needs {step.id}: " + (_some(followers, 5) or "there is none"))
    return names


# -------------------------------------------------------------------------------------------------------------- rerun


def downstream(pipeline: Pipeline, roots: Iterable[str]) -> Set[str]:
    """These steps and all that need them, near or far."""
    followers: Dict[str, List[str]] = {}
    for step in pipeline.steps:
        for need in step.needs:
            followers.setdefault(need, []).append(step.id)
    out: Set[str] = set()
    queue = list(roots)
    while queue:
        step_id = queue.pop()
        if step_id not in out:
            out.add(step_id)
            queue.extend(followers.get(step_id, ()))
    return out


def rerun_set(pipeline: Pipeline, states: Mapping[str, str], *, failed: bool = False, start: Sequence[str] = (), everything: bool = False) -> List[str]:
    """The steps a rerun resets, in the file's order (semantics D37).

    `failed`: what failed, was killed, lost or never ran, and all behind it. `start`: these and all behind them.
    """
    if everything:
        return [step.id for step in pipeline.steps]
    roots = set(start)
    if failed:
        roots |= {s.id for s in pipeline.steps if states.get(s.id, "pending") not in ("success", "skipped")
                  and not (s.allow_failure and states.get(s.id) == "failed")}
    chosen = downstream(pipeline, roots)
    more = set(chosen)
    while more:  # what was taken away is needed again, and what is set up again is taken away again
        again = {setup for step in pipeline.steps if step.id in more for setup in step.teardown}
        again |= {step.id for step in pipeline.steps if more.intersection(step.teardown)}
        more = again - chosen
        chosen |= more
    return [step.id for step in pipeline.steps if step.id in chosen]
