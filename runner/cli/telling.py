"""Telling people of a run in the foreground: while it works, by a sender of its own; where a daemon lives, by that."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import Optional

from runner import daemonlock, model, ownership
from runner.alerts import channels
from runner.alerts.recorder import Recorder
from runner.cli.app import App
from runner.errors import RunnerError

END_SECONDS = 10.0  # a run that has ended waits so long for its alerts; the sender goes on without it
LOOK_SECONDS = 1.0


class Telling:
    """`recorder` is what the engine writes with; None when nobody is to be told of anything."""

    def __init__(self, app: App, spec: model.Pipeline):
        said = spec.tell or spec.deadline or any(step.tell or step.deadline for step in spec.steps)
        wanted = bool(said) or os.path.exists(channels.path_of(app.config.home))
        self._app = app
        self.recorder: Optional[Recorder] = Recorder(app.config.home) if wanted else None
        self._child: Optional[subprocess.Popen] = None
        self._mine = False  # this run has something to tell
        self._over = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def start(self) -> None:
        """Begin to look for news and deadlines, beside the run."""
        if self.recorder and not daemonlock.look(self._app.config.home):
            self._thread = threading.Thread(target=self._watch, name="alerts", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        try:
            store = self._app.store()
        except RunnerError:  # the run itself has met the same, and said so
            return
        try:
            while not self._over.wait(LOOK_SECONDS):
                self._look(store)
        finally:
            store.close()

    def _look(self, store) -> None:
        from runner.alerts import late
        from runner.definitions import Definitions

        app = self._app
        try:
            now = app.clock.now()
            nearest = store.alerts.next_deadline()
            if nearest is not None and nearest <= now:
                late.look(store, Definitions(store, app.site()), self.recorder, now, lambda run, spec: "no daemon runs", lambda line: None)
            if self.recorder.news:
                self._mine = True
            due = store.alerts.next_at()
            if due is not None and due <= now:  # also what an earlier run could not send
                self._send()
        except RunnerError:  # a full disk, say: the run itself will say so, and what waits stays in the database
            pass

    def _send(self) -> None:
        from runner.daemon.alerting import start_sender

        if self._child is not None and self._child.poll() is None:
            return  # the next look comes again
        self.recorder.news = False
        self._child = start_sender(self._app.config.home, self._app.environ, self._app.say)

    def end(self) -> None:
        """The run has ended: what it left to be told goes out now; waits a little for it, never long."""
        if not self.recorder:
            return
        self._over.set()
        if self._thread:
            self._thread.join(END_SECONDS)
        alive = daemonlock.look(self._app.config.home)
        if alive:
            if self.recorder.news:
                ownership.ring(self._app.config.engines_folder, alive.owner)
            return
        until = self._app.clock.monotonic() + END_SECONDS
        store = self._app.store()
        try:
            self._look(store)
            self._wait(until)
            if self.recorder.news:  # the sender had begun before the last of it
                self._look(store)
                self._wait(until)
            waiting = sum(count for count, _ in store.alerts.waiting().values())
            if self._mine and waiting:
                self._app.say(f"  {waiting} alert{'s' * (waiting != 1)} could not be sent yet: runner alert log")
        finally:
            store.close()

    def _wait(self, until: float) -> None:
        """For its own alerts only: those of others are not its business."""
        try:
            if self._child is not None and self._mine:
                self._child.wait(max(until - self._app.clock.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            pass
