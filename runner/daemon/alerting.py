"""The daemon's part in telling people: looks at deadlines, writes down when the summary is due, starts the sender.

The sender is a process of its own, `runner alert send`: a server that hangs holds up no run, and its memory goes with it. What
waits is in the database, so that a daemon which was killed between a commit and the sending has lost nothing.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Callable, Mapping, Optional, Tuple
from zoneinfo import ZoneInfo

from runner import engine, faults, model
from runner.alerts import late
from runner.alerts.recorder import Recorder
from runner.clock import UTC
from runner.config import Config
from runner.definitions import Definitions
from runner.errors import EnvironmentFault
from runner.planning import queue
from runner.schedule.cron import first_instant


class Alerting:
    """Lives as long as one life of the loop. `recorder` is what the engine writes with."""

    def __init__(self, config: Config, environ: Mapping[str, str], store, definitions: Definitions, say: Callable[[str], None]):
        self._config, self._environ, self._store, self._definitions, self._say = config, environ, store, definitions, say
        self.recorder = Recorder(config.home)
        self._child: Optional[subprocess.Popen] = None
        self._fault = ""

    def look(self, now: datetime, blocked: str = "", draining: bool = False) -> None:
        """Called at every beat, and at once when there is news. `blocked`: why nothing begins."""
        try:
            self._look(now, blocked, draining)
        except EnvironmentFault:  # of the database: the loop knows what to do
            raise
        except Exception as error:  # noqa: BLE001 - whatever is odd about a deadline, the runs and the sender go on
            self._complain(f"a fault of runner itself, deadlines are not looked at: {type(error).__name__}: {error}")
        self.send(now)

    def _look(self, now: datetime, blocked: str, draining: bool) -> None:
        late.look(self._store, self._definitions, self.recorder, now, lambda run, spec: self._why(run, spec, now, blocked), self._say)
        if draining:
            late.look_for_unmade(self._store, self._definitions, self.recorder, now, "the daemon makes no new ones: it was asked to leave", self._say)
        self._see_summary(now)

    def send(self, now: datetime) -> None:
        """Start a sender when something is to be sent now and none is at work."""
        self.recorder.news = False
        if self._child is not None:
            if self._child.poll() is None:
                return
            if self._child.returncode not in (0, 1):
                self._say(f"runner alert send ended with exit {self._child.returncode}; type: runner alert send   to see why")
            self._child = None
        nearest = self._store.alerts.next_at()
        if nearest is not None and nearest <= now:
            faults.point("alerting.send")
            self._child = start_sender(self._config.home, self._environ, self._say)

    def _complain(self, words: str) -> None:
        """Once, until all was well again."""
        if words != self._fault:
            self._fault = words
            self._say(words)

    def _why(self, run: model.Run, spec: model.Pipeline, now: datetime, blocked: str) -> str:
        return queue.why_waits(run, spec, engine.queue_facts(self._store, run, spec, now, site=blocked, shown=True)) or ""

    def _see_summary(self, now: datetime) -> None:
        """Once a day, also later than its time when no daemon lived then."""
        try:
            book, self._fault = self.recorder.book(), ""
        except EnvironmentFault as error:
            self._complain(f"nobody can be told of anything: {error.message}; {error.hint}")
            return
        if book.summary_at is None:
            return
        at = summary_moment(book.summary_at, self._config.timezone, now)
        key = f"summary/{at.astimezone(ZoneInfo(self._config.timezone)):%Y-%m-%d}"
        if at <= now and not self._store.alerts.known(key):
            with self._store.transaction():
                for name in book.summary_to:
                    self._store.alerts.add(key, name, "summary", now, {})


def summary_moment(at: Tuple[int, int], timezone: str, now: datetime) -> datetime:
    """Today's moment of the summary, by the site's clocks."""
    local = now.astimezone(ZoneInfo(timezone))
    return first_instant(local.replace(hour=at[0], minute=at[1], second=0, microsecond=0, tzinfo=None), local.tzinfo).astimezone(UTC)


def start_sender(home: str, environ: Mapping[str, str], say: Callable[[str], None]) -> Optional[subprocess.Popen]:
    """A sender in a session of its own: it outlives who started it."""
    words = [sys.executable, "-m", "runner", "--home", home, "alert", "send", "--quiet"]
    try:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(words, env=dict(environ), stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as error:
        say(f"runner alert send cannot be started: {error.strerror}")
        return None
