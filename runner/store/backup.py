"""A copy of the database while others go on writing: one snapshot, read in small steps.

The copy is a single file, without -wal and -shm beside it, so that it can be carried about.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Callable, List, Tuple

from runner import faults
from runner.errors import Conflict, EnvironmentFault
from runner.store.db import BUSY_SECONDS

STEP_PAGES = 256  # 1 MB between two pauses
SPARE_BYTES = 100 * 10**6  # must be left on the disk: a copy is not worth a run that cannot write its state
PART = ".part"
KEPT = 7  # copies under names of ours
FRESH = timedelta(hours=23)  # a day, with some play, so that a daily `clean` does not leave out every second one
_OWN = re.compile(r"runner-\d{8}-\d{6}\.db")


def make(path: str, folder: str, now: datetime, pause: Callable[[], None]) -> Tuple[str, int]:
    """Copy the database into `folder` under a name made of `now`, and remove all but the newest; returns (path, bytes).

    `now` is in the zone in which people here read the time. Raises as `copy` does.
    """
    try:
        os.makedirs(folder, mode=0o750, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be made: {error.strerror}", "make the folder above writable for this user") from None
    target = os.path.join(folder, _name_of(now))
    size = copy(path, target, pause)
    for old in own(folder)[KEPT:]:
        os.unlink(os.path.join(folder, old))
    return target, size


def is_fresh(folder: str, now: datetime) -> bool:
    """Whether the newest copy there is younger than a day."""
    return any(name > _name_of(now - FRESH) for name in own(folder)[:1])


def own(folder: str) -> List[str]:
    """The names of ours in a folder, newest first; another's file is never one of them."""
    try:
        return sorted((name for name in os.listdir(folder) if _OWN.fullmatch(name)), reverse=True)
    except FileNotFoundError:
        return []


def _name_of(moment: datetime) -> str:
    return f"runner-{moment:%Y%m%d-%H%M%S}.db"


def copy(path: str, target: str, pause: Callable[[], None]) -> int:
    """Copy the database at `path` to the new file `target`; returns its bytes. `pause` is called between the steps.

    It is written beside and gets its name when it is whole and was read again. Raises Conflict when `target` is there,
    EnvironmentFault when the disk has no room, nothing can be written, or the copy is damaged.
    """
    if os.path.lexists(target):
        raise Conflict(f"{target} is there already", "give another name: nothing is overwritten")
    folder = os.path.dirname(os.path.abspath(target))
    part = f"{target}.{os.getpid()}{PART}"
    try:
        _remove_parts(folder, os.path.basename(target))
        _check_room(path, folder)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            _write(path, part, pause)
            faults.point("backup.written")
            shutil.copymode(path, part)
            _name(part, target)
        finally:
            _unlink(part)
        return os.path.getsize(target)
    except FileExistsError:
        raise Conflict(f"{target} is there already", "give another name: nothing is overwritten") from None
    except FileNotFoundError:
        raise EnvironmentFault(f"{folder}: there is no such folder", f"type: mkdir -p {folder}") from None
    except OSError as error:
        raise EnvironmentFault(f"{target}: cannot be written: {error.strerror or error}", "make the folder writable, or name another file") from None
    except sqlite3.Error as error:
        raise EnvironmentFault(f"{path}: cannot be copied to {target}: {error}", f"look at it: runner db check   and at the disk: df -h {folder}") from None


def _write(path: str, part: str, pause: Callable[[], None]) -> None:
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as source, closing(
        sqlite3.connect(part, isolation_level=None)
    ) as target:
        target.execute("PRAGMA synchronous = OFF")  # it is made durable once, below
        # A transaction held open keeps one snapshot: without it every commit of another process starts the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target, pages=STEP_PAGES, progress=lambda *_: pause(), sleep=0.05)
        source.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode = DELETE")
        found = target.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise EnvironmentFault(f"{path}: the copy of it is damaged: {found}", "type: runner db check")
    fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _name(part: str, target: str) -> None:
    """Give the whole file its name; a link, unlike a rename, never takes the place of another file."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.rename(part, target)


def _check_room(path: str, folder: str) -> None:
    space = os.statvfs(folder)
    free, needed = space.f_bavail * space.f_frsize, os.path.getsize(path) + SPARE_BYTES
    if free < needed:
        raise EnvironmentFault(f"{folder}: {free // 10**6} MB are free, a copy needs {needed // 10**6} MB", f"free some space: df -h {folder}")


def _remove_parts(folder: str, name: str) -> None:
    """What copies that were killed left behind. A default name differs each time, so all of that kind are looked at."""
    for each in os.listdir(folder):
        stem, _, pid = each.partition(PART)[0].rpartition(".")
        if PART in each and pid.isdigit() and (stem == name or stem.startswith("runner-")) and not os.path.exists(f"/proc/{pid}"):
            _unlink(os.path.join(folder, each))


def _unlink(path: str) -> None:
    for each in (path, path + "-journal", path + "-wal", path + "-shm"):
        try:
            os.unlink(each)
        except FileNotFoundError:
            pass
