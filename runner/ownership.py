"""Which process works on a run: a lock file that is held for as long as the process lives, and a bell to wake it.

`engines/ID.lock` is flocked by its engine and by nobody else, so that a dead owner is seen at once, whatever killed it;
its text says who it is. `engines/ID.bell` is a FIFO: a byte in it says "look at the database".
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Optional

from runner.errors import EnvironmentFault


class Owner:
    """This process as an owner of runs."""

    def __init__(self, folder: str, about: str):
        """Take a new identity in `folder`. `about` is shown to whoever meets the lock. Raises EnvironmentFault."""
        self.id = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock_path = os.path.join(folder, self.id + ".lock")
        self._bell_path = os.path.join(folder, self.id + ".bell")
        try:
            os.makedirs(folder, mode=0o750, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            os.write(self._lock, f"pid {os.getpid()}, {about}\n".encode("utf-8", "surrogateescape"))
            os.mkfifo(self._bell_path, 0o660)
            self.bell = os.open(self._bell_path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise EnvironmentFault(
                f"{folder}: cannot be written: {error.strerror}", "free some space or make the folder writable"
            ) from None

    def heard(self) -> bool:
        """Whether the bell rang since the last call."""
        try:
            return bool(os.read(self.bell, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        for path in (self._bell_path, self._lock_path):
            try:
                os.unlink(path)
            except OSError:
                pass
        os.close(self.bell)
        os.close(self._lock)


def is_alive(folder: str, owner_id: Optional[str]) -> bool:
    """Whether the process behind an owner id still runs."""
    if not owner_id:
        return False
    try:
        fd = os.open(os.path.join(folder, owner_id + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's: it cannot be asked, so it must be believed
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    finally:
        os.close(fd)


def about(folder: str, owner_id: str) -> str:
    """What the owner says of itself: "pid 4711, runner run mart"."""
    try:
        with open(os.path.join(folder, owner_id + ".lock"), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return f"pid {owner_id.partition('-')[0]}"


def ring(folder: str, owner_id: str) -> bool:
    """Wake an owner; False when nobody listens."""
    try:
        fd = os.open(os.path.join(folder, owner_id + ".bell"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"!")
        return True
    except OSError:
        return True  # the pipe is full: it has been rung often enough
    finally:
        os.close(fd)


def forget(folder: str, owner_id: str) -> None:
    """Remove what a dead owner left behind."""
    for suffix in (".lock", ".bell"):
        try:
            os.unlink(os.path.join(folder, owner_id + suffix))
        except OSError:
            pass
