"""Stands between the wrapper and a step's command when the step has secrets or a ticket: `python -I attendant.py COMMAND...`

What to do comes in the variable RUNNER_ATTENDANT, which holds names and no value:

    {"env": {"TOKEN": ["", "api", ""]},    variables to fill: text, secret, text ...
     "secrets": ["api"], "connections": ["warehouse"],    whose values become *** in the log and in $RUNNER_OUTPUT
     "kerberos": {"principal": "etl@EXAMPLE", "keytab": "/etc/etl.keytab"}}

It reads the values itself, so that they are in no other process than this one and the command. It copies the command's output to
the log, keeps its ticket alive, and ends with its exit code. TERM to the attempt's process group is for the command: this
process ends when the command has ended, though a process in the background may hold the pipe.
"""

import json
import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import fcntl
import selectors
import signal
import subprocess
import threading
from typing import Any, Dict, List, Mapping, Optional

from runner import final
from runner.clock import Clock
from runner.errors import EnvironmentFault, RunnerError
from runner.site import connections, kerberos, secrets
from runner.site.masking import Masker

ORDER = "RUNNER_ATTENDANT"
NO_TICKET_YET, NOT_SET_UP = 75, 78  # exit codes: the KDC did not answer; a secret, connection or ticket is not to be had (sysexits)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PIECE = 1 << 20  # bytes: of a read, and of the pipe where the kernel allows it
PAUSES = (1.0, 2.0, 4.0)  # seconds between tries to reach the KDC before the command
SHARE = 0.5  # of a ticket's life, after which a new one is got
SHORTEST = 2.0  # seconds between two tickets, however short they are
_F_SETPIPE_SZ = 1031


class Refused(Exception):
    """The command is not started."""

    def __init__(self, message: str, hint: str, code: int):
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class Signals:
    """Before the command starts a signal ends us; from then on it is the command's affair."""

    def __init__(self) -> None:
        self.heard: List[int] = []
        self.started = False
        for number in SIGNALS:  # handlers, not "ignore": the command gets default signals
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: Any) -> None:
        self.heard.append(number)
        if not self.started:
            raise SystemExit(128 + number)


class Ticket:
    """A ccache of the attempt's own, kept fresh by a thread; after `close` it is gone."""

    def __init__(self, wanted: Mapping[str, str], folder: str, environ: Mapping[str, str], clock: Clock):
        self.cache = os.path.join(folder, kerberos.CCACHE)
        self._principal, self._keytab = wanted["principal"], wanted["keytab"]
        self._environ, self._clock = environ, clock
        self._over = threading.Event()
        self._kinit: Optional[subprocess.Popen] = None
        self._thread: Optional[threading.Thread] = None

    def open(self) -> None:
        """The first ticket. Raises Refused."""
        for pause in (*PAUSES, None):
            try:
                life = self._get()
                break
            except kerberos.KinitFailed as error:
                if not error.passing:
                    raise Refused(error.message, error.hint, NOT_SET_UP) from None
                if pause is None:
                    raise Refused(error.message, error.hint, NO_TICKET_YET) from None
                say(f"{error.message}; next try in {pause:g} s")
                self._clock.sleep(pause)
        self._thread = threading.Thread(target=self._renew, args=(life,), daemon=True)
        self._thread.start()

    def _get(self) -> float:
        """A new ticket; the seconds it holds."""
        ticket = kerberos.kinit(self._principal, self._keytab, self.cache, self._environ, self._remember)
        return float(max(ticket.end - ticket.start, 1))

    def _remember(self, process: subprocess.Popen) -> None:
        self._kinit = process

    def _renew(self, life: float) -> None:
        """A new ticket from the keytab each time: so the KDC's renew life is no limit."""
        wait = max(life * SHARE, SHORTEST)
        while not self._over.wait(wait):
            try:
                life = self._get()
                wait = max(life * SHARE, SHORTEST)
            except kerberos.KinitFailed as error:
                wait = min(max(life / 10, 1.0), 60.0)
                if not self._over.is_set():
                    say(f"the ticket could not be renewed: {error.message}; next try in {wait:g} s")

    def close(self) -> None:
        self._over.set()
        if self._kinit and self._kinit.poll() is None:
            self._kinit.kill()
        if self._thread:
            self._thread.join(5)
        for path in (self.cache, self.cache + ".new"):
            try:
                os.unlink(path)
            except OSError:
                pass


