"""A pipelines folder, a real store and a clock that stands still, with the daemon's catalogue and dispatch between them."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from runner.daemon.catalogue import Catalogue
from runner.daemon.dispatch import Dispatch
from runner.definitions import Definitions
from runner.spec.check import Site
from runner.store import Store
from tests.conftest import FakeClock

UTC = timezone.utc
STEPS = "steps: [{id: a, bash: 'true'}]\n"


def moment(text, zone="UTC"):
    """`2026-03-01 12:00` in a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


class Stage:
    """Files in, rows out; `restart` is a new daemon over the same database."""

    def __init__(self, folder, start="2026-03-01 00:00"):
        self.folder = folder / "pipelines"
        self.folder.mkdir(parents=True)
        self.store = Store(str(folder / "runner.db"), "normal")
        self.clock = FakeClock(moment(start))
        self.said, self.warned = [], []
        self.environ = {}
        self._age = 0
        self.restart()

    def restart(self, site=Site("UTC")):
        self.site = site
        self.definitions = Definitions(self.store, site)
        self.catalogue = Catalogue(self.store, str(self.folder), site, self.clock, self.said.append, self.definitions, self._warn)
        self.dispatch = Dispatch(self.store, self.definitions, self.environ, self.said.append, self._warn)

    def close(self):
        self.store.close()

    def _warn(self, line):
        """`said` has every line, `warned` those that somebody should see."""
        self.said.append(line)
        self.warned.append(line)

    # -- files

    def write(self, name, text):
        """A file that looks as if it had been written long ago, each time at another moment."""
        path = self.folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self._age += 1
        os.utime(path, (1e9 + self._age, 1e9 + self._age))
        return path

    def pipeline(self, name, *lines):
        """Write and take in a pipeline of one step with these lines at its head."""
        path = self.write(name, "".join(line + "\n" for line in lines) + STEPS)
        self.catalogue.scan()
        assert not self.row(name).problem, self.row(name).problem
        return path

    # -- time

    def at(self, text, zone="UTC"):
        """The clock goes there, forward or back."""
        self.go(moment(text, zone))
        return self

    def go(self, instant):
        ahead = (instant - self.clock.moment).total_seconds()
        self.clock.moment = instant
        self.clock.ticks += max(ahead, 0)

    def work(self, most=10_000):
        """Until nothing is due; the number of goes."""
        for goes in range(most):
            if not self.dispatch.run(self.clock.now()):
                return goes
        raise AssertionError("there is always more")

    # -- rows

    def row(self, name):
        return self.store.pipelines.get(name)

    def runs(self, name=None):
        """Oldest due first."""
        found = self.store.recent_runs(name, None, 1_000_000)
        return sorted(found, key=lambda run: (run.date.due.astimezone(UTC), run.number))

    def dues(self, name):
        """Local wall time of each run's due instant with its state."""
        return [(f"{run.date.due:%Y-%m-%d %H:%M}", run.state) for run in self.runs(name)]

    def states(self, name):
        """How many of each."""
        out = {}
        for run in self.runs(name):
            out[run.state] = out.get(run.state, 0) + 1
        return out
