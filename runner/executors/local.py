"""Runs jobs on this host: one thread, no polling of children.

A wrapper says through a pipe that its attempt has ended; SIGCHLD says that a wrapper died. A process that is not our child
(adopted after a crash) is watched by pidfd where the kernel has it (5.3), else looked at five times a second.
"""

from __future__ import annotations

import os
import selectors
import signal
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Set

from runner import faults
from runner.clock import Clock
from runner.executors import Report, process
from runner.executors.wrappers import Wrappers
from runner.model import Job

POLL_SECONDS = 0.2  # for adopted processes on kernels without pidfd
LEFTOVER_GRACE = 2.0  # seconds between TERM and KILL for what a finished step left in the background
SWEEP_SECONDS = 0.02  # between looks at such leftovers
REST_SECONDS = 5.0  # so long wrappers without work are kept
MOMENT = 0.2  # seconds in which this machine cannot have given out all its pids


@dataclass
class _Prepared:
    """A job whose files are written, and which may never be started."""

    job: Job
    gate: bool
    ready: bool = False  # its shell waits behind the gate


@dataclass
class _Sweep:
    """A finished attempt whose background processes are being ended before it is reported."""

    report: Report
    pid: int  # of its wrapper, and so of its process group
    until: float  # monotonic seconds: KILL from then on


