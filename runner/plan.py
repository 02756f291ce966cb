"""Every decision, and nothing else: which step may start, what an ended attempt means, when a run is over.

No clock, no database, no process: time and facts are arguments, decisions are return values. `RunPlan` keeps counts per
step, so that the work of a whole run is linear in its steps and edges.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from runner.model import STEP_TERMINAL, Pipeline, Retry, Step

WAIT, GO = "wait", "go"
NEVER_RETRY_EXITS = (126, 127)  # not executable, not found: the same again helps nobody


# ------------------------------------------------------------------------------------------------------ trigger rules


@dataclass
class Upstream:
    """How the steps that a step needs have ended so far. An allowed failure counts as success."""

    total: int = 0
    success: int = 0
    failed: int = 0  # failed and killed
    skipped: int = 0
    upstream_failed: int = 0

    @property
    def bad(self) -> int:
        return self.failed + self.upstream_failed

    @property
    def done(self) -> bool:
        return self.success + self.bad + self.skipped == self.total

    def count(self, state: str, allowed: bool) -> None:
        """Take in the end of one upstream step."""
        if state == "success" or (allowed and state == "failed"):
            self.success += 1
        elif state in ("failed", "killed"):
            self.failed += 1
        elif state == "skipped":
            self.skipped += 1
        else:
            self.upstream_failed += 1


def verdict(rule: str, up: Upstream) -> str:
    """go, wait, skipped or upstream_failed (semantics D33).

    one_* fire as soon as they are true; a failure that settles the answer settles it at once; a skip waits for all,
    so that the answer does not depend on who ended first.
    """
    if up.total == 0:
        return GO
    return _RULES[rule](up)


def _all_success(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    if not up.done:
        return WAIT
    return "skipped" if up.skipped else GO


def _all_done(up: Upstream) -> str:
    return GO if up.done else WAIT


def _all_failed(up: Upstream) -> str:
    if up.success or up.skipped:
        return "skipped"
    return GO if up.done else WAIT


def _one_success(up: Upstream) -> str:
    if up.success:
        return GO
    if not up.done:
        return WAIT
    return "upstream_failed" if up.bad else "skipped"


def _one_failed(up: Upstream) -> str:
    if up.bad:
        return GO
    return "skipped" if up.done else WAIT


def _none_failed(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    return GO if up.done else WAIT


def _none_failed_min_one_success(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    if not up.done:
        return WAIT
    return GO if up.success else "skipped"


def _none_skipped(up: Upstream) -> str:
    if up.skipped:
        return "skipped"
    return GO if up.done else WAIT


_RULES = {
    "all_success": _all_success,
    "all_done": _all_done,
    "always": _all_done,
    "all_failed": _all_failed,
    "one_success": _one_success,
    "one_failed": _one_failed,
    "none_failed": _none_failed,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "none_skipped": _none_skipped,
}

# ------------------------------------------------------------------------------------------------------------ retries


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. `how`: exited | timeout | lost | stopped (by a person) | refused (could not be started)."""

    how: str
    exit_code: Optional[int] = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What an ended attempt makes of its step: attempt state, step state, and when it runs again."""

    attempt: str
    step: str
    reason: str
    retry_at: Optional[datetime] = None


def retry_delay(retry: Retry, tries: int, key: str) -> float:
    """Seconds before the next attempt after `tries` of them. The jitter comes from `key`, so that it is repeatable."""
    delay = retry.delay
    if retry.backoff != 1:  # max_delay bounds the growth, never a plain delay that somebody chose to be long
        delay = min(max(retry.max_delay, retry.delay), retry.delay * retry.backoff ** (tries - 1))
    if retry.jitter:
        share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 0xFFFFFFFF
        delay *= 1 + retry.jitter * (2 * share - 1)
    return delay


def judge(step: Step, ended: Ended, tries: int, now: datetime, key: str) -> Verdict:
    """The step's next state after an attempt (semantics D34). `tries` counts this attempt."""
    if ended.how == "stopped":
        return Verdict("killed", "killed", ended.reason or "stopped")
    if ended.how == "exited" and ended.exit_code == 0:
        return Verdict("success", "success", ended.reason)
    if ended.how == "exited" and step.skip_exit is not None and ended.exit_code == step.skip_exit:
        return Verdict("skipped", "skipped", f"exit {ended.exit_code}")
    attempt = "lost" if ended.how == "lost" else "failed"
    reason = ended.reason or (f"exit {ended.exit_code}" if ended.how == "exited" else ended.how)
    if tries > step.retry.limit or not _may_retry(step, ended):
        return Verdict(attempt, "failed", reason)
    return Verdict(attempt, "retry_wait", reason, now + timedelta(seconds=retry_delay(step.retry, tries, key)))


