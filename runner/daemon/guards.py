"""Why nothing new may begin: the clock jumped. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Optional

from runner.shown import minute

JUMP = timedelta(days=1)  # a clock that goes forward by more is more likely wrong than right (semantics D24)
STEP = timedelta(seconds=2)  # a smaller difference is drift


class ClockGuard:
    """Compares the wall clock with the time since boot, and says why to hold when it went off by more than a day."""

    def __init__(self, now: datetime, tick: float, known: Optional[datetime] = None, zone: tzinfo = timezone.utc):
        """`known`: a moment that has certainly passed; a clock far behind it lost its battery. `zone`: in which it is told."""
        self._zone = zone
        self._good = self._last = self._offset(now, tick)  # what wall clock minus time since boot should be, and was
        self._floor = False  # the clock may be ahead of _good by any time
        self.reason = ""
        if known is not None and known - now > JUMP:
            self._good, self._floor = self._offset(known, tick), True
            self.reason = f"the clock says {minute(now, zone)}, but runs of {minute(known, zone)} were made already: {_REMEDY}"

    @staticmethod
    def _offset(now: datetime, tick: float) -> float:
        return now.timestamp() - tick

    def look(self, now: datetime, tick: float) -> Optional[timedelta]:
        """By how much the clock was set since the last look, None for not at all. After a jump `reason` says why to hold."""
        offset = self._offset(now, tick)
        step, off = timedelta(seconds=offset - self._last), timedelta(seconds=offset - self._good)
        self._last = offset
        if off > JUMP and not self._floor or off < -JUMP:
            if not self.reason or abs(step) > STEP:
                way = "ahead" if off > JUMP else "back"
                self.reason = f"the clock jumped {_days(off)} {way}, to {minute(now, self._zone)}: {_REMEDY}"
        else:  # all is well, or it was put right
            self._good, self._floor, self.reason = offset, False, ""
        return step if abs(step) > STEP else None


_REMEDY = "nothing new begins until it is put right; if it is right, type: runner daemon reload"


def _days(step: timedelta) -> str:
    hours = round(abs(step).total_seconds() / 3600)
    days, hours = divmod(hours, 24)
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in ((days, "day"), (hours, "hour")) if n)
