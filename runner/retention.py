"""How long history and logs are kept: what is old enough to go, and taking it away in small bites while others work.

Above, what to do: pure. Below, doing it. A run goes in this order, so that a kill anywhere leaves nothing half seen and the
next `clean` finishes it: the write lock is taken, the run is looked at once more, its folder gets the name `.removed.*` beside
itself, its rows are deleted, the lock is let go; then the folder is emptied. A run whose folder has moved while its rows are
still there is one whose logs were removed. Nothing of that name is ever run, read or found again by another command.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set
from zoneinfo import ZoneInfo

from runner import faults, workorder
from runner.clock import Clock, to_text
from runner.config import Config
from runner.errors import Conflict, EnvironmentFault, RunnerError
from runner.logtail import ZIPPED
from runner.store import Store, backup
from runner.store.housekeeping import Past

LOCK_SECONDS = 0.01  # after so long within one transaction no further run is begun
REST = 3.0  # times as long as the lock was held it is left alone: a waiting writer only looks now and then
SHORTEST_REST = 0.005  # seconds
SMALL_LOG = 4096  # bytes: a block of the disk, of which compressing saves nothing
SLACK_BYTES = 10**6  # free room inside the database that is left for what comes next
TRAIL = timedelta(days=400)  # what people did is kept longer than what ran: a year's audit asks for it
UNUSED = timedelta(days=1)  # so long a text that nothing refers to is kept: it may be about to be referred to
MOVED = ".removed."
BLOCK = 1024 * 1024


# ------------------------------------------------------------------------------------------------------------ deciding


def always_kept(runs: Iterable[Past]) -> Set[int]:
    """Of each pipeline the run made last, the one of the latest date, and the success of the latest date."""
    kept: Dict[tuple, Past] = {}

    def keep(kind: str, run: Past, order: Callable[[Past], tuple]) -> None:
        other = kept.get((kind, run.pipeline))
        if other is None or order(run) > order(other):
            kept[kind, run.pipeline] = run

    for run in runs:
        keep("made", run, lambda each: (each.id,))
        if run.state != "missed":
            keep("date", run, lambda each: (each.due_at, each.number))
        if run.state == "success":
            keep("success", run, lambda each: (each.due_at, each.number))
    return {run.id for run in kept.values()}


def ended_before(runs: Iterable[Past], days: int, now: datetime) -> List[Past]:
    """The runs that ended more than `days` days ago, the oldest end first; none when `days` is 0."""
    if not days:
        return []
    limit = to_text(now - timedelta(days=days))
    return sorted((run for run in runs if run.ended_at and run.ended_at < limit), key=_by_end)


def beyond(runs: Iterable[Past], sizes: Mapping[int, int], taken: int, keep_bytes: int) -> List[Past]:
    """The runs whose folders must go, oldest end first, so that the others and `taken` bytes fit into `keep_bytes`.

    `sizes`: run id -> bytes of its folder. `runs` are those that may go. None must when `keep_bytes` is 0.
    """
    if not keep_bytes:
        return []
    going = []
    total = taken + sum(sizes.get(run.id, 0) for run in runs)
    for run in sorted(runs, key=_by_end):
        if total <= keep_bytes:
            break
        if sizes.get(run.id):
            going.append(run)
            total -= sizes[run.id]
    return going


def _by_end(run: Past):
    return (run.ended_at or "", run.id)


# --------------------------------------------------------------------------------------------------------------- doing


@dataclass
class Result:
    """What was done, or with a dry run would be. Bytes are those of the disk."""

    removed_runs: List[str] = field(default_factory=list)  # names of the runs removed
    removed_runs_bytes: int = 0
    removed_logs: List[str] = field(default_factory=list)  # names of the runs that lost only their folder
    removed_logs_bytes: int = 0
    compressed_logs: int = 0  # number of logs
    compressed_bytes: int = 0  # saved by it; in a dry run: what these logs take now
    dropped_definitions: int = 0
    database_bytes: int = 0
    backup: str = ""
    left_bytes: int = 0  # what the run folders take now
    faults: List[str] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        return self.removed_runs_bytes + self.removed_logs_bytes + self.compressed_bytes + self.database_bytes


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """Only one clean at a time; a killed one lets go by dying. Raises Conflict, EnvironmentFault."""
    path = os.path.join(config.home, "clean.lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be written: {error.strerror}", "make the folder writable for this user") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("another `runner clean` is at work", "wait for its end; the daemon starts one each day") from None
        yield
    finally:
        os.close(fd)


class Cleaning:
    """One pass over a RUNNER_HOME. `in_use`: attempt folders of which a process lives. `dry` only says what would be done."""

    def __init__(self, store: Store, config: Config, clock: Clock, in_use: Iterable[str], dry: bool = False):
        self._store, self._config, self._clock, self._dry = store, config, clock, dry
        self._keeping = store.housekeeping
        self._in_use = {os.path.realpath(os.path.dirname(folder)) for folder in in_use}
        self._moved: List[str] = []
        self.result = Result()

    def go(self) -> Result:
        """All of it. What cannot be removed is told in `result.faults`; the rest is done all the same."""
        now = self._clock.now()
        if not self._dry:
            self._attempt(lambda: self._back_up(now))
            self._moved = _left_over(self._config.runs_folder)
            self._empty()
        runs = self._keeping.runs()
        folders = _sizes(self._config.runs_folder)
        sizes = {run.id: folders.get(self._folder(run), 0) for run in runs}
        total = sum(folders.values())
        free = [run for run in runs if run.ended_at and not self._is_used(run)]

        kept = always_kept(runs)
        may_go = [run for run in free if run.id not in kept]
        gone = set(self._take(ended_before(may_go, self._config.keep_days, now), with_rows=True))
        self.result.removed_runs_bytes = sum(sizes[run.id] for run in gone)
        total -= self.result.removed_runs_bytes
        free, may_go = [run for run in free if run not in gone], [run for run in may_go if run not in gone]

        old = ended_before(free, self._config.compress_days, now)
        total -= self._compress_all(sorted(reversed(old), key=lambda run: run.id not in kept), sizes, total)
        taken = total - sum(sizes[run.id] for run in may_go)
        self.result.removed_logs_bytes = sum(sizes[run.id] for run in self._take(beyond(may_go, sizes, taken, self._config.keep_bytes), with_rows=False))
        self.result.left_bytes = total - self.result.removed_logs_bytes
        if not self._dry:
            self._drop_unused(now)
            self._give_back()
        return self.result

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RunnerError as error:
            self.result.faults.append(error.message)

    # -- runs

    def _folder(self, run: Past) -> str:
        """Made from its name below this very RUNNER_HOME, never read from a row: a copied home must not clean another."""
        return workorder.run_folder(self._config.runs_folder, run)

    def _is_used(self, run: Past) -> bool:
        return bool(self._in_use) and os.path.realpath(self._folder(run)) in self._in_use

    def _take(self, runs: Sequence[Past], with_rows: bool) -> List[Past]:
        """Remove the folders, and the rows when told so; returns the runs that went, also in the result by their names."""
        waiting, gone = list(reversed(runs)), []
        names = self.result.removed_runs if with_rows else self.result.removed_logs
        if self._dry:
            waiting, gone = [], list(runs)
        while waiting:
            try:
                with self._bite() as enough:
                    bite = self._take_some(waiting, with_rows, enough)
                faults.point("clean.committed")
                gone += bite
            except EnvironmentFault as error:  # the disk is full, say: rows cannot be written, room can be made all the same
                self.result.faults.append(error.message)
                break
            finally:
                self._empty()
        names += [run.name for run in gone]
        return gone

    def _take_some(self, waiting: List[Past], with_rows: bool, enough: Callable[[], bool]) -> List[Past]:
        """Runs from the end of `waiting`, until it is enough for one transaction."""
        gone = []
        while waiting and not enough():
            run = waiting[-1]
            if not self._keeping.is_at_rest(run) or not self._move_away(run):
                waiting.pop()  # it was run again, or cannot be moved
                continue
            faults.point("clean.moved")
            if with_rows and self._keeping.thin(run):
                break  # a large one goes by bites
            if with_rows:
                self._keeping.forget(run)
            gone.append(waiting.pop())
        return gone

    def _move_away(self, run: Past) -> bool:
        """Take a run's folder out of sight; one that is not there is out of sight."""
        folder = self._folder(run)
        moved = os.path.join(os.path.dirname(folder), f"{MOVED}{run.id}.{os.path.basename(folder)}")
        try:
            os.rename(folder, moved)
            self._moved.append(moved)
        except FileNotFoundError:
            pass
        except OSError as error:
            self.result.faults.append(f"{folder}: cannot be removed: {error.strerror}")
            return False
        return True

    def _empty(self) -> None:
        """Remove what was moved away."""
        for folder in self._moved:
            shutil.rmtree(folder, ignore_errors=True)
            if os.path.lexists(folder):
                self.result.faults.append(f"{folder}: cannot be removed: look at its owner: ls -laR {folder}")
        self._moved = []

    @contextmanager
    def _bite(self) -> Iterator[Callable[[], bool]]:
        """A transaction that ends soon, and a rest after it. Yields a function that says when it has lasted long enough."""
        with self._store.transaction():
            begun = self._clock.monotonic()
            yield lambda: self._clock.monotonic() - begun > LOCK_SECONDS
        self._rest(self._clock.monotonic() - begun)

    def _rest(self, held: float) -> None:
        self._clock.sleep(max(SHORTEST_REST, REST * held))

    # -- logs

    def _compress_all(self, runs: Sequence[Past], sizes: Dict[int, int], total: int) -> int:
        """Compress the logs of `runs`, what is kept longest first, as far as there will be room for them; returns the bytes
        saved and adjusts `sizes`. Those for which there is none are left as they are: they go next.
        """
        taken = total - sum(sizes[run.id] for run in runs)
        saved = 0
        for run in runs:
            if self._config.keep_bytes and taken > self._config.keep_bytes:
                break
            for path in _logs(self._folder(run)) if sizes[run.id] else ():
                less = self._compress(run, path)
                if less is None:
                    return saved
                sizes[run.id] -= less
                saved += less
            taken += sizes[run.id]
        return saved

    def _compress(self, run: Past, path: str) -> Optional[int]:
        """Bytes of the disk that are free now; 0 in a dry run, since nobody knows before. None: there is no room for it."""
        try:
            taken = _taken(os.lstat(path))
            if self._dry:
                self.result.compressed_logs, self.result.compressed_bytes = self.result.compressed_logs + 1, self.result.compressed_bytes + taken
                return 0
            if not self._keeping.is_at_rest(run) or not compress(path):
                return 0
            saved = taken - _taken(os.lstat(path + ZIPPED))
        except FileNotFoundError:
            return 0  # somebody removed it
        except OSError as error:
            self.result.faults.append(f"{path}: cannot be compressed: {error.strerror or error}")
            return None if error.errno == errno.ENOSPC else 0
        self.result.compressed_logs += 1
        self.result.compressed_bytes += saved
        return saved

    # -- the database

    def _back_up(self, now: datetime) -> None:
        """A copy before anything is removed, once a day."""
        local = now.astimezone(zone_of(self._config))
        if not backup.is_fresh(self._config.backups_folder, local):
            self.result.backup, _ = backup.make(self._config.database, self._config.backups_folder, local, lambda: self._rest(0))

    def _drop_unused(self, now: datetime) -> None:
        for digest in self._keeping.unused_definitions(now - UNUSED):
            with self._bite():
                self.result.dropped_definitions += self._keeping.drop_definition(digest)
        if self._config.keep_days:
            with self._bite():
                self._keeping.drop_empty_backfills(now - timedelta(days=self._config.keep_days))
            with self._bite():
                self._store.audit.prune(now - max(TRAIL, timedelta(days=self._config.keep_days)))

    def _give_back(self) -> None:
        before = left = self._keeping.free_bytes()
        for _ in range(before):  # ends long before, also when others free room as fast
            if left <= SLACK_BYTES:
                break
            with self._bite() as enough:
                while not enough() and self._keeping.free_bytes() > SLACK_BYTES:
                    self._keeping.give_back()
            left = self._keeping.free_bytes()
        self._keeping.checkpoint()
        self.result.database_bytes = max(0, before - left)


