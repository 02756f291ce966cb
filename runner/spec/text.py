"""A file to bytes, and bytes to text: UTF-8, or a sentence that says what else it is. And places in a text, counted as YAML counts its lines."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import Any, Optional, Tuple, Union

from runner.model import Mark
from runner.spec.report import split_lines

MAX_BYTES = 1 << 20


class Stop(Exception):
    """The file cannot be read further."""

    def __init__(self, line: int, column: int, message: str, hint: str = "", where: str = "", source: Optional[str] = None):
        super().__init__(message)
        self.line, self.column, self.message, self.hint, self.where = line, column, message, hint, where
        self.source = source


def place_of(text: str, at: int) -> Tuple[int, int]:
    """line and column, from 1, of a character."""
    before = split_lines(text[:at])
    return len(before), len(before[-1]) + 1


def mark_of(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def clip(text: str) -> str:
    """A word for a message: not longer than a line can hold."""
    return text if len(text) <= 60 else text[:59] + "\N{HORIZONTAL ELLIPSIS}"


def from_disk(path: str) -> bytes:
    """The bytes of a file. Raises OSError, also for a pipe or a device: opening one would wait for ever."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", path)
    with open(path, "rb") as file:
        return file.read()


def decode(raw: Union[bytes, str], file: str) -> str:
    if isinstance(raw, str):
        text = raw[1:] if raw.startswith("\ufeff") else raw
        size = len(text) if len(text) > MAX_BYTES or text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        _check_size(size)
    else:
        _check_size(len(raw))
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or _looks_utf16(raw):
            raise Stop(
                1, 1, "the file is UTF-16, not UTF-8",
                f"save it as UTF-8, or: iconv -f utf-16 -t utf-8 {file} > {file}.utf8", source="",
            )
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise _not_utf8(raw, file) from err
    at = text.find("\0")
    if at >= 0:
        line, column = place_of(text, at)
        raise Stop(line, column, f"line {line} holds a NUL byte: this is not a text file", "remove it, or write the file anew")
    return text


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Stop(
            1, 1, f"the file is larger than 1 MiB ({size:,} bytes)",
            "split the pipeline, or move long scripts to files of their own", source="",
        )


def _looks_utf16(raw: bytes) -> bool:
    head = raw[:64]
    half = len(head) // 2
    return half >= 2 and (head[1::2].count(0) * 2 > half or head[::2].count(0) * 2 > half) and not head.count(0) == len(head)


def _not_utf8(raw: bytes, file: str) -> Stop:
    """Say which line is not UTF-8, and what it may be."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    start = 0
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as err:
        start = err.start
    line = raw.count(b"\n", 0, start) + 1
    begin = raw.rfind(b"\n", 0, start) + 1
    end = raw.find(b"\n", start)
    whole = raw[begin : end if end >= 0 else len(raw)].rstrip(b"\r")
    column = len(raw[begin:start].decode("utf-8")) + 1
    try:
        raw.decode("cp949")
    except UnicodeDecodeError:
        message = f"line {line} is not UTF-8 (byte 0x{raw[start]:02x})"
        return Stop(line, column, message, "save the file as UTF-8", source=whole.decode("utf-8", "replace"))
    return Stop(
        line, column, f"line {line} is not UTF-8; it looks like CP949 (EUC-KR)",
        f"iconv -f cp949 -t utf-8 {file} > {file}.utf8", source=whole.decode("cp949", "replace"),
    )


_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def odd_character(text: str, err: Exception) -> Stop:
    found = _UNPRINTABLE.search(text)
    if found is None:
        return Stop(1, 1, f"not readable as YAML: {err}")
    line, column = place_of(text, found.start())
    code = f"{ord(found.group()):04X}"
    return Stop(line, column, f"a control character (U+{code}) is not allowed", f'remove it, or write it in double quotes as "\\u{code}"')
