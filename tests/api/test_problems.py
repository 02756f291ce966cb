"""Every error of the document, each provoked; and what is sent wrongly, told all at once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from runner.errors import EnvironmentFault
from runner.web.api import problems
from runner.web.api.limits import Limits, Rate
from runner.web.api.operation import OPERATIONS

JSON = "application/json"
TRIGGER = "pipelines/mart/runs"


def wrong_request(site):
    return site.refused("GET", "runs?limit=0&stat=x", 400, "wrong-request")


def not_signed_in(site):
    return site.refused("GET", "runs", 401, "not-signed-in", token=None)


def forbidden(site):
    return site.refused("POST", TRIGGER, 403, "forbidden", {}, token="look")


def not_found(site):
    return site.refused("GET", "runs/mart@2020-01-01", 404, "not-found")


def wrong_method(site):
    return site.refused("DELETE", "runs/x", 405, "wrong-method")


def conflict(site):
    return site.refused("POST", "pipelines/mart/unpause", 409, "conflict", {})


def changed(site):
    return site.refused("POST", "pipelines/mart/pause", 412, "changed", {}, If_Match='"old"')


def too_large(site):
    return site.refused("POST", TRIGGER, 413, "too-large", json.dumps({"reason": "x" * 70_000}), Content_Type=JSON)


def wrong_content_type(site):
    return site.refused("POST", TRIGGER, 415, "wrong-content-type", "date=2026-02-27", Content_Type="application/x-www-form-urlencoded")


def faulty_file(site):
    site.write("mart", "steps: [{id: a, bsh: x}]\n")
    return site.refused("POST", TRIGGER, 422, "faulty-file", {})


def other_request(site):
    site.act(TRIGGER, {"date": "2026-02-26"}, 201, Idempotency_Key="k")
    return site.refused("POST", TRIGGER, 422, "other-request", {"date": "2026-02-27"}, Idempotency_Key="k")


def too_often(site):
    limits = site.app.config["LIMITS"]
    limits._rates = Limits(Rate(1, 0.5), Rate(1, 1))._rates
    site.read("site")
    found = site.refused("GET", "site", 429, "too-often")
    assert site.ask("GET", "site", 429).headers["Retry-After"] == "2"
    site.read("site", token="look")  # another's bucket is full
    site.clock.advance(2)
    site.read("site")
    return found


def fault(site, monkeypatch):
    monkeypatch.setattr(site.desk, "files", lambda: 1 / 0)
    found = site.refused("GET", "pipelines", 500, "fault")
    assert "ZeroDivisionError" in site.said[-1] and "Zero" not in json.dumps(found)
    return found


def unavailable(site, monkeypatch):
    def broken():
        raise EnvironmentFault("runner.db: disk I/O error", "look at the disk")

    monkeypatch.setattr(site.desk, "files", broken)
    return site.refused("GET", "pipelines", 503, "unavailable")


PROVOKED = {each.__name__.replace("_", "-"): each for each in (
    wrong_request, not_signed_in, forbidden, not_found, wrong_method, conflict, changed, too_large, wrong_content_type, faulty_file, other_request, too_often, fault, unavailable)}


@pytest.mark.parametrize("kind", problems.KINDS)
def test_every_error_of_the_document_can_happen(site, monkeypatch, kind):
    provoke = PROVOKED[kind]
    found = provoke(site, monkeypatch) if provoke.__code__.co_argcount == 2 else provoke(site)
    assert found["title"] == problems.KINDS[kind].title and found["detail"]


def test_a_token_that_has_expired_was_taken_back_or_never_was(site):
    site.token("short", days=1)
    site.read("runs", token="short")
    site.clock.advance(timedelta(days=2).total_seconds())
    site.refused("GET", "runs", 401, "not-signed-in", token="short")
    with site.store.transaction():
        site.store.accounts.remove_token("operate")
    site.refused("GET", "runs", 401, "not-signed-in", token="operate")
    assert site.ask("GET", "runs", 401, token="runner_nonsense").headers["WWW-Authenticate"].startswith("Bearer")


def test_a_page_of_another_host_cannot_act_with_a_token(site):
    site.refused("POST", TRIGGER, 403, "forbidden", {}, Origin="http://evil.example")


def test_without_accounts_the_reader_on_this_server_only_looks(site):
    site.desk.has_accounts = lambda: False
    site.app.wsgi_app._may_look = lambda environ: True
    site.read("runs", token=None)
    assert "runner user add" in site.refused("POST", TRIGGER, 403, "forbidden", {}, token=None)["hint"]


@pytest.mark.parametrize("body, words", [
    ({"datee": "2026-02-27"}, "there is no field datee: did you mean date?"),
    ({"xyz": 1}, "known: date, params, only, new, reason"),
    ({"date": 20260227}, "date: 20260227 is not text"),
    ({"date": "2026-02-27", "new": "yes", "only": "a"}, 'new: "yes" is not true or false; only: "a" is not a list'),
    ({"only": ["a", 1]}, "only[1]: 1 is not text"),
    ({"reason": "x" * 1001}, "reason: 1001 characters, at most 1000"),
    ([], "the body: [] is not an object"),
])
def test_what_is_wrong_in_a_body_is_told_at_once(site, body, words):
    assert words in site.refused("POST", TRIGGER, 400, "wrong-request", body)["detail"]


@pytest.mark.parametrize("raw", [b"{", b"nonsense", b'{"date": "\xff"}', b'{"reason": "\\ud800"}', b'{"params": {"n": NaN}}', b'{"params": {"n": 1e999}}', b"[" * 60_000, b'{"params": {"n": ' + b"9" * 5000 + b"}}"])
def test_what_is_no_json_is_told_so(site, raw):
    assert site.refused("POST", TRIGGER, 400, "wrong-request", raw, Content_Type=JSON)["hint"]


@pytest.mark.parametrize("query, words", [
    ("runs?statte=failed", "there is no parameter statte: did you mean state?"), ("runs?state=bad", "none of queued, running"), ("runs?limit=many", "not a whole number"),
    ("runs?limit=1001", "more than 1000"), ("runs?cursor=zzz", "none that was given"), ("runs?cursor=" + "9" * 19, "none that was given"), ("runs?due_from=2026-13-01", "no date"),
    ("runs?due_from=0001-01-01T00:00:00%2B14:00", "no date"), ("runs?due_to=9999-12-31T23:59:59-12:00", "no date"), ("pipelines/mart/next?after=nonsense", "nonsense"),
])
def test_what_is_wrong_behind_the_question_mark(site, query, words):
    assert words in site.refused("GET", query, 400, "wrong-request")["detail"]


def test_addresses_and_methods_that_are_not_there(site):
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert site.ask(method, "runs", 405).headers["Allow"] == "GET"
    assert site.ask("GET", "pipelines/mart/pause", 405).headers["Allow"] == "POST"
    assert site.ask("POST", "openapi.json", 405).headers["Allow"] == "GET"
    for path in ("/api/v1", "/api/v1/", "/api/v2/runs", "/api/", "runs/", "nothing"):
        site.refused("GET", path, 404, "not-found")


def test_every_operation_that_acts_needs_more_than_looking():
    assert {each.act for each in OPERATIONS if each.method == "GET"} == {"look"}
    assert "look" not in {each.act for each in OPERATIONS if each.method != "GET"}
