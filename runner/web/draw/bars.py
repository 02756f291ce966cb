"""How long each run took, the newest on the right."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple, Sequence

from runner import shown
from runner.web.draw import svg

HEIGHT, LEFT, FOOT = 130.0, 64.0, 18.0


class Length(NamedTuple):
    address: str
    label: str
    state: str
    seconds: float


def lengths(runs: Sequence[Length], label: str = "", width: float = 600.0) -> str:
    """Bars, and the length of most as a line."""
    most = max([each.seconds for each in runs] + [1.0])
    pitch = min((width - LEFT) / max(len(runs), 1), 24.0)
    base = HEIGHT - FOOT

    def y(seconds: float) -> float:
        return base - min(seconds / most, 1.0) * (base - 12)

    out = []
    for share in (0.0, 0.5, 1.0):
        out.append(svg.tag("line", x1=LEFT, x2=width, y1=y(most * share), y2=y(most * share), class_="rule"))
        out.append(svg.text(shown.duration(most * share), LEFT - 6, y(most * share) + 4, text_anchor="end", class_="quiet small"))
    for number, each in enumerate(runs):
        x = LEFT + number * pitch
        bar = svg.tag("rect", x=x + 1, y=y(each.seconds), width=max(pitch - 3, 1.5), height=max(base - y(each.seconds), 1.0), class_="box")
        words = f"{each.label} {each.state} {shown.duration(each.seconds)}"
        out.append(svg.tag("g", svg.link(each.address, svg.title(words), bar), class_=f"s-{each.state}"))
    good = [each.seconds for each in runs if each.state == "success"]
    if good:
        usual = median(good)
        out.append(svg.tag("line", svg.title(shown.duration(usual)), x1=LEFT, x2=LEFT + pitch * len(runs), y1=y(usual), y2=y(usual), class_="due"))
    if runs:
        out.append(svg.text(runs[0].label[:10], LEFT, HEIGHT - 4, class_="quiet small"))
        out.append(svg.text(runs[-1].label[:10], LEFT + pitch * len(runs), HEIGHT - 4, class_="quiet small", text_anchor="end"))
    return svg.picture(width, HEIGHT, label, *out)
