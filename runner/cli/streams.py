"""stdin, stdout and stderr of one call: there from the start, and lost without harm.

A pipe may be closed and a disk may be full at any moment. Talk that nobody can read is no fault, nor is the result of work
that was done: the exit code tells it too. Only a command that does nothing but print ends then.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from runner.errors import EnvironmentFault


class Unread(Exception):
    """Who read stdout has seen enough, as `| head` does. It is no OSError: click itself ends a call on a closed pipe, with 1."""


def open_missing() -> None:
    """/dev/null for each of the three that the caller closed: else the next file to be opened, the database, would be stdout."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one, as those below it are open
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open as long as the process is


@contextmanager
def guarded() -> Iterator["Output"]:
    """sys.stdout and sys.stderr as Outputs for the time of a call; gives the first."""
    before = sys.stdout, sys.stderr
    for stream in before:
        stream.reconfigure(errors="backslashreplace")  # LANG=C must not turn a Korean name into an error
    out = Output(before[0], "stdout")
    sys.stdout, sys.stderr = out, Output(before[1], "stderr", calm=True)
    try:
        yield out
    finally:
        out.calm = True
        out.flush()  # what is left must not fail as the interpreter ends
        sys.stdout, sys.stderr = before


def keep_calm() -> None:
    """From here on the work counts, and not who reads of it."""
    if isinstance(sys.stdout, Output):
        sys.stdout.calm = True


class Output:
    """A stream that goes silent when it cannot be written any more. One that is not calm raises Unread or EnvironmentFault."""

    def __init__(self, stream: Any, name: str = "", calm: bool = False):
        self._stream, self._name = stream, name
        self.calm = calm
        self._lost: Optional[Exception] = None

    @property
    def fault(self) -> str:
        """Why it could not be written; a reader who merely left is no fault."""
        if self._lost is None or self._unread:
            return ""
        return f"{self._name} cannot be written: {getattr(self._lost, 'strerror', None) or self._lost}"

    @property
    def _unread(self) -> bool:
        return getattr(self._lost, "errno", None) == errno.EPIPE

    def write(self, text: str) -> int:
        self._do(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._do(self._stream.flush)

    @property
    def buffer(self) -> "Output":
        """The same for bytes."""
        return _Bytes(self)

    def _do(self, act: Callable, *words: Any) -> None:
        if self._lost is None:
            try:
                act(*words)
                return
            except (OSError, ValueError) as error:  # ValueError: closed
                self._lost = error
                _to_nowhere(self._stream)
        if self._unread and not self.calm:
            raise Unread  # each time: click tries a stream first, and swallows what that raises
        if not self.calm:
            raise EnvironmentFault(self.fault, "make room, or send it elsewhere")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Bytes(Output):
    """The bytes of an Output; they are lost as it is."""

    def __init__(self, whole: Output):
        super().__init__(whole._stream.buffer)
        self._whole = whole

    def _do(self, act: Callable, *words: Any) -> None:
        self._whole._do(act, *words)


def _to_nowhere(stream: Any) -> None:
    """What is still in its buffer goes to /dev/null: the interpreter would fail with it at its end."""
    try:
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # a stream of a test has no number
        pass
