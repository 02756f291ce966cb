"""Whether data surely fits the schema: a quick yes for good files, without jsonschema, whose import alone takes 0.17 s and 10 MB.

It says yes only where jsonschema has no fault to tell (a test holds the two together over all examples and thousands of
damaged ones), and a no only sends the data there. A schema with a word that is not known here gets a no for everything.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional

Test = Callable[[Any], bool]

_TYPES = {"string": (str,), "object": (dict,), "array": (list,), "null": (type(None),), "integer": (int,), "number": (int, float), "boolean": (bool,)}
_TALK = frozenset({"$schema", "$id", "title", "description", "default", "examples", "$defs"})

_OF_KEYS = frozenset({"properties", "patternProperties", "additionalProperties"})


class _Unknown(Exception):
    """A word of JSON Schema that is not built in here."""


def compiled(schema: Mapping[str, Any]) -> Test:
    """A function that says whether a value surely fits."""
    known: Dict[str, Test] = {}

    def refer(name: str) -> Test:
        if name not in known:
            known[name] = lambda value: known[name](value)  # until it is there: a shape may hold itself
            known[name] = build(schema["$defs"][name[len("#/$defs/"):]])
        return known[name]

    def build(shape: Mapping[str, Any]) -> Test:
        if "$ref" in shape:
            return refer(shape["$ref"])
        unknown = set(shape) - _TALK - set(_WORDS) - _OF_KEYS
        if unknown:
            raise _Unknown(unknown)
        tests = [make(shape[word], build) for word, make in _WORDS.items() if word in shape]
        if _OF_KEYS & set(shape):
            tests.append(_keys(shape, build))
        return lambda value: all(test(value) for test in tests)

    try:
        return build(schema)
    except (_Unknown, KeyError):
        return lambda value: False


def _type(wanted: Any, _: Any) -> Test:
    names = [wanted] if isinstance(wanted, str) else wanted
    classes = tuple(each for name in names for each in _TYPES[name])
    if "boolean" in names:
        return lambda value: isinstance(value, classes)
    return lambda value: isinstance(value, classes) and not isinstance(value, bool)


def _enum(wanted: List[Any], _: Any) -> Test:
    return lambda value: any(type(value) is type(each) and value == each for each in wanted)  # 1 is not true


def _pattern(wanted: str, _: Any) -> Test:
    search = re.compile(wanted).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _limit(fits: Callable[[Any, Any], bool]):
    return lambda wanted, _: lambda value: isinstance(value, bool) or not isinstance(value, (int, float)) or fits(value, wanted)


def _length(kind: type):
    return lambda wanted, _: lambda value: not isinstance(value, kind) or len(value) >= wanted


def _items(wanted: Mapping[str, Any], build: Callable[..., Test]) -> Test:
    test = build(wanted)
    return lambda value: not isinstance(value, list) or all(test(item) for item in value)


def _required(wanted: List[str], _: Any) -> Test:
    return lambda value: not isinstance(value, dict) or all(key in value for key in wanted)


def _one_of(wanted: List[Mapping[str, Any]], build: Callable[..., Test]) -> Test:
    tests = [build(each) for each in wanted]
    return lambda value: sum(test(value) for test in tests) == 1


def _any_of(wanted: List[Mapping[str, Any]], build: Callable[..., Test]) -> Test:
    tests = [build(each) for each in wanted]
    return lambda value: any(test(value) for test in tests)


def _not(wanted: Mapping[str, Any], build: Callable[..., Test]) -> Test:
    test = build(wanted)
    return lambda value: not test(value)


def _keys(shape: Mapping[str, Any], build: Callable[..., Test]) -> Test:
    """properties, patternProperties and additionalProperties, in one walk over the keys that are there."""
    named = {key: build(inner) for key, inner in shape.get("properties", {}).items()}
    patterned = [(re.compile(pattern).search, build(inner)) for pattern, inner in shape.get("patternProperties", {}).items()]
    further = shape.get("additionalProperties", True)
    other: Optional[Test] = build(further) if isinstance(further, dict) else None

    def test(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for key, item in value.items():
            inner = named.get(key)
            if inner is not None and not inner(item):
                return False
            matched = [each for search, each in patterned if search(key)]
            if not all(each(item) for each in matched):
                return False
            if inner is None and not matched and (further is False or other is not None and not other(item)):
                return False
        return True

    return test


_WORDS = {
    "type": _type, "enum": _enum, "pattern": _pattern, "minimum": _limit(lambda value, wanted: value >= wanted),
    "maximum": _limit(lambda value, wanted: value <= wanted), "minItems": _length(list), "minLength": _length(str),
    "minProperties": _length(dict), "items": _items, "required": _required, "oneOf": _one_of,
    "anyOf": _any_of, "not": _not,
}  # fmt: skip
