"""Five cron fields: which are good, and which instants they name.

What is accepted is decided here by a small grammar of our own (semantics D27), so that every fault gets a sentence
and a remedy. It is then written out as plain numbers, and croniter finds the wall times: nothing of its dialects, which
change between its releases, is reachable. Wall times become instants by cronie's rule for clock changes (D23).

croniter is imported inside the one function that needs it: commands that ask for no due time do not pay for it.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Deque, FrozenSet, Iterator, List, Optional, Sequence, Tuple

UTC = timezone.utc
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_NEVER_YEARS = 9  # 29 February is at most eight years away; what does not happen within nine never does


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a schedule or its dates. `message` says what, `hint` what to write instead."""

    message: str
    hint: str = ""
    severity: str = "error"  # error | warning
    key: str = "schedule"  # schedule | start_date | end_date | timezone: whose value it is
    offset: Optional[int] = None  # characters into that value's text where the bad part begins


# ---------------------------------------------------------------------------------------------------------- grammar

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FULL_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int  # largest number a user may write
    names: Tuple[str, ...] = ()
    names_from: int = 0

    @property
    def span(self) -> int:
        """How many different values there are; 7 is Sunday once more."""
        return 7 if self.name == "weekday" else self.high - self.low + 1

    @property
    def allowed(self) -> str:
        text = f"{self.low} to {self.high}"
        return f"{text} or {self.names[0]} to {self.names[-1]}" if self.names else text


MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day of the month", 1, 31)
MONTH = _Field("month", 1, 12, _MONTHS, 1)
WEEKDAY = _Field("weekday", 0, 7, _WEEKDAYS, 0)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_ORDER = "minute, hour, day of the month, month, weekday"


class _Bad(Exception):
    """A fault inside one field; `offset` counts from the field's first character."""

    def __init__(self, message: str, hint: str, offset: int = 0):
        super().__init__(message)
        self.message, self.hint, self.offset = message, hint, offset


@dataclass(frozen=True)
class _Days:
    """One field written out: the plain values, the special ones in croniter's spelling, and whether it is a bare `*`."""

    values: FrozenSet[int]
    special: Tuple[str, ...] = ()
    star: bool = False  # begins with *: cronie's mark of a job that follows the clock
    step: Optional[int] = None  # of a `*/n`

    @property
    def every(self) -> bool:
        return self.star and self.step in (None, 1)

    def text(self) -> str:
        if self.every:
            return "*"
        return ",".join([str(value) for value in sorted(self.values)] + list(self.special))


def check(text: str) -> List[Fault]:
    """Every fault and warning of a five-field cron expression, in the order of the text; presets are not known here.

    A fault's `offset` is where in `text` the bad field, or the bad part of it, begins. Rules: semantics D27.
    """
    words = list(re.finditer(r"\S+", text))
    faults = _check_whole(text, [word.group().lower() for word in words])
    if faults:
        return faults
    parsed: List[Optional[_Days]] = []
    for word, field in zip(words, FIELDS):
        try:
            parsed.append(_parse_field(word.group().lower(), field))
        except _Bad as bad:
            parsed.append(None)
            message = f"{field.name} {word.group()!r}: {bad.message}"
            faults.append(Fault(message, bad.hint, offset=word.start() + bad.offset))
    if not faults:
        starts = [word.start() for word in words]
        faults = _check_days(parsed, starts) or _check_ever(parsed, starts)
        faults = faults or _warnings(parsed, [word.group().lower() for word in words], starts)
    return faults


def _check_whole(text: str, words: Sequence[str]) -> List[Fault]:
    """Faults of the text as one: other systems' words, odd blanks, the number of fields."""
    # Pasted text brings no-break and ideographic spaces, which no editor shows.
    odd = re.search(r"[^\S \t\r\n]", text)
    if odd:
        return [Fault("the blank here is not an ordinary space", "type the spaces of the expression again", offset=odd.start())]
    if not words:
        return [Fault("the schedule is empty", 'leave `schedule` out for manual runs, or write "0 1 * * *"')]
    for word, place in zip(words, re.finditer(r"\S+", text)):
        fault = _foreign(word, words)
        if fault:
            return [Fault(fault[0], fault[1], offset=place.start())]
    if len(words) == 5:
        return []
    message = f"{len(words)} field{'s' * (len(words) != 1)}, but five are needed: {_ORDER}"
    if len(words) == 1 and words[0].isdigit():
        return [Fault(message, 'for 01:00 each day write "0 1 * * *"')]
    if len(words) in (6, 7):
        # Quartz and Spring put seconds first, so the five in the middle are the likely ones.
        middle = " ".join(words[1:6])
        return [Fault(message, f'seconds and years are not known here; without seconds first it is "{middle}"')]
    return [Fault(message, 'write five fields, such as "0 1 * * *" for 01:00 each day; * means every')]