class Handed:
    """Stands for the file $RUNNER_OUTPUT while the command runs: in memory, so that no value touches the disk unmasked."""

    def __init__(self, path: str):
        self._path = path
        self._fd = os.memfd_create("output")
        self.name = f"/proc/{os.getpid()}/fd/{self._fd}"

    def close(self, values: List[str]) -> None:
        """What was handed on, masked, into the file."""
        masker = Masker(values)
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        if data:
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "wb") as file:
                file.write(masker.feed(data) + masker.flush())


def main(argv: List[str]) -> int:
    order = json.loads(os.environ.pop(ORDER))
    signals = Signals()
    folder = os.environ["RUNNER_ATTEMPT"]
    ticket = Ticket(order["kerberos"], folder, dict(os.environ), Clock()) if order.get("kerberos") else None
    try:
        values = fill(order, os.environ)
        if ticket:
            ticket.open()
        return attend(argv, values, signals)
    except Refused as error:
        if error.code == NOT_SET_UP:
            final.mark(folder)
        return refuse(error.message, error.hint, error.code)
    except RunnerError as error:
        if not isinstance(error, EnvironmentFault):  # a command that gives secrets, a disk: they may be well in a minute
            final.mark(folder)
        return refuse(error.message, error.hint, NOT_SET_UP)
    finally:
        if ticket:
            ticket.close()


def fill(order: Mapping[str, Any], environ: Dict[str, str]) -> List[str]:
    """Put the secrets into the environment; the values that no log may show."""
    home = environ.get("RUNNER_HOME", "")
    known = secrets.get_all(order.get("secrets", ()), home, environ)
    values = list(known.values())
    for name in order.get("connections", ()):
        values += connections.hidden_values(name, home, environ)
    for name, parts in order.get("env", {}).items():
        environ[name] = "".join(known[part] if i % 2 else part for i, part in enumerate(parts))
    return values


def attend(argv: List[str], values: List[str], signals: Signals) -> int:
    """Run the command to its end; its exit code as a shell gives it."""
    handed = Handed(os.environ["RUNNER_OUTPUT"]) if values and hasattr(os, "memfd_create") and "RUNNER_OUTPUT" in os.environ else None
    if handed:
        os.environ["RUNNER_OUTPUT"] = handed.name
    signals.started = True
    wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    try:
        command = subprocess.Popen(argv, stdout=subprocess.PIPE if values else None, stderr=subprocess.STDOUT if values else None, bufsize=0)
    except OSError as error:
        return refuse(f"{error.filename or argv[0]}: {error.strerror}", "", 126 if isinstance(error, PermissionError) else 127)
    for number in signals.heard:  # one that came while it was being started
        command.send_signal(number)
    copy = Copy(command.stdout.fileno(), Masker(values)) if command.stdout else None
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        if copy:
            selector.register(copy.source, selectors.EVENT_READ)
        while command.poll() is None:
            for key, _ in selector.select():
                if key.fd == wake:
                    drain(wake)
                elif not copy.some():
                    selector.unregister(copy.source)
    if copy:
        copy.rest()
    if handed:
        handed.close(values)
    return command.returncode if command.returncode >= 0 else 128 - command.returncode


class Copy:
    """The command's output on its way to the log."""

    def __init__(self, source: int, masker: Masker):
        self.source, self._masker = source, masker
        self._lost = 0
        os.set_blocking(source, False)
        try:
            fcntl.fcntl(source, _F_SETPIPE_SZ, PIECE)
        except OSError:  # the kernel's limit for this user
            pass

    def some(self) -> bool:
        """Copy what is there; False at the end of it."""
        try:
            data = os.read(self.source, PIECE)
        except BlockingIOError:
            return True
        self._write(self._masker.feed(data))
        return bool(data)

    def rest(self) -> None:
        """All that the command has written. A process it left behind may hold the pipe open, and write on: it is not waited for."""
        left = PIECE  # no pipe of ours holds more
        while left > 0:
            try:
                data = os.read(self.source, left)
            except BlockingIOError:
                break
            if not data:
                break
            left -= len(data)
            self._write(self._masker.feed(data))
        self._write(self._masker.flush())
        if self._lost:
            say(f"{self._lost} bytes of output could not be written to the log")

    def _write(self, data: bytes) -> None:
        """A full disk costs output, not the command."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(1, view):]
            except OSError:
                self._lost += len(view)
                return


def drain(fd: int) -> None:
    try:
        while len(os.read(fd, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass


def refuse(message: str, hint: str, code: int) -> int:
    say(f"error: {message}" + (f"\n       {hint}" if hint else ""))
    return code


def say(text: str) -> None:
    """A line of ours in the log."""
    try:
        os.write(1, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