class LocalExecutor:
    """Starts, adopts and ends attempts, and waits for whichever comes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sweeps: List[_Sweep] = []
        self._wrappers = Wrappers()
        self._again: Set[str] = set()  # attempts whose wrapper died before it had begun: given to another, once
        self._prepared: Dict[str, _Prepared] = {}  # by folder
        self._let: Dict[str, Job] = {}  # folder -> job that was let through its gate
        self._killed: Set[str] = set()  # folders: what dies a moment later than its shell was not left behind
        self._unheard: Set[str] = set()  # folders of attempts that were asked to end before they had begun
        self._look = False  # a child died
        self._begun = clock.monotonic()  # the last attempt
        self._adopted: Dict[str, Optional[int]] = {}  # folder -> pidfd, None where it must be polled
        self._woken: Set[str] = set()  # adopted ones whose pidfd said that they ended
        self._reports: List[Report] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._selector.register(self._wrappers.ends, selectors.EVENT_READ)
        self._old_fd = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._old_handler = signal.signal(signal.SIGCHLD, lambda *_: None)

    def close(self) -> None:
        """Give the signals back. Running attempts go on."""
        signal.set_wakeup_fd(self._old_fd)
        signal.signal(signal.SIGCHLD, self._old_handler)
        for fd in self._adopted.values():
            if fd is not None:
                os.close(fd)
        self._wrappers.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def watch(self, fd: int) -> None:
        """Let a further descriptor end `wait` (the engine's bell)."""
        self._selector.register(fd, selectors.EVENT_READ)

    def unwatch(self, fd: int) -> None:
        """No more."""
        self._selector.unregister(fd)

    # -- acts

    def prepare(self, job: Job) -> None:
        """Write the files of a job that may be started soon. Raises OSError."""
        gate = process.has_gate(job, self._wrappers.base)
        process.prepare(job, self._wrappers.base, gate)
        self._prepared[job.folder] = _Prepared(job, gate)

    def ready(self, job: Job) -> None:
        """A prepared job is about to be started, it seems: its shell may start already, if that can be held back from all that
        is the step's."""
        prepared = self._prepared.get(job.folder)
        if prepared and prepared.gate:
            try:
                process.check_cwd(job)
                self._begin(job.folder, gate=True)
                prepared.ready = True
            except OSError:  # whoever starts it meets the same, and says so
                pass

    def discard(self, job: Job) -> None:
        """A job that was prepared is not started."""
        if self._prepared.pop(job.folder).ready:
            self._wrappers.drop(job.folder)
        process.discard(job)

    def start(self, job: Job) -> None:
        """Start an attempt; what cannot be started is reported as refused by the next `wait`."""
        prepared = self._prepared.pop(job.folder, None)
        try:
            if prepared is None:
                process.prepare(job, self._wrappers.base)
            process.check_cwd(job)
            faults.point("process.before_spawn")
            if prepared is None or not prepared.ready:
                self._begin(job.folder, prepared is not None and prepared.gate)
            if prepared and prepared.gate:
                process.open_gate(job)
                self._wrappers.let(job.folder)
                self._let[job.folder] = job
            faults.point("process.after_spawn")
        except OSError as error:
            self._wrappers.drop(job.folder)
            self.refuse(job.folder, f"cannot start: {error.strerror}: {error.filename or job.argv[0]}")

    def _begin(self, folder: str, gate: bool) -> None:
        self._begun = self._clock.monotonic()
        self._wrappers.begin(folder, self._begun, gate)

    def refuse(self, folder: str, reason: str) -> None:
        """Report an attempt as one that cannot be started."""
        self._reports.append(Report(folder, "refused", reason=reason))

    def ended(self, folder: str) -> Optional[Report]:
        """The end of an attempt of a dead process, when it came while nobody looked."""
        found = process.read_end(folder)
        return Report(folder, "exited", found[0], at=found[1]) if found else None

    def recover(self, folder: str, boot: str = "") -> str:
        """Take over an attempt of a dead process. Returns ended, alive, orphans, gone (reported by `wait`) or never.

        `boot`: under which start of the machine its row was written. The row outlives a power cut, the file `start` may not:
        then nobody knows whether it had begun, and twice would be worse than not at all.
        """
        found = process.examine(folder)
        if found.kind == "alive":
            self._adopt(folder, found.pid)
        elif found.kind == "ended":
            self._reports.append(Report(folder, "exited", found.exit_code))
        elif found.kind == "orphans":
            process.kill_members(folder, process.read_start(folder), signal.SIGKILL)
            self._reports.append(Report(folder, "lost", reason="lost: its wrapper was killed; what it left was ended"))
        elif found.kind == "never" and boot not in ("", process.boot()):
            self._reports.append(Report(folder, "lost", reason="lost: the machine went down as it was to begin, and it may have begun"))
            return "gone"
        elif found.kind == "gone":
            self._reports.append(Report(folder, "lost", reason="lost: the machine or the step's processes died"))
        return found.kind

    def terminate(self, folder: str) -> None:
        """TERM to the attempt's processes, as soon as there are any."""
        self._let.pop(folder, None)
        if not process.terminate(folder) and self._wrappers.has(folder):
            self._unheard.add(folder)

    def kill(self, folder: str) -> None:
        """KILL to the attempt's processes, its wrapper spared."""
        self._let.pop(folder, None)
        self._killed.add(folder)
        process.kill(folder)

    # -- waiting

    def wait(self, timeout: Optional[float]) -> List[Report]:
        """The attempts that ended; returns at the first, at a bell or signal, or after `timeout` seconds."""
        out = self._collect()
        if out:
            return out
        if any(fd is None for fd in self._adopted.values()):
            timeout = POLL_SECONDS if timeout is None else min(timeout, POLL_SECONDS)
        if self._sweeps or self._unheard:
            timeout = SWEEP_SECONDS
        elif self._wrappers.resting:
            timeout = REST_SECONDS if timeout is None else min(timeout, REST_SECONDS)
        events = self._selector.select(timeout)
        for key, _ in events:
            if key.fd == self._wake_read:
                _drain(self._wake_read)
                self._look = True
            elif key.data is not None:
                self._woken.add(key.data)
        if not events and self._clock.monotonic() - self._begun >= REST_SECONDS:
            self._wrappers.rest()
        return self._collect()

    def _collect(self) -> List[Report]:
        out: List[Report] = []
        look, self._look = self._look, False
        ended, died = self._wrappers.news(look)
        for folder, pid, code in ended:
            self._again.discard(folder)
            if self._never_began(folder) or self._lost_race(folder, pid, code):
                self._wrappers.free(pid)
            else:
                out += self._ended(folder, pid, code)
        for folder, pid in died:
            out += self._died(folder, pid)
        for folder, fd in [(folder, fd) for folder, fd in self._adopted.items() if fd is None or folder in self._woken]:
            start = process.read_start(folder)
            if start is None or not process.is_alive(start):
                self._forget(folder, fd)
                _reap(start)
                out += self._by_record(folder, start.pid if start else 0)
        self._unheard = {folder for folder in self._unheard if self._wrappers.has(folder) and not process.terminate(folder)}
        out += self._swept()
        reports, self._reports = self._reports, []
        return reports + out

    def _died(self, folder: str, pid: int) -> List[Report]:
        """A wrapper of ours died with an attempt in hand; what it had not begun another one may have."""
        if self._never_began(folder):
            return []
        start = process.read_start(folder)
        if start is not None or folder in self._again:
            self._again.discard(folder)
            return self._by_record(folder, pid)
        self._again.add(folder)
        try:
            self._wrappers.begin(folder, self._clock.monotonic())
        except OSError as error:
            self.refuse(folder, f"cannot start: {error.strerror}")
        return []

    def _never_began(self, folder: str) -> bool:
        """Its shell was let through the gate, and died before; or it was one that knows no gates. Then it begins without."""
        job = self._let.pop(folder, None)
        if job is None or process.read_start(folder) is not None:
            return False
        self.start(job)
        return True

    def _lost_race(self, folder: str, pid: int, code: int) -> bool:
        """Another wrapper was faster with this folder: it is the one that counts."""
        if code != process.LOST_RACE:
            return False
        start = process.read_start(folder)
        if start is None or start.pid == pid:
            return False
        self.recover(folder)
        return True

    def _by_record(self, folder: str, pid: int) -> List[Report]:
        """The report of an attempt whose wrapper is dead: only the record on disk can tell."""
        code = process.read_rc(folder)
        if code is None:
            process.kill_members(folder, process.read_start(folder), signal.SIGKILL)
            return [Report(folder, "lost", reason="lost: its wrapper was killed")]
        return self._ended(folder, pid, code)

    def _ended(self, folder: str, pid: int, code: int) -> List[Report]:
        """The report of an attempt, after its background processes have gone."""
        report = Report(folder, "exited", code)
        killed = folder in self._killed
        self._killed.discard(folder)
        left = self._left(pid)
        if not left:
            self._wrappers.free(pid)
            return [report]
        process.signal_all(left, signal.SIGTERM)
        self._sweeps.append(_Sweep(replace(report, leftovers=not killed), pid, self._clock.monotonic() + LEFTOVER_GRACE))
        return []

    def _left(self, pid: int) -> List[int]:
        last, tick = self._wrappers.since(pid)
        return process.group_left(pid, pid, last if self._clock.monotonic() - tick < MOMENT else 0) if pid else []

    def _swept(self) -> List[Report]:
        """End what finished steps left running in their process group: their slot and their date are over."""
        done = []
        for sweep in self._sweeps:
            left = self._left(sweep.pid)
            if left:
                if self._clock.monotonic() < sweep.until:
                    continue
                process.signal_all(left, signal.SIGKILL)
            done.append(sweep)
            self._wrappers.free(sweep.pid)
        self._sweeps = [sweep for sweep in self._sweeps if sweep not in done]
        return [sweep.report for sweep in done]

    def _adopt(self, folder: str, pid: int) -> None:
        fd = None
        try:
            fd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # no pidfd in this kernel or Python, or it has just ended
            pass
        if fd is not None:
            self._selector.register(fd, selectors.EVENT_READ, folder)
        self._adopted[folder] = fd

    def _forget(self, folder: str, fd: Optional[int]) -> None:
        del self._adopted[folder]
        self._woken.discard(folder)
        if fd is not None:
            self._selector.unregister(fd)
            os.close(fd)


def _reap(start) -> None:
    """An adopted process may be our own child, of an executor before this one: leave no zombie."""
    try:
        if start:
            os.waitpid(start.pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _drain(fd: int) -> None:
    try:
        while len(os.read(fd, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass

