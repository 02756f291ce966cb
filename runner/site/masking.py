"""Secret values out of a stream of bytes, whatever the sizes of the pieces it comes in.

A value is found as it is, line by line, in Base64 (at each of its three offsets, the lines of it broken anywhere), percent-encoded, in
hexadecimal, and as JSON, the shell, HTML and Python write it. What was reversed, hashed or compressed is nobody's to find.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from typing import Iterable, Iterator, List, Set, Tuple
from urllib.parse import quote, quote_plus

MASK = b"***"
SHORTEST = 4  # characters: a shorter value would make stars of half a log
SHORTEST_LINE = 8  # of a value of many lines: else its braces were masked everywhere
_SPECIAL = re.compile(r"[^\w@%+=:,./-]")  # before which printf %q puts a backslash
_NEWLINE = re.compile(rb"[\r\n]")
_HEAD = 8  # bytes of Base64 before the first place where its line may break


class Masker:
    """`feed` it pieces, and write what comes back; `flush` at the end."""

    def __init__(self, values: Iterable[str]):
        plain: Set[bytes] = set()
        broken: Set[bytes] = set()  # those whose lines may be broken
        for value in values:
            plain.update(_spellings(value))
            for text in _base64(value):
                (broken if len(text) > 3 * _HEAD else plain).add(text)
        self._plain, self._broken = sorted(plain), sorted(broken)
        # One of two neighbours is whole wherever a line is broken; looking for them is far quicker than the expression.
        half = {text: min(2 * _HEAD, len(text) // 2) for text in self._broken}
        self._probes: List[bytes] = self._plain + [text[i : i + half[text]] for text in self._broken for i in (0, half[text])]
        self._regex = _regex(self._plain, self._broken)
        self._begins = self._plain + self._broken + [text[_HEAD:] for text in self._broken]
        self._starts = bytes({text[0] for text in self._begins})
        longest = max(map(len, self._begins), default=0)
        self._window = longest + longest // 8 + 2 * _HEAD if self._broken else longest
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be written now: all but an end that may become one of the values."""
        if self._regex is None:
            return data
        data = self._held + data
        until = self._hold(data)
        done, out = 0, []
        if any(probe in data for probe in self._probes):
            for found in self._regex.finditer(data):
                if found.start() >= until:
                    break
                out += [data[done : found.start()], MASK]
                done = found.end()
        self._held = data[max(until, done) :]
        out.append(data[done:until])
        return b"".join(out)

    def flush(self) -> bytes:
        """The rest. An end that only began as a value is none."""
        rest, self._held = self._held, b""
        return self._regex.sub(MASK, rest) if self._regex and rest else rest

    def _hold(self, data: bytes) -> int:
        """Where an end begins that is the beginning of a value; the length when there is none."""
        for i in range(max(len(data) - self._window, 0), len(data)):
            if data[i] in self._starts:
                tail = data[i:]
                if any(text.startswith(tail) and text != tail for text in self._begins):
                    return i
                newline = _NEWLINE.search(tail)
                if newline and newline.start() >= _HEAD and self._broken:
                    joined = tail.replace(b"\r", b"").replace(b"\n", b"")
                    if any(text.startswith(joined) and text != joined for text in self._begins):
                        return i
        return len(data)


def masked(text: str, values: Iterable[str]) -> str:
    """A text that another program has said: it may repeat what it was given."""
    masker = Masker(values)
    return (masker.feed(text.encode("utf-8", "surrogateescape")) + masker.flush()).decode("utf-8", "replace")


def _regex(plain: List[bytes], broken: List[bytes]):
    if not plain and not broken:
        return None
    choices: List[Tuple[int, bytes]] = [(len(text), re.escape(text)) for text in plain]
    for text in broken:  # a break in its first bytes leaves those: eight letters of Base64 tell nothing
        choices += [(len(part), _breakable(part)) for part in (text, text[_HEAD:])]
    return re.compile(b"|".join(pattern for _, pattern in sorted(choices, key=lambda each: -each[0])))


def _breakable(text: bytes) -> bytes:
    return re.escape(text[:_HEAD]) + b"".join(rb"(?:\r?\n)?" + re.escape(text[i : i + 1]) for i in range(_HEAD, len(text)))


def _spellings(value: str) -> Iterator[bytes]:
    lines = value.splitlines() if "\n" in value or "\r" in value else [value]
    for line in {line.strip() for line in lines} | {value.strip() if len(lines) == 1 else ""}:
        if len(line) < (SHORTEST if len(lines) == 1 else SHORTEST_LINE):
            continue
        said = line.encode("utf-8", "surrogateescape")
        percent = {quote(said, safe=""), quote(said), quote_plus(said)}
        percent |= {re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), text) for text in percent}
        yield said
        yield from (said.hex().encode(), said.hex().upper().encode())
        try:
            yield os.fsencode(line)  # in the server's own encoding, such as EUC-KR
        except UnicodeEncodeError:
            pass
        yield from (text.encode("utf-8", "surrogateescape") for text in percent.union(_escaped(line), _escaped(said.decode("latin-1"))))


def _escaped(line: str) -> Iterator[str]:
    """As languages write a text between quotes; JSON also inside of JSON."""
    for ascii_only in (True, False):
        once = json.dumps(line, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield from (html.escape(line), html.escape(line, quote=False), repr(line)[1:-1])
    yield from (line.replace("'", "'\\''"), line.replace("'", "'\"'\"'"), _SPECIAL.sub(r"\\\g<0>", line))  # the shell: set -x, printf %q


def _base64(value: str) -> Iterator[bytes]:
    """The letters that do not depend on what stands before and behind."""
    for said in {value.encode("utf-8", "surrogateescape"), value.strip().encode("utf-8", "surrogateescape")}:
        for offset, skip in ((0, 0), (1, 2), (2, 3)):
            text = base64.b64encode(b"\0" * offset + said).rstrip(b"=")
            text = text[skip : len(text) - ((offset + len(said)) % 3 > 0)]
            if len(text) >= SHORTEST and len(said) >= SHORTEST:
                yield text
                yield text.translate(bytes.maketrans(b"+/", b"-_"))
