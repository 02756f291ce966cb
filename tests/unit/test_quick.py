"""The quick yes is never wrong: where it says yes, jsonschema has no fault."""

from __future__ import annotations

import copy
import random

import pytest

from runner.spec import nodes, quick, schema, shape
from tests.test_examples import names, read

FITS = quick.compiled(schema.build())
ODD = (None, True, False, 0, 1, -1, 2.5, "", "x", "3d", [], ["a"], [1], {}, {"a": 1}, {"run": "x"}, 10**6)


def truth(data):
    return not list(shape._validator().iter_errors(data))


def data_of(folder):
    found = [nodes.load(read(folder, name), name).data for name in names(folder)]
    return [data for data in found if data is not None]


def test_both_say_the_same_of_every_example():
    for folder in ("valid", "invalid"):
        for data in data_of(folder):
            assert FITS(data) == truth(data), data


def places(value, path=()):
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, path + (key,))


def damaged(data, rng):
    """The data with one value replaced, one key renamed or one removed."""
    data = copy.deepcopy(data)
    path = rng.choice([path for path in places(data) if path])
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    act = rng.random()
    if act < 0.6 or isinstance(holder, list):
        holder[path[-1]] = rng.choice(ODD)
    elif act < 0.8:
        holder[rng.choice(("x", "id", "bash", "timeout", "x-a", "needs"))] = holder.pop(path[-1])
    else:
        del holder[path[-1]]
    return data


@pytest.mark.parametrize("seed", range(8))
def test_both_say_the_same_of_damaged_ones(seed):
    rng = random.Random(seed)
    good = [data for data in data_of("valid") if isinstance(data, dict)]
    for _ in range(150):
        data = damaged(rng.choice(good), rng)
        assert FITS(data) == truth(data), data


def test_a_schema_with_unknown_words_is_left_to_jsonschema():
    assert not quick.compiled({"type": "object", "dependentRequired": {"a": ["b"]}})({})
    assert not quick.compiled({"$ref": "#/$defs/none"})({})


def test_true_is_no_number_and_one_is_not_true():
    assert not quick.compiled({"type": "integer"})(True)
    assert not quick.compiled({"enum": [True]})(1)
    assert quick.compiled({"type": ["boolean", "number"], "minimum": 1})(True)
    assert not quick.compiled({"type": "integer"})(2.0)
