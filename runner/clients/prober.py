"""Looks at what steps wait for, and tells the engine: JSON lines in on stdin, JSON lines out on stdout.

    in   {"id": .., "probe": {"for": "file", ..}, "every": 30, "env": {..}, "cwd": ..}     {"end": id}
    out  {"id": .., "missing": ".."}   {"id": .., "ready": {..}}   {"id": .., "failed": ".."}

A process of its own, so that a mount that hangs can be left behind with it. It ends when its stdin does: with the engine.
Each look is a thread's work, as many at once as its lane allows. Nothing is told twice in a row.
"""

from __future__ import annotations

import heapq
import json
import os
import queue
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Deque, Dict, List, Mapping, Optional, Tuple

from runner.clients.probes import CLOCK, Seen

HUNG_SECONDS = 120.0  # a look that takes longer is told
MOST_TOGETHER = 500


@dataclass
class _Wait:
    request: Mapping[str, Any]
    module: Any
    lane: str
    memory: Dict[str, Any] = field(default_factory=dict)
    said: str = ""
    since: Optional[float] = None  # of the look that goes on


class Prober:
    """One thread decides, others look."""

    def __init__(self, out=None):
        self._out = out or sys.stdout
        self._waits: Dict[str, _Wait] = {}
        self._due: List[Tuple[float, str]] = []
        self._lanes: Dict[str, Deque[str]] = {}
        self._limits: Dict[str, int] = {}
        self._busy: Dict[str, int] = {}
        self._inbox: "queue.Queue[Tuple[str, Any]]" = queue.Queue()
        self._next_hung = 0.0

    def listen(self, stream) -> None:
        """Take requests from a stream until it ends."""

        def read() -> None:
            for line in stream:
                self._inbox.put(("request", json.loads(line)))
            self._inbox.put(("closed", None))

        threading.Thread(target=read, daemon=True).start()

    def run(self) -> None:
        """Until the engine is gone."""
        while True:
            try:
                kind, value = self._inbox.get(timeout=self._sleep())
                while True:
                    if kind == "closed":
                        return
                    self._take(kind, value)
                    kind, value = self._inbox.get_nowait()
            except queue.Empty:
                pass
            self._look()

    def _sleep(self) -> float:
        tick = CLOCK.monotonic()
        nearest = min(self._due[0][0] if self._due else tick + 60, self._next_hung if any(self._busy.values()) else tick + 60)
        return max(nearest - tick, 0.0)

    def _take(self, kind: str, value: Any) -> None:
        if kind == "request":
            if "end" in value:
                self._waits.pop(value["end"], None)
            else:
                self._add(value)
            return
        lane, seen = value
        self._busy[lane] -= 1
        for name, wait, one in seen:
            if self._waits.get(name) is wait:
                wait.since = None
                self._tell(name, wait, one)
        self._next_of(lane)

    def _add(self, request: Mapping[str, Any]) -> None:
        probe = {**request["probe"], "env": request.get("env") or {}, "cwd": request.get("cwd", "/"), "home": (request.get("env") or {}).get("RUNNER_HOME", "")}
        module = import_module(f"runner.clients.probes.{probe['for']}")
        lane, limit = module.lane(probe)
        self._limits[lane] = limit
        self._waits[request["id"]] = _Wait({**request, "probe": probe}, module, lane)
        heapq.heappush(self._due, (CLOCK.monotonic(), request["id"]))

    def _look(self) -> None:
        tick = CLOCK.monotonic()
        lanes = []
        while self._due and self._due[0][0] <= tick:
            _, name = heapq.heappop(self._due)
            wait = self._waits.get(name)
            if wait and wait.since is None:
                self._lanes.setdefault(wait.lane, deque()).append(name)
                lanes.append(wait.lane)
        for lane in dict.fromkeys(lanes):
            self._next_of(lane)
        if tick >= self._next_hung:
            self._next_hung = tick + HUNG_SECONDS / 4
            for name, wait in self._waits.items():
                if wait.since is not None and tick - wait.since > HUNG_SECONDS:
                    self._say(name, wait, f"no answer: does {wait.lane.partition(' ')[2] or wait.lane} hang?")

    def _next_of(self, lane: str) -> None:
        """Start looks of a lane while it allows more."""
        waiting = self._lanes.get(lane)
        while waiting and self._busy.get(lane, 0) < self._limits[lane]:
            module = None
            batch: List[Tuple[str, _Wait]] = []
            while waiting and len(batch) < MOST_TOGETHER:
                name = waiting.popleft()
                wait = self._waits.get(name)
                if wait is not None:
                    wait.since, module = CLOCK.monotonic(), wait.module
                    batch.append((name, wait))
                if module is not None and self._limits[lane] > 1 and len(batch) >= max(1, (len(waiting) + len(batch)) // self._limits[lane]):
                    break
            if batch:
                self._busy[lane] = self._busy.get(lane, 0) + 1
                threading.Thread(target=self._work, args=(lane, module, batch), daemon=True).start()

    def _work(self, lane: str, module: Any, batch: List[Tuple[str, _Wait]]) -> None:
        many = getattr(module, "look_many", None)
        if many:
            try:
                seen = many([wait.request["probe"] for _, wait in batch])
            except Exception as error:  # noqa: BLE001 - a fault of a look must not end the others
                seen = [Seen(missing=f"{type(error).__name__}: {error}")] * len(batch)
        else:
            seen = [self._one(module, wait) for _, wait in batch]
        self._inbox.put(("seen", (lane, [(name, wait, one) for (name, wait), one in zip(batch, seen)])))

    @staticmethod
    def _one(module: Any, wait: _Wait) -> Seen:
        try:
            return module.look(wait.request["probe"], wait.memory)
        except Exception as error:  # noqa: BLE001 - see above
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Seen(missing=f"cannot be looked at: {words}")

    def _tell(self, name: str, wait: _Wait, seen: Seen) -> None:
        if seen.ready is not None:
            del self._waits[name]
            self._write({"id": name, "ready": dict(seen.ready)})
        elif seen.failed:
            del self._waits[name]
            self._write({"id": name, "failed": seen.failed})
        else:
            self._say(name, wait, seen.missing)
            every = float(wait.request["every"])
            heapq.heappush(self._due, (CLOCK.monotonic() + (every if seen.again is None else seen.again), name))

    def _say(self, name: str, wait: _Wait, missing: str) -> None:
        if missing != wait.said:
            wait.said = missing
            self._write({"id": name, "missing": missing})

    def _write(self, message: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


def main(client) -> int:
    prober = Prober()
    prober.listen(sys.stdin)
    prober.run()
    os._exit(0)  # without waiting for looks that hang
