"""The only module that reads the time. Everything else is handed it (tests/test_layers.py holds this)."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Optional, Tuple

UTC = timezone.utc


class Clock:
    """The machine's clocks. Tests put a FakeClock in its place."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC, microseconds."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot, suspend included, so that a clock that is set does not stretch a duration."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Wait; only where nothing can be waited for."""
        time.sleep(seconds)


def monotonic_usec() -> int:
    """Microseconds since boot, suspend left out: the clock that systemd compares with."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def to_text(moment: datetime) -> str:
    """A moment as the store keeps it: UTC, ISO 8601, always 27 characters, so that text order is time order."""
    global _last
    known, text = _last
    if moment is not known:  # the moment of a turn stands in many rows; never `==`, for which both halves of a repeated hour are one
        text = moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
        _last = moment, text
    return text


_last: Tuple[Optional[datetime], str] = (None, "")


def from_text(text: str) -> datetime:
    """The inverse of to_text."""
    return datetime.fromisoformat(text[:26] + "+00:00")
