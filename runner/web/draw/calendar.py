"""Months as sheets: each day in the colour and with the sign of how it came out; what is to come only framed."""

from __future__ import annotations

from calendar import Calendar
from datetime import date
from typing import Mapping, NamedTuple, Optional, Sequence, Tuple

from runner.shown import STATE_SIGNS
from runner.web.draw import svg

WIDE, HIGH, GAP, HEAD = 38, 26, 3, 46
WIDTH = 7 * (WIDE + GAP) - GAP + 4


class Day(NamedTuple):
    """A day on which something ran, or will."""

    state: str  # "coming" of what will run
    words: str
    address: str = ""
    runs: int = 1


def sheet(year: int, month: int, days: Mapping[date, Day], today: date, weekdays: Sequence[str], sunday_first: bool = False) -> str:
    """`weekdays`: their names from Monday on."""
    first = 6 if sunday_first else 0
    label = f"{year}-{month:02d}"
    out = [svg.text(label, 2, 15, class_="strong")]
    out += [svg.text(weekdays[(first + place) % 7], 2 + place * (WIDE + GAP) + WIDE / 2, 36, text_anchor="middle", class_="quiet small") for place in range(7)]
    weeks = Calendar(first).monthdatescalendar(year, month)
    for row, week in enumerate(weeks):
        for place, day in enumerate(week):
            if day.month == month:
                out.append(_day(day, days.get(day), day == today, 2 + place * (WIDE + GAP), HEAD + row * (HIGH + GAP)))
    return svg.picture(WIDTH, HEAD + len(weeks) * (HIGH + GAP) + 2, label, *out)


def _day(day: date, found: Optional[Day], today: bool, x: float, y: float) -> str:
    ring = svg.tag("rect", x=x - 1.5, y=y - 1.5, width=WIDE + 3, height=HIGH + 3, rx=5, class_="ring") if today else ""
    number = svg.text(str(day.day), x + 5, y + 17, class_="quiet" if found is None else None if found.state == "coming" else "onbox")
    if found is None:
        return ring + number
    coming = found.state == "coming"
    inside = [svg.title(found.words), svg.tag("rect", x=x, y=y, width=WIDE, height=HIGH, rx=4, class_="ahead" if coming else "box"), number]
    if not coming:
        inside.append(svg.text(STATE_SIGNS.get(found.state, " "), x + WIDE - 10, y + 17, text_anchor="middle", class_="onbox"))
    return ring + svg.tag("g", svg.link(found.address, *inside) if found.address else "".join(inside), class_=f"s-{found.state}")


def months(last: Tuple[int, int], count: int) -> Sequence[Tuple[int, int]]:
    """So many months up to and with the last, in order."""
    end = last[0] * 12 + last[1] - 1
    return [(number // 12, number % 12 + 1) for number in range(end - count + 1, end + 1)]
