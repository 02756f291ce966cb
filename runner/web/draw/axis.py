"""Time from left to right: where a moment stands, and which moments are named."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Iterator, List, Tuple

from runner.web.draw import svg

_STEPS = (1, 5, 15, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)  # seconds between two names
ROOM = 64.0  # pixels that a name takes


class Axis:
    """From `begin` to `end`, on the pixels from `left` to `right`."""

    def __init__(self, begin: datetime, end: datetime, left: float, right: float, zone: tzinfo):
        self.begin, self.end = begin, max(end, begin + timedelta(seconds=1))
        self.left, self.right, self._zone = left, right, zone
        self._span = (self.end - self.begin).total_seconds()

    def x(self, moment: datetime) -> float:
        """Where it stands; what lies outside stands at the edge."""
        share = (moment - self.begin).total_seconds() / self._span
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def names(self) -> Iterator[Tuple[float, str]]:
        """(place, what is written there)."""
        most = max((self.right - self.left) / ROOM, 1)
        step = next((step for step in _STEPS if self._span / step <= most), _STEPS[-1])
        while self._span / step > most:
            step *= 2
        local = self.begin.astimezone(self._zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = midnight + timedelta(seconds=int((local - midnight).total_seconds() // step * step))
        while moment <= self.end:
            if moment >= self.begin:
                yield self.x(moment), f"{moment:%m-%d}" if moment.hour == moment.minute == moment.second == 0 else f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"
            moment += timedelta(seconds=step)

    def drawn(self, top: float, bottom: float) -> List[str]:
        """Thin lines with their names above them."""
        out = []
        for x, name in self.names():
            out.append(svg.tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="rule"))
            out.append(svg.text(name, x + 3, top + 10, class_="quiet"))
        return out
