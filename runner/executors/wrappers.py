"""The wrappers of one executor: born when one is wanted, given one attempt after another, let go when there is nothing to do.

A shell that is there already is given its next attempt by one line in a pipe; a new one for each step would cost more than all
else that we do for it. Each belongs to one attempt at a time, so one that is killed takes one attempt with it. They hold the
other ends of two pipes: when we die, theirs ends, and they leave as soon as their attempt is over and its status on disk.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import uuid
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Set, Tuple

from runner.executors import process

SCRIPT = os.path.join(os.path.dirname(__file__), "wrapper.sh")
SHELL = "/bin/sh"
_DEFAULT_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them, and what is ignored is inherited

_leaving: Set[int] = set()  # children that were let go: reaped by whoever looks next


@dataclass
class _Wrapper:
    """A living child. `folder`: of its attempt, "" while it has none."""

    pid: int
    orders: int  # descriptor: the folders it is given
    folder: str = ""
    gate: int = 0  # the number of the gate its attempt waits behind
    dropped: bool = False  # that was told to go, without having begun
    since: Tuple[int, float] = (0, 0.0)  # when it was given its attempt: the last pid of this machine, and monotonic seconds


class Wrappers:
    """All of one executor. One thread."""

    def __init__(self) -> None:
        self.base: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}
        self._all: Dict[int, _Wrapper] = {}
        self._idle: List[_Wrapper] = []
        self._gates = 0
        self._heard = b""
        self.ends, self._told = (_above_standard(fd) for fd in os.pipe2(os.O_CLOEXEC))
        os.set_blocking(self.ends, False)
        _reap_leaving()

    def close(self) -> None:
        """Let all go; what runs goes on."""
        for wrapper in list(self._all.values()):
            self._let_go(wrapper)
        self._idle.clear()
        os.close(self.ends)
        os.close(self._told)

    def rest(self) -> None:
        """Let those go that have nothing to do."""
        for wrapper in self._idle:
            self._let_go(wrapper)
        self._idle.clear()

    @property
    def resting(self) -> bool:
        """Whether some have nothing to do."""
        return bool(self._idle)

    def begin(self, folder: str, tick: float, gate: bool = False) -> int:
        """Have one of them run the attempt whose files stand in `folder`; returns its pid. `tick`: now. With `gate` it begins
        when `let` says so. Raises OSError."""
        self._gates += gate
        line = (b"=%d " % self._gates if gate else b"") + os.fsencode(folder) + b"\n"
        while True:
            wrapper = self._idle.pop() if self._idle else self._born()
            wrapper.folder, wrapper.since, wrapper.gate = folder, (process.last_pid(), tick), self._gates
            try:
                os.write(wrapper.orders, line)
                return wrapper.pid
            except BrokenPipeError:  # it was killed while it rested; that it is dead is told by SIGCHLD
                wrapper.folder = ""

    def let(self, folder: str) -> None:
        """What waits behind its gate begins."""
        self._tell(folder, b"+%d\n")

    def drop(self, folder: str) -> None:
        """What waits behind its gate goes, and nobody hears of it."""
        wrapper = self._tell(folder, b"-%d\n")
        if wrapper:
            wrapper.folder, wrapper.dropped = "", True

    def _tell(self, folder: str, word: bytes) -> Optional[_Wrapper]:
        wrapper = next((each for each in self._all.values() if each.folder == folder), None)
        try:
            if wrapper:
                os.write(wrapper.orders, word % wrapper.gate)
        except BrokenPipeError:  # it is dead, which SIGCHLD tells
            pass
        return wrapper

    def free(self, pid: int) -> None:
        """Its attempt is over and done with: it may have another."""
        wrapper = self._all.get(pid)
        if wrapper:
            wrapper.folder = ""
            self._idle.append(wrapper)

    def has(self, folder: str) -> bool:
        """Whether one of them has this attempt in hand."""
        return any(wrapper.folder == folder for wrapper in self._all.values())

    def since(self, pid: int) -> Tuple[int, float]:
        """(last pid of this machine, monotonic seconds) when it was given its attempt; zeros for one that is not ours."""
        wrapper = self._all.get(pid)
        return wrapper.since if wrapper else (0, 0.0)

    def news(self, dead: bool) -> Tuple[List[Tuple[str, int, int]], List[Tuple[str, int]]]:
        """(folder, pid, exit status) of each attempt that ended, and (folder, pid) of each whose wrapper died without a word.

        `dead`: also look whether any died, since a child of ours did.
        """
        gone = [wrapper for wrapper in self._all.values() if os.waitpid(wrapper.pid, os.WNOHANG)[0]] if dead else []
        ended = self._hear()  # after that look: what it said before it died counts
        for wrapper in gone:
            del self._all[wrapper.pid]
            os.close(wrapper.orders)
            if wrapper in self._idle:
                self._idle.remove(wrapper)
        _reap_leaving()
        return ended, [(wrapper.folder, wrapper.pid) for wrapper in gone if wrapper.folder]

    def _hear(self) -> List[Tuple[str, int, int]]:
        out = []
        try:
            data = os.read(self.ends, 65536)
        except BlockingIOError:
            return out
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            pid, status = map(int, line.split())
            wrapper = self._all[pid]
            if wrapper.dropped:
                wrapper.dropped = False
                self._idle.append(wrapper)
                continue
            out.append((wrapper.folder, pid, status))
            wrapper.folder = ""
        return out

    def _born(self) -> _Wrapper:
        name = uuid.uuid4().hex
        read, write = map(_above_standard, os.pipe2(os.O_CLOEXEC))
        try:
            pid = _spawn((SHELL, SCRIPT, process.boot_id()), {**self.base, process.WRAPPER: name}, read, self._told)
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        wrapper = self._all[pid] = _Wrapper(pid, write)
        return wrapper

    def _let_go(self, wrapper: _Wrapper) -> None:
        del self._all[wrapper.pid]
        os.close(wrapper.orders)
        _leaving.add(wrapper.pid)


def _spawn(words: Tuple[str, ...], env: Mapping[str, str], orders: int, told: int) -> int:
    """A session of its own, with these two as stdin and stdout, and nothing of ours. posix_spawn where the C library can make
    a session with it (glibc 2.26): less work than Popen."""
    nowhere = _above_standard(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    try:
        acts = [(os.POSIX_SPAWN_DUP2, orders, 0), (os.POSIX_SPAWN_DUP2, told, 1), (os.POSIX_SPAWN_DUP2, nowhere, 2)]
        return os.posix_spawn(words[0], words, env, setsid=True, file_actions=acts, setsigdef=_DEFAULT_SIGNALS)
    except NotImplementedError:
        return subprocess.Popen(words, env=env, start_new_session=True, stdin=orders, stdout=told, stderr=nowhere).pid
    finally:
        os.close(nowhere)


def _above_standard(fd: int) -> int:
    """The same, but none of 0 to 2, which would be covered: a process may have been started without them."""
    if fd > 2:
        return fd
    other = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return other


def _reap_leaving() -> None:
    for pid in list(_leaving):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _leaving.discard(pid)
        except ChildProcessError:
            _leaving.discard(pid)
