"""A moment of this server's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, Mapping, Tuple

from runner.clients.probes import CLOCK, Seen

LONGEST = 60.0  # a clock that is set must not leave a wait behind


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return "time", 1


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    left = float(probe["until"]) - CLOCK.now().timestamp()
    if left <= 0:
        return Seen(ready={})
    return Seen(missing=f"it is not {probe['time']} yet ({datetime.fromtimestamp(probe['until']).astimezone():%Y-%m-%d %H:%M %Z})", again=min(left, LONGEST))
