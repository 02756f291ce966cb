"""What is wrong with a file, noted down with its place while the checks go through it."""

from __future__ import annotations

import re
from typing import Any, List, Optional, Set, Tuple

from runner import model
from runner.model import Problem
from runner.spec.report import source_line, split_lines

Path = Tuple[Any, ...]
_GROUPS = ("env", "params", "conf", "hivevar", "hiveconf", "kwargs")  # whose keys are the user's: they are named together


class Notes:
    """The problems of one file, those of its YAML first."""

    def __init__(self, loaded, shown: str):
        self.marks = loaded.marks
        self._sheets = loaded.sheets or {"": (shown, split_lines(loaded.text))}
        self._problems: List[Problem] = list(loaded.problems)
        self._broken = {(problem.file, problem.line) for problem in loaded.problems if problem.severity == "error"}
        self._bad_paths: Set[Path] = set()
        self.shaky = bool(self._broken)  # a key or a value was lost: what is missing may only be misspelt

    def add(self, path: Path, message: str, hint: str = "", *, mark: Optional[model.Mark] = None, at_key: bool = False, severity: str = "error") -> None:
        """A fault at a value, at its key, or at a place inside a text. A line that is no YAML has been told of already."""
        if mark is None:
            mark = self.marks.key(path) if at_key else self.marks.value(path)
        if severity == "error":
            self._bad_paths.update(path[:length] for length in range(1, len(path) + 1))
        problem = self._at(mark, path, message, hint, severity)
        if (problem.file, problem.line) not in self._broken:
            self._problems.append(problem)

    def unsaid(self, path: Path) -> Problem:
        """A warning at a value that has its place and no words, and is not noted."""
        return self._at(self.marks.value(path), path, "", "", "warning")

    def _at(self, mark: model.Mark, path: Path, message: str, hint: str, severity: str) -> Problem:
        shown, lines = self._sheets[mark.file]
        line = lines[mark.line - 1].rstrip("\r") if 0 < mark.line <= len(lines) else ""
        return Problem(shown, mark.line, mark.column, message, hint, severity, where(path), line)

    def written(self, path: Path) -> str:
        """The word that stands in the file where a value begins: ~, where the value is None."""
        mark = self.marks.value(path)
        lines = self._sheets[mark.file][1]
        line = lines[mark.line - 1] if mark.line <= len(lines) else ""
        return re.split(r"[\s,}\]]", line[mark.column - 1 :], maxsplit=1)[0]

    def line_of(self, path: Path, other: Path) -> str:
        """`line 3`, and of which file when that is not the one of `other`."""
        mark = self.marks.value(path)
        return f"line {mark.line}" + (f" of {self._sheets[mark.file][0]}" if mark.file != self.marks.value(other).file else "")

    def add_effect(self, path: Path, message: str, hint: str) -> None:
        """A warning about a value that is good in itself."""
        if not self.is_bad(path):
            self.add(path, message, hint, at_key=True, severity="warning")

    def in_text(self, path: Path, fault) -> None:
        """A fault whose place is inside the text at that path."""
        self.add(path, fault.message, fault.hint, mark=self.marks.in_text(path, fault.line, fault.column), severity=getattr(fault, "severity", "warning"))

    def in_file(self, file: str, text: str, fault) -> None:
        """A fault inside of a called file."""
        source = source_line(text, fault.line)
        self._problems.append(Problem(file, fault.line, fault.column, fault.message, fault.hint, getattr(fault, "severity", "warning"), "", source))

    def is_bad(self, path: Path) -> bool:
        """Whether an error lies at that path or below it."""
        return path in self._bad_paths

    @property
    def failed(self) -> bool:
        return any(problem.severity == "error" for problem in self._problems)

    def sorted(self) -> Tuple[Problem, ...]:
        """Every problem once, in the order of the file; no warning where an error says what to write."""
        errors = {(problem.file, problem.line, problem.column) for problem in self._problems if problem.severity == "error"}
        kept = {p for p in self._problems if p.severity == "error" or (p.file, p.line, p.column) not in errors}
        return tuple(sorted(kept, key=Problem.sort_key))


def where(path: Path) -> str:
    """steps[2].bash"""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def name_of(path: Path) -> str:
    """What a fault is about, in a word or two."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"entry {path[-1] + 1} of {name_of(path[:-1])}"
    if len(path) > 2 and path[-3] == "params":
        return ".".join(str(part) for part in path[-3:])
    return f"{path[-2]}.{path[-1]}" if len(path) > 1 and path[-2] in _GROUPS else str(path[-1])


def place_of(path: Path) -> str:
    """Where an unknown key stands."""
    if len(path) == 2 and path[0] == "steps":
        return "the step"
    return ".".join(str(part) for part in path if not isinstance(part, int) and part != "steps")
