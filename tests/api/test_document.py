"""The document is made of the code; what it says of itself is right, and nothing is answered that is not in it."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.web.api import fields
from runner.web.api.operation import OPERATIONS, ROOT
from tests.api.fitting import the_document, validator


def test_every_address_of_the_application_is_in_the_document(site):
    documented = {(template.replace("{number}", "{int:number}"), method.upper()) for template, each in the_document()["paths"].items() for method in each}
    rules = {(rule.rule.replace("<", "{").replace(">", "}"), method) for rule in site.app.url_map.iter_rules() if rule.endpoint.startswith("api.") for method in rule.methods}
    rules = {(rule, method) for rule, method in rules if method not in ("HEAD", "OPTIONS") and "{path:" not in rule and rule not in ("/api/", ROOT)}
    assert rules == documented


def test_the_document_is_served_and_printed_alike(site, capsys):
    from runner.cli import main

    served = site.ask("GET", "/api/v1/openapi.json").get_json()
    assert served == json.loads(json.dumps(the_document()))
    try:
        main(["schema", "--openapi"])
    except SystemExit as leave:
        assert leave.code == 0
    assert json.loads(capsys.readouterr().out) == served


def test_each_operation_says_what_it_is_for():
    names = [each.name for each in OPERATIONS]
    assert len(names) == len(set(names))
    for each in OPERATIONS:
        assert each.summary and each.description.endswith("."), each.name
    used = json.dumps(the_document())
    for name in the_document()["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in used, f"{name} is used by nothing"


def test_each_schema_is_one():
    for name, schema in the_document()["components"]["schemas"].items():
        validator({}).check_schema(schema)


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 2000), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5), st.sampled_from(["success", "2026-02-28", "mart"]))
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_body_is_judged_as_json_schema_judges_it(data):
    schema = data.draw(st.sampled_from([each.body for each in OPERATIONS if each.body]))
    names = st.one_of(st.sampled_from([*schema["properties"], "reason"]), st.text(max_size=5))
    value = data.draw(st.one_of(VALUES, st.dictionaries(names, VALUES, max_size=4)))
    assert bool(fields.faults(schema, value)) == bool(list(validator(schema).iter_errors(value))), value
