"""Steps that wait for something outside their run: no process of their own, no slot.

`Waits` keeps what is waited for and brings news to the engine. Files, times, tables and addresses are looked at by one process,
the prober (`runner.clients.prober`): a mount that hangs can never hold up the daemon. Runs of other pipelines are rows of our own
database and are looked at here (`runs`, `child`). Nothing is kept on disk: the attempt's row says what is waited for.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from runner import model
from runner.clock import Clock
from runner.definitions import Definitions
from runner.errors import RunnerError
from runner.executors import Report
from runner.store import Store
from runner.waits import child, runs
from runner.waits.prober import Prober

EVERY_SECONDS = 30.0


class News(NamedTuple):
    """What is still missing, or that the wait is over."""

    folder: str
    missing: str = ""
    report: Optional[Report] = None


@dataclass
class _Inner:
    """A wait for rows of our own database."""

    look: Callable[[], runs.Seen]
    pipeline: str
    every: float
    next_look: float  # monotonic seconds
    child: Optional[int] = None  # the run that the step made


class Waits:
    """What the steps of one engine wait for."""

    def __init__(self, store: Store, definitions: Optional[Definitions], clock: Clock, watch, unwatch):
        """`watch` and `unwatch` take a descriptor that ends the engine's sleep."""
        self._store, self._definitions, self._clock = store, definitions, clock
        self._prober = Prober(watch, unwatch, clock)
        self._inner: Dict[str, _Inner] = {}
        self._due: List[Tuple[float, str]] = []  # a heap of looks; one whose wait has another moment by now, or none, counts for nothing
        self._of: Dict[str, Set[str]] = {}  # pipeline -> the waits for its runs
        self._outer: Dict[str, Mapping[str, Any]] = {}
        self._news: List[News] = []

    def close(self) -> None:
        self._prober.close()

    def begin(self, folder: str, job: model.Job, run: model.Run, let_begin: Callable[[model.Run, model.Pipeline], None]) -> None:
        """Look for what the job's probe names, from now on. A run that it makes is part of the caller's transaction.

        `let_begin` is the engine's way to take care of such a run.
        """
        probe = job.probe or {}
        every = float(probe.get("every") or EVERY_SECONDS)
        try:
            if probe["for"] == "pipeline":
                made, spec = child.begin(self._store, self._definitions, probe, run, self._clock.now())
                let_begin(made, spec)
                if not probe.get("wait", True):
                    self._end(folder, runs.Seen(ready={"run": made.name}))
                else:
                    self._keep(folder, lambda: child.look(self._store, made.id), made.pipeline, every, made.id)
            elif probe["for"] == "run":
                self._keep(folder, lambda: runs.look(self._store, self._definitions, probe), probe["run"], every)
            else:
                self._outer[folder] = {"id": folder, "probe": probe, "every": every, "env": dict(job.env), "cwd": job.cwd}
                self._prober.send(self._outer[folder])
        except RunnerError as error:
            self._end(folder, runs.Seen(failed=f"{error.message}. {error.hint}".rstrip(". ")))

    def _keep(self, folder: str, look: Callable[[], runs.Seen], pipeline: str, every: float, made: Optional[int] = None) -> None:
        self._inner[folder] = _Inner(look, pipeline, every, 0.0, made)
        self._of.setdefault(pipeline, set()).add(folder)
        self._look_at(folder, self._clock.monotonic())

    def _look_at(self, folder: str, moment: float) -> None:
        self._inner[folder].next_look = moment
        heapq.heappush(self._due, (moment, folder))

    def end(self, folder: str) -> Optional[int]:
        """Wait no longer. Returns the run that the step made and still waits for, if any."""
        if self._outer.pop(folder, None):
            self._prober.send({"end": folder})
        inner = self._inner.pop(folder, None)
        if inner is None:
            return None
        others = self._of[inner.pipeline]
        others.discard(folder)
        if not others:
            del self._of[inner.pipeline]
        return inner.child

    def ended(self, pipeline: str) -> None:
        """A run of that pipeline has ended: whoever waits for one looks at once."""
        for folder in self._of.get(pipeline, ()):
            if self._inner[folder].next_look:
                self._look_at(folder, 0.0)

    def next_look(self) -> Optional[float]:
        """When there will be something to do here, in monotonic seconds."""
        if self._news:
            return 0.0
        self._drop_old()
        moments = [self._due[0][0]] if self._due else []
        if self._outer and self._prober.retry_at is not None:
            moments.append(self._prober.retry_at)
        return min(moments, default=None)

    def _drop_old(self) -> None:
        while self._due and not self._counts(*self._due[0]):
            heapq.heappop(self._due)

    def _counts(self, moment: float, folder: str) -> bool:
        inner = self._inner.get(folder)
        return inner is not None and inner.next_look == moment

    def heard(self) -> List[News]:
        """What is new since the last call."""
        tick = self._clock.monotonic()
        due = []
        while self._due and self._due[0][0] <= tick:
            due.append(heapq.heappop(self._due))
        for moment, folder in due:
            if self._counts(moment, folder):
                inner = self._inner[folder]
                self._look_at(folder, tick + inner.every)
                self._take(folder, inner.look())
        if self._prober.must_start(tick, bool(self._outer)):
            for request in self._outer.values():
                self._prober.send(request)
        for said in self._prober.read():
            if said["id"] in self._outer:
                self._take(said["id"], runs.Seen(said.get("ready"), said.get("missing", ""), said.get("failed", "")))
        news, self._news = self._news, []
        return news

    def _take(self, folder: str, seen: runs.Seen) -> None:
        if seen.ready is None and not seen.failed:
            self._news.append(News(folder, seen.missing))
        else:
            self._end(folder, seen)

    def _end(self, folder: str, seen: runs.Seen) -> None:
        self.end(folder)
        if seen.ready is not None:
            report = Report(folder, "exited", 0, outputs=seen.ready)
        else:
            report = Report(folder, "failed", reason=seen.failed)
        self._news.append(News(folder, report=report))