def _foreign(word: str, words: Sequence[str]) -> Optional[Tuple[str, str]]:
    """Words of other systems, with what says the same here."""
    if "?" in word:
        fixed = " ".join("*" if "?" in each else each for each in (words[1:6] if len(words) > 5 else words))
        numbers = "; mind that Quartz counts weekdays from 1 = sun, here 1 = mon" if len(words) > 4 else ""
        return "`?` is Quartz's word for any day", f'write * instead: "{fixed}"{numbers}'
    if re.fullmatch(r"(h|r)(\(.*\))?(/.*)?", word):
        what = "a time chosen from the job's name, as in Jenkins" if word[0] == "h" else "a random time"
        return f"{word!r}: {what}, is not known here: a due time must be the same on each reading", "write a number, such as 17"
    return None


def _parse_field(word: str, field: _Field) -> _Days:
    """One field as numbers; raises _Bad at the first fault in it."""
    values: set = set()
    special: List[str] = []
    star, step, offset = word.startswith("*"), None, 0
    items = word.split(",")
    for item in items:
        if item.startswith("*") and len(items) > 1:
            raise _Bad("`*` already means every, a list beside it says nothing more", "write * alone, or the list alone", offset)
        try:
            extra = _parse_special(item, field, items)
            if extra:
                special.append(extra)
            else:
                numbers, item_step = _parse_item(item, field)
                values.update(numbers)
                step = item_step if star else None
        except _Bad as bad:
            raise _Bad(bad.message, bad.hint, offset + bad.offset) from None
        offset += len(item) + 1
    if field is WEEKDAY and special and values:
        raise _Bad("plain weekdays cannot stand beside `#` or `L`", "make two pipelines, or write each as fri#1,mon#1")
    return _Days(frozenset(values), tuple(special), star, step)


_HINT_ITEM = "write a number, a range such as 1-5, a list such as 1,15, or */n"


def _parse_item(item: str, field: _Field) -> Tuple[List[int], Optional[int]]:
    """`*`, `n`, `a-b`, each but `n` perhaps with `/step`, as the numbers it names and the step."""
    if not item:
        raise _Bad("a part of the list is empty", "take the extra comma out")
    base, slash, step_text = item.partition("/")
    if base == "*":
        first, last = field.low, field.low + field.span - 1
    elif "-" in base:
        first, last = _parse_range(base, field)
    elif not base:
        raise _Bad("nothing stands before the `/`", f"write *{item}")
    else:
        first = last = _parse_value(base, field)
        if slash:
            end = field.low + field.span - 1
            going_on = f"write {base}-{end}/{step_text} to go on from {base}, or {base} alone" if first < end else f"write {base}"
            raise _Bad("a single number with a step means different things in different crons", going_on)
    step = _parse_step(step_text, base, first, last, field) if slash else None
    numbers = range(first, last + 1, step or 1)
    return [number % 7 if field is WEEKDAY else number for number in numbers], step


def _parse_range(base: str, field: _Field) -> Tuple[int, int]:
    left, _, right = base.partition("-")
    if not left or not right or "-" in right or "*" in base:
        raise _Bad(f"{base!r} is not a range", "write first-last, such as 1-5")
    first, last = _parse_value(left, field), _parse_value(right, field)
    if field is WEEKDAY and last == 0 and first > 0:
        last = 7  # sat-sun, fri-0: the week may end on Sunday
    if first == last:
        raise _Bad(f"the range {base!r} is a single value", f"write {left}")
    if first > last:
        wrap = _range_text(first, field.low + field.span - 1), _range_text(field.low, last)
        raise _Bad(f"the range {base!r} runs backwards", f"write {wrap[0]},{wrap[1]} for going round the end")
    return first, last


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _parse_value(text: str, field: _Field) -> int:
    """A number or a name inside the field's bounds."""
    if re.fullmatch(r"\d+", text, re.ASCII):
        number = int(text)
        if not field.low <= number <= field.high:
            raise _Bad(f"{number} is outside {field.low} to {field.high}", _outside_hint(number, field))
        return number
    if text in field.names:
        return field.names.index(text) + field.names_from
    near = [name for name in field.names if text.startswith(name)]
    if near:
        raise _Bad(f"{text!r} is not a {field.name}", f"write {near[0]}: names have three letters")
    if not field.names and re.fullmatch(r"[a-z]+", text) and text in _MONTHS + _WEEKDAYS:
        right = "fourth" if text in _MONTHS else "fifth"
        raise _Bad(f"{text!r} stands in the wrong field", f"the order is {_ORDER}; it belongs in the {right}")
    if text.startswith(("+", "-")) or re.fullmatch(r"\d+\.\d+", text):
        raise _Bad(f"{text!r} is not a whole number", f"{field.name} is {field.allowed}")
    raise _Bad(f"{text!r} is not a {field.name}", f"{field.name} is {field.allowed}; {_HINT_ITEM}")


