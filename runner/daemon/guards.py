"""Why nothing new may begin: the disk is nearly full, or the clock jumped. Pure but for statvfs; `health` asks the same."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Optional

JUMP = timedelta(days=1)  # a clock that goes forward by more is more likely wrong than right (semantics D24)
STEP = timedelta(seconds=2)  # a smaller difference is drift


def free_bytes(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def disk_reason(folder: str, minimum: int) -> str:
    """Words when there is too little room for new runs; "" when there is enough."""
    free = free_bytes(folder)
    if free >= minimum:
        return ""
    return f"the disk of {folder} has {free // 2**20} MiB left, less than min_free ({minimum // 2**20} MiB): nothing new begins"


class ClockGuard:
    """Compares the wall clock with the time since boot."""

    def __init__(self, now: datetime, tick: float):
        self._base = self._offset(now, tick)
        self.reason = ""

    @staticmethod
    def _offset(now: datetime, tick: float) -> float:
        return now.timestamp() - tick

    def look(self, now: datetime, tick: float) -> Optional[timedelta]:
        """By how much the clock was set since the last look, None for not at all. After a jump `reason` says why to hold."""
        step = timedelta(seconds=self._offset(now, tick) - self._base)
        if self.reason:
            if abs(step) < JUMP:
                self.reason = ""  # it was put right
                self._base = self._offset(now, tick)
            return None
        if step > JUMP:
            self.reason = f"the clock jumped {step.days} days ahead, to {now:%Y-%m-%d %H:%M} UTC: nothing new begins until it is put right"
            return step
        self._base = self._offset(now, tick)
        return step if abs(step) > STEP else None

    def accept(self, now: datetime, tick: float) -> None:
        """A person says that the clock is right."""
        self._base, self.reason = self._offset(now, tick), ""
