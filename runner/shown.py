"""How states, durations, moments and sizes are written, on a terminal and on the page alike."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

STATE_SIGNS = {
    "success": "+", "failed": "x", "upstream_failed": "^", "skipped": "-", "running": ">", "retry_wait": "~",
    "queued": ".", "pending": ".", "killed": "!", "missed": "?", "interrupted": "!",
}


def duration(seconds: Optional[float]) -> str:
    """0.4s, 12s, 3m05s, 2h07m, 3d04h."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(int(seconds + 0.5) if seconds < 60 else int(seconds), 60)
    if not minutes:
        return f"{rest}s"
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24:02d}h"


def elapsed(start: Optional[datetime], end: Optional[datetime], now: datetime) -> str:
    """How long from start to end, or to now."""
    if start is None:
        return ""
    return duration(((end or now) - start).total_seconds())


def moment(value: Optional[datetime], zone) -> str:
    """A moment as people here read it: 2026-11-20 01:00:03."""
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if value else ""


def minute(value: datetime, zone) -> str:
    """The same in a sentence, without seconds and with its clock: 2026-11-20 01:00 KST."""
    return f"{value.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def size(count: int) -> str:
    """900 B, 12.3 kB, 4.5 GB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
