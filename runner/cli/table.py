"""Columns of text that line up, also where a letter takes two cells (Hangul)."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import List, Optional, Sequence

import click

STATE_COLORS = {
    "success": "green", "failed": "red", "upstream_failed": "yellow", "skipped": "magenta", "running": "cyan",
    "retry_wait": "yellow", "queued": "bright_black", "pending": "bright_black", "killed": "red", "missed": "yellow",
}
STATE_SIGNS = {
    "success": "+", "failed": "x", "upstream_failed": "^", "skipped": "-", "running": ">", "retry_wait": "~",
    "queued": ".", "pending": ".", "killed": "!", "missed": "?",
}


def width(text: str) -> int:
    """Cells a text takes on a terminal."""
    if text.isascii():
        return len(text)
    cells = 0
    for letter in text:
        if unicodedata.combining(letter):
            continue
        cells += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return cells


def fit(text: str, cells: int) -> str:
    """The text padded, or cut with an ellipsis, to exactly that many cells."""
    if width(text) > cells:
        while text and width(text) > cells - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (cells - width(text))


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], limit: Optional[int] = None) -> List[str]:
    """Lines with each column as wide as its widest cell; the last is cut at `limit` cells when one is given."""
    if not rows:
        return []
    table = [list(header)] + [list(row) for row in rows]
    widths = [max(width(row[i]) for row in table) for i in range(len(header))]
    lines = []
    for row in table:
        line = "  ".join(fit(cell, widths[i]) for i, cell in enumerate(row[:-1]))
        line = (line + "  " if line else "") + row[-1]
        lines.append(fit(line, limit).rstrip() if limit and width(line) > limit else line.rstrip())
    return lines


def state(text: str) -> str:
    """A state with its colour."""
    return click.style(text, fg=STATE_COLORS.get(text))


def duration(seconds: Optional[float]) -> str:
    """0.4s, 12s, 3m05s, 2h07m."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def elapsed(start: Optional[datetime], end: Optional[datetime], now: datetime) -> str:
    if start is None:
        return ""
    return duration(((end or now) - start).total_seconds())


def moment(value: Optional[datetime], zone) -> str:
    """A moment as people here read it: 2026-11-20 01:00:03."""
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if value else ""
