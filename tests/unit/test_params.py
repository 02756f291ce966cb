"""The values of a run's parameters: what counts as a number or a day, by which way it came, and that JSON can say it."""

from __future__ import annotations

import json
import textwrap

import pytest

from runner import params
from runner.errors import UsageError
from runner.spec import check


def load(text):
    result = check.check_text(textwrap.dedent(text) + "\nsteps: [{id: a, bash: echo}]\n", path="", name="mart", site=check.Site("Asia/Seoul"))
    return result.pipeline, [problem.message for problem in result.problems]


def value(kind, text, more=""):
    """What --param makes of a text; what is wrong with it, where it is refused. The variable must come to the same."""
    spec, _ = load(f"params: {{n: {{type: {kind}{more}}}}}")
    ways = [params.judge(spec, [f"n={text}"], {}), params.judge(spec, [], {"RUNNER_PARAM_N": text})]
    told = [faults[0].message if faults else values["n"] for values, faults in ways]
    assert repr(told[0]) == repr(told[1])
    json.dumps(ways[0][0], allow_nan=False)
    return told[0]


@pytest.mark.parametrize("kind, text, wanted", [
    ("number", "3", 3), ("number", "3.0", 3.0), ("number", "-1.5e3", -1500.0), ("number", ".5", 0.5), ("number", " 5.\r", 5.0), ("number", "+7", 7),
    ("integer", "12", 12), ("integer", "-0012 ", -12), ("integer", "9" * 40, int("9" * 40)),
    ("date", "2026-02-28", "2026-02-28"), ("date", "20260228", "2026-02-28"), ("date", " 2026-02-28\r", "2026-02-28"),
    ("boolean", "yes", True), ("boolean", "Off ", False), ("list", "a, b", ["a", "b"]), ("list", "[1, 2.5]", [1, 2.5]), ("object", '{"a": [1]}', {"a": [1]}),
])  # fmt: skip
def test_a_good_text_is_a_value_of_its_type(kind, text, wanted):
    assert repr(value(kind, text)) == repr(wanted)


@pytest.mark.parametrize("kind, text, wanted", [
    *[("number", text, "is not a number") for text in ("nan", "NaN", "inf", "-Infinity", "1_000", "１２", "0x10", "", "1,5", "1e", ".", "1 2", "٣")],
    ("number", "1e400", "is too large a number"), ("number", "-1e400", "is too large a number"),
    *[("integer", text, "is not a whole number") for text in ("1_000", "１２", "1.0", "1e3", "nan", "", "-", "٣")],
    *[("date", text, "is not a date such as 2026-02-28") for text in ("2026-02-30", "2026-0228", "202602-28", "2026-W09-6", "2026059", "２０２６-02-28", "20261301", "", "0000-01-01")],
    ("list", "[NaN]", "holds nan, or a number that is too large"), ("list", "[[1e999]]", "holds nan, or a number that is too large"),
    ("object", '{"a": {"b": -Infinity}}', "holds nan, or a number that is too large"),
    ("object", "[" * 100000, 'is no JSON object such as {"a": 1}'), ("boolean", "2", "is not true or false"), ("boolean", "", "is not true or false"),
])  # fmt: skip
def test_a_text_that_is_no_such_value_is_refused(kind, text, wanted):
    assert value(kind, text) == wanted


def test_limits_hold_for_every_number():
    between = ", minimum: 0, maximum: 1"
    assert [value("number", text, between) for text in ("0.5", "2", "nan", "1e400", "-1")] == [0.5, "is more than 1", "is not a number", "is too large a number", "is less than 0"]


def test_the_default_goes_by_the_same_rule_as_what_is_given():
    spec, problems = load("""\
        params:
          day: {type: date, default: "20260228", enum: ["20260228", 2026-03-01]}
          n: {type: number, default: 3}
        """)
    assert problems == [] and params.resolve(spec, [], {}) == params.resolve(spec, ["day=20260228", "n=3"], {}) == {"day": "2026-02-28", "n": 3}
    assert repr(params.resolve(spec, ["n=3"], {})["n"]) == "3" and params.resolve(spec, ["day=20260301"], {})["day"] == "2026-03-01"


@pytest.mark.parametrize("body, message", [
    ("{type: number, default: .nan}", "the default nan is not a number"), ("{type: number, default: .inf}", "the default inf is too large a number"),
    ("{type: number, default: 1e400}", "the default inf is too large a number"), ("{type: list, default: [1, .nan]}", "the default [1, nan] holds nan"),
    ("{type: date, default: 2026-W09-6}", "the default '2026-W09-6' is not a date"), ("{type: number, default: 1, maximum: .nan}", "maximum is not a number"),
])  # fmt: skip
def test_check_refuses_a_default_that_no_run_could_have(body, message):
    spec, problems = load(f"params: {{n: {body}}}")
    assert spec is None and len(problems) == 1 and problems[0].startswith("params.n: " + message)


def test_a_fault_names_what_was_typed():
    spec, _ = load("params: {n: 1, day: {type: date, default: 2026-02-28}}")
    with pytest.raises(UsageError) as caught:
        params.resolve(spec, ["day=soon"], {"RUNNER_PARAM_N": "oops"})
    assert caught.value.message.splitlines()[1:] == [
        "  the variable RUNNER_PARAM_N=oops: is not a whole number", "  --param day=soon: is not a date such as 2026-02-28",
    ]
    with pytest.raises(UsageError, match="--param n=x: is not a whole number"):
        params.resolve(spec, ["n=x"], {"RUNNER_PARAM_N": "oops"})  # the word comes before the variable


def test_each_fault_is_told_whatever_comes_before_it():
    spec, _ = load("params: {n: 1}")
    with pytest.raises(UsageError) as caught:
        params.resolve(spec, ["m=1", "n=oops", "m", "n"], {})
    assert [line.partition(":")[0].strip() for line in caught.value.message.splitlines()[1:]] == ["--param m", "--param m", "--param n", "--param n=oops"]