def _may_retry(step: Step, ended: Ended) -> bool:
    if ended.how == "refused":
        return False
    if ended.how == "lost":
        return step.on_lost == "retry"
    if ended.how == "timeout":
        return True
    if ended.exit_code in NEVER_RETRY_EXITS or ended.exit_code in step.retry.not_on_exit:
        return False
    return step.retry.on_exit is None or ended.exit_code in step.retry.on_exit


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


@dataclass
class _StepState:
    spec: Step
    state: str
    tries: int
    order: int
    upstream: Upstream


class RunPlan:
    """What is known of one run, told by `learn`, asked by `settle` and `take`."""

    def __init__(self, pipeline: Pipeline, states: Mapping[str, Tuple[str, int, Optional[datetime]]], only: Optional[Iterable[str]] = None):
        """`states`: step -> (state, tries, retry_at), as in the store. `only`: the steps that may run, others stay out."""
        chosen = set(only) if only else None
        self.pipeline = pipeline
        self.stopping: Optional[str] = None  # who asked
        self.stop_state = "killed"
        self.ended = False
        self._steps: Dict[str, _StepState] = {}
        self._followers: Dict[str, List[str]] = {step.id: [] for step in pipeline.steps}
        self._ready: List[Tuple[int, int, str]] = []
        self._queued: Set[str] = set()  # what is in _ready: a rule may come true more than once before a slot is free
        self._waiting: List[Tuple[datetime, str]] = []
        self._dirty: Set[str] = set()
        self._outside: Set[str] = set()
        self.running: Set[str] = set()
        self.held: Set[str] = set()  # steps that nobody may begin for now
        self._aside: List[Tuple[int, int, str]] = []  # held ones that were ready
        self._weights = weights(pipeline)
        self.open = 0
        for order, step in enumerate(pipeline.steps):
            state, tries, _ = states.get(step.id, ("pending", 0, None))
            self._steps[step.id] = _StepState(step, state, tries, order, Upstream())
            if chosen is not None and step.id not in chosen:
                self._outside.add(step.id)
        for step in pipeline.steps:
            self._link(step)
        for step in pipeline.steps:
            self._take_in(step, states.get(step.id, ("pending", 0, None)))

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
            self.running.add(step.id)
        elif state == "retry_wait":
            heapq.heappush(self._waiting, (retry_at, step.id))
        else:
            self._dirty.add(step.id)

    def _count(self, step_id: str, state: str) -> None:
        allowed = self._steps[step_id].spec.allow_failure
        for follower in self._followers[step_id]:
            self._steps[follower].upstream.count(state, allowed)
            if self._steps[follower].state == "pending":
                self._dirty.add(follower)

    # -- facts

    def state_of(self, step_id: str) -> str:
        return self._steps[step_id].state

    def tries_of(self, step_id: str) -> int:
        return self._steps[step_id].tries

    def states(self) -> Dict[str, str]:
        return {step_id: step.state for step_id, step in self._steps.items()}

    def learn(self, step_id: str, state: str, retry_at: Optional[datetime] = None) -> None:
        """A step's state has been committed."""
        step = self._steps[step_id]
        step.state = state
        self.running.discard(step_id)
        if state == "running":
            step.tries += 1
            self.running.add(step_id)
        elif state == "retry_wait":
            heapq.heappush(self._waiting, (retry_at, step_id))
        elif state in STEP_TERMINAL:
            self.open -= 1
            self._count(step_id, state)

    def stop(self, actor: str, state: str = "killed") -> None:
        """A person, or the run's own timeout, ends the run: nothing new starts."""
        self.stopping = self.stopping or actor
        self.stop_state = state

    def hold(self, steps: Set[str]) -> None:
        """These steps are held from now on, the others are not."""
        if steps != self.held:
            self.held = set(steps)
            for entry in self._aside:
                heapq.heappush(self._ready, entry)
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
            out = [
                Finish(step_id, "killed", f"stopped by {self.stopping}")
                for step_id, step in self._steps.items()
                if step.state in ("pending", "retry_wait") and step_id not in self._outside
            ]
        else:
            for step_id in sorted(self._dirty, key=lambda name: self._steps[name].order):
                step = self._steps[step_id]
                if step.state != "pending" or step_id in self._queued:
                    continue
                answer = verdict(step.spec.trigger_rule, step.upstream)
                if answer == GO:
                    self._enqueue(step_id)
                elif answer != WAIT:
                    out.append(Finish(step_id, answer, self._because(step, answer)))
        self._dirty.clear()
        if not out and self.open == 0:
            self.ended = True
            out.append(self._end())
        return out

    def _because(self, step: _StepState, answer: str) -> str:
        wanted = ("skipped",) if answer == "skipped" else ("failed", "killed", "upstream_failed")
        causes = [need for need in step.spec.needs if self._steps[need].state in wanted]
        if not causes:
            return f"trigger_rule {step.spec.trigger_rule}"
        return ", ".join(f"{need} {self._steps[need].state}" for need in causes[:3]) + (" ..." if len(causes) > 3 else "")

    def _end(self) -> EndRun:
        if self.stopping:
            return EndRun(self.stop_state, f"stopped by {self.stopping}" if self.stop_state == "killed" else self.stopping)
        inside = [step for step_id, step in self._steps.items() if step_id not in self._outside]
        bad = [s.spec.id for s in inside if s.state in ("failed", "upstream_failed", "killed") and not s.spec.allow_failure]
        if not bad:
            return EndRun("success", "")
        roots = [s.spec.id for s in inside if s.state in ("failed", "killed") and not s.spec.allow_failure] or bad
        return EndRun("failed", "failed: " + ", ".join(roots[:5]) + (" ..." if len(roots) > 5 else ""))

    def best(self, now: datetime) -> Optional[str]:
        """The step that would start next: due retries are ready too, then by weight, then by the file's order.

        None when none is ready, or max_active_steps is reached.
        """
        if self.stopping or self.ended:
            return None
        while self._waiting and self._waiting[0][0] <= now:
            _, step_id = heapq.heappop(self._waiting)
            if self._steps[step_id].state == "retry_wait" and step_id not in self._queued:
                self._enqueue(step_id)
        limit = self.pipeline.max_active_steps
        if limit is not None and len(self.running) >= limit:
            return None
        while self._ready:
            step_id = self._ready[0][2]
            if self._steps[step_id].state not in ("pending", "retry_wait"):
                self._queued.discard(heapq.heappop(self._ready)[2])
            elif step_id in self.held:
                self._aside.append(heapq.heappop(self._ready))
            else:
                return step_id
        return None

    def weight_of(self, step_id: str) -> int:
        return self._weights[step_id]

    def begin(self, step_id: str) -> None:
        """The step that `best` named begins: it is ready no more."""
        assert self._ready[0][2] == step_id, step_id
        heapq.heappop(self._ready)
        self._queued.discard(step_id)

    def _enqueue(self, step_id: str) -> None:
        self._queued.add(step_id)
        heapq.heappush(self._ready, (-self._weights[step_id], self._steps[step_id].order, step_id))


