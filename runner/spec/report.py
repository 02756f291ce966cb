"""A fault as a person reads it: where, what, the line itself with a caret, and what to write instead."""

from __future__ import annotations

import unicodedata

from runner.model import Problem

MAX_CELLS = 100  # of a source line; a longer one is cut around the caret


def format_problem(problem: Problem, color: bool = False) -> str:
    """Lines for one fault, without a newline at the end. The first is what vim's errorformat `%f:%l:%c: %m` reads."""
    kind = "" if problem.severity == "error" else "warning: "
    head = f"{problem.file}:{problem.line}:{problem.column}: {kind}{problem.message}"
    if color:
        head = f"\033[1m{problem.file}:{problem.line}:{problem.column}:\033[0m \033[{'31' if not kind else '33'}m{kind}{problem.message}\033[0m"
    lines = [head]
    if problem.source.strip():
        source, caret = _window(problem.source, problem.column)
        lines += ["  " + source, "  " + caret]
    if problem.hint:
        first, *rest = problem.hint.split("\n")
        lines.append("  hint: " + first)
        lines += ["        " + line for line in rest]
    return "\n".join(lines)


def _window(source: str, column: int) -> tuple:
    """The part of a line around a column, and the caret line under it."""
    at = min(max(column - 1, 0), len(source))
    start = 0
    if len(source) > MAX_CELLS:
        start = max(0, at - MAX_CELLS // 2)
        cut = source[start : start + MAX_CELLS]
        source, at = ("…" if start else "") + cut + ("…" if start + MAX_CELLS < len(source) else ""), at - start + (1 if start else 0)
    blanks = "".join("\t" if letter == "\t" else " " * _cells(letter) for letter in source[:at])
    return source, blanks + "^"


def _cells(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