def _outside_hint(number: int, field: _Field) -> str:
    if field is HOUR and number == 24:
        return "midnight is hour 0"
    if field is MINUTE and number == 60:
        return "the full hour is minute 0"
    if field in (DAY, MONTH) and number == 0:
        return f"the first {field.name} is 1; * means every"
    return f"{field.name} is {field.allowed}"


def _parse_step(text: str, base: str, first: int, last: int, field: _Field) -> int:
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise _Bad(f"the step {text!r} is not a number", f"write {base}/2 for every second one", len(base) + 1)
    step = int(text)
    if step == 0:
        raise _Bad("a step of 0 never moves on", f"write {base}, or a step from 1 to {last - first}", len(base) + 1)
    if step > last - first:
        hint = f"steps go from 1 to {last - first} here; for {_first_only(first, field)} write {first}"
        raise _Bad(f"the step {step} is larger than the range {first} to {last}, so only {first} would be left", hint, len(base) + 1)
    return step


def _first_only(first: int, field: _Field) -> str:
    if field is WEEKDAY:
        return f"{_FULL_WEEKDAYS[first % 7]}s only"
    return f"{field.name} {first} only"


def _parse_special(item: str, field: _Field, items: Sequence[str]) -> Optional[str]:
    """`L`, `15W`, `fri#1`, `L5` in croniter's spelling; None for a plain item; raises _Bad for their near misses."""
    if field is DAY:
        return _parse_special_day(item, items)
    if field is WEEKDAY:
        return _parse_special_weekday(item)
    return None


def _parse_special_day(item: str, items: Sequence[str]) -> Optional[str]:
    if item == "l":
        return "l"
    if item in ("lw", "wl"):
        raise _Bad(f"{item.upper()!r} is not known here", "write 31W: the last day of the month from Monday to Friday")
    if re.fullmatch(r"l-\d+", item):
        raise _Bad("days before the last one are not known here", "write L for the last day, or a fixed day up to 28")
    near = re.fullmatch(r"(?:(\d+)w|w(\d+))", item, re.ASCII)
    if not near:
        return None
    day = _parse_value(near.group(1) or near.group(2), DAY)
    if len(items) > 1:
        raise _Bad("`W` must stand alone", f"write {day}W, and make a second pipeline for the other days")
    return f"{day}w"


def _parse_special_weekday(item: str) -> Optional[str]:
    nth = re.fullmatch(r"([^#]*)#(.*)", item)
    if nth:
        if not nth.group(1) or nth.group(1) == "*" or "-" in nth.group(1) or not re.fullmatch(r"[1-5]", nth.group(2), re.ASCII):
            raise _Bad(f"{item!r} is not an n-th weekday", "write weekday#1 to weekday#5, such as fri#1 for the first Friday")
        return f"{_parse_value(nth.group(1), WEEKDAY) % 7}#{nth.group(2)}"
    last = re.fullmatch(r"l(.+)|(.+)l", item)
    if item == "l" or last and re.fullmatch(r"\d|[a-z]{3}", last.group(1) or last.group(2) or ""):
        name = "5" if item == "l" else (last.group(1) or last.group(2))
        day = _parse_value(name, WEEKDAY) % 7
        if item == f"l{name}" and name.isdigit():
            return f"l{day}"
        raise _Bad(f"{item.upper()!r} is not known here", f"write L{day}: the last {_FULL_WEEKDAYS[day]} of the month")
    return None


# ------------------------------------------------------------------------------------------- the fields side by side


