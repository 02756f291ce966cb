"""`schedule: {every: 3d}`: due times at one distance from a start.

Hours and minutes are exact time. Days, weeks and months keep the wall time of the start in the pipeline's zone, through
clock changes as well; a month that lacks the start's day takes its last day (semantics D18).
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, tzinfo
from typing import Any, Iterator, Tuple

from runner.schedule.cron import UTC, Fault, first_instant

Every = Tuple[int, str]  # amount and unit: m h d w mo

_EXACT = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}
_WORDS = {
    "min": "m", "mins": "m", "minute": "m", "minutes": "m", "hr": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
    "week": "w", "weeks": "w", "month": "mo", "months": "mo",
}  # fmt: skip
_MOST = 100_000
_TICK = timedelta(microseconds=1)
_EPOCH = datetime(2000, 1, 1)  # where `every` in hours or minutes counts from when there is no start_date


class EveryError(ValueError):
    """The text is no distance; `message` says why, `hint` what to write."""

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.message, self.hint = message, hint

    def fault(self) -> Fault:
        return Fault(self.message, self.hint)


def parse_every(value: Any) -> Every:
    """(3, "d") from `3d`; units m h d w mo. Raises EveryError."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d+)(mo|[mhdw])", text, re.ASCII)
    if not match or isinstance(value, bool):
        raise EveryError(f"every: {text!r} is not a distance between due times", _hint(text))
    amount = int(match.group(1))
    if not 1 <= amount <= _MOST:
        raise EveryError(f"every: {text!r} is outside 1 to {_MOST}", "write how many minutes, hours, days, weeks or months, such as 3d")
    return amount, match.group(2)


def _hint(text: str) -> str:
    worded = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", text, re.ASCII)
    unit = worded.group(2).lower() if worded else ""
    if worded and (unit in _WORDS or unit in ("h", "d", "w", "mo")):
        return f"write {worded.group(1)}{_WORDS.get(unit, unit)}"
    if worded and unit in ("y", "year", "years"):
        return f"write {int(worded.group(1)) * 12}mo"
    if unit in ("s", "sec", "second", "seconds"):
        return "the shortest distance is one minute: 1m"
    both = re.fullmatch(r"(\d+)h(\d+)m", text, re.ASCII)
    if both:
        return f"write one number: {int(both.group(1)) * 60 + int(both.group(2))}m"
    return "write a number and one of m (minutes), h, d, w, mo (months), such as 3d"


def needs_start(every: Every) -> bool:
    """Whether the distance means nothing without a start_date: days, weeks and months have no natural first one."""
    return every[1] not in _EXACT


def default_anchor(zone: tzinfo) -> datetime:
    """Where hours and minutes are counted from without a start_date; fixed, so that a restart cannot shift the phase."""
    return first_instant(_EPOCH, zone).astimezone(zone)


def fires(every: Every, anchor: datetime, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The instants (UTC) strictly after `after`, without end, also those before the anchor."""
    last, number = after.astimezone(UTC), _first_above(every, anchor, zone, after)
    while True:
        instant = _at(every, anchor, zone, number)
        number += 1
        if instant > last:
            last = instant
            yield instant


def last_before(every: Every, anchor: datetime, zone: tzinfo, before: datetime) -> datetime:
    """The latest instant (UTC) strictly before `before`, also before the anchor."""
    return _at(every, anchor, zone, _first_above(every, anchor, zone, before.astimezone(UTC) - _TICK) - 1)


def _first_above(every: Every, anchor: datetime, zone: tzinfo, moment: datetime) -> int:
    """The smallest n whose instant is later than the moment: a guess that is never too high, then steps up."""
    amount, unit = every
    moment = moment.astimezone(UTC)
    if unit in _EXACT:
        number = (moment - anchor.astimezone(UTC)) // (_EXACT[unit] * amount)
    else:
        local, start = moment.astimezone(zone), anchor.astimezone(zone)
        if unit == "mo":
            number = ((local.year - start.year) * 12 + local.month - start.month) // amount - 1
        else:
            number = (local.date() - start.date()).days // (amount * (7 if unit == "w" else 1)) - 1
    while _at(every, anchor, zone, number) <= moment:
        number += 1
    return number


def _at(every: Every, anchor: datetime, zone: tzinfo, number: int) -> datetime:
    """The n-th instant (UTC); the anchor's own is the 0th."""
    amount, unit = every
    if unit in _EXACT:
        return anchor.astimezone(UTC) + _EXACT[unit] * (amount * number)
    wall = anchor.astimezone(zone).replace(tzinfo=None)
    if unit == "mo":
        return first_instant(_add_months(wall, amount * number), zone)
    return first_instant(wall + timedelta(days=amount * number * (7 if unit == "w" else 1)), zone)


def _add_months(wall: datetime, months: int) -> datetime:
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    return wall.replace(year=year, month=month + 1, day=min(wall.day, calendar.monthrange(year, month + 1)[1]))
