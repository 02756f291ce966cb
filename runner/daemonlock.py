"""Which process is the daemon of a RUNNER_HOME: one lock that it holds for its life.

`daemon.lock` is flocked by the daemon alone, so that a dead one is seen at once, whatever killed it. Its text is JSON: who
it is. Its modification time is the daemon's last beat: a daemon that lives but hangs is seen too.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from dataclasses import dataclass
from typing import Optional

from runner import __version__
from runner.errors import Conflict, EnvironmentFault

BEAT_SECONDS = 10.0  # between beats of a healthy daemon
HUNG_SECONDS = 60.0  # without a beat: it hangs
TEXT_BYTES = 4096
MOST_WORDS = 300  # of the reason in it
LOOKS = 20  # of one that is refused, for the name of the other


@dataclass(frozen=True)
class Daemon:
    """A living daemon, as others see it."""

    pid: int
    owner: str  # its id as an owner of runs: whom to ring
    since: str  # UTC, ISO 8601
    version: str
    beat: float  # seconds since the epoch of its last beat
    blocked: str = ""  # why it lets no run begin: a full disk, a clock that jumped
    page: str = ""  # why its page is not served, though it should be


def path_of(home: str) -> str:
    return os.path.join(home, "daemon.lock")


class DaemonLock:
    """This process as the daemon of a home."""

    def __init__(self, home: str, since: str):
        """Take the lock. Raises Conflict that names the daemon which holds it, EnvironmentFault where nothing can be written."""
        path = path_of(home)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise EnvironmentFault(f"{path}: cannot be written: {error.strerror}", "make the folder writable for this user") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            other = _holder(home)
            who = f"pid {other.pid}, since {other.since}" if other else "its pid is not written yet"
            raise Conflict(f"a daemon works on {home} already: {who}", "end it: runner daemon stop   look at it: runner health") from None
        self._since, self._owner, self._blocked, self._page = since, "", "", ""
        self._telling = threading.Lock()  # the page tells from a thread of its own
        self.tell("")  # at once: the text is still of the daemon before, whose pid nobody may signal any more

    def tell(self, owner: str, blocked: str = "") -> None:
        """Write who this is; `owner` "" as long as nobody can be rung."""
        with self._telling:
            self._owner, self._blocked = owner, blocked[:MOST_WORDS]
            self._write()

    def tell_page(self, trouble: str) -> None:
        """Write why the page is not served; "" when it is, or shall not be."""
        with self._telling:
            self._page = trouble[:MOST_WORDS]
            self._write()

    def _write(self) -> None:
        said = {"pid": os.getpid(), "owner": self._owner, "since": self._since, "version": __version__, "blocked": self._blocked, "page": self._page}
        os.pwrite(self._fd, json.dumps(said).encode().ljust(TEXT_BYTES), 0)  # over the old one in one go: nobody reads half of it

    def beat(self) -> None:
        """Say that the loop turns."""
        os.utime(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _holder(home: str) -> Optional[Daemon]:
    """Who holds the lock; one that has just taken it needs a moment to write its name over that of the dead one before."""
    for _ in range(LOOKS):
        found = look(home)
        if found and os.path.exists(f"/proc/{found.pid}"):
            return found
        threading.Event().wait(0.05)
    return None


def look(home: str) -> Optional[Daemon]:
    """The living daemon of a home; None when there is none."""
    try:
        fd = os.open(path_of(home), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it
    except OSError:
        about = _read(os.pread(fd, TEXT_BYTES, 0))
        return about and Daemon(beat=os.fstat(fd).st_mtime, **about)
    finally:
        os.close(fd)


def _read(raw: bytes) -> Optional[dict]:
    try:
        found = json.loads(raw)
        return {name: found[name] for name in ("pid", "owner", "since", "version", "blocked", "page") if name in found}
    except (ValueError, KeyError, TypeError):  # it is being written
        return None
