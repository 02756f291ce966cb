"""The daemon: the engine's loop with time, the pipelines folder, and a life that outlasts faults.

One thread does everything; APScheduler's only rings. What goes wrong ends this life of the loop, not the process: all state
is in the database and in the attempts' folders, so the next life adopts what runs, exactly as after a kill -9.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import traceback
from datetime import datetime
from typing import Any, Callable, List, MutableMapping, Optional, Tuple
from zoneinfo import ZoneInfo

from runner import __version__, faults, ownership
from runner.clock import Clock
from runner.config import Config
from runner.daemon.alerting import Alerting
from runner.daemon.catalogue import Catalogue
from runner.daemon.chores import Chores
from runner.daemon.dispatch import Dispatch
from runner.daemon.guards import ClockGuard
from runner.daemon.log import Lines, open_log
from runner.daemon.notify import Notify
from runner.daemon.timer import Timer, Watchdog
from runner.daemon.watch import Watch
from runner.daemonlock import BEAT_SECONDS, DaemonLock
from runner.definitions import Definitions
from runner.engine import Engine, Event
from runner.errors import EnvironmentFault, RunnerError
from runner.executors.local import LocalExecutor
from runner.mounts import disk_reason
from runner.spec.check import Site
from runner.store import Store
from runner.workorder import Site as JobSite

LEAVE, DRAIN, KILL, RELOAD = "leave", "drain", "kill", "reload"
SIGNALS = {
    signal.SIGTERM: LEAVE, signal.SIGINT: LEAVE, signal.SIGUSR1: DRAIN, signal.SIGUSR2: KILL, signal.SIGHUP: RELOAD,
}
PAUSE_SECONDS = 10.0  # before the next life after a fault of the machine, such as a full disk
FAULTS_ALLOWED = 5  # faults of ours within FAULT_SECONDS; one more ends the process, and systemd says so
FAULT_SECONDS = 600.0
SOON = 0.3  # seconds until a file that was just written is looked at again
TIMER_DEAD, OWN_FAULT = 70, 70  # exit codes: EX_SOFTWARE of sysexits.h


class Daemon:
    """One process; `serve` returns its exit code."""

    def __init__(self, load: Callable[[], Config], environ: MutableMapping[str, str], clock: Clock):
        """`load` reads the settings, at the start and when asked to reload."""
        self._load, self._environ, self._clock = load, environ, clock
        self._notify = Notify(environ)
        self._asked: List[str] = []  # what signals say, taken away one by one
        self._heard: List[str] = []
        self._woken = threading.Event()
        self._faults: List[float] = []
        self._page: Optional[Any] = None  # web.server.Server

    def serve(self) -> int:
        """Work until told to leave. Raises Conflict when another daemon lives here, EnvironmentFault when it cannot begin."""
        config = self._load()
        lock = DaemonLock(config.home, f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}")
        old = {number: signal.signal(number, self._hear) for number in SIGNALS}
        self._log = open_log(config.home, self._environ)
        self._log.info(f"daemon started: runner {__version__}, pid {os.getpid()}, home {config.home}, pipelines {config.pipelines}")
        self._serve_page(config, lock)
        try:
            return self._lives(config, lock)
        finally:
            self._notify.stopping()
            self._close_page()
            self._log.info("daemon ended" if {DRAIN, KILL} & set(self._heard) else "daemon ended; steps that run go on")
            lock.close()
            for number, handler in old.items():
                signal.signal(number, handler)

    def _serve_page(self, config: Config, lock: DaemonLock) -> None:
        """The page, in threads of its own, when the settings name a place for it. What hinders it never keeps runs from beginning."""
        self._close_page()
        lock.tell_page("")
        if not config.listen:
            return
        try:
            from runner.web.server import Server  # here: who does not listen pays nothing for it

            self._page = Server(config, self._environ, self._clock, self._log, lock.tell_page).start()
        except Exception as error:  # noqa: BLE001
            trouble = f"the page is not served: {error!r}"
            self._log.error(trouble)
            lock.tell_page(trouble)

    def _close_page(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            page.close()

    def _hear(self, number: int, _frame) -> None:
        self._asked.append(SIGNALS[number])
        self._heard.append(SIGNALS[number])
        self._woken.set()

    def _lives(self, config: Config, lock: DaemonLock) -> int:
        began, guard = False, None
        while True:
            life = _Life(config, self._environ, self._clock, self._log, self._notify, lock, self._asked, guard)
            try:
                gc.disable()  # until the first turn is over: what a start reads is kept, and was looked through for garbage a tenth of the time
                life.begin()
                began = True
                code = life.work()
                if code is not None:
                    return code
                config = self._reloaded(config, lock)
                guard = ClockGuard(self._clock.now(), self._clock.monotonic(), zone=ZoneInfo(config.timezone))  # who asks for it says that the clock is right
            except EnvironmentFault as error:
                if not began:
                    raise
                guard = life.guard
                self._log.error(f"{error.message}; going on in {PAUSE_SECONDS:g} s. {error.hint}")
                life.end()
                self._woken.wait(PAUSE_SECONDS)
                self._woken.clear()
                if any(word != RELOAD for word in self._asked):
                    return 0
            except Exception as error:  # noqa: BLE001 - the state is on disk: begin anew from there
                if not began or not self._may_go_on():
                    raise
                guard = life.guard
                self._log.error(f"a fault of runner itself, beginning anew: {error}\n{traceback.format_exc().rstrip()}")
            finally:
                gc.enable()
                life.end()

    def _reloaded(self, config: Config, lock: DaemonLock) -> Config:
        try:
            found = self._load()
            self._log.info("settings and pipelines read again")
            if found != config:
                self._serve_page(found, lock)
            return found
        except RunnerError as error:
            self._log.error(f"settings not read again, the old ones stay: {error.message}. {error.hint}")
            return config

    def _may_go_on(self) -> bool:
        tick = self._clock.monotonic()
        self._faults = [t for t in self._faults if tick - t < FAULT_SECONDS] + [tick]
        return len(self._faults) <= FAULTS_ALLOWED


def _own_files(config: Config) -> List[str]:
    """What the daemon itself writes, should the pipelines lie in RUNNER_HOME."""
    return [config.database, config.runs_folder, config.engines_folder, os.path.join(config.home, "daemon"), os.path.dirname(config.check_cache)]


class _Life:
    """From opening the store to closing it."""

    def __init__(self, config: Config, environ, clock: Clock, log, notify: Notify, lock: DaemonLock, asked: List[str], guard: Optional[ClockGuard] = None):
        """`guard`: of the life before, which knows whether the clock is right."""
        self.guard = guard
        self._config, self._environ, self._clock, self._log = config, environ, clock, log
        self._notify, self._lock, self._asked = notify, lock, asked
        self._parts: list = []  # what is to be closed, in the order of opening
        self._next_beat = self._rescan = 0.0
        self._looks = -1
        self._lines: List[Tuple[int, Lines]] = []

    def begin(self) -> None:
        config, clock = self._config, self._clock
        site = Site(config.timezone, config.logical_date, frozenset(config.pools))
        self._store = self._open(Store(config.database, config.durability, create=True, timezone=config.timezone))
        self._executor = self._open(LocalExecutor(clock))
        definitions = Definitions(self._store, site, config.pipelines, watched=True)
        self._alerting = Alerting(config, self._environ, self._store, definitions, self._log.warning)
        self._engine = self._open(Engine(
            self._store, self._executor, clock, config, JobSite.of(config, self._environ),
            about_me="runner daemon", listener=self._tell, serve=definitions, alerts=self._alerting.recorder,
        ))
        self._lock.tell(self._engine.owner.id)
        self._watch = self._open(Watch(config.pipelines, leave_out=_own_files(config)))
        if self._watch.fd is not None:
            self._executor.watch(self._watch.fd)
        self._catalogue = Catalogue(self._store, config.pipelines, site, clock, self._log.info, definitions, self._log.warning)
        self._dispatch = Dispatch(self._store, definitions, self._environ, self._log.info, self._log.warning)
        self.guard = self.guard or ClockGuard(clock.now(), clock.monotonic(), self._store.pipelines.latest_cursor(), self._store.zone)
        self._chores = Chores(config, self._environ, clock, self._log.warning)
        self._watchdog = Watchdog()
        self._timer = self._open(Timer(lambda: ownership.ring(config.engines_folder, self._engine.owner.id)))
        if self.guard.reason:
            self._log.warning(self.guard.reason)
        else:
            self._dispatch.rewind(clock.now())
        self._scan()
        faults.point("daemon.began")
        self._notify.ready(f"{len(self._store.pipelines.all())} pipelines")

    def _open(self, part):
        self._parts.append(part)
        return part

    def end(self) -> None:
        """Close what was opened; may be called twice."""
        self._write_lines()
        while self._parts:
            try:
                self._parts.pop().close()
            except Exception as error:  # noqa: BLE001 - the next one must be closed too
                self._log.error(f"while closing: {error}")

    # ------------------------------------------------------------------------------------------------------- the loop

    def work(self) -> Optional[int]:
        """Turn until told to leave; the exit code, or None to begin anew with new settings."""
        leaving = ""
        more = True
        while True:
            reports = self._executor.wait(0.0 if more else self._timeout())
            for word in self._taken():
                if word == RELOAD:
                    return None
                leaving = word
                self._prepare_to_leave(word)
            if leaving == LEAVE:
                return 0
            now, tick = self._clock.now(), self._clock.monotonic()
            self._see_clock(now, tick)
            if tick >= self._next_beat and not self._beat(tick):
                return TIMER_DEAD
            if tick >= self._rescan or (self._watch.mode == "inotify" and self._watch.changed()):
                self._scan()
            due = self._next_due is not None and self._next_due <= now  # by the clock that was looked at: it may be set meanwhile
            more = due and not leaving and not self.guard.reason and self._make_due(now)
            looked = self._engine.turn(reports)
            gc.enable()
            self._write_lines()
            if looked:
                self._see_due()  # somebody may have made a run ahead of its time
                self._alerting.recorder.news = True  # or left something to be told
            if self._alerting.recorder.news:
                self._tell_people()
            if (leaving == DRAIN and not self._engine.live) or (leaving == KILL and self._engine.idle):
                return 0

    def _taken(self) -> List[str]:
        taken = list(self._asked)
        del self._asked[: len(taken)]
        return taken

    def _prepare_to_leave(self, word: str) -> None:
        self._engine.draining = True
        if word == KILL:
            self._engine.request_stop("runner daemon stop --kill")
        self._notify.stopping(f"{word}: {self._engine.live} steps run")
        self._log.info(f"asked to {word}; {self._engine.live} steps run")

    def _timeout(self) -> float:
        tick = self._clock.monotonic()
        return max(0.0, min(self._engine.timeout(), self._next_beat - tick, self._rescan - tick))

    def _scan(self) -> None:
        whole = bool(self.guard.reason) or self._catalogue.scan()  # since when a schedule counts must be no wrong moment
        self._rescan = self._clock.monotonic() + (BEAT_SECONDS if whole else SOON)
        self._see_due()

    def _make_due(self, now: datetime) -> bool:
        """Rows for what is due; True when there may be more."""
        found = self._dispatch.run(now)
        self._engine.stir(found)
        self._see_due()
        if not found or self._next_due is None or self._next_due > now:
            self._engine.look()  # a run that was made ahead of its time may be due too
        return bool(found)

    def _see_due(self) -> None:
        """The nearest moment at which something is due: a pipeline, or a run that was made ahead of its time."""
        now = self._clock.now()
        moments = [self._store.pipelines.nearest_due(), self._store.next_future_run(now)]
        self._next_due = min((moment for moment in moments if moment), default=None)
        self._timer.set_due(self._next_due)

    def _see_clock(self, now: datetime, tick: float) -> None:
        """Looked at before anything is made or begun by this moment: a wrong clock must not use up a date."""
        step = self.guard.look(now, tick)
        if step is None:
            return
        self._log.warning(self.guard.reason or f"the clock was set by {step.total_seconds():+.0f} s")
        if not self.guard.reason:
            self._dispatch.rewind(now)
        self._timer.clock_was_set()
        self._next_beat = tick  # it tells the engine

    def _beat(self, tick: float) -> bool:
        """What is looked at every ten seconds; False when the timer is dead."""
        self._next_beat = tick + BEAT_SECONDS
        now = self._clock.now()
        reason = self.guard.reason or disk_reason(self._config.home, self._config.min_free)
        if reason != self._engine.blocked:
            self._log.warning(reason or "room again: waiting runs begin")
            self._engine.blocked = reason
            self._lock.tell(self._engine.owner.id, reason)
            self._engine.look()
        self._lock.beat()
        self._notify.alive()
        self._chores.look(now, tick)
        self._tell_people()
        self._see_due()
        if self._watchdog.is_dead(self._timer.beats, tick):
            self._log.error("the timer's thread is dead: ending, so that a new daemon begins")
            return False
        return True

    def _tell_people(self) -> None:
        """Deadlines, the summary, and what waits to be sent. By a wrong clock everything would be late."""
        now = self._clock.now()
        if self.guard.reason:
            self._alerting.send(now)
        else:
            self._alerting.look(now, self._engine.blocked, self._engine.draining)

    def _tell(self, event: Event) -> None:
        words = [f"run {event.run.name}"]
        if event.step:
            words.append(f"step {event.step}")
        if event.number is not None:
            words.append(f"attempt {event.number}")
        level = logging.WARNING if event.state in ("failed", "unreadable") else logging.INFO
        line = " ".join(words) + f" {event.state}" + (f": {event.reason}" if event.reason else "")
        if self._lines and self._lines[-1][0] == level:
            self._lines[-1][1].append(line)
        else:
            self._lines.append((level, Lines([line])))

    def _write_lines(self) -> None:
        """What the engine has told since the last time."""
        lines, self._lines = self._lines, []
        for level, some in lines:
            self._log.log(level, some)


