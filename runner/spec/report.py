"""A fault as a person reads it: the place, the line, a caret under the fault, and what to write instead."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import List

from runner.model import Problem

WIDTH = 100  # cells of a source line that are shown
STORED = " (as the run has it)"  # behind the name of a file whose text comes from a run
_TAB = 8
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # where YAML starts a new line
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_IN_MESSAGE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def split_lines(text: str) -> List[str]:
    """The lines of a text, counted as YAML counts them, without their ends."""
    return _BREAK.split(text)


def source_line(text: str, line: int) -> str:
    """Line `line` (from 1) of a text; "" when there is none."""
    lines = split_lines(text)
    return lines[line - 1] if 1 <= line <= len(lines) else ""


def cells(char: str) -> int:
    """How many cells of a terminal a character takes."""
    if char < "\x7f":
        return 1
    if "\u1160" <= char <= "\u11ff" or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0  # jamo that join the one before, accents, marks without width
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def brief_place(problem: Problem, file: str) -> str:
    """`line 3`, for a list of pipelines; and of which file when it is not the pipeline's own."""
    other = os.path.abspath(problem.file[: -len(STORED)] if problem.file.endswith(STORED) else problem.file)
    return f"line {problem.line}" if other == os.path.abspath(file) else f"{os.path.basename(other)} line {problem.line}"


def format_problem(problem: Problem, color: bool = False) -> str:
    """The lines to print for one fault; no newline at the end."""
    place = problem.file
    if problem.line:
        place += f":{problem.line}:{problem.column}"
    message = _CONTROL_IN_MESSAGE.sub("\N{REPLACEMENT CHARACTER}", problem.message)
    word = "warning: " if problem.severity == "warning" else ""
    if color:
        place = f"\x1b[1m{place}:\x1b[0m"
        word = word and f"\x1b[33m{word.rstrip()}\x1b[0m "
    else:
        place += ":"
    lines = [f"{place} {word}{message}"]
    if problem.source.strip():
        shown, caret = _excerpt(problem.source, problem.column)
        lines.append(shown)
        if problem.column > 0:
            lines.append(caret + ("\x1b[31m^\x1b[0m" if color else "^"))
    if problem.hint:
        hint = _CONTROL_IN_MESSAGE.sub("\N{REPLACEMENT CHARACTER}", problem.hint)
        first, *rest = hint.split("\n")
        lines.append(f"  hint: {first}")
        lines.extend(f"        {line}" for line in rest)
    return "\n".join(lines)


def _excerpt(source: str, column: int):
    """The part of a line around a column, and what stands before the caret below it."""
    source = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", source.rstrip("\r\n"))
    at = min(max(column - 1, 0), len(source))
    widths = [_TAB if char == "\t" else cells(char) for char in source[max(0, at - 20 * WIDTH) : at + 20 * WIDTH]]
    base = max(0, at - 20 * WIDTH)
    start, end = base, base + len(widths)
    if base or end < len(source) or sum(widths) > WIDTH:
        start, room = at, WIDTH * 6 // 10
        while start > base and room >= widths[start - 1 - base]:
            start -= 1
            room -= widths[start - base]
        end, room = at, WIDTH - 2 - (WIDTH * 6 // 10 - room)
        while end < base + len(widths) and room >= widths[end - base]:
            room -= widths[end - base]
            end += 1
    head = "\N{HORIZONTAL ELLIPSIS}" if start else ""
    tail = "\N{HORIZONTAL ELLIPSIS}" if end < len(source) else ""
    before = "".join(char if char == "\t" else " " * cells(char) for char in source[start:at])
    return head + source[start:end] + tail, " " * len(head) + before
