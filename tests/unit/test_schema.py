"""The schema keeps to what draft-07 reads alike, says something of every key, and its prints are fresh."""

from __future__ import annotations

import json
import os

import pytest

from runner import steps
from runner.model import TRIGGER_RULES
from runner.spec import reference, schema

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
# Words whose meaning differs between the drafts, or that draft-07 does not have.
FOREIGN = {"unevaluatedProperties", "unevaluatedItems", "prefixItems", "dependentRequired", "dependentSchemas", "$dynamicRef", "$anchor",
           "minContains", "maxContains", "additionalItems", "definitions", "dependencies", "$recursiveRef"}


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def shapes(node, place=""):
    """Every schema inside of a schema."""
    yield place, node
    for key in ("properties", "patternProperties", "$defs"):
        for name, inner in node.get(key, {}).items():
            yield from shapes(inner, f"{place}/{key}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from shapes(node[key], f"{place}/{key}")
    for inner in node.get("oneOf", ()):
        yield from shapes(inner, f"{place}/oneOf")


ALL = list(shapes(schema.build()))


def test_the_file_is_the_print_of_the_code():
    assert read("schemas", "pipeline.schema.json") == schema.text(), "python -m runner schema --write schemas/pipeline.schema.json"


def test_the_reference_is_made_of_the_schema():
    assert read("docs", "yaml.md") == reference.as_markdown(), "python -m runner.spec.reference > docs/yaml.md"


@pytest.mark.parametrize("place, shape", ALL, ids=[place or "/" for place, _ in ALL])
def test_a_shape_reads_alike_in_both_drafts(place, shape):
    assert not FOREIGN & set(shape)
    assert not isinstance(shape.get("items"), list)
    if "$ref" in shape:
        assert set(shape) <= {"$ref", "description"}  # draft-07 ignores what stands beside it


def test_every_key_is_described():
    for place, shape in ALL:
        for name, inner in shape.get("properties", {}).items():
            assert inner.get("description") or "$ref" in inner, f"{place}: {name}"


def test_mappings_allow_known_keys_only():
    for place, shape in ALL:
        if shape.get("properties"):
            assert shape.get("additionalProperties") is False, place


def test_every_kind_of_step_is_in_it():
    step = schema.build()["$defs"]["step"]["properties"]
    assert set(steps.KINDS) <= set(step)
    assert step["trigger_rule"]["enum"] == list(TRIGGER_RULES)


def test_defaults_are_keys_of_a_step():
    assert set(schema.DEFAULT_KEYS) <= set(schema.STEP_KEYS)
    assert not set(schema.STEP_KEYS) & set(steps.KINDS)


def test_it_is_a_schema():
    import jsonschema

    for draft in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
        draft.check_schema(json.loads(schema.text()))
