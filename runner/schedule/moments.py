"""Dates and times as people type them: `2026-02-28`, `20260228`, `2026-02-28T03:00`, with seconds, with a zone offset.

Only the text is read here; which instant it is needs a zone and, on the command line, a schedule (`schedule.due_for`).
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date as Day
from datetime import datetime, timedelta
from datetime import time as Time
from datetime import timezone, tzinfo
from typing import List, Optional

from runner.schedule.cron import UTC, first_instant, instants_of

_YEARS = (1900, 2199)
_SHAPE = re.compile(
    r"(?P<y>\d{4})(?P<dash>-?)(?P<m>\d\d)(?P=dash)(?P<d>\d\d)"
    r"(?:[Tt ](?P<h>\d\d):?(?P<min>\d\d)(?::?(?P<s>\d\d))?\s*(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_EXAMPLES = "write a date such as 2026-02-28, or a time such as 2026-02-28T03:00"


class MomentError(ValueError):
    """The text is no date; `message` says why, `hint` what to type."""

    def __init__(self, message: str, hint: str = _EXAMPLES):
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True)
class Moment:
    """What was typed: a day, perhaps a wall time, perhaps an offset from UTC."""

    day: Day
    time: Optional[Time] = None
    offset: Optional[timedelta] = None

    def instants(self, zone: tzinfo) -> List[datetime]:
        """The instants (UTC) it may be: one, two in a repeated hour, none in a skipped one. A bare day is its first."""
        if self.time is None:
            return [first_of_day(self.day, zone)]
        wall = datetime.combine(self.day, self.time)
        if self.offset is not None:
            return [wall.replace(tzinfo=timezone(self.offset)).astimezone(UTC)]
        return instants_of(wall, zone)


def first_of_day(day: Day, zone: tzinfo) -> datetime:
    """The first instant (UTC) of a local day: 00:00, or where the day begins when the clocks skip midnight."""
    return first_instant(datetime.combine(day, Time()), zone)


def skipped_message(moment: Moment, zone: tzinfo) -> str:
    """Says that a wall time does not exist, and which one comes instead."""
    wall = datetime.combine(moment.day, moment.time or Time())
    after = first_instant(wall, zone).astimezone(zone)
    return f"{wall:%H:%M} does not exist on {wall:%Y-%m-%d} in {zone}: the clocks are put forward to {after:%H:%M}"


def parse_moment(text: object) -> Moment:
    """Read `2026-02-28`, `20260228`, `2026-02-28T03:00[:00][+09:00]`, `20260228T030000`. Raises MomentError."""
    typed = str(text).strip()
    match = _SHAPE.fullmatch(typed)
    if match is None:
        raise _misspelt(typed)
    year, month, day = int(match["y"]), int(match["m"]), int(match["d"])
    _check_day(year, month, day)
    if match["h"] is None:
        return Moment(Day(year, month, day))
    return Moment(Day(year, month, day), _time(match), _offset(match["zone"]))


def _check_day(year: int, month: int, day: int) -> None:
    if not _YEARS[0] <= year <= _YEARS[1]:
        raise MomentError(f"the year {year:04d} is outside {_YEARS[0]} to {_YEARS[1]}", "write year-month-day, such as 2026-02-28")
    if not 1 <= month <= 12:
        hint = f"write {year:04d}-{day:02d}-{month:02d}" if 1 <= day <= 12 and 1 <= month <= 31 else "months go from 01 to 12"
        raise MomentError(f"there is no month {month:02d}", hint)
    days = calendar.monthrange(year, month)[1]
    if not 1 <= day <= days:
        raise MomentError(f"{calendar.month_name[month]} {year} has {days} days", f"the last one is {year:04d}-{month:02d}-{days:02d}")


def _time(match: "re.Match[str]") -> Time:
    hour, minute, second = int(match["h"]), int(match["min"]), int(match["s"] or 0)
    if hour > 23:
        raise MomentError(f"there is no hour {hour}", "hours go from 00 to 23; midnight is 00:00 of the next day")
    if minute > 59 or second > 59:
        raise MomentError(f"there is no {'minute' if minute > 59 else 'second'} {max(minute, second)}", "they go from 00 to 59")
    return Time(hour, minute, second)


def _offset(text: Optional[str]) -> Optional[timedelta]:
    if text is None:
        return None
    if text in "Zz":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 14 or minutes > 59:
        raise MomentError(f"there is no offset {text}", "offsets look like +09:00")
    return (-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes)


def _misspelt(text: str) -> MomentError:
    message = f"{text!r} is not a date"
    loose = re.fullmatch(r"(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})\.?(?:[Tt ]+(\d{1,2})(?::(\d\d)(?::(\d\d))?)?)?", text, re.ASCII)
    if loose:
        year, month, day, hour, minute, second = loose.groups()
        time = "" if hour is None else f"T{int(hour):02d}:{minute or '00'}" + (f":{second}" if second else "")
        return _write(message, f"{year}-{int(month):02d}-{int(day):02d}{time}")
    other = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", text, re.ASCII)
    if other:
        first, second, year = (int(group) for group in other.groups())
        if first > 12 or second > 12 or first == second:
            month, day = (second, first) if first > 12 else (first, second)
            return _write(message, f"{year}-{month:02d}-{day:02d}", "the year first: ")
        return MomentError(message, f"write the year first: {year}-{second:02d}-{first:02d} or {year}-{first:02d}-{second:02d}")
    if re.fullmatch(r".*T?\d\d:\d\d(:\d\d)?\.\d+.*", text):
        return MomentError(message, "leave out the parts of a second")
    return MomentError(message)


def _write(message: str, text: str, first: str = "") -> MomentError:
    """The hint to write it as `text`; where that is no date either, what is wrong with it."""
    try:
        parse_moment(text)
    except MomentError as error:
        return error
    return MomentError(message, f"write {first}{text}")
