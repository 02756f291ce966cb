"""How a pipeline came out day by day, as sheets of months, and on which days it will run."""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from typing import Any, Dict, List, Mapping, Optional, Tuple

from runner import model, schedule, standing
from runner.errors import RunnerError
from runner.schedule.zones import zone
from runner.web.desk import Desk
from runner.web.draw import calendar
from runner.web.views import common

SHEETS = 4
WORST = ("failed", "killed", "interrupted", "missed", "running", "queued", "success")  # of several runs of a day, the first of these is shown


def view(desk: Desk, store, now: datetime, args: Mapping[str, str], spec: Optional[model.Pipeline], row: Optional[model.PipelineRow], name: str, words, root: str) -> Dict[str, Any]:
    """`month`: the last one to show, else the one after this. `words`: the texts of the page."""
    place = zone(spec.timezone if spec else desk.config.timezone)
    today = now.astimezone(place).date()
    wanted = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", args.get("month", ""), re.ASCII)
    newest = _month(today, 1)
    last = (int(wanted[1]), int(wanted[2])) if wanted else newest
    shown = calendar.months(last, SHEETS)
    first, end = date(*shown[0], 1), date(*_month(date(*last, 1), 1), 1)
    days = [first + timedelta(days=number) for number in range((end - first).days)]
    begins = [datetime.combine(day, time(), place) for day in (*days, end)]
    of = _results(desk, store, name, days, begins)
    coming = _coming(spec, row, now, begins[-1], place)
    drawn = {day: _drawn(day, found, words, root) for day, found in of.items()}
    for day, moments in coming.items():
        if day not in drawn:
            drawn[day] = calendar.Day("coming", f"{day}: {words('calendar.will_run', at=moments)}")
    weekdays = words("calendar.weekdays").split()
    sheets = [calendar.sheet(year, month, drawn, today, weekdays, words.language == "ko") for year, month in shown]
    return {
        "sheets": sheets if drawn else [], "states": sorted({each.state for each in drawn.values() if each.state != "coming"}),
        "earlier": "%d-%02d" % _month(date(*last, 1), -SHEETS) if first > date(2001, 1, 1) else None,
        "later": "%d-%02d" % min(newest, _month(date(*last, 1), SHEETS)) if last < newest else None,
        "days": {f"{day}": {"state": _worst(found), "runs": [run for _, run, _ in found]} for day, found in of.items()},
        "coming": {f"{day}": at for day, at in coming.items()},
    }


def _month(day: date, on: int) -> Tuple[int, int]:
    """The month so many after that of the day."""
    number = day.year * 12 + day.month - 1 + on
    return number // 12, number % 12 + 1


def _results(desk: Desk, store, name: str, days: List[date], begins: List[datetime]) -> Dict[date, List[Tuple[str, str, int]]]:
    """Day -> (state, run, its number) of the runs that have it as their logical date; of a date that ran again, the last."""
    edges, out = [common.kept(begin) for begin in begins], {}
    for run in store.pages.results(name, begins[0], begins[-1]):
        day = days[bisect_right(edges, run.logical) - 1]
        found = out.setdefault(day, {})
        found[run.logical] = (standing.shown_state(desk, run) if run.state in ("running", "queued") else run.state, run.name, run.id)
    return {day: list(found.values()) for day, found in out.items()}


def _worst(found: List[Tuple[str, str, int]]) -> str:
    return min((state for state, _, _ in found), key=WORST.index)


def _drawn(day: date, found: List[Tuple[str, str, int]], words, root: str) -> calendar.Day:
    worst = _worst(found)
    number = next(number for state, _, number in found if state == worst)
    counts = [(state, sum(each == state for each, _, _ in found)) for state in WORST]
    said = ", ".join(f"{words.state(state)} {count}" for state, count in counts if count) if len(found) > 1 else words.state(worst)
    return calendar.Day(worst, f"{day}: {said}", f"{root}/r/{number}", len(found))


def _coming(spec: Optional[model.Pipeline], row: Optional[model.PipelineRow], now: datetime, end: datetime, place) -> Dict[date, str]:
    """Day -> the time of the first run that will have it as its logical date, before `end`. None while it is paused."""
    out: Dict[date, str] = {}
    if spec is None or spec.schedule is None or (row and (row.gone_at or row.paused_by)):
        return out
    try:
        moment = row.next_due if row and row.next_due else schedule.next_due(spec.schedule, now)
        while moment is not None:
            logical = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, moment).logical.astimezone(place)
            if logical >= end:
                break
            out.setdefault(logical.date(), f"{moment.astimezone(place):%m-%d %H:%M}")
            following = datetime.combine(logical.date() + timedelta(days=1), time(), place) - timedelta(microseconds=1)
            moment = schedule.next_due(spec.schedule, max(moment, following))
    except RunnerError:  # a schedule that cannot be worked out is said to be broken elsewhere
        pass
    return out
