"""The other pipelines that a pipeline names: `pipeline: mart`, `wait: {run: mart, step: publish}`; and whether they are there.

What is asked for stands in the file; what there is, in others, which change without it: so the two are kept apart.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from runner.model import Problem
from runner.spec import finding

_KEYS = {"pipeline": "name", "wait": "run"}  # kind -> the key of its body that names a pipeline


@dataclass(frozen=True)
class Asked:
    """A name in a file, with a warning that has its place and no words yet."""

    pipeline: str
    step: str  # of that pipeline; "" when the pipeline itself is meant
    place: Problem


def asked(kind: str, body: Any, path: Tuple[Any, ...], note: Callable[..., Problem]) -> Iterator[Asked]:
    """What a step's body names. A template is known only in a run."""
    key = _KEYS.get(kind)
    named = body.get(key) if key and isinstance(body, Mapping) else body if kind == "pipeline" else None
    if not isinstance(named, str) or not named.strip() or "<<" in named:
        return
    yield Asked(named, "", note(path + (key,) if isinstance(body, Mapping) else path))
    step = body.get("step") if kind == "wait" else None
    if isinstance(step, str) and "<<" not in step:
        yield Asked(named, step, note(path + ("step",)))


class Others:
    """The pipelines of a folder, found by name. `steps(path)`: the ids of the steps of a file, None for a faulty one."""

    def __init__(self, folder: str, known: Mapping[str, str], steps: Callable[[str], Optional[Sequence[str]]]):
        """`known`: name -> file, of those that were found already."""
        self._folder, self._known, self._steps = folder, known, steps
        self._walked: Optional[Dict[str, str]] = None

    def problem(self, one: Asked, path: str) -> Optional[Problem]:
        """What is wrong with a name that the file at `path` says; None for a good one."""
        file = self._file(one.pipeline, path)
        if not file:
            hint = _near(one.pipeline, [*self._known, *self._all()]) or "put its file there, or write the name of one that is there"
            return None if one.step else replace(one.place, message=f"there is no pipeline {one.pipeline!r} in {self._folder}", hint=hint)
        ids = self._steps(file) if one.step else None
        if ids is None or one.step in ids:
            return None
        hint = _near(one.step, ids) or "its steps are: " + ", ".join(ids[:12]) + (" ..." if len(ids) > 12 else "")
        return replace(one.place, message=f"pipeline {one.pipeline} has no step {one.step!r}", hint=hint)

    def _file(self, name: str, path: str) -> str:
        """As a run finds it: beside the file, then in the folder."""
        near = (os.path.join(os.path.dirname(path), name + suffix) for suffix in finding.SUFFIXES)
        return next(filter(os.path.isfile, near), "") or self._known.get(name, "") or self._all().get(name, "")

    def _all(self) -> Dict[str, str]:
        if self._walked is None:
            self._walked = finding.files(self._folder)
        return self._walked


def _near(word: str, names: Sequence[str]) -> str:
    from runner.spec import words  # here: most files name no other

    near = words.nearest(word, names)
    return f"did you mean {near}?" if near else ""
