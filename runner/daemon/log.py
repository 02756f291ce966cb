"""The daemon's own log: one line for each event, in HOME/daemon.log that rotates; to the journal when systemd reads, to others who read."""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
from logging.handlers import RotatingFileHandler
from typing import Mapping, Optional, Tuple

FILE, OUT = "daemon.log", "daemon.out"  # OUT: into it the start script leads our stderr
BYTES, FILES = 10 * 1024 * 1024, 5
_JOURNAL = {logging.ERROR: "<3>", logging.WARNING: "<4>", logging.INFO: "<6>"}  # priorities of sd-daemon(3)


class _Journal(logging.Formatter):
    """The journal has the time already."""

    def format(self, record: logging.LogRecord) -> str:
        return _JOURNAL.get(record.levelno, "<6>") + super().format(record).replace("\n", "\n" + _JOURNAL.get(record.levelno, "<6>"))


class _Rotating(RotatingFileHandler):
    """Looks at its size now and then: the library's own look writes each line twice and asks the disk twice."""

    EVERY = 100  # lines
    _lines = 0

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        self._lines += 1
        return self._lines % self.EVERY == 1 and bool(super().shouldRollover(record))


class Lines(list):
    """Several lines as one record: those of a turn are written together, since a record costs more than what it says."""

    def __str__(self) -> str:
        return "\n".join(self)


class _OneLine(logging.Formatter):
    """Local time with its offset, as every date of runner."""

    default_time_format, default_msec_format = "%Y-%m-%dT%H:%M:%S%z", None
    _second: Tuple[int, str] = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, Lines):
            return super().format(record)
        before, _, after = super().format(logging.makeLogRecord({**record.__dict__, "msg": "\0"})).partition("\0")
        return "\n".join(before + line.replace("\n", " ") + after for line in record.msg)

    def formatTime(self, record: logging.LogRecord, datefmt: Optional[str] = None) -> str:
        """Many lines are of one second."""
        second, text = self._second
        if second != int(record.created):
            text = super().formatTime(record, datefmt)
            self._second = int(record.created), text
        return text


class _Read(logging.Handler):
    """To whoever reads our stderr, such as the log of a container. What they do not take at once is dropped: it stands in
    daemon.log, and somebody who stops reading must not stop the daemon."""

    def emit(self, record: logging.LogRecord) -> None:
        text, number = (self.format(record) + "\n").encode("utf-8", "backslashreplace"), sys.stderr.fileno()
        ready = select.poll()
        ready.register(number, select.POLLOUT)
        try:
            for begin in range(0, len(text), select.PIPE_BUF):  # a pipe that is ready takes so much
                if ready.poll(0) != [(number, select.POLLOUT)]:
                    return
                os.write(number, text[begin: begin + select.PIPE_BUF])
        except OSError:
            pass  # nobody reads any more, or the disk is full


def _is_read(home: str) -> bool:
    """Whether stderr leads to a pipe or a file of somebody's, which is not that of our own start script."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # it is closed
        return False
    try:
        own = os.path.samestat(found, os.stat(os.path.join(home, OUT)))
    except OSError:
        own = False
    return stat.S_ISFIFO(found.st_mode) or stat.S_ISREG(found.st_mode) and not own


def open_log(home: str, environ: Mapping[str, str]) -> logging.Logger:
    """The logger `runner.daemon`; APScheduler's errors go the same way."""
    handlers = [_Rotating(os.path.join(home, FILE), maxBytes=BYTES, backupCount=FILES, encoding="utf-8", errors="backslashreplace")]
    handlers[0].setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    if environ.get("JOURNAL_STREAM"):
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[1].setFormatter(_Journal("%(message)s"))
    elif sys.stderr.isatty():
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[1].setFormatter(_OneLine("%(asctime)s %(message)s"))
    elif _is_read(home):
        handlers.append(_Read())
        handlers[1].setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    for name in ("runner.daemon", "apscheduler"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = list(handlers), False
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # none of our lines says them: half the time of a line
    logging._srcfile = None  # the same of files and line numbers; the library's manual, "Optimization"  # type: ignore[assignment]
    logging.raiseExceptions = False  # a full disk must not fill stderr with tracebacks
    logging.getLogger("runner.daemon").setLevel(logging.INFO)
    return logging.getLogger("runner.daemon")
