"""When each pipeline is due next, remembered: working it out needs croniter, whose import alone costs a quick command
half its time. An instant found once holds until it has passed, for as long as the pipeline's file is the same."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Callable, Dict, Optional

from runner.clock import UTC

class DueCache:
    """Key of a pipeline's content -> its next due instant. A cache that cannot be read or written is an empty one."""

    def __init__(self, path: str):
        self._path, self._changed = path, False
        self._old = _read(path)
        self._used: Dict[str, Optional[datetime]] = {}

    def get(self, key: str, now: datetime, find: Callable[[], Optional[datetime]]) -> Optional[datetime]:
        """The instant of that key, None for never again; asked of `find` when it is not known or has passed."""
        known = self._old.get(key)
        if key not in self._old or (known is not None and known <= now):
            known, self._changed = find(), True
        self._used[key] = known
        return known

    def save(self) -> None:
        """Keep what was asked for in this call; the rest belongs to files that are gone."""
        home = os.path.dirname(os.path.dirname(self._path))
        if (not self._changed and len(self._used) == len(self._old)) or not os.path.isdir(home):
            return
        texts = {key: value.astimezone(UTC).isoformat() if value else None for key, value in self._used.items()}
        fresh = f"{self._path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o750, exist_ok=True)
            with open(fresh, "w", encoding="ascii") as file:
                json.dump(texts, file)
            os.replace(fresh, self._path)
        except OSError:
            pass  # the next call works it out again


def _read(path: str) -> Dict[str, Optional[datetime]]:
    try:
        with open(path, encoding="ascii") as file:
            texts = json.load(file)
        return {key: datetime.fromisoformat(text) if text else None for key, text in texts.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
