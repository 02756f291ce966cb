"""What an act would do, as plain data: the same for a command line, a page and a program that asks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple


class PlannedStep(NamedTuple):
    """A step of a run that would be repeated, ended or set; `was` is "" for one that is new."""

    id: str
    was: str
    becomes: str


@dataclass(frozen=True)
class PlannedRun:
    name: str
    ds: str
    due_at: datetime
    was: str  # "" for a run that is not there yet
    becomes: str
    steps: Tuple[PlannedStep, ...] = ()
    of: int = 0  # steps that the run has, or would have


@dataclass(frozen=True)
class Preview:
    """Nothing of it has happened."""

    act: str
    pipeline: str
    commands: Tuple[str, ...]  # the command lines that do the same
    runs: Tuple[PlannedRun, ...] = ()
    steps: Tuple[Mapping[str, Any], ...] = ()  # of the first run, in the order in which they would start, with what is executed
    params: Mapping[str, Any] = field(default_factory=dict)
    left: int = 0  # dates that are left alone, since they have a run
    changes: Tuple[str, ...] = ()  # what is different in the file since the run
    warnings: Tuple[str, ...] = ()
    refusal: Tuple[str, str] = ("", "")  # why it cannot be done, and what to do instead
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    loose: bool = False  # it is meant however far things have gone on meanwhile: who stops a run stops it

    @property
    def stamp(self) -> str:
        """The same as long as the same would happen: who confirms it later confirms what was shown."""
        parts = (self.act, self.pipeline, self.runs, self.steps, self.params, self.left, self.changes, self.refusal, self.before, self.after)
        return hashlib.sha256(repr(self.commands if self.loose else parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def together(previews: Sequence[Preview]) -> Preview:
    """Several acts of one kind as one."""
    first = previews[0]
    refused: Optional[Preview] = next((each for each in previews if each.refusal[0]), None)
    return replace(
        first, commands=tuple(line for each in previews for line in each.commands), runs=tuple(run for each in previews for run in each.runs),
        changes=tuple(dict.fromkeys(line for each in previews for line in each.changes)),
        warnings=tuple(dict.fromkeys(line for each in previews for line in each.warnings)), refusal=refused.refusal if refused else ("", ""),
    )
