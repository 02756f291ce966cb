"""What a message says, and what may stand in it."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from runner.alerts import message
from runner.alerts.message import Place
from runner.store.alerts import Alert

PLACE = Place("db01", "/data/run ner", "etl")
AT = datetime(2026, 2, 28, 16, 0, tzinfo=timezone.utc)
BODY = {
    "ds": "2026-02-28", "zone": "Asia/Seoul", "owner": "김철수", "description": "고객 마트", "state": "retry_wait", "reason": "exit 3", "step": "적재",
    "exit_code": 3, "attempt": 2, "attempts": 3, "next_at": "2026-02-28T16:05:00.000000Z", "log_file": "/data/log",
}


def alert(event="retry", body=BODY, run="mart@2026-02-28", step="적재"):
    return Alert(1, "key-1", "ops", event, AT, "mart", run, step, body, 0)


def made(lines=(), **about):
    return message.of_alert(alert(**about), PLACE, lambda path: lines)


def test_all_that_is_needed_to_act():
    found = made(["첫 줄", "\x1b[31m오류: 파일 없음\x1b[0m"])
    assert found.subject == "[runner] RETRY mart@2026-02-28 step 적재 (exit 3)"
    for words in ("mart  (고객 마트)", "2026-02-28  (Asia/Seoul)", "적재, attempt 2 of 3", "exit code  3", "attempt 3 at 2026-03-01 01:05:00 KST", "김철수",
                  "host db01, /data/run ner, user etl", "/data/log", "  첫 줄\n  오류: 파일 없음\n", "key key-1"):
        assert words in found.text, words
    assert found.fields["log"] == "첫 줄\n오류: 파일 없음"


def test_the_command_to_type_works_from_any_shell():
    found = made(event="failure", body={**BODY, "state": "failed", "next_at": None})
    assert found.fields["rerun"] == "runner --home '/data/run ner' rerun mart@2026-02-28 --failed" and found.fields["rerun"] in found.text
    late = made(event="late", body={**BODY, "state": "late", "run_state": "missed", "reason": "did not run: paused by kim"}, step="")
    assert late.fields["rerun"] == "runner --home '/data/run ner' trigger mart --date 2026-02-28"
    failed = made(event="late", body={**BODY, "state": "late", "run_state": "failed"}, step="")
    assert failed.fields["rerun"].endswith("rerun mart@2026-02-28 --failed")
    assert made(event="late", body={**BODY, "state": "late", "run_state": "running"}).fields["rerun"] == ""
    assert made(event="retry").fields["rerun"] == ""


def test_a_long_log_is_cut_to_its_end_and_a_long_line_to_its_beginning():
    found = made([f"line {n}" for n in range(1000)] + ["x" * 10_000])
    lines = found.fields["log"].splitlines()
    assert len(lines) == message.LOG_LINES and lines[0] == "line 971" and lines[-1] == "x" * message.LINE + " ..."


def test_a_run_with_several_failed_steps_names_them():
    failed = [["load", "exit 1"], ["mart", "timeout after 5 s"]]
    found = made(event="failure", body={**BODY, "failed": failed, "step": "load", "reason": "exit 1"}, step="")
    assert found.subject == "[runner] FAILED mart@2026-02-28 step load and 1 more (exit 1)"
    assert "2 steps failed:\n  load: exit 1\n  mart: timeout after 5 s" in found.text


def test_a_success_has_no_log_and_no_command():
    found = made(["secret line"], event="success", body={**BODY, "state": "success", "reason": "", "exit_code": 0})
    assert "secret line" not in found.text and "rerun" not in found.text and found.subject == "[runner] OK mart@2026-02-28 step 적재"


def test_many_become_a_list():
    alerts = [Alert(n, f"k{n}", "ops", "failure" if n % 3 else "late", AT, f"p{n}", f"p{n}@2026-02-28", "", BODY, 0) for n in range(250)]
    found = message.of_many(alerts, [message.of_alert(each, PLACE, lambda path: ()) for each in alerts], PLACE)
    assert found.subject == "[runner] 250 alerts: 166 FAILED, 84 LATE" and found.key == "k0+249" and found.as_fields()["count"] == "250"
    assert "rerun p1@2026-02-28 --failed" in found.text and "and 150 more: runner --home '/data/run ner' alert log" in found.text


def test_what_is_put_into_a_template_is_not_looked_at_again():
    """A log may say << secret.db >>: it must stay what it is."""
    fields = {"log": "<< secret.db >> << reason >>", "reason": "exit 1"}
    assert message.fill({"a": ["<< log >>|<<reason>>"]}, fields) == {"a": ["<< secret.db >> << reason >>|exit 1"]}


@given(st.text())
def test_any_text_can_be_put_into_json(text):
    filled = message.fill('{"text": "<< text >>", "n": 1}', {"text": text}, as_json=True)
    assert json.loads(filled) == {"text": text, "n": 1}


@given(st.text(st.characters()))
def test_a_cleaned_line_is_one_line_without_controls_and_utf8(text):
    found = message.clean(text)
    assert found == found.encode("utf-8").decode() and len(found.splitlines()) <= 1 and "\x1b" not in found and "\0" not in found


def test_names_that_mean_nothing_are_found_however_deep():
    assert message.unknown_names({"a": ["<< text >>", {"b": "<< txet >> << secret.x >>"}]}) == ["txet"]
