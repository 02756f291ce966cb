"""The first rows of a result as a table for the log; Hangul takes two cells."""

from __future__ import annotations

import unicodedata
from typing import List, Optional, Sequence

WIDEST = 60
_NULL = "NULL"


def table(names: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[Optional[str]]]) -> List[str]:
    """The lines: a header, a rule, the rows. Numbers stand to the right."""
    texts = [[_shown(name) for name in names]] + [[_NULL if cell is None else _shown(cell) for cell in row] for row in rows]
    widths = [max(width(line[at]) for line in texts) for at in range(len(names))]
    lines = []
    for number, line in enumerate(texts):
        cells = []
        for at, text in enumerate(line):
            blank = " " * (widths[at] - width(text))
            cells.append(blank + text if numbers[at] else text + blank)
        lines.append("  " + " | ".join(cells).rstrip())
        if not number:
            lines.append("  " + "-+-".join("-" * width for width in widths))
    return lines


def _shown(text: str) -> str:
    """On one line, without what would move the cursor, and not too long."""
    text = text[:WIDEST + 1]
    text = "".join(letter if letter.isprintable() else {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(letter, "?") for letter in text)
    return text if len(text) <= WIDEST else text[:WIDEST - 1] + "…"


def width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
