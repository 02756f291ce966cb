"""All runs around now, by team: what ran, what runs, what is to come, each with the length it usually has as a shadow behind it."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from runner import shown
from runner.web.draw import svg
from runner.web.draw.axis import Axis

LANE, TOP, TITLE, NARROW, LETTERS = 19.0, 20.0, 22.0, 7.0, 22
CROWD = 5  # runs of one pipeline from which it has a line of its own


class Item(NamedTuple):
    """A run, or one that will be."""

    name: str  # of its pipeline
    state: str  # "coming" of one that will be
    begin: datetime
    end: Optional[datetime]  # None: it goes on
    usual: Optional[float]  # seconds
    address: str
    words: str = ""
    deadline: Optional[datetime] = None


def timeline(teams: Sequence[Tuple[str, Sequence[Item]]], now: datetime, zone: tzinfo, hours: float = 12, label: str = "", width: float = 1280.0) -> str:
    """`teams`: (name, items) from top to bottom."""
    axis = Axis(now - timedelta(hours=hours), now + timedelta(hours=hours), 0, width, zone)
    out, y = [], TOP
    for team, items in teams:
        if not items:
            continue
        out.append(svg.text(team, 2, y + 15, class_="strong"))
        y += TITLE
        for lane in _lanes(items, axis, now):
            for item, x, right in lane:
                out.append(_drawn(item, x, right, y, axis, now, named=True))
            y += LANE
    marks = axis.drawn(0, y + 4)
    marks.append(svg.tag("line", x1=axis.x(now), x2=axis.x(now), y1=12, y2=y + 4, class_="now"))
    return svg.picture(width, y + 6, label, *marks, *out)


def _reach(item: Item, axis: Axis, now: datetime) -> Tuple[float, float]:
    """From where to where it is drawn, its shadow included."""
    left = axis.x(item.begin)
    ends = [item.end or (now if item.state != "coming" else item.begin)]
    if item.usual:
        ends.append(item.begin + timedelta(seconds=item.usual))
    if item.deadline:
        ends.append(item.deadline)
    return left, max(max(axis.x(end) for end in ends), left + NARROW)


def _lanes(items: Sequence[Item], axis: Axis, now: datetime) -> List[List[Tuple[Item, float, float]]]:
    """As few lines as there is room for, the name of each beside it; who runs often has one of its own."""
    of: Dict[str, List[Item]] = {}
    for item in items:
        of.setdefault(item.name, []).append(item)
    groups = [[each] for name, own in of.items() if len(own) < CROWD for each in own] + [own for own in of.values() if len(own) >= CROWD]
    lanes: List[List[Tuple[Item, float, float]]] = []
    ends: List[float] = []
    for group in sorted(groups, key=lambda own: own[0].begin):
        placed = [(item, *_reach(item, axis, now)) for item in sorted(group, key=lambda item: item.begin)]
        crowd = len(placed) >= CROWD
        room = svg.cells(svg.cut(group[0].name, LETTERS)) * svg.LETTER + 26
        begin = 0.0 if crowd else min(placed[0][1], axis.right - room)
        free = next((number for number, end in enumerate(ends) if end <= begin and not crowd), None)
        if free is None:
            free = len(lanes)
            lanes.append([])
            ends.append(0.0)
        lanes[free] += placed
        ends[free] = axis.right if crowd else placed[-1][2] + room
    return lanes


def _drawn(item: Item, x: float, right: float, y: float, axis: Axis, now: datetime, named: bool) -> str:
    end = axis.x(item.end or now) if item.state != "coming" else x
    inside = [svg.title(item.words or item.name)]
    if item.usual:
        inside.append(svg.tag("rect", x=x, y=y + 2, width=max(axis.x(item.begin + timedelta(seconds=item.usual)) - x, NARROW), height=LANE - 5, rx=3, class_="usual"))
    if item.state != "coming":
        inside.append(svg.tag("rect", x=x, y=y + 4, width=max(end - x, NARROW), height=LANE - 9, rx=2, class_="box"))
    if item.deadline:
        inside.append(svg.tag("line", x1=axis.x(item.deadline), x2=axis.x(item.deadline), y1=y, y2=y + LANE - 1, class_="due"))
    words = svg.cut(item.name, LETTERS)
    sign = shown.STATE_SIGNS.get(item.state, "")
    words = f"{sign} {words}" if sign and item.state not in ("success",) else words
    long = svg.cells(words) * svg.LETTER
    if right + 4 + long <= axis.right:
        inside.append(svg.text(words, right + 4, y + 14, class_="quiet" if item.state in ("success", "coming") else None))
    else:
        inside.append(svg.text(words, x - 4, y + 14, text_anchor="end", class_="quiet" if item.state in ("success", "coming") else None))
    return svg.tag("g", svg.link(item.address, *inside), class_=f"s-{item.state}")
