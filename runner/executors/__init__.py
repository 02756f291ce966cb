"""What carries out a Job. `local` runs it on this host; another place is another file with the same methods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Mapping, Optional


@dataclass(frozen=True)
class Report:
    """An attempt is over. `how`: exited | lost | refused; `leftovers` counts processes it left behind."""

    folder: str
    how: str
    exit_code: Optional[int] = None
    reason: str = ""
    leftovers: bool = False
    outputs: Optional[Mapping[str, Any]] = None  # what a wait hands on; a process has written a file
    at: Optional[datetime] = None  # when it ended, where nobody saw it
