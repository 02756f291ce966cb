"""The one table of operations: what each is asked, what it gives, who may, and the function that does it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from runner.web.api.shapes import Shape, page_of, text, truth, wanted, whole

ROOT = "/api/v1"
NUMBERS = ("number",)  # names in addresses that are whole numbers


@dataclass(frozen=True)
class Operation:
    method: str
    path: str  # /runs/{run}
    name: str  # its operationId
    function: Callable[..., Any]
    act: str  # of viewer.ACTS: what it takes
    answer: Shape  # of what it gives; {}: a file
    query: Mapping[str, Shape] = field(default_factory=dict)
    body: Optional[Shape] = None
    made: bool = False  # it may make something: 201
    guarded: bool = False  # If-Match is looked at

    @property
    def summary(self) -> str:
        return inspect.getdoc(self.function).split("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function)

    @property
    def noun(self) -> str:
        """The file that it stands in: runs."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def in_path(self) -> List[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def rule(self) -> str:
        """The address as Flask writes it."""
        return ROOT + re.sub(r"{(\w+)}", lambda found: f"<{'int:' if found[1] in NUMBERS else ''}{found[1]}>", self.path)


class Made(NamedTuple):
    """An answer of an act that made something, or found that it was made before."""

    body: Any
    fresh: bool
    location: str  # below ROOT


class Bytes(NamedTuple):
    """An answer that is a file."""

    response: Any


OPERATIONS: List[Operation] = []
SCHEMAS: Dict[str, Shape] = {}  # of what is given, by name
_DRY = {"dry_run": truth("Only say what would happen.", default=False)}
_PAGE = {"limit": whole("At most so many.", 1, 1000, default=100), "cursor": text("Where to go on: as it stands in `next` of the answer before.", 600)}


def schemas(**found: Shape) -> None:
    """Say the shapes of a noun."""
    SCHEMAS.update(found)


def read(path: str, answer: Shape, **query: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`@read("/runs/{run}", ref("Run"))` above a function of (ask, run) that gives plain data."""
    return _add("GET", path, "look", answer, query=query)


def listing(path: str, of: str, **query: Shape) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for a long list: the function gives (rows, cursor of the following ones or None)."""
    return _add("GET", path, "look", page_of(of), query={**query, **_PAGE})


def act(path: str, name: str, answer: Shape, body: Optional[Shape] = None, made: bool = False, guarded: bool = False, dry: bool = True):
    """The same for what changes something. `dry`: it can be asked what would happen."""
    return _add("POST", path, name, answer, query=_DRY if dry else {}, body=body or wanted("Nothing needs to be sent."), made=made, guarded=guarded)


def _add(method: str, path: str, name: str, answer: Shape, **more: Any):
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.append(Operation(method, path, function.__name__, function, name, answer, **more))
        return function

    return add


def methods_of(path: str) -> Tuple[str, ...]:
    """How an address below ROOT may be asked."""
    patterns = ((each.method, re.sub(r"{(\w+)}", lambda found: r"\d+" if found[1] in NUMBERS else "[^/]+", each.path)) for each in OPERATIONS)
    return tuple(dict.fromkeys(method for method, pattern in patterns if re.fullmatch(pattern, path)))


