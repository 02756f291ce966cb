"""When a pipeline is due, which date that instant has, and what a date on the command line means.

Pure: `now` is an argument, nothing is stored. The due instant is a run's identity; `ds` is read off it (semantics D12,
D13). In mode `due` the logical date is the due instant itself; in mode `interval_start` it is the start of the interval
that ends there, which is Airflow 2's reading. Every moment that is returned is aware and in the pipeline's zone.
"""

from __future__ import annotations

import difflib
from collections import deque
from dataclasses import replace
from datetime import date as Day
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Deque, Iterator, List, Optional, Sequence, Tuple

from runner.schedule import cron, every, moments
from runner.schedule.cron import UTC, Fault
from runner.errors import UsageError
from runner.schedule.every import EveryError
from runner.model import LogicalDate, Schedule
from runner.schedule.moments import Moment, MomentError
from runner.schedule.zones import check_timezone, zone


MODES = ("due", "interval_start")
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_TICK = timedelta(microseconds=1)
_CHOICES_SHOWN = 24


class DateError(UsageError):
    """`--date TEXT` names no run, or several: `choices` are texts that would do."""

    def __init__(self, message: str, hint: str = "", choices: Sequence[str] = ()):
        super().__init__(message, hint)
        self.choices = tuple(choices)


# -------------------------------------------------------------------------------------------------------- due times


def next_due(schedule: Schedule, after: datetime) -> Optional[datetime]:
    """The first due instant strictly later than `after`, not before start_date and not after end_date; else None.

    `@once` is due at start_date. Without one it is due when the pipeline is first seen, which a schedule cannot know:
    next_due is None then, and the daemon asks again with `with_first_seen`.
    """
    return next(due_between(schedule, after, None), None)


def previous_due(schedule: Schedule, before: datetime) -> Optional[datetime]:
    """The last due instant strictly earlier than `before`, start_date and end_date left aside.

    None only for `@once`, or when nothing was due for years. It is the inverse of next_due on its own results.
    """
    place = zone(schedule.timezone)
    if schedule.cron is not None:
        found = cron.last_before(schedule.cron, place, before)
    elif schedule.every is not None:
        found = every.last_before(schedule.every, _anchor(schedule), place, before)
    else:
        found = next((start for start in _start(schedule) if start < _utc(before)), None)
    return found.astimezone(place) if found is not None else None


def due_between(schedule: Schedule, after: datetime, until: Optional[datetime]) -> Iterator[datetime]:
    """Due instants with after < due <= until, in order, inside start_date and end_date; `until` None is without end."""
    place = zone(schedule.timezone)
    after = max([_utc(after)] + [start - _TICK for start in _start(schedule)])
    ends = [_utc(moment) for moment in (until, schedule.end) if moment is not None]
    for instant in _fires(schedule, after):
        if any(instant > end for end in ends):
            return
        yield instant.astimezone(place)


def dues_on(schedule: Schedule, mode: str, timezone: str, day: Day) -> Iterator[datetime]:
    """The due instants whose `ds` is that day, in order, start_date and end_date left aside: a person may ask for any."""
    place = zone(timezone)
    first, end = moments.first_of_day(day, place), moments.first_of_day(day + timedelta(days=1), place)
    shift = 1 if _by_start(schedule, mode) else 0  # the run of an interval is due when the next interval begins
    window: Deque[datetime] = deque()
    for instant in _fires(schedule, first - _TICK):
        window.append(instant)
        if window[0] >= end:
            return
        if len(window) > shift:
            window.popleft()
            yield instant.astimezone(place)


def with_first_seen(schedule: Schedule, moment: datetime) -> Schedule:
    """`@once` without start_date, due at the moment the pipeline was first seen; any other schedule as it is."""
    if schedule.once and schedule.start is None:
        return replace(schedule, start=moment.astimezone(zone(schedule.timezone)))
    return schedule


