"""Which run gets the next free slot: pure bookkeeping of slots, of pools, and of the runs that have a step ready.

A run with a ready step stands in a heap by its rank: lane, weight of its best step, live steps of its pipeline, order. So
what a person or the schedule wants goes before any backfill, then weight counts, then whose pipeline has the least at
work: one wide run does not keep the others out. A run whose best step finds a pool full is parked until that pool has room.
"""

from __future__ import annotations

import heapq
from typing import Dict, List, Mapping, Optional, Tuple

BACKFILL = "\0backfill"  # the pool of all backfills: a quarter of the slots stays free for tonight's runs

Rank = Tuple[int, int, int, int]  # lane, -weight, live steps of its pipeline, order: the smallest goes first


class Slots:
    """The slots of one engine."""

    def __init__(self, total: int, pools: Mapping[str, int]):
        """`total`: steps at once. `pools`: name -> slots of that pool."""
        self.total, self.used = total, 0
        self._sizes = {**pools, BACKFILL: max(1, total * 3 // 4)}
        self._room = dict(self._sizes)
        self._ready: List[Tuple[Rank, int, int]] = []  # rank, version, run
        self._parked: Dict[str, List[Tuple[Rank, int, int]]] = {}
        self._versions: Dict[int, int] = {}  # run -> version of its one entry that counts; others are stale
        self._count = 0

    # -- slots

    @property
    def free(self) -> int:
        return self.total - self.used

    def has_pool(self, pool: str) -> bool:
        return pool in self._sizes

    def full_pool(self, pools: Mapping[str, int]) -> Optional[str]:
        """The first of these pools (name -> slots wanted) without the room; None when all have it.

        Who wants more than a whole pool waits until it is empty, not for ever.
        """
        return next((pool for pool, wanted in pools.items() if self._room[pool] < min(wanted, self._sizes[pool])), None)

    def take(self, pools: Mapping[str, int]) -> None:
        """A step begins."""
        self.used += 1
        for pool, wanted in pools.items():
            self._room[pool] -= wanted

    def give_back(self, pools: Mapping[str, int]) -> None:
        """A step has ended: who waits for its pools is looked at again."""
        self.used -= 1
        for pool, wanted in pools.items():
            self._room[pool] += wanted
            for entry in self._parked.pop(pool, ()):
                heapq.heappush(self._ready, entry)

    # -- runs with a ready step

    def offer(self, run: int, rank: Rank) -> None:
        """This run has a step ready; an earlier offer of it counts no more."""
        self._count += 1
        self._versions[run] = self._count
        heapq.heappush(self._ready, (rank, self._count, run))

    def withdraw(self, run: int) -> None:
        """It has none."""
        self._versions.pop(run, None)

    def best(self) -> Optional[int]:
        """The run that is served next; None when none has a step ready."""
        while self._ready and self._versions.get(self._ready[0][2]) != self._ready[0][1]:
            heapq.heappop(self._ready)
        return self._ready[0][2] if self._ready else None

    def park(self, run: int, pool: str) -> None:
        """Its best step waits for that pool. `run` is the one that `best` gave."""
        self._parked.setdefault(pool, []).append(heapq.heappop(self._ready))