def zone_of(config: Config) -> ZoneInfo:
    """The zone of the site; UTC when the setting names none that is known."""
    try:
        return ZoneInfo(config.timezone)
    except Exception:  # noqa: BLE001 - zoneinfo raises several kinds; a copy's name is not worth a failure
        return ZoneInfo("UTC")


# --------------------------------------------------------------------------------------------------------------- files


def compress(path: str) -> bool:
    """Make `path`.gz of a log, with its mode and time, and remove it. False when something still writes to it. Raises OSError."""
    import gzip

    part = path + ZIPPED + ".new"
    with open(path, "rb") as source:
        before = os.fstat(source.fileno())
        try:
            with open(part, "wb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600)) as target:
                with gzip.GzipFile(filename="log", mode="wb", fileobj=target, compresslevel=6, mtime=max(0, int(before.st_mtime))) as packed:
                    shutil.copyfileobj(source, packed, BLOCK)
                target.flush()
                os.fchmod(target.fileno(), stat.S_IMODE(before.st_mode))
                os.fsync(target.fileno())  # before the log goes: a power cut must not take both
            os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
            after = os.stat(path)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return False
            faults.point("clean.packed")
            os.rename(part, path + ZIPPED)
        finally:
            if os.path.exists(part):
                os.unlink(part)
    faults.point("clean.named")
    os.unlink(path)  # until here readers took it; a kill before this line leaves both, of the same bytes
    return True


def _logs(folder: str) -> List[str]:
    """The logs below a run's folder that are worth compressing."""
    found = []
    for attempt in _entries(folder):
        path = os.path.join(attempt.path, "log")
        try:
            about = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and about.st_size > SMALL_LOG:
            found.append(path)
    return found


def _entries(folder: str) -> List[os.DirEntry]:
    """The folders in a folder; a link is none."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _left_over(runs_folder: str) -> List[str]:
    """What a killed clean had moved away."""
    return [each.path for pipeline in _pipelines(runs_folder) for each in _entries(pipeline) if each.name.startswith(MOVED)]


def _pipelines(runs_folder: str) -> List[str]:
    """The folders of pipelines; here a link counts, for a large one may lie on another disk."""
    try:
        return [os.path.join(runs_folder, name) for name in sorted(os.listdir(runs_folder)) if os.path.isdir(os.path.join(runs_folder, name))]
    except OSError:
        return []


def _sizes(runs_folder: str) -> Dict[str, int]:
    """Folder of a run -> bytes of the disk that it takes."""
    return {run.path: _weigh(run.path) for pipeline in _pipelines(runs_folder) for run in _entries(pipeline)}


def _weigh(folder: str) -> int:
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += _taken(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # it was removed meanwhile, or cannot be read
    return total


def _taken(about: os.stat_result) -> int:
    """Bytes of the disk, as `du` counts them."""
    return about.st_blocks * 512
