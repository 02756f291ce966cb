"""The alarm clock: APScheduler with a heartbeat and one job for the nearest due time (semantics D26).

It decides nothing: both jobs ring. What is due is read from the database by the loop, so that a lost, late or doubled ring
changes nothing. The heartbeat is what notices a clock that was set, or a machine that slept (semantics D24).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Callable, Optional

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger

from runner.clock import UTC

BEAT_SECONDS = 10
_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
DEAD_BEATS = 6  # looks of the loop, a beat apart, that found no new one: the timer's thread is gone


class _Beat(BaseTrigger):
    """Every so many seconds from now. APScheduler's own IntervalTrigger walks each missed beat of a clock that was set ahead,
    for minutes when it was by years."""

    def __init__(self, seconds: float):
        self._distance = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time, now):
        return now + self._distance


class _Date(DateTrigger):
    """Once, and then never again, but there. APScheduler removes a job that has ended: were the timer closed or the job removed
    in that moment, its thread or ours would meet an error."""

    def get_next_fire_time(self, previous_fire_time, now):
        return super().get_next_fire_time(previous_fire_time, now) or _NEVER


class Timer:
    """Rings; counts its beats."""

    def __init__(self, ring: Callable[[], None], beat_seconds: float = BEAT_SECONDS):
        self.beats = 0
        self._ring, self._due, self._seconds = ring, None, beat_seconds
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        # misfire_grace_time: its default, one second, drops what is late
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(2)}, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._scheduler.add_job(self._beat, _Beat(beat_seconds), id="beat")
        self._scheduler.add_job(ring, _Date(_NEVER), id="due")
        self._scheduler.start()

    def _beat(self) -> None:
        self.beats += 1
        self._ring()

    def set_due(self, moment: Optional[datetime]) -> None:
        """Ring at that moment, and no more at the one before; None: only beat."""
        if moment == self._due:
            return
        self._due = moment
        self._scheduler.add_job(self._ring, _Date(moment or _NEVER), id="due", replace_existing=True)

    def clock_was_set(self) -> None:
        """Beat from now on: after a clock was set back the next beat would be late by as much."""
        self._scheduler.reschedule_job("beat", trigger=_Beat(self._seconds))

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)


class Watchdog:
    """Tells that the timer is dead. It counts the loop's own looks, so that a stopped process or a set clock is no death."""

    def __init__(self) -> None:
        self._seen, self._missing, self._last = -1, 0, 0.0

    def is_dead(self, beats: int, tick: float) -> bool:
        """`tick`: monotonic seconds. Call it as often as you like."""
        if beats != self._seen:
            self._seen, self._missing, self._last = beats, 0, tick
        elif tick - self._last >= BEAT_SECONDS:
            self._missing, self._last = self._missing + 1, tick
        return self._missing >= DEAD_BEATS
