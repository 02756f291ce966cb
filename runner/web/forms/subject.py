"""What a form is made of: what it is about, what was typed, its fields, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from runner import model
from runner.errors import NotFound, RunnerError
from runner.web.desk import Desk

MOST_STEPS = 200  # to choose from; of more the names are typed


class Wrong(Exception):
    """Field -> what is wrong with it."""

    def __init__(self, faults: Mapping[str, str]):
        super().__init__(str(faults))
        self.faults = dict(faults)


@dataclass(frozen=True)
class Field:
    name: str
    kind: str  # text, date, number, area, choice, switch, several, radio, grid
    value: Any = ""
    choices: Sequence[Tuple[str, str]] = ()  # (value, words; "" to be told in the person's language)
    required: bool = False
    label: str = ""  # of a parameter its own name; else told in the person's language
    hint: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)  # attributes of a number or text: min, max, step, pattern
    extra: Any = None


class Given:
    """What was typed, or stands in the address; else what a form begins with."""

    def __init__(self, values: Any, posted: bool):
        self.values, self.posted = values, posted

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default).strip().replace("\r\n", "\n")

    def several(self, name: str) -> List[str]:
        """What was chosen, or written one a line."""
        return [word.strip() for value in self.values.getlist(name) for word in value.split("\n") if word.strip()]

    def switch(self, name: str) -> bool:
        return self.values.get(name, "") == "1"


class Subject:
    """What a form is about: a pipeline, a run with its pipeline, or a backfill with its pipeline."""

    def __init__(self, own: Desk, store: Any, of: str, name: str, now: datetime):
        self.desk, self.store, self.of, self.now = own, store, of, now
        self.run: Optional[model.Run] = store.run(name) if of == "run" else None
        self.backfill: Optional[model.Backfill] = store.pipelines.backfill(int(name)) if of == "backfill" else None
        if of == "backfill" and self.backfill is None:
            raise NotFound(f"there is no backfill {name}")
        self.pipeline: str = (self.run or self.backfill).pipeline if self.run or self.backfill else name  # type: ignore[union-attr]
        self.row = store.pipelines.get(self.pipeline)
        if of == "pipeline" and self.row is None:
            own.pipeline_path(name)
        self.name = self.run.name if self.run else f"backfill {name}" if self.backfill else name
        self._spec: Optional[model.Pipeline] = None

    @property
    def spec(self) -> model.Pipeline:
        """The file as it is. Raises InvalidPipeline."""
        if self._spec is None:
            self._spec = self.desk.pipeline(self.pipeline)
        return self._spec

    @property
    def known_spec(self) -> Optional[model.Pipeline]:
        """As the run has it, or as it was last good; None when nobody can say."""
        digest = self.run.definition if self.run else self.row.definition if self.row else None
        try:
            return self.desk.definitions().get(digest) if digest else None
        except RunnerError:
            return None

    def steps(self) -> List[str]:
        spec = self.known_spec
        return [step.id for step in spec.steps] if spec else []


def told(error: RunnerError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def stop_at(faults: Mapping[str, str]) -> None:
    if faults:
        raise Wrong(faults)


def some_steps(name: str, given: Given, steps: Sequence[Tuple[str, str]], extra: Any = None) -> Field:
    """A field for any number of steps."""
    chosen = given.several(name)
    if len(steps) > MOST_STEPS:
        return Field(name, "area", "\n".join(chosen), extra="lines")
    return Field(name, "several", chosen, steps, extra=extra)


def one_step(given: Given, steps: Sequence[str], none: str, required: bool = False) -> Field:
    """A field for one step; `none`: what no step at all means."""
    if len(steps) > MOST_STEPS:
        return Field("step", "text", given.text("step"), required=required)
    return Field("step", "choice", given.text("step"), [("", none), *((step, step) for step in steps)], required=required)
