"""The end of a log file, whatever is in it: read backwards from the end, line by line made readable, followed.

A log holds bytes as a step's processes wrote them. A line is UTF-8 if it can be, else CP949 (which holds EUC-KR), else
UTF-8 with marks for what is not: judged line by line, since the programs of one step need not agree.
"""

from __future__ import annotations

import os
from typing import Iterator, List, NamedTuple, Optional

BLOCK = 64 * 1024
TAIL_BYTES = 1024 * 1024  # the most that a tail reads: a log without line ends must not be read whole
LINE_BYTES = 64 * 1024  # a longer line is shown in pieces


class Tail(NamedTuple):
    """Where the last lines begin. `cut`: the first of them began before."""

    offset: int
    size: int
    cut: bool


def find_tail(path: str, lines: int, limit: int = TAIL_BYTES) -> Tail:
    """Where the last `lines` lines begin, at most `limit` bytes from the end; an absent file is an empty one."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            return _search(file, size, lines, max(0, size - limit))
    except FileNotFoundError:
        return Tail(0, 0, False)


def _search(file, size: int, lines: int, floor: int) -> Tail:
    """Blocks from the end backwards, until enough line ends were met."""
    if lines <= 0:
        return Tail(size, size, False)
    wanted, end = lines + 1, size  # the end before the first wanted line, and that of the last line if it has one
    if size:
        file.seek(size - 1)
        wanted -= file.read(1) != b"\n"
    while end > floor:
        start = max(floor, end - BLOCK)
        file.seek(start)
        block = file.read(end - start)
        place = len(block)
        while wanted:
            place = block.rfind(b"\n", 0, place)
            if place < 0:
                break
            wanted -= 1
        if not wanted:
            return Tail(start + place + 1, size, False)
        end = start
    return Tail(floor, size, floor > 0)


def read_lines(path: str, offset: int = 0, end: Optional[int] = None) -> Iterator[bytes]:
    """The lines from `offset` on, without their ends; the memory taken does not grow with a line's length."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        while end is None or offset < end:
            line = file.readline(LINE_BYTES)
            if not line:
                return
            offset += len(line)
            yield line[:-1] if line.endswith(b"\n") else line


def decode(line: bytes) -> str:
    """One line as text."""
    line = line[:-1] if line.endswith(b"\r") else line
    for encoding in ("utf-8", "cp949"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("utf-8", "replace")


def last_lines(path: str, lines: int) -> List[str]:
    """The last lines as text."""
    tail = find_tail(path, lines)
    return [decode(line) for line in read_lines(path, tail.offset, tail.size)]


class Follower:
    """What is added to a log from `offset` on, by whole lines."""

    def __init__(self, path: str, offset: int):
        self.path, self.offset = path, offset
        self._rest = b""

    def read(self) -> bytes:
        """The bytes that came since the last call, up to 16 blocks of them."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(16 * BLOCK)
        except FileNotFoundError:
            return b""
        self.offset += len(data)
        return data

    def lines(self, ended: bool) -> Iterator[bytes]:
        """The lines that were completed since the last call; when the step has `ended`, all that is left.

        While it runs one call reads once, so that a step that prints faster than we do cannot hold the others up.
        """
        while True:
            data = self.read()
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            yield from lines
            if len(self._rest) > LINE_BYTES or (ended and self._rest and not data):
                yield self._rest
                self._rest = b""
            if not (data and ended):
                return