# ------------------------------------------------------------------------------------------------------------- weight


def weights(pipeline: Pipeline) -> Dict[str, int]:
    """Step -> the weight by which it competes for slots.

    weight_rule absolute: its own; downstream: with those of all that follow it, near or far; upstream: of all before it.
    """
    own = {step.id: step.priority_weight for step in pipeline.steps}
    if pipeline.weight_rule == "absolute":
        return own
    edges: Dict[str, List[str]] = {step.id: [] for step in pipeline.steps}
    for step in pipeline.steps:
        for need in step.needs:
            if pipeline.weight_rule == "downstream":
                edges[need].append(step.id)
            else:
                edges[step.id].append(need)
    reach: Dict[str, int] = {}  # as bits by position in the file: a whole set in one number, joined by `|`
    bit = {step.id: 1 << i for i, step in enumerate(pipeline.steps)}
    for step_id in _far_first(edges):
        reach[step_id] = bit[step_id]
        for other in edges[step_id]:
            reach[step_id] |= reach[other]
    if set(own.values()) == {1}:
        return {step_id: bin(bits).count("1") for step_id, bits in reach.items()}
    ordered = [step.priority_weight for step in pipeline.steps]
    return {step_id: sum(w for i, w in enumerate(ordered) if bits >> i & 1) for step_id, bits in reach.items()}


def _far_first(edges: Mapping[str, Sequence[str]]) -> List[str]:
    """Each after all that its edges lead to; no recursion, a chain may hold thousands."""
    out: List[str] = []
    left = {step_id: len(others) for step_id, others in edges.items()}
    back: Dict[str, List[str]] = {step_id: [] for step_id in edges}
    for step_id, others in edges.items():
        for other in others:
            back[other].append(step_id)
    queue = [step_id for step_id, count in left.items() if not count]
    while queue:
        step_id = queue.pop()
        out.append(step_id)
        for other in back[step_id]:
            left[other] -= 1
            if not left[other]:
                queue.append(other)
    return out


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
    return [step.id for step in pipeline.steps if step.id in chosen]
