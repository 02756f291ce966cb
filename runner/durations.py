"""Lengths of time as people write them: `5m`, `1h30m`, `90`, `2d`, `PT1M`.

The result is seconds as float. A day is 24 hours here: durations measure waiting, not the calendar (for "every three
days at the same wall time" see `schedule.py`, `every`).
"""

from __future__ import annotations

import math
import re
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_ORDER = ("w", "d", "h", "m", "s", "ms")  # largest first, each at most once
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", re.ASCII)
_ISO = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_LONGEST = 3660 * 86400.0  # ten years: more is surely a slip, and deadlines stay inside the range of datetime

_EXAMPLES = "write 90 (seconds), 30s, 5m, 1h30m or 2d"
_WORDS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "d": "d", "day": "d", "days": "d", "w": "w", "week": "w", "weeks": "w",
}  # fmt: skip


class DurationError(ValueError):
    """The text is no length of time; `message` says why, `hint` what to write."""

    def __init__(self, message: str, hint: str = _EXAMPLES):
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse_duration(value: Any) -> float:
    """Seconds from `90`, `90.5`, `30s`, `5m`, `1h30m`, `2d`, `1w`, `PT1M`, or from a plain number of seconds.

    Raises DurationError for anything else, for negative lengths and for more than ten years.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DurationError(f"{value!r} is not a length of time")
    if isinstance(value, str):
        seconds = _from_text(value.strip())
    else:
        seconds = float(value)
    if not math.isfinite(seconds):
        raise DurationError(f"{value!r} is not a length of time")
    if seconds < 0:
        raise DurationError(f"{value!r} is negative")
    if seconds > _LONGEST:
        raise DurationError(f"{value!r} is more than ten years", "leave it out when there is no limit")
    return seconds


def _from_text(text: str) -> float:
    if re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
        return float(text)
    if text.startswith("P"):
        return _from_iso(text)
    position, seconds, rank = 0, 0.0, -1
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or _ORDER.index(part.group(2)) <= rank:
            raise _fault(text)
        rank = _ORDER.index(part.group(2))
        seconds += float(part.group(1)) * _SECONDS[part.group(2)]
        position = part.end()
        while position < len(text) and text[position] == " ":
            position += 1
    if rank < 0:
        raise _fault(text)
    return round(seconds, 6)


def _from_iso(text: str) -> float:
    match = _ISO.fullmatch(text)
    if match is None or not any(match.groupdict().values()) or text.endswith("T"):
        if re.match(r"P[\d.]+[YM]|P[\d.]+Y[\d.]+M", text):
            raise DurationError(f"{text!r}: months and years have no fixed length", "write days, such as P30D or 30d")
        raise DurationError(f"{text!r} is not an ISO 8601 length of time", "write PT1M, PT1H30M or P2D, or 1m, 1h30m, 2d")
    return sum(float(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)


def _fault(text: str) -> DurationError:
    """What most likely was meant, in our words."""
    message = f"{text!r} is not a length of time"
    if not text:
        return DurationError("the length of time is empty")
    clock = re.fullmatch(r"(\d+):(\d\d)(?::(\d\d))?", text, re.ASCII)
    if clock:
        hours, minutes, seconds = clock.groups()
        return DurationError(message, f"write {hours}h{minutes}m" + (f"{seconds}s" if seconds else ""))
    if re.fullmatch(r"[\d.]+\s*(mo|months?|y|years?)", text, re.ASCII | re.IGNORECASE):
        return DurationError(f"{text!r}: months and years have no fixed length", "write days, such as 30d")
    words = re.findall(r"([\d.]+)\s*([A-Za-z]+)", text)
    if words and text.isascii() and re.fullmatch(r"(\s*[\d.]+\s*[A-Za-z]+\s*(,|and)?)+", text) and all(w.lower() in _WORDS for _, w in words):
        units = [_WORDS[word.lower()] for _, word in words]
        if units == sorted(set(units), key=_ORDER.index):
            return DurationError(message, "write " + "".join(n + unit for (n, _), unit in zip(words, units)))
        return DurationError(message, "name each unit once, the largest first: 1h30m")
    return DurationError(message)
