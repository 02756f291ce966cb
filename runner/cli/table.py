"""Columns of text that line up, also where a letter takes two cells (Hangul) or none (a colour)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import List, Optional, Sequence

import click

from runner.shown import STATE_SIGNS, duration, elapsed, minute, moment, size  # noqa: F401 - they belong to the words of a table

STATE_COLORS = {
    "success": "green", "failed": "red", "upstream_failed": "yellow", "skipped": "magenta", "running": "cyan",
    "retry_wait": "yellow", "queued": "bright_black", "pending": "bright_black", "killed": "red", "missed": "yellow",
    "interrupted": "yellow",
}
LEAST, WANTED = 20, 30  # cells: of a column that may be long, and of the last one
LINE = 1000  # characters of a line of a log that a person is shown where the log itself was not asked for
_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
# What would move the cursor, ring or hide text: C0 but for the tab, DEL, C1, and an ESC that begins no colour.
_CONTROL = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")


def width(text: str) -> int:
    """Cells a text takes on a terminal; colours take none."""
    if "\x1b" in text:
        text = _STYLE.sub("", text)
    if text.isascii():
        return len(text)
    return sum(_cells(letter) for letter in text)


def _cells(letter: str) -> int:
    if unicodedata.combining(letter) or letter in "\u200b\u200d\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fit(text: str, cells: int) -> str:
    """The text padded, or cut with an ellipsis, to exactly that many cells."""
    taken = width(text)
    if taken > cells:
        text = _cut(text, cells - 1) + "…"
        taken = width(text)
    return text + " " * (cells - taken)


def _cut(text: str, cells: int) -> str:
    """At most that many cells of a text; its colours are kept, also those behind the cut, so that they end."""
    out, left, full = [], cells, False
    for part in _STYLE.split(text):
        if _STYLE.fullmatch(part):
            out.append(part)
            continue
        for letter in part:
            taken = _cells(letter)
            full = full or taken > left
            if full:
                break
            out.append(letter)
            left -= taken
    return "".join(out)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], limit: Optional[int] = None, lesser: Sequence[str] = (), long: Sequence[str] = ()) -> List[str]:
    """Lines with each column as wide as its widest cell; the last is cut at `limit` cells when one is given.

    Where that is too narrow, empty columns go first, then the `lesser`, and those that may be `long`, the first one if none is
    named, lose their middle: so the last keeps some room.
    """
    if not rows:
        return []
    whole = [list(row) for row in (header, *rows)]
    if limit:
        whole = _narrowed(whole, limit, lesser, long or header[:1])
    table = [[(cell, width(cell)) for cell in row] for row in whole]
    widths = [max(row[i][1] for row in table) for i in range(len(whole[0]) - 1)]
    lines = []
    for row in table:
        line = "".join(cell + " " * (wide - taken + 2) for (cell, taken), wide in zip(row, widths)) + row[-1][0]
        lines.append(fit(line, limit).rstrip() if limit and width(line) > limit else line.rstrip())
    return lines


def _narrowed(table: List[List[str]], limit: int, lesser: Sequence[str], long: Sequence[str]) -> List[List[str]]:
    """The same table with what it can do without taken away, as far as it must be."""
    empty = [name for i, name in enumerate(table[0]) if i and not any(row[i] for row in table[1:])]
    for name in [*empty, *lesser]:
        if _over(table, limit) > 0 and name in table[0]:
            gone = table[0].index(name)
            table = [row[:gone] + row[gone + 1:] for row in table]
    for name in long:
        over, at = _over(table, limit), table[0].index(name)
        if over > 0:
            most = max(max(width(row[at]) for row in table) - over, LEAST)
            table = [[middle_cut(cell, most) if i == at else cell for i, cell in enumerate(row)] for row in table]
    return table


def _over(table: List[List[str]], limit: int) -> int:
    """How many cells the lines have too many; of the last column no more than WANTED count."""
    *widths, last = [max(map(width, cells)) for cells in zip(*table)]
    return sum(widths) + 2 * len(widths) + min(last, WANTED) - limit


def middle_cut(text: str, most: int) -> str:
    """A name without colours, its beginning and its end: names of one folder often differ at their end."""
    if width(text) <= most:
        return text
    end = ""
    for letter in reversed(text):
        if width(letter + end) > (most - 1) // 2:
            break
        end = letter + end
    return _cut(text, most - 1 - width(end)) + "…" + end


def clean(text: str) -> str:
    """A text that cannot move the cursor or ring: control characters as they are written in source, colours kept."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def brief(text: str, most: int) -> str:
    """A line of a log for a person, clean; of a long one the beginning and the end, which mostly says what went wrong."""
    if len(text) <= most:
        whole = clean(text)
        if len(whole) <= most:
            return whole
    first, last = most // 3, most - most // 3
    begin, end = (clean(_STYLE.sub("", part)) for part in (text[:first], text[-last:]))  # no colour may lose its end
    return f"{begin[:first]} ... ({len(text)} characters) ... {end[-last:]}"


def one_line(text: str) -> str:
    """A text for a cell: without line ends and tabs."""
    return clean(" ".join(text.split()))


@lru_cache(maxsize=None)
def state(text: str) -> str:
    """A state with its colour."""
    return click.style(text, fg=STATE_COLORS.get(text))


@lru_cache(maxsize=None)
def signed(text: str) -> str:
    """A state with its sign and colour; the sign says it without colours too."""
    return click.style(f"{STATE_SIGNS.get(text, ' ')} {text}", fg=STATE_COLORS.get(text))
