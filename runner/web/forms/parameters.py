"""The fields of a pipeline's parameters, by their types."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from runner import model, params
from runner.web.forms.subject import Field, Given, Subject
from runner.web.views.common import as_typed

_STEPS = {"integer": "1", "number": "any"}


def fields(subject: Subject, given: Given) -> List[Field]:
    known, _ = params.judge(subject.spec, (), subject.desk.environ)
    return [_field(param, given.values.get("param." + name, _typed(param, known.get(name)))) for name, param in subject.spec.params.items()]


def _field(param: model.Param, value: str) -> Field:
    name, more = "param." + param.name, {"label": param.name, "hint": param.description, "required": param.required and param.type not in ("string", "list", "object")}
    if param.enum is not None:
        none = [("", "")] if param.required else []
        return Field(name, "choice", value, [*none, *((as_typed(one), as_typed(one)) for one in param.enum)], **more)
    if param.type == "boolean":
        return Field(name, "choice", value, [*([("", "")] if param.required else []), ("true", "true"), ("false", "false")], **more)
    if param.type in _STEPS:
        limits = {"min": param.minimum, "max": param.maximum, "step": _STEPS[param.type]}
        return Field(name, "number", value, limits={key: f"{limit:g}" if isinstance(limit, (int, float)) else limit for key, limit in limits.items() if limit is not None}, **more)
    if param.type in ("list", "object") or "\n" in value:
        return Field(name, "area", value, extra=param.type, **more)
    return Field(name, "date" if param.type == "date" else "text", value, **more)


def _typed(param: model.Param, value: Any) -> str:
    """A value as a form shows it: a list of words one a line."""
    if value is None:
        return ""
    if param.type == "list" and all(isinstance(one, str) and one.strip() == one and one and "\n" not in one and one[0] not in "[{" for one in value):
        return "\n".join(value)
    return as_typed(value)


def words_of(subject: Subject, given: Given) -> Tuple[Tuple[str, ...], Dict[str, str]]:
    """`name=value` of each that is not as it would be anyway, and what is wrong with some."""
    known, _ = params.judge(subject.spec, (), subject.desk.environ)
    words = []
    for name, param in subject.spec.params.items():
        before = _typed(param, known.get(name))
        text = given.values.get("param." + name, before).replace("\r\n", "\n")
        text = text if param.type == "string" else text.strip()
        if text == before:
            continue
        if param.type == "list" and text and text[0] != "[":
            text = json.dumps([line.strip() for line in text.split("\n") if line.strip()], ensure_ascii=False)
        words.append(f"{name}={text}")
    _, faults = params.judge(subject.spec, words, subject.desk.environ)
    return tuple(words), {"param." + fault.name: fault.message for fault in faults}