def _check_days(parsed: Sequence[_Days], starts: Sequence[int]) -> List[Fault]:
    """Two day fields that crons read differently, or that croniter cannot combine."""
    day, weekday = parsed[2], parsed[4]
    for mine, other, start, name in ((day, weekday, starts[2], "day of the month"), (weekday, day, starts[4], "weekday")):
        if mine.star and not mine.every and not other.every:
            message = f"*/{mine.step} as {name} beside another day field means `and` in some crons and `or` in others"
            return [Fault(message, "write the days as a list, or write * in one of the two day fields", offset=start)]
    if day.every or weekday.every:
        return []
    if weekday.special:
        message = "`#` or `L` as weekday cannot stand beside a day of the month"
        return [Fault(message, "write * as day of the month, or make two pipelines", offset=starts[2])]
    if "w" in "".join(day.special):
        return [Fault("`W` cannot stand beside a weekday", "write * as weekday, or make two pipelines", offset=starts[4])]
    return []


def _check_ever(parsed: Sequence[_Days], starts: Sequence[int]) -> List[Fault]:
    day, weekday = parsed[2], parsed[4]
    surely = day.every or "l" in day.special or any(value <= 28 for value in day.values) or not weekday.every
    if surely and not any(text.endswith("#5") for text in weekday.special):
        return []  # each month has a 28th, an L and every weekday: no need to import croniter for it
    canonical = " ".join(field.text() for field in parsed)
    for _ in _walls(canonical, datetime(2024, 1, 1), years=_NEVER_YEARS):
        return []
    if weekday.special:
        return [Fault("never happens: no such weekday in that month for years", "write # with 1 to 4", offset=starts[4])]
    names = ", ".join(_MONTHS[month - 1] for month in sorted(parsed[3].values))
    days = ", ".join(str(value) for value in sorted(day.values))
    return [Fault(f"never happens: there is no day {days} in {names}", "write L for the last day of the month", offset=starts[2])]


def _warnings(parsed: Sequence[_Days], words: Sequence[str], starts: Sequence[int]) -> List[Fault]:
    """What is allowed and yet seldom meant."""
    minute, hour, day, month, weekday = parsed
    found = []
    if minute.every and not hour.star:
        hint = f'for once an hour write "0 {" ".join(words[1:])}"'
        found.append(_warn("`*` as minute runs 60 times in each of these hours", hint, starts[0]))
    for field, each, start in zip(FIELDS, parsed, starts):
        if each.star and not each.every and field is not DAY and field.span % each.step:
            found.append(_warn(_uneven(field, each), _even_hint(field, each.step), start))
    if day.star and not day.every:
        last = sorted(day.values)[-1]
        message = f"*/{day.step} starts again at the 1st of each month: {last}, 1, {1 + day.step} is not every {day.step} days"
        found.append(_warn(message, f"write `schedule: {{every: {day.step}d}}` with a start_date for every {day.step} days", starts[2]))
    if not day.every and not weekday.every:
        message = f"both day fields are set: runs {_day_words(day)} or {_weekday_words(weekday)}, whichever comes"
        found.append(_warn(message, "write * in one of the two if only the other was meant", starts[2]))
    return found


def _warn(message: str, hint: str, offset: int) -> Fault:
    return Fault(message, hint, "warning", offset=offset)


def _uneven(field: _Field, each: _Days) -> str:
    values = sorted(each.values)
    rest = field.span - values[-1] + values[0]
    return f"*/{each.step} does not divide {field.span}: from {field.name} {values[-1]} to {values[0]} it is {rest}, not {each.step}"


def _even_hint(field: _Field, step: Optional[int]) -> str:
    even = ", ".join(str(n) for n in range(2, field.span) if field.span % n == 0)
    if not even:
        return "write the weekdays as a list, such as mon,wed,fri"
    unit = {"minute": "m", "hour": "h", "month": "mo"}[field.name]
    return f"{even} divide {field.span}; `schedule: {{every: {step}{unit}}}` keeps one distance"


def _day_words(day: _Days) -> str:
    words = [f"on the {value}{_ordinal(value)}" for value in sorted(day.values)]
    return ", ".join(words + ["on the last day"] * ("l" in day.special))


def _ordinal(number: int) -> str:
    return "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _weekday_words(weekday: _Days) -> str:
    return "on " + ", ".join(f"{_FULL_WEEKDAYS[value]}s" for value in sorted(weekday.values))


# --------------------------------------------------------------------------------------------------------- instants


@dataclass(frozen=True)
class _Cron:
    canonical: str  # plain numbers, for croniter
    star: bool  # cronie's wildcard job: it follows the clock through a change


@lru_cache(maxsize=512)
def _compile(expression: str) -> _Cron:
    words = expression.lower().split()
    if len(words) != 5:
        raise ValueError(f"not five cron fields: {expression!r}")
    try:
        parsed = [_parse_field(word, field) for word, field in zip(words, FIELDS)]
    except _Bad as bad:
        raise ValueError(f"{expression!r}: {bad.message}") from None
    return _Cron(" ".join(field.text() for field in parsed), parsed[0].star or parsed[1].star)


