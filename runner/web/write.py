"""How templates write moments: in the zone that is asked for, short where the day is today's."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Optional

_DAYS = {"ko": "월화수목금토일", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}


def day(value: datetime, language: str) -> str:
    """2026-11-20 Fri, 2026-11-20(금)."""
    name = _DAYS[language][value.weekday()]
    return f"{value:%Y-%m-%d}({name})" if language == "ko" else f"{value:%Y-%m-%d} {name}"


def whole(value: Optional[datetime], zone: Optional[tzinfo] = None) -> str:
    """2026-11-20 01:00:03 KST."""
    if value is None:
        return ""
    return f"{value.astimezone(zone) if zone else value:%Y-%m-%d %H:%M:%S %Z}"


def short(value: Optional[datetime], now: datetime, zone: Optional[tzinfo] = None) -> str:
    """01:00 today, 11-20 01:00 within half a year, 2025-11-20 else."""
    if value is None:
        return ""
    value = value.astimezone(zone) if zone else value
    today = now.astimezone(value.tzinfo)
    if value.date() == today.date():
        return f"{value:%H:%M}"
    return f"{value:%m-%d %H:%M}" if abs((value - today).days) < 180 else f"{value:%Y-%m-%d}"
