"""A run in time: each step's attempts as bars, the way that decided its length lit."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Set

from runner import shown
from runner.web.draw import svg
from runner.web.draw.axis import Axis

ROW, TOP, NAMES = 24.0, 18.0, 190.0


class Bar(NamedTuple):
    """An attempt, or a step without one."""

    state: str
    begin: datetime
    end: Optional[datetime]  # None: it goes on
    words: str = ""


class Line(NamedTuple):
    step: str
    state: str
    bars: Sequence[Bar]
    address: str = ""


def gantt(lines: Sequence[Line], begin: datetime, now: datetime, zone: tzinfo, *, lit: Set[str] = frozenset(), ended: Optional[datetime] = None,
          deadlines: Sequence[datetime] = (), label: str = "", width: float = 1000.0) -> str:
    """`lit`: the steps that made the run as long as it is. `ended`: of the run; None while it goes on."""
    end = ended or now
    last = max([end, *(bar.end or now for line in lines for bar in line.bars), *deadlines])
    axis, height = Axis(begin, last, NAMES, width - 60, zone), TOP + ROW * len(lines) + 4
    out = axis.drawn(0, height)
    for place, line in enumerate(lines):
        out += _line(line, TOP + place * ROW, axis, now, line.step in lit)
    for moment in deadlines:
        out.append(svg.tag("line", svg.title(f"{moment.astimezone(zone):%H:%M}"), x1=axis.x(moment), x2=axis.x(moment), y1=0, y2=height, class_="due"))
    if ended is None:
        out.append(svg.tag("line", x1=axis.x(now), x2=axis.x(now), y1=TOP, y2=height, class_="now"))
    return svg.picture(width, height, label, *out)


def _line(line: Line, y: float, axis: Axis, now: datetime, lit: bool) -> List[str]:
    name = svg.text(svg.cut(line.step, 25), 22, y + 16, class_="strong" if lit else None)
    out = [svg.tag("rect", x=0, y=y, width=axis.right + 60, height=ROW, class_="band"), svg.sign(line.state, 0, y + 4), svg.link(line.address, svg.title(line.step), name) if line.address else name]
    for bar in line.bars:
        left, right = axis.x(bar.begin), axis.x(bar.end or now)
        words = f"{line.step}: {bar.state} {shown.elapsed(bar.begin, bar.end, now)} {bar.words}".strip()
        out.append(svg.tag("rect", svg.title(words), x=left, y=y + 4, width=max(right - left, 3.0), height=ROW - 8, rx=3, class_="box" + (" lit" if lit else ""))
                   if line.state != "pending" else "")
        out[-1] = svg.tag("g", out[-1], class_=f"s-{bar.state}") if out[-1] else ""
    if line.bars:
        out.append(svg.text(shown.elapsed(line.bars[0].begin, line.bars[-1].end, now), axis.x(line.bars[-1].end or now) + 5, y + 16, class_="quiet"))
    return [svg.tag("g", *out, data_step=line.step)]


def critical(needs: Mapping[str, Sequence[str]], ended: Mapping[str, Any]) -> Set[str]:
    """The way back from the step that ended last: each time to the one of its needs that ended last. `ended`: step -> moment."""
    if not ended:
        return set()
    at, out = max(ended, key=ended.__getitem__), set()
    while at and at not in out:
        out.add(at)
        before = [need for need in needs.get(at, ()) if need in ended]
        at = max(before, key=ended.__getitem__) if before else ""
    return out
