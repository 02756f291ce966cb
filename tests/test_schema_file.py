"""schemas/pipeline.schema.json is what the check uses, and means the same to editors (draft-07)."""

from __future__ import annotations

import os

import pytest
import yaml

from runner.spec import schema

ROOT = os.path.join(os.path.dirname(__file__), "..")


def test_the_file_is_the_schema_that_runs():
    with open(os.path.join(ROOT, "schemas", "pipeline.schema.json"), encoding="utf-8") as file:
        assert file.read() == schema.text(), "type: runner schema --write schemas/pipeline.schema.json"


def _words(value, found):
    if isinstance(value, dict):
        found |= set(value)
        for item in value.values():
            _words(item, found)
    elif isinstance(value, list):
        for item in value:
            _words(item, found)
    return found


def test_nothing_in_it_means_something_else_in_draft_07():
    words = _words(schema.build(), set())
    assert not words & {"unevaluatedProperties", "unevaluatedItems", "prefixItems", "$dynamicRef", "dependentSchemas", "minContains"}


def test_everything_is_described():
    def missing(shape, path):
        for name, each in shape.get("properties", {}).items():
            if "$ref" not in each:
                if not each.get("description"):
                    yield f"{path}.{name}"
                yield from missing(each, f"{path}.{name}")

    build = schema.build()
    assert [*missing(build, ""), *missing(build["$defs"]["step"], "step"), *missing(build["$defs"]["defaults"], "defaults")] == []


@pytest.mark.parametrize("name", sorted(n for n in os.listdir(os.path.join(ROOT, "pipelines")) if n.endswith(".yaml")))
def test_both_drafts_agree_over_the_examples(name):
    from jsonschema import Draft7Validator, Draft202012Validator

    with open(os.path.join(ROOT, "pipelines", name), encoding="utf-8") as file:
        data = yaml.safe_load(file)
    assert Draft202012Validator(schema.build()).is_valid(data) and Draft7Validator(schema.build()).is_valid(data)
