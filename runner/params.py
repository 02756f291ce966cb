"""The parameters of a run: from the file's defaults, RUNNER_PARAM_* and --param, in rising order; typed and checked."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

from runner import config, yesno
from runner.errors import UsageError
from runner.model import Param, Pipeline, variable_of

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)|(\d{4})(\d\d)(\d\d)", re.ASCII)  # as --date reads it
_TOO_LARGE = "is too large a number"


def resolve(pipeline: Pipeline, given: Sequence[str], environ: Mapping[str, str]) -> Dict[str, Any]:
    """The values of one run. `given` are `name=value` words. Raises UsageError with every fault at once.

    RUNNER_PARAM_* is read only outside of a step: a step's own environment carries those of its run, and they must
    not leak into a run that it starts.
    """
    values, faults = judge(pipeline, given, environ)
    words = [fault.words for fault in faults]
    if words:
        raise UsageError("; ".join(words) if len(words) == 1 else "\n  ".join(["parameters:", *words]))
    return values


class Fault(NamedTuple):
    """Of one parameter: `message` beside its field, `words` where there is none."""

    name: str
    message: str
    words: str


def judge(pipeline: Pipeline, given: Sequence[str], environ: Mapping[str, str]) -> Tuple[Dict[str, Any], List[Fault]]:
    """As `resolve`, with the faults as data."""
    faults: List[Fault] = []
    values: Dict[str, Any] = {name: param.default for name, param in pipeline.params.items() if not param.required}
    texts: Dict[str, str] = {}
    said: Dict[str, str] = {}  # what a person gave: the word, or the variable
    if not config.in_step(environ):
        texts.update({name: environ[variable_of(name)] for name in pipeline.params if variable_of(name) in environ})
        said.update({name: f"the variable {variable_of(name)}={text}" for name, text in texts.items()})
    for word in given:
        name, equals, text = word.partition("=")
        if not equals:
            faults.append(Fault(word, "write name=value", f"--param {word}: write name=value"))
        elif name not in pipeline.params:
            unknown = f"pipeline {pipeline.name} has no such parameter{_known(pipeline, name)}"
            faults.append(Fault(name, unknown, f"--param {name}: {unknown}"))
        else:
            texts[name], said[name] = text, f"--param {word}"
    for name, text in texts.items():
        try:
            values[name] = check_value(pipeline.params[name], read_text(pipeline.params[name], text))
        except ValueError as error:
            faults.append(Fault(name, str(error), f"{said[name]}: {error}"))
    missing = [name for name in pipeline.params if name not in values and name not in texts]
    return values, faults + [Fault(name, "has no default, so it must be given", f"parameter {name} has no default: give --param {name}=...") for name in missing]


def _known(pipeline: Pipeline, name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, pipeline.params, 1, 0.5)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (it has: {', '.join(pipeline.params)})" if pipeline.params else " (it has none)"


def read_text(param: Param, text: str) -> Any:
    """A word of the command line as the parameter's type. Raises ValueError."""
    if param.type == "string":
        return text
    if param.type in ("integer", "number"):
        return _number(text.strip(), param.type == "integer")
    if param.type == "boolean":
        found = yesno.meaning(text)
        if found is None:
            raise ValueError("is not true or false")
        return found
    if param.type == "date":
        return day_of(text.strip())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if param.type == "list":
            return [part.strip() for part in text.split(",") if part.strip()]
        raise ValueError('is no JSON object such as {"a": 1}') from None
    return value


def _number(text: str, whole: bool) -> Union[int, float]:
    """What a file could say too: 3 stays 3, and neither 1_000 nor nan is a number."""
    if not (_WHOLE if whole else _NUMBER).fullmatch(text):
        raise ValueError("is not a whole number" if whole else "is not a number")
    try:
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:  # Python reads no more than 4300 digits
        raise ValueError(_TOO_LARGE) from None


def day_of(text: str) -> str:
    """2026-02-28 of 2026-02-28 or 20260228. Raises ValueError."""
    found = _DAY.fullmatch(text)
    try:
        return date(*(int(part) for part in (found.groups() if found else ()) if part)).isoformat()
    except (ValueError, TypeError):
        raise ValueError("is not a date such as 2026-02-28") from None


def is_finite(value: Any) -> bool:
    """Whether no number in it is nan or without end: JSON has no word for those."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return all(map(is_finite, value)) if isinstance(value, (list, tuple)) else not isinstance(value, float) or math.isfinite(value)


_PYTHON_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "date": str, "list": list, "object": dict}


def check_value(param: Param, value: Any) -> Any:
    """The value, if the parameter allows it; a date as 2026-02-28. Raises ValueError with a sentence. Also used for defaults in the file."""
    wanted = _PYTHON_TYPES[param.type]
    if not isinstance(value, wanted) or (isinstance(value, bool) and param.type in ("integer", "number")):
        raise ValueError(f"is not of type {param.type}")
    if not is_finite(value):
        raise ValueError("holds nan, or a number that is too large" if param.type in ("list", "object") else "is not a number" if value != value else _TOO_LARGE)
    if param.type == "date":
        value = day_of(value)
    if param.enum is not None and value not in param.enum:
        raise ValueError("is not one of " + ", ".join(str(choice) for choice in param.enum))
    if param.minimum is not None and value < param.minimum:
        raise ValueError(f"is less than {param.minimum:g}")
    if param.maximum is not None and value > param.maximum:
        raise ValueError(f"is more than {param.maximum:g}")
    if param.pattern is not None and not re.search(param.pattern, value):
        raise ValueError(f"does not match {param.pattern}")
    return value
