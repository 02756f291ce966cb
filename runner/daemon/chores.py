"""The daily house-keeping, `runner clean`, as a child of low priority: deleting many files must not stop the loop."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from typing import Callable, Mapping, Optional

from runner.clock import Clock
from runner.config import Config

EVERY_SECONDS = 24 * 3600.0
FIRST_SECONDS = 600.0  # after a start: not while everything else begins too
STAMP = "cleaned"  # its time says when the last one began


class Chores:
    """Starts it, looks whether it ended."""

    def __init__(self, config: Config, environ: Mapping[str, str], clock: Clock, say: Callable[[str], None]):
        self._config, self._environ, self._say = config, environ, say
        self._stamp = os.path.join(config.home, STAMP)
        self._first = clock.monotonic() + FIRST_SECONDS
        self._child: Optional[subprocess.Popen] = None

    def look(self, now: datetime, tick: float) -> None:
        """Called at every beat."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if code:
                self._say(f"runner clean ended with exit {code}; type: runner clean   to see why")
        if tick >= self._first and not 0 <= now.timestamp() - self._last() < EVERY_SECONDS:  # below 0: the clock was set back
            self._first = tick + FIRST_SECONDS  # should it fail, not at every beat
            try:
                self._begin(now)
            except OSError as error:
                self._say(f"runner clean cannot be started: {error.strerror or error}")

    def _last(self) -> float:
        try:
            return os.stat(self._stamp).st_mtime
        except OSError:
            return 0.0

    def _begin(self, now: datetime) -> None:
        with open(self._stamp, "w", encoding="ascii"):
            os.utime(self._stamp, (now.timestamp(), now.timestamp()))
        words = ["nice", "-n", "19", sys.executable, "-m", "runner", "--home", self._config.home, "clean", "--quiet"]
        self._child = subprocess.Popen(words, env=dict(self._environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