def _fires(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Instants (UTC) after `after`, without regard to start and end."""
    place = zone(schedule.timezone)
    if schedule.cron is not None:
        return cron.fires(schedule.cron, place, after)
    if schedule.every is not None:
        return every.fires(schedule.every, _anchor(schedule), place, after)
    return iter([start for start in _start(schedule) if start > _utc(after)])


def _start(schedule: Schedule) -> List[datetime]:
    return [_utc(schedule.start)] if schedule.start is not None else []


def _utc(moment: datetime) -> datetime:
    """All reckoning is done in UTC: Python compares and adds two moments of one zone by their wall clocks, blind to `fold`."""
    return moment.astimezone(UTC)


def _anchor(schedule: Schedule) -> datetime:
    return schedule.start if schedule.start is not None else every.default_anchor(zone(schedule.timezone))


def _recurs(schedule: Optional[Schedule]) -> bool:
    """Whether there are intervals at all: a manual pipeline and `@once` have none."""
    return schedule is not None and not schedule.once


def _by_start(schedule: Optional[Schedule], mode: str) -> bool:
    if mode not in MODES:
        raise ValueError(f"unknown logical_date mode {mode!r}")
    return mode == "interval_start" and _recurs(schedule)


# ------------------------------------------------------------------------------------------------ the date of a run


def date_of(schedule: Optional[Schedule], mode: str, timezone: str, due: datetime) -> LogicalDate:
    """The date of the run that is due at that instant (semantics D12).

    The interval is the last complete one at `due`: for a due time it ends there. Without a schedule, and for `@once`,
    it has no length. The logical date is `due` itself, or in mode `interval_start` the interval's start.
    """
    due = due.astimezone(zone(timezone))
    by_start = _by_start(schedule, mode)
    end = previous_due(schedule, _utc(due) + _TICK) if _recurs(schedule) else None
    start = previous_due(schedule, end) if end is not None else None
    if start is None:
        return LogicalDate(due, due, due, due, timezone)
    return LogicalDate(due, start if by_start else due, start, end, timezone)


def due_for(schedule: Optional[Schedule], mode: str, timezone: str, text: Optional[str], now: datetime) -> datetime:
    """The due instant that `--date TEXT` means (semantics D16); raises DateError, with choices where there are any.

    No text, mode `due` or no schedule: now, to the second. No text, mode `interval_start`: the due instant of the last
    complete interval. So there the run is the scheduled run of that interval, with its name and its identity: a second
    run on the same data needs a person to ask for one.
    A date: the due instant whose ds is that day; 00:00 when there is none; an error that lists them when there are
    several. A time: the run whose logical date it is. In mode `interval_start` both must name the start of an interval,
    since otherwise the run would get another ds than was typed. start_date and end_date are left aside.
    """
    if text is None:
        now = _utc(now).replace(microsecond=0)
        last = previous_due(schedule, now + _TICK) if _by_start(schedule, mode) else None
        return last or now.astimezone(zone(timezone))
    try:
        moment = moments.parse_moment(text)
    except MomentError as error:
        raise DateError(error.message, error.hint) from None
    find = _due_of_day if moment.time is None else _due_of_time
    return find(schedule, mode, timezone, moment).astimezone(zone(timezone))


def run_label(schedule: Optional[Schedule], mode: str, timezone: str, date: LogicalDate) -> str:
    """The part of a run's name behind the @; `due_for` of it gives the run's due instant again.

    The plain date when `due_for` of it is this run, else the logical date's local time to the minute: with seconds when
    there are any, with the offset when the clocks show that time twice.
    """
    place = zone(timezone)
    day = date.logical.astimezone(place).date()
    dues = list(islice(dues_on(schedule, mode, timezone, day), 2)) if schedule is not None else []
    if not dues and not _by_start(schedule, mode):
        dues = [moments.first_of_day(day, place)]
    if len(dues) == 1 and _utc(dues[0]) == _utc(date.due):
        return day.isoformat()
    # A due instant between two due times, as it can be after a schedule was changed, has no name but its own.
    off_schedule = _by_start(schedule, mode) and _utc(date.interval_end) != _utc(date.due)
    return _time_text(date.due if off_schedule else date.logical, timezone)


def _time_text(moment: datetime, timezone: str) -> str:
    place = zone(timezone)
    local = moment.astimezone(place)
    wall = local.replace(tzinfo=None)
    text = wall.strftime("%Y-%m-%dT%H:%M:%S" if wall.second else "%Y-%m-%dT%H:%M")
    if len(cron.instants_of(wall, place)) == 1:
        return text
    offset = local.strftime("%z")
    return f"{text}{offset[:3]}:{offset[3:5]}"


def _due_of_day(schedule: Optional[Schedule], mode: str, timezone: str, moment: Moment) -> datetime:
    dues = list(islice(dues_on(schedule, mode, timezone, moment.day), _CHOICES_SHOWN + 1)) if schedule is not None else []
    if len(dues) == 1:
        return dues[0]
    midnight = moments.first_of_day(moment.day, zone(timezone))
    if dues:
        logical = dues if not _by_start(schedule, mode) else [previous_due(schedule, due) for due in dues]
        raise _several(moment.day, [_time_text(each, timezone) for each in logical])
    if _by_start(schedule, mode):
        raise _no_interval(schedule, timezone, f"no interval starts on {moment.day}", midnight)
    return midnight


def _due_of_time(schedule: Optional[Schedule], mode: str, timezone: str, moment: Moment) -> datetime:
    place = zone(timezone)
    found = moment.instants(place)
    if not found:
        after = cron.first_instant(datetime.combine(moment.day, moment.time), place)
        choice = _time_text(after, timezone)
        raise DateError(moments.skipped_message(moment, place), f"type {choice}", [choice])
    if len(found) > 1 and schedule is not None:
        # A fixed job runs in the first pass of a repeated hour only: then the time is not in doubt.
        found = [each for each in found if _is_due(schedule, each)] or found
    if len(found) > 1:
        choices = [_time_text(each, timezone) for each in found]
        raise DateError(f"the clocks show {moment.time:%H:%M} twice on {moment.day}", "type " + " or ".join(choices), choices)
    if not _by_start(schedule, mode):
        return found[0]
    if not _is_due(schedule, found[0]):
        text = _time_text(found[0], timezone)
        raise _no_interval(schedule, timezone, f"no interval starts at {text}", found[0])
    return next(_fires(schedule, found[0]))


def _is_due(schedule: Schedule, instant: datetime) -> bool:
    return next(_fires(schedule, instant - _TICK), None) == instant


def _several(day: Day, choices: List[str]) -> DateError:
    more = " ..." if len(choices) > _CHOICES_SHOWN else ""
    count = f"more than {_CHOICES_SHOWN}" if more else str(len(choices))
    choices = choices[:_CHOICES_SHOWN]
    return DateError(f"{day} has {count} runs", f"type one of {', '.join(choices)}{more}", choices)


def _no_interval(schedule: Schedule, timezone: str, message: str, near: datetime) -> DateError:
    """Mode interval_start: the starts on both sides of what was typed."""
    starts = [previous_due(schedule, near), next(_fires(schedule, near), None)]
    choices = []
    for start in starts:
        following = next(_fires(schedule, start), None) if start is not None else None
        if following is not None:
            choices.append(run_label(schedule, "interval_start", timezone, date_of(schedule, "interval_start", timezone, following)))
    hint = f"type {' or '.join(choices)}" if choices else ""
    return DateError(f"{message}, and with `logical_date: interval_start` that is a run's date", hint, choices)


# ---------------------------------------------------------------------------------------------------- from the file


def parse(value: Any, timezone: str, start: Optional[str], end: Optional[str]) -> Tuple[Optional[Schedule], List[Fault]]:
    """The schedule of a pipeline file, and everything wrong with it.

    `value` is YAML's data under `schedule:`; None and the word none are a manual pipeline, which has no Schedule.
    `start` and `end` are the texts of start_date and end_date. A fault's `key` names the value it is about, its
    `offset` the place inside that value's text. With an error among the faults there is no Schedule.
    """
    wrong = check_timezone(timezone)
    faults = [wrong] if wrong is not None else []
    known = timezone if wrong is None or wrong.severity == "warning" else "UTC"
    first = _bound(start, known, "start_date", faults)
    last = _bound(end, known, "end_date", faults)
    if first is not None and last is not None and _utc(last) < _utc(first):
        faults.append(Fault(f"end_date {end} is before start_date {start}", "write the later one as end_date", key="end_date", offset=0))
    schedule = _parse_value(value, known, start is not None, faults)
    if schedule is None or any(fault.severity == "error" for fault in faults):
        return None, faults
    schedule = replace(schedule, start=first, end=last)
    if first is not None and last is not None and next_due(schedule, _utc(first) - _TICK) is None:
        faults.append(Fault("no due time lies between start_date and end_date", "write a later end_date", key="end_date", offset=0))
        return None, faults
    return schedule, faults


def _bound(text: Optional[str], timezone: str, key: str, faults: List[Fault]) -> Optional[datetime]:
    """start_date or end_date as a moment: a bare start is 00:00, a bare end the last moment of its day (D20)."""
    if text is None:
        return None
    place = zone(timezone)
    try:
        moment = moments.parse_moment(text)
    except MomentError as error:
        faults.append(Fault(f"{key}: {error.message}", error.hint, key=key, offset=0))
        return None
    if moment.time is None and key == "end_date":
        return (moments.first_of_day(moment.day + timedelta(days=1), place) - _TICK).astimezone(place)
    found = moment.instants(place)
    if not found:
        faults.append(Fault(f"{key}: {moments.skipped_message(moment, place)}", "write a time that exists", key=key, offset=0))
        return None
    return found[0 if key == "start_date" else -1].astimezone(place)


def _parse_value(value: Any, timezone: str, has_start: bool, faults: List[Fault]) -> Optional[Schedule]:
    if value is None or isinstance(value, str) and value.strip().lower() in ("none", "null"):
        return None
    if isinstance(value, dict):
        return _parse_every(value, timezone, has_start, faults)
    if not isinstance(value, str):
        faults.append(_no_schedule(value))
        return None
    word = value.strip().lower()
    if word == "@once":
        return Schedule(value, timezone, once=True)
    if word in PRESETS:
        return Schedule(value, timezone, cron=PRESETS[word])
    if word.startswith("@"):
        faults.append(_unknown_preset(word))
        return None
    if f"@{word}" in (*PRESETS, "@once"):
        faults.append(Fault(f"the preset {word} is written with an @", f'write schedule: "@{word}"', offset=0))
        return None
    bare = word[5:].strip() if word.startswith("every") else word
    if _is_every(bare):
        faults.append(Fault(f"{value!r} is not a cron expression", f"write `schedule: {{every: {bare}}}`", offset=0))
        return None
    found = cron.check(value)
    faults.extend(found)
    if any(fault.severity == "error" for fault in found):
        return None
    return Schedule(value, timezone, cron=" ".join(word.split()))


def _parse_every(value: dict, timezone: str, has_start: bool, faults: List[Fault]) -> Optional[Schedule]:
    others = [str(key) for key in value if key != "every"]
    if others:
        hint = "write the expression itself: `schedule: \"0 1 * * *\"`" if "cron" in others else "only `every` may stand here: {every: 3d}"
        faults.append(Fault(f"schedule: unknown key {', '.join(others)}", hint))
        return None
    if "every" not in value:
        faults.append(Fault("the schedule is empty", "leave `schedule` out for manual runs, or write {every: 3d}"))
        return None
    try:
        distance = every.parse_every(value["every"])
    except EveryError as error:
        faults.append(error.fault())
        return None
    if every.needs_start(distance) and not has_start:
        text = f"every: {value['every']} needs a start_date to count from"
        faults.append(Fault(text, "add a line such as `start_date: 2026-01-01`; its time of day is the due time"))
        return None
    return Schedule(f"every {value['every']}", timezone, every=distance)


def _is_every(text: str) -> bool:
    try:
        return bool(every.parse_every(text))
    except EveryError:
        return False


def _no_schedule(value: Any) -> Fault:
    if isinstance(value, list):
        return Fault("a list is not a schedule", "write one cron expression; times that no single one can name need two pipelines")
    return Fault(f"{value!r} is not a schedule", 'write a cron expression in quotes, such as "0 1 * * *", a preset such as @daily, or {every: 3d}')


def _unknown_preset(word: str) -> Fault:
    if word == "@reboot":
        return Fault("@reboot is not known here: runs are made at due times", "call `runner run PIPELINE` from the boot script", offset=0)
    if word.startswith("@every"):
        distance = word[6:].strip()
        return Fault(f"{word} is not known here", f"write `schedule: {{every: {distance if _is_every(distance) else '5m'}}}`", offset=0)
    known = sorted([*PRESETS, "@once"])
    near = difflib.get_close_matches(word, known, 1)
    return Fault(f"{word} is not a preset", f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}", offset=0)
