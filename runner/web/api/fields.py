"""Judges what was sent by its schema, in words for the person who wrote the program: the part of JSON Schema that the operations use."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, Dict, Iterator, List, Mapping

from runner.errors import UsageError

_KINDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list", "object": "an object", "null": "null"}
MOST_FAULTS = 10


def faults(schema: Mapping[str, Any], value: Any, place: str = "") -> List[str]:
    """What is wrong with a value, one line each; [] when it is good."""
    return [line for _, line in zip(range(MOST_FAULTS), _faults(schema, value, place))]


def _faults(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    here = place or "the body"
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(_is(kind, value) for kind in kinds):
            yield f"{here}: {_brief(value)} is not {' or '.join(_KINDS[kind] for kind in kinds)}"
            return
    if "enum" in schema and value not in schema["enum"]:
        near = difflib.get_close_matches(str(value), [str(each) for each in schema["enum"]], 1)
        yield f"{here}: {_brief(value)} is none of {', '.join(map(str, schema['enum']))}" + (f": did you mean {near[0]}?" if near else "")
    if isinstance(value, str):
        yield from _text(schema, value, here)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(schema, value, here)
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{here}: {len(value)} entries, at most {schema['maxItems']}"
        for position, each in enumerate(value):
            yield from _faults(schema.get("items", {}), each, f"{place}[{position}]")
    elif isinstance(value, dict):
        yield from _object(schema, value, place)


def _text(schema: Mapping[str, Any], value: str, here: str) -> Iterator[str]:
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{here}: {len(value)} characters, at most {schema['maxLength']}"
    if len(value) < schema.get("minLength", 0):
        yield f"{here}: is empty"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{here}: {_brief(value)} is not of the form {schema['pattern']}"


def _number(schema: Mapping[str, Any], value: float, here: str) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"{here}: {value} is less than {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"{here}: {value} is more than {schema['maximum']}"


def _object(schema: Mapping[str, Any], value: Mapping[str, Any], place: str) -> Iterator[str]:
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    inside = place + "." if place else ""
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{inside}{name} is missing: {known[name].get('description', '')}".rstrip(": ")
    for name, each in value.items():
        if name in known:
            yield from _faults(known[name], each, inside + name)
        elif more is False:
            near = difflib.get_close_matches(name, known, 1)
            yield f"there is no field {inside}{name}: " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}")
        elif isinstance(more, Mapping):
            yield from _faults(more, each, inside + name)


def _is(kind: str, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool) or isinstance(value, float) and value.is_integer()
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "array":
        return isinstance(value, list)
    if kind == "object":
        return isinstance(value, dict)
    return value is None


def _brief(value: Any) -> str:
    words = json.dumps(value, ensure_ascii=False)
    return words if len(words) <= 60 else words[:57] + "..."


def from_query(schemas: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> Dict[str, Any]:
    """The words behind the ? as their types, with what they are unless told. Raises UsageError with all faults."""
    out: Dict[str, Any] = {name: schema["default"] for name, schema in schemas.items() if "default" in schema}
    wrong: List[str] = []
    for name, word in given.items():
        if name not in schemas:
            near = difflib.get_close_matches(name, schemas, 1)
            wrong.append(f"there is no parameter {name}: " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(schemas) or 'none'}"))
            continue
        out[name] = _typed(schemas[name], word)
        wrong += faults(schemas[name], out[name], name)
    if wrong:
        raise UsageError("; ".join(wrong[:MOST_FAULTS]), "the parameters stand in /api/v1/openapi.json")
    return out


def _typed(schema: Mapping[str, Any], word: str) -> Any:
    if schema["type"] == "integer" and re.fullmatch(r"-?\d{1,18}", word, re.ASCII):
        return int(word)
    if schema["type"] == "boolean" and word in ("true", "false"):
        return word == "true"
    return word


def from_body(schema: Mapping[str, Any], raw: bytes) -> Dict[str, Any]:
    """What stands in a body, of the schema. Raises UsageError with all faults."""
    if not raw.strip():
        raw = b"{}"
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")  # neither half a character nor an endless number
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is no JSON in UTF-8: {_brief(str(error))}", 'such as {"date": "2026-02-28"}') from None
    wrong = faults(schema, value)
    if wrong:
        raise UsageError("; ".join(wrong), "the fields stand in /api/v1/openapi.json")
    return {name: int(each) if schema["properties"][name].get("type") == "integer" else each for name, each in value.items()}


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")
