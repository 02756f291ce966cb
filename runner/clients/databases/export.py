"""A result as a CSV file: row by row into a file beside the target, which then takes its name. Nobody ever reads half of one."""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import re
from typing import Any, Mapping, Optional, Sequence

from runner.clients import ClientError

DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_BITE = 1 << 18  # characters gathered before they are encoded and written


class Layout:
    """How the file is written: the `csv:` of a step."""

    def __init__(self, wanted: Mapping[str, Any]):
        delimiter = str(wanted.get("delimiter", ","))
        self.delimiter = DELIMITERS.get(delimiter, delimiter)
        self.encoding = str(wanted.get("encoding") or "utf-8")
        self.header = bool(wanted.get("header", True))
        self.null = str(wanted.get("null", ""))
        self.errors = "replace" if wanted.get("replace") else "strict"
        self.newline = "\r\n" if wanted.get("newline") == "crlf" else "\n"


class CsvFile:
    """`begin` for each result anew, so that the last one stays; `publish` gives it its name, `discard` leaves nothing."""

    def __init__(self, path: str, layout: Layout):
        self.path, self.layout = path, layout
        self.bytes, self.begun = 0, False
        self._part = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
        self._fd: Optional[int] = None
        self._names: Sequence[str] = ()
        self._lines: list = []
        self._size = self._rows = 0
        self._special = re.compile("[\r\n\"" + re.escape(layout.delimiter) + "]")

    def open(self) -> None:
        """Before anything runs: what stands in the way is told first. Raises ClientError."""
        if os.path.isdir(self.path):
            raise ClientError(f"to: {self.path} is a folder", "name a file in it")
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            self._fd = _locked(self._part)
        except BlockingIOError:
            raise ClientError(f"to: another step is writing {self.path} at this moment", "let one step need the other") from None
        except OSError as error:
            raise self._trouble(error) from None

    def begin(self, names: Sequence[str]) -> None:
        self.begun = True
        try:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        except OSError as error:
            raise self._trouble(error) from None
        self._encode = codecs.getincrementalencoder(self.layout.encoding)(self.layout.errors).encode
        self._names, self._lines, self._size, self._rows, self.bytes = list(names), [], 0, 0, 0
        if self.layout.header:
            self._add(names)

    def row(self, cells: Sequence[Optional[str]]) -> None:
        self._rows += 1
        self._add(cells)

    def _add(self, cells: Sequence[Optional[str]]) -> None:
        null, special = self.layout.null, self._special.search
        line = self.layout.delimiter.join([
            null if cell is None else '"' + cell.replace('"', '""') + '"' if special(cell) or cell == null else cell for cell in cells
        ])
        self._lines.append(line)
        self._size += len(line)
        if self._size > _BITE:
            self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        text = self.layout.newline.join(self._lines) + self.layout.newline
        try:
            data = self._encode(text)
        except UnicodeEncodeError as error:
            raise self._unwritable(error) from None
        self._lines, self._size = [], 0
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view):]
        except OSError as error:
            raise self._trouble(error) from None
        self.bytes += len(data)

    def _unwritable(self, error: UnicodeEncodeError) -> ClientError:
        letter = error.object[error.start]
        first = self._rows - len(self._lines) + 1  # of the lines at hand; the header counts as row 0
        at = next((index for index, line in enumerate(self._lines) if letter in line), 0)
        place = "the header" if first + at == 0 else f"row {first + at}"
        return ClientError(
            f"{place}: '{letter}' (U+{ord(letter):04X}) cannot be written in {self.layout.encoding}",
            "write `replace: true` under `csv:` to have a ? in its place, or `encoding: utf-8`",
        )

    def finish(self) -> None:
        """All rows are on the disk; the file has not got its name yet."""
        self._flush()
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._trouble(error) from None

    def publish(self) -> None:
        """The file under its name, whole."""
        try:
            os.rename(self._part, self.path)
        except OSError as error:
            raise self._trouble(error) from None
        os.close(self._fd)
        self._fd = None

    def discard(self) -> None:
        """Leave nothing of it; after `publish` there is nothing to leave."""
        if self._fd is not None:
            try:
                os.unlink(self._part)
            except OSError:
                pass
            os.close(self._fd)
            self._fd = None

    def _trouble(self, error: OSError) -> ClientError:
        hint = f"type: df -h {os.path.dirname(self.path)}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"type: ls -ld {os.path.dirname(self.path)}"
        return ClientError(f"{self.path} cannot be written: {error.strerror}", hint)


def _locked(path: str) -> int:
    """The file, ours alone. Raises BlockingIOError when another process writes it."""
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(fd)
                raise BlockingIOError(error.errno, "locked") from None
        try:
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                return fd
        except FileNotFoundError:
            pass  # it got its name, or was removed, while we waited
        os.close(fd)
