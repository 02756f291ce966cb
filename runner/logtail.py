"""The end of a log file, whatever is in it: read backwards from the end, line by line made readable, followed.

A log holds bytes as a step's processes wrote them. A line is UTF-8 if it can be, else CP949 (which holds EUC-KR), else
UTF-8 with marks for what is not: judged line by line, since the programs of one step need not agree.

`runner clean` makes log.gz of an old log. Whoever asks here for `log` gets its bytes either way; offsets count the bytes as
they were written.
"""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from typing import BinaryIO, Callable, Iterator, List, NamedTuple, Optional

from runner.errors import EnvironmentFault

BLOCK = 64 * 1024
TAIL_BYTES = 1024 * 1024  # the most that a tail reads: a log without line ends must not be read whole
LINE_BYTES = 64 * 1024  # a longer line is shown in pieces
ZIPPED = ".gz"


class Tail(NamedTuple):
    """Where the last lines begin. `cut`: the first of them began before."""

    offset: int
    size: int
    cut: bool


@contextmanager
def open_log(path: str) -> Iterator[BinaryIO]:
    """The bytes of a log, plain or compressed. Raises FileNotFoundError, and EnvironmentFault for a damaged log.gz."""
    zipped = ()
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        import gzip  # here: nearly every log that is looked at is plain

        file, zipped = gzip.open(path + ZIPPED, "rb"), (EOFError, zlib.error, gzip.BadGzipFile)
    with file:
        try:
            yield file
        except zipped as error:
            raise EnvironmentFault(f"{path}{ZIPPED}: damaged: {error}", f"what can be read of it: zcat {path}{ZIPPED}") from None


def place_of(path: str) -> str:
    """Where the bytes of a log lie: itself, or its log.gz."""
    return path + ZIPPED if not os.path.exists(path) and os.path.exists(path + ZIPPED) else path


def size_of(path: str) -> int:
    """Bytes that were written to a log; 0 when there is none. A compressed one is read for it."""
    try:
        with open_log(path) as file:
            if not _is_zipped(file):
                return os.fstat(file.fileno()).st_size
            return sum(len(block) for block in iter(lambda: file.read(BLOCK), b""))
    except FileNotFoundError:
        return 0


def _is_zipped(file: BinaryIO) -> bool:
    return hasattr(file, "mtime")  # of GzipFile alone


def find_tail(path: str, lines: int, limit: int = TAIL_BYTES, end: Optional[int] = None) -> Tail:
    """Where the last `lines` lines begin, at most `limit` bytes from the end; an absent file is an empty one.

    `end`: as if the log ended there.
    """
    try:
        with open_log(path) as file:
            if _is_zipped(file):
                return _zipped_tail(file, lines, limit, end)
            size = file.seek(0, os.SEEK_END)
            size = size if end is None else max(0, min(size, end))

            def read(start: int, end: int) -> bytes:
                file.seek(start)
                return file.read(end - start)

            return _search(read, size, lines, max(0, size - limit))
    except FileNotFoundError:
        return Tail(0, 0, False)


def _zipped_tail(file: BinaryIO, lines: int, limit: int, end: Optional[int] = None) -> Tail:
    """What is compressed is read once from its beginning, and only its end is kept."""
    kept, dropped = bytearray(), 0
    for block in iter(lambda: file.read(BLOCK if end is None else max(0, min(BLOCK, end - dropped - len(kept)))), b""):
        kept += block
        if len(kept) > 2 * limit:
            dropped += len(kept) - limit
            del kept[:-limit]
    size = dropped + len(kept)
    return _search(lambda start, end: bytes(kept[start - dropped:end - dropped]), size, lines, max(0, size - limit))


def _search(read: Callable[[int, int], bytes], size: int, lines: int, floor: int) -> Tail:
    """Blocks from the end backwards, until enough line ends were met. `read` gives the bytes from one offset to another."""
    if lines <= 0:
        return Tail(size, size, False)
    wanted, end = lines + 1, size  # the end before the first wanted line, and that of the last line if it has one
    if size:
        wanted -= read(size - 1, size) != b"\n"
    while end > floor:
        start = max(floor, end - BLOCK)
        block = read(start, end)
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
        with open_log(path) as file:
            file.seek(offset)
            while end is None or offset < end:
                line = file.readline(LINE_BYTES)
                if not line:
                    return
                offset += len(line)
                yield line[:-1] if line.endswith(b"\n") else line
    except FileNotFoundError:
        return


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
    """The last lines as text, each whole as far as the tail reaches."""
    tail = find_tail(path, lines)
    try:
        with open_log(path) as file:
            file.seek(tail.offset)
            data = file.read(tail.size - tail.offset)
    except FileNotFoundError:
        return []
    parts = data.split(b"\n")
    return [decode(line) for line in (parts if parts[-1] else parts[:-1])]


def read_at(path: str, offset: int, most: int) -> bytes:
    """At most so many bytes from `offset` on."""
    try:
        with open_log(path) as file:
            file.seek(offset)
            return file.read(most)
    except FileNotFoundError:
        return b""


class Follower:
    """What is added to a log from `offset` on, by whole lines."""

    def __init__(self, path: str, offset: int):
        self.path, self.offset = path, offset
        self._rest = b""

    def read(self) -> bytes:
        """The bytes that came since the last call, up to 16 blocks of them."""
        try:
            with open_log(self.path) as file:
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