def fires(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The instants (UTC, aware) strictly after `after` that the expression names in that zone, in order, each once.

    Clock changes follow cronie (semantics D23). A job with `*` at the head of minute or hour follows the clock: nothing
    in the skipped hour, twice in the repeated one. Any other job runs once a wall time: what the skipped hour held runs
    at its end, the repeated hour counts the first time. `expression` must have passed `check`; ValueError if not.
    """
    cron = _compile(expression)
    last = after.astimezone(UTC)
    for instant in _in_order(_walls(cron.canonical, _wall_before(zone, last)), zone, cron.star):
        if instant > last:
            last = instant
            yield instant


def _in_order(walls: Iterator[datetime], zone: tzinfo, star: bool) -> Iterator[datetime]:
    """The instants of wall times, sorted: a repeated hour's second pass waits until the first is through."""
    second_pass: Deque[datetime] = deque()
    for wall in walls:
        instants = _instants(wall, zone, star)
        while second_pass and instants and second_pass[0] <= instants[0]:
            yield second_pass.popleft()
        yield from instants[:1]
        second_pass.extend(instants[1:])
    yield from second_pass


def last_before(expression: str, zone: tzinfo, before: datetime) -> Optional[datetime]:
    """The latest instant (UTC, aware) of the expression strictly before `before`; None when there is none in decades.

    It is read off `fires`, so both directions agree by construction: going back only finds where to start.
    """
    cron = _compile(expression)
    before = before.astimezone(UTC)
    wall = before.astimezone(zone).replace(tzinfo=None)
    wall = wall if wall == _floor(wall) else _floor(wall) + _MINUTE
    for earlier in _walls(cron.canonical, wall, backwards=True):
        for instant in _instants(earlier, zone, cron.star)[:1]:
            if instant < before:
                found = None
                for fire in fires(expression, zone, instant - _MINUTE):
                    if fire >= before:
                        break
                    found = fire
                if found:
                    return found
    return None


def first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC) of a naive wall time: the first of two, and the end of the gap for one that was skipped."""
    return _instants(wall, zone, False)[0]


def instants_of(wall: datetime, zone: tzinfo) -> List[datetime]:
    """Every instant (UTC) at which the zone's clocks show that naive wall time: none, one or two."""
    return _instants(wall, zone, True)


def _instants(wall: datetime, zone: tzinfo, star: bool) -> List[datetime]:
    """Where a wall time falls for a wildcard job (`star`) or a fixed one, in order."""
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    early, late = first.utcoffset(), second.utcoffset()
    instant = first.astimezone(UTC)
    if early == late:
        return [instant]
    if early > late:  # clocks were put back: the wall time comes twice
        return [instant, second.astimezone(UTC)] if star else [instant]
    return [] if star else [_gap_end(second.astimezone(UTC), instant, zone)]


def _gap_end(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """The instant between the two at which the zone's clocks were put forward, to the second."""
    after = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high


def _wall_before(zone: tzinfo, after: datetime) -> datetime:
    """A wall time early enough that no instant later than `after` has one that is earlier or the same.

    Clocks put back within the next day show again what they showed: start so much earlier.
    """
    local = after.astimezone(zone)
    back = local.utcoffset() - (after + _DAY).astimezone(zone).utcoffset()
    return _floor(local.replace(tzinfo=None)) - max(back, timedelta(0))


def _floor(wall: datetime) -> datetime:
    return wall.replace(second=0, microsecond=0)


def _walls(canonical: str, start: datetime, backwards: bool = False, years: Optional[int] = None) -> Iterator[datetime]:
    """Naive wall times strictly after (before) `start`; ends when croniter finds no more within the years."""
    from croniter import CroniterBadDateError  # here: 40 to 70 ms, and most commands ask for no due time

    walker = copy.copy(_walker(canonical, years or _NEVER_YEARS))  # its only state are numbers: a copy is a fresh one
    walker.set_current(start)
    step = walker.get_prev if backwards else walker.get_next
    while True:
        try:
            wall = step()
        except (CroniterBadDateError, OverflowError, ValueError):
            return  # no such date in years, or the calendar's end
        yield wall


@lru_cache(maxsize=512)
def _walker(canonical: str, years: int):
    from croniter import croniter

    return croniter(canonical, datetime(2024, 1, 1), ret_type=datetime, max_years_between_matches=years)
