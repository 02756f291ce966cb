"""Who asks too often. Each caller has a bucket that fills by itself: reads are cheap, acts are not. Kept in memory alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from math import ceil
from typing import NamedTuple, Tuple

from runner.web.api.problems import Refused


class Rate(NamedTuple):
    most: float  # at once
    each_second: float


READS, ACTS = Rate(2000, 500), Rate(100, 10)
MOST_CALLERS = 2000  # whose buckets are kept; who was quiet longest is forgotten first


class Limits:
    """For all threads of one page."""

    def __init__(self, reads: Rate = READS, acts: Rate = ACTS):
        self._rates = {False: reads, True: acts}
        self._buckets: "OrderedDict[Tuple[str, bool], Tuple[float, float]]" = OrderedDict()  # (what is in it, when that was)
        self._lock = threading.Lock()

    def take(self, caller: str, acts: bool, now: float) -> None:
        """One request, at a moment of a clock that only goes on. Raises Refused with the seconds to wait."""
        rate, key = self._rates[acts], (caller, acts)
        with self._lock:
            held, since = self._buckets.get(key, (rate.most, now))
            held = min(rate.most, held + max(now - since, 0.0) * rate.each_second)
            if held >= 1:
                self._buckets[key] = (held - 1, now)
                self._buckets.move_to_end(key)
                while len(self._buckets) > MOST_CALLERS:
                    self._buckets.popitem(last=False)
                return
            seconds = max(1, ceil((1 - held) / rate.each_second))
        raise Refused(
            "too-often", f"more than {rate.most:.0f} {'acts' if acts else 'requests'} at once, or {rate.each_second:.0f} a second",
            f"ask again in {seconds} s; a run is followed by its ETag, many runs by one list", Retry_After=str(seconds))
