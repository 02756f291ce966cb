"""When each run was done, measured from the moment it was due, against its deadline. The newest on the right."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Sequence

from runner import shown
from runner.web.draw import svg

HEIGHT, LEFT, FOOT, TALL = 130.0, 64.0, 18.0, 12.0
R = 3.2


class Landing(NamedTuple):
    address: str
    label: str
    state: str
    seconds: float  # from when it was due to its end
    deadline: Optional[float] = None  # from when it was due
    words: str = ""

    @property
    def late(self) -> bool:
        return self.deadline is not None and self.seconds > self.deadline


def landings(runs: Sequence[Landing], clock: Callable[[float], str], label: str = "", width: float = 600.0) -> str:
    """A dot for each, a cross where it was too late. `clock(seconds)`: what is written at that height beside the length.

    One that landed days later, a date run again perhaps, stands at the upper edge: it must not press the others flat.
    """
    usual = sorted(each.seconds for each in runs)
    most = max([usual[int(len(usual) * 0.95)] * 1.25 if usual else 1.0, *(each.deadline * 1.1 for each in runs if each.deadline is not None), 1.0])
    pitch = min((width - LEFT) / max(len(runs), 1), 24.0)
    base = HEIGHT - FOOT

    def y(seconds: float) -> float:
        return base - min(max(seconds, 0.0) / most, 1.0) * (base - TALL)

    out = []
    for share in (0.0, 0.5, 1.0):
        out.append(svg.tag("line", x1=LEFT, x2=width, y1=y(most * share), y2=y(most * share), class_="rule"))
        out.append(svg.text(clock(most * share), LEFT - 6, y(most * share) + 4, text_anchor="end", class_="quiet small"))
    for number, each in enumerate(runs):
        x = LEFT + (number + 0.5) * pitch
        if each.deadline is not None:
            out.append(svg.tag("line", x1=x - pitch / 2, x2=x + pitch / 2, y1=y(each.deadline), y2=y(each.deadline), class_="due"))
        top = y(each.seconds)
        mark = svg.tag("path", d=f"M{x - R:.1f} {top - R:.1f}l{2 * R} {2 * R}m0 {-2 * R}l{-2 * R} {2 * R}", class_="cross") if each.late else svg.tag("circle", cx=x, cy=top, r=R, class_="box")
        out.append(svg.tag("g", svg.link(each.address, svg.title(each.words or f"{each.label} {shown.duration(each.seconds)}"), mark), class_=f"s-{each.state}"))
    if runs:
        out.append(svg.text(runs[0].label[:10], LEFT, HEIGHT - 4, class_="quiet small"))
        out.append(svg.text(runs[-1].label[:10], LEFT + pitch * len(runs), HEIGHT - 4, class_="quiet small", text_anchor="end"))
    return svg.picture(width, HEIGHT, label, *out)
