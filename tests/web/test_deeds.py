"""Acting from the page: forms, previews, and doing it once."""

from __future__ import annotations

import html
import re
import shlex
import signal
import threading

import pytest

from runner import daemonlock
from runner.acts import ACTS
from runner.web.forms import FORMS
from tests.web.stage import HERE

TYPED = """\
timezone: Asia/Seoul
tags: [mart]
params:
  region: {type: string, enum: [KR, US], default: KR, description: which market}
  rows: {type: integer, default: 10, minimum: 1, maximum: 100}
  rate: {type: number, default: 0.5}
  dry: {type: boolean, default: false}
  day: {type: date, default: 2026-01-01}
  tables: {type: list, default: [a, b]}
  more: {type: object, default: {a: 1}}
  name: {type: string}
steps:
  - {id: load, bash: "echo << params.region >>", env: {PIN: "<< secret.pin >>"}}
"""
STATES = {"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"}


@pytest.fixture
def mart(mart):
    mart.failed = mart.run("mart", "2026-02-26", STATES, "failed", "clean failed")
    mart.waits = mart.run("mart", "2026-02-27")
    mart.sign_in("operator")
    return mart


def kept(page):
    """The fields that a preview hands back, as a browser would send them."""
    fields = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.split('<form class="go"')[1]):
        fields.setdefault(html.unescape(name), []).append(html.unescape(value))
    return {name: values if len(values) > 1 else values[0] for name, values in fields.items() if name != "form_token"}


def see(web, address, code=200, **fields):
    return web.post(address, code, go="preview", **fields).text


def do(web, address, **fields):
    """Look, then confirm; where one is led to."""
    return web.post(address, 303, go="do", **kept(see(web, address, **fields))).headers["Location"]


def shown_commands(page):
    return html.unescape(re.search(r'<pre class="same"[^>]*>(.*?)</pre>', page, re.S)[1]).split("\n")


def rows_of(web):
    return [tuple(row) for row in web.store.db.execute_text("SELECT name, state, reason FROM runs ORDER BY id", {})] + [web.store.pipelines.holds()]


ASKED = {  # form -> (address, fields, where it leads, whether it has happened)
    ("pipeline", "trigger"): ("/pipelines/mart/act/trigger", {"date": "2026-02-25", "param.region": "US"}, "/runs/mart@2026-02-25",
                              lambda web: web.store.run("mart@2026-02-25").params == {"region": "US"}),
    ("pipeline", "backfill"): ("/pipelines/mart/act/backfill", {"first": "2026-02-24", "last": "2026-02-26", "parallel": "1", "repeat": "failed", "order": "newest"}, "/pipelines/mart",
                               lambda web: web.store.pipelines.backfill_counts(1) == {"queued": 3}),
    ("pipeline", "rerun"): ("/pipelines/mart/act/rerun", {"cells": "1:load", "each": "failed"}, "/runs/mart@2026-02-26",
                            lambda web: [row.state for row in web.store.step_runs(1)] == ["success", "failed", "pending", "pending"]),
    ("run", "rerun"): ("/runs/mart@2026-02-26/act/rerun", {"what": "failed"}, "/runs/mart@2026-02-26", lambda web: web.store.run_by_id(1).state == "queued"),
    ("run", "stop"): ("/runs/mart@2026-02-27/act/stop", {}, "/runs/mart@2026-02-27", lambda web: web.store.run_by_id(2).state == "killed"),
    ("backfill", "stop"): ("/backfills/1/act/stop", {}, "/pipelines/mart", lambda web: web.store.pipelines.backfill_counts(1) == {"killed": 1}),
    ("run", "mark"): ("/runs/mart@2026-02-26/act/mark", {"step": "clean", "state": "success"}, "/runs/mart@2026-02-26", lambda web: web.store.step_runs(1)[1].state == "success"),
    ("pipeline", "pause"): ("/pipelines/mart/act/pause", {}, "/pipelines/mart", lambda web: web.store.pipelines.get("mart").pause_reason == "we move house"),
    ("pipeline", "unpause"): ("/pipelines/mart/act/unpause", {}, "/pipelines/mart", lambda web: web.store.pipelines.get("mart").paused_by is None),
    ("pipeline", "hold"): ("/pipelines/mart/act/hold", {"step": "load"}, "/pipelines/mart", lambda web: "load" in web.store.pipelines.holds()["mart"]),
    ("pipeline", "release"): ("/pipelines/mart/act/release", {"step": ""}, "/pipelines/mart", lambda web: not web.store.pipelines.holds()),
}
EACH = pytest.mark.parametrize("where", list(ASKED), ids=" ".join)


def prepare(web, where):
    with web.store.transaction():
        if where[1] == "unpause":
            web.store.pipelines.pause("mart", "", "lee", web.clock.now())
        if where[1] == "release":
            web.store.pipelines.hold("mart", "", "lee", web.clock.now(), "")
        if where == ("backfill", "stop"):
            number = web.store.pipelines.add_backfill("mart", "2026-02-27", "2026-02-27", 1, "lee", web.clock.now())
            web.store.join_backfill(web.waits.id, number, 0)


def test_each_act_of_the_command_line_has_its_form_and_each_form_is_tried_here():
    assert {act for _, act in FORMS} == set(ACTS) and set(FORMS) == set(ASKED)


@EACH
def test_a_form_is_filled_seen_and_confirmed(mart, where):
    address, fields, place, happened = ASKED[where]
    prepare(mart, where)
    before, form = rows_of(mart), mart.text(address)
    assert all(f'name="{name}"' in form for name in fields) and 'name="reason"' in form
    page = see(mart, address, reason="we move house", **fields)
    assert rows_of(mart) == before and not mart.store.audit.rows(5), "nothing has happened yet"
    lines = shown_commands(page)
    assert all(line.startswith(f"runner {where[1]} ") and line.endswith("--reason 'we move house'") for line in lines)
    answer = mart.post(address, 303, go="do", **kept(page))
    assert answer.headers["Location"] == place and happened(mart)
    mart.get(place)
    row = mart.store.audit.rows(5)[0]
    assert (row.act, row.actor, row.source, row.reason, row.pipeline) == (where[1], "kim", "page", "we move house", "mart")


@EACH
def test_who_may_only_look_sees_no_button_and_is_told_which_role_it_takes(mart, where):
    address, fields, _, _ = ASKED[where]
    prepare(mart, where)
    screens = ("/pipelines", "/pipelines/mart", "/runs/mart@2026-02-26", "/runs/mart@2026-02-27", "/operations")
    assert any(f'="{address}"' in mart.text(screen) for screen in screens), "who may finds the way"
    mart.sign_in("viewer")
    assert not any("/act/" in mart.text(screen) for screen in screens)
    assert "operator" in mart.get(address, 403).text
    before = rows_of(mart)
    for go in ("preview", "do"):
        mart.post(address, 403, go=go, reason="x", **fields)
    mart.sign_in("operator", ["another"])
    assert not any("/act/" in mart.text(screen) for screen in screens) and "another" in mart.get(address, 403).text
    assert rows_of(mart) == before


def test_before_there_are_accounts_nobody_acts(web):
    from tests.web.stage import MART

    web.open(accounts=False)
    web.write("mart", MART)
    web.desk.has_accounts = lambda: False
    web.app.wsgi_app._may_look = lambda environ: True
    assert "/act/" not in web.text("/pipelines/mart")
    assert "runner user add" in web.get("/pipelines/mart/act/trigger", 403).text


# --------------------------------------------------------------------------------------------------------- at most once


def test_pressed_twice_it_is_done_once_and_leads_to_the_same_place(mart):
    shown = kept(see(mart, "/pipelines/mart/act/trigger", date="2026-02-26", new="1"))
    places = {mart.post("/pipelines/mart/act/trigger", 303, go="do", **shown).headers["Location"] for _ in range(3)}
    assert places == {"/runs/mart@2026-02-26%232"} and len(mart.store.runs_of("mart", mart.failed.date.due)) == 2


def test_a_rerun_that_has_ended_is_not_begun_again_by_the_same_confirmation(mart):
    shown = kept(see(mart, "/runs/mart@2026-02-26/act/rerun", what="all"))
    mart.post("/runs/mart@2026-02-26/act/rerun", 303, go="do", **shown)
    with mart.store.transaction():
        mart.store.move("run", 1, "queued", "running", mart.clock.now())
        mart.store.move("run", 1, "running", "failed", mart.clock.now())
    mart.post("/runs/mart@2026-02-26/act/rerun", 303, go="do", **shown)
    assert mart.store.run_by_id(1).state == "failed"


def at_once(mart, posts):
    """All of them by threads of their own; the codes and places."""
    found, barrier = [], threading.Barrier(len(posts))

    def post(fields):
        client = mart.app.test_client()
        mart.sign_in("operator", client=client)
        barrier.wait(60)
        answer = client.post("/pipelines/mart/act/trigger", data={"form_token": "the form of kim", **fields}, headers={"Origin": "http://localhost"}, environ_base=HERE)
        found.append((answer.status_code, answer.headers.get("Location")))
        mart.desk.drop()

    threads = [threading.Thread(target=post, args=(fields,)) for fields in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


def test_twenty_who_send_the_same_confirmation_make_one_run(mart):
    shown = kept(see(mart, "/pipelines/mart/act/trigger", date="2026-02-26", new="1"))
    found = at_once(mart, [{"go": "do", **shown}] * 20)
    assert set(found) == {(303, "/runs/mart@2026-02-26%232")} and len(found) == 20
    assert len(mart.store.runs_of("mart", mart.failed.date.due)) == 2


def test_twenty_who_confirm_the_same_date_each_by_themselves_make_one_run(mart):
    posts = [{"go": "do", **kept(see(mart, "/pipelines/mart/act/trigger", date="2026-02-25"))} for _ in range(20)]
    found = at_once(mart, posts)
    assert sorted(code for code, _ in found) == [303] + [409] * 19
    assert [row.run for row in mart.store.audit.rows(50)] == ["mart@2026-02-25"]


def test_what_is_confirmed_is_what_was_shown_or_nothing(mart):
    shown = kept(see(mart, "/runs/mart@2026-02-26/act/rerun", what="failed"))
    mart.write("mart", (mart.pipelines / "mart.yaml").read_text().replace("echo load", "echo something else"))
    before = rows_of(mart)
    page = mart.post("/runs/mart@2026-02-26/act/rerun", 409, go="do", **shown).text
    assert "has changed since it was shown" in page and "something else" in page and "~ load: body changed" in page and rows_of(mart) == before
    mart.post("/runs/mart@2026-02-26/act/rerun", 303, go="do", **kept(page))
    assert mart.store.run_by_id(1).state == "queued"


def test_a_date_that_was_left_open_is_the_one_that_was_shown_also_after_midnight(mart):
    shown = kept(see(mart, "/pipelines/mart/act/trigger", date=""))
    assert shown["date"] == "2026-02-28T23:50"
    mart.clock.advance(3600)
    assert mart.post("/pipelines/mart/act/trigger", 303, go="do", **shown).headers["Location"] == "/runs/mart@2026-02-28T23:50"


# ---------------------------------------------------------------------------------------------------------------- forms


def test_a_form_has_a_field_for_each_parameter_by_its_type(mart):
    mart.write("typed", TYPED)
    form = mart.text("/pipelines/typed/act/trigger")
    for wanted in (
        r'<select id="\w+" name="param.region" [^>]*><option value="KR" selected>KR</option><option value="US">', r'type="number" name="param.rows" value="10" min="1" max="100" step="1"',
        r'type="number" name="param.rate" value="0.5" step="any"', r'name="param.dry" [^>]*><option value="true">true</option><option value="false" selected>',
        r'type="date" name="param.day" value="2026-01-01"', r'<textarea id="\w+" name="param.tables"[^>]*>\s*a\nb</textarea>', r'<textarea id="\w+" name="param.more"[^>]*>\s*\{&#34;a&#34;: 1\}',
        r'type="text" name="param.name" value=""', "which market",
    ):
        assert re.search(wanted, form), wanted


def test_what_is_wrong_is_said_beside_each_field_and_nothing_that_was_typed_is_lost(mart):
    mart.write("typed", TYPED)
    typed = {"date": "31.12.2026", "param.region": "US", "param.rows": "1000", "param.rate": "abc", "param.dry": "true", "param.day": "2026-02-30", "param.tables": "x\ny <b>",
             "param.more": "{", "param.name": "", "reason": "한글 \"why\"", "only": "load"}
    page = see(mart, "/pipelines/typed/act/trigger", 422, **typed)
    for name, said in (("rows", "is more than 100"), ("rate", "is not a number"), ("day", "is not a date"), ("more", "is no JSON object"), ("name", "has no default")):
        assert re.search(rf'name="param.{name}".*?<b class="bad" role="alert">{said}', page, re.S), name
        assert re.search(rf'name="param.{name}"[^>]*aria-describedby="(\w+)"[^>]*aria-invalid="true"', page), name
    assert page.count("autofocus") == 1 and re.search(r'name="date"[^>]* autofocus', page), "where one goes on"
    assert "x\ny &lt;b&gt;" in page and "31.12.2026" in page and 'value="1000"' in page and "한글 &#34;why&#34;" in page and '<option value="US" selected>' in page
    assert re.search(r'value="load" checked', page) and page.count('role="alert">') >= 6
    assert not mart.store.recent_runs("typed", None, 5)


def test_only_what_differs_from_the_defaults_stands_in_the_command_line_and_typed_values_arrive_typed(mart):
    mart.write("typed", TYPED)
    page = see(mart, "/pipelines/typed/act/trigger", date="2026-02-25", **{"param.region": "KR", "param.rows": "11", "param.tables": "x\r\ny z", "param.name": "it's", "param.dry": "true"})
    [line] = shown_commands(page)
    assert shlex.split(line) == ["runner", "trigger", "typed", "--date", "2026-02-25", "--param", "rows=11", "--param", "dry=true", "--param", 'tables=["x", "y z"]', "--param", "name=it's"]
    mart.post("/pipelines/typed/act/trigger", 303, go="do", **kept(page))
    assert mart.store.run("typed@2026-02-25").params == {
        "region": "KR", "rows": 11, "rate": 0.5, "dry": True, "day": "2026-01-01", "tables": ["x", "y z"], "more": {"a": 1}, "name": "it's"}


def test_a_secret_is_never_shown(mart):
    mart.write("typed", TYPED)
    path = mart.home / "secrets.yaml"
    path.write_text("pin: hunter2secret\n")
    path.chmod(0o600)
    page = see(mart, "/pipelines/typed/act/trigger", date="2026-02-25", **{"param.name": "x"})
    assert "hunter2secret" not in page and "cannot start" not in page and "echo KR" in page


def test_a_date_that_has_its_run_is_said_with_the_way_to_it_and_cannot_be_confirmed(mart):
    page = see(mart, "/pipelines/mart/act/trigger", 409, date="2026-02-26")
    assert "run mart@2026-02-26 exists (failed)" in page and 'href="/runs/mart@2026-02-26"' in page and 'value="do"' not in page
    mart.post("/pipelines/mart/act/trigger", 409, go="do", date="2026-02-26", key="x", stamp="y")
    assert len(mart.store.runs_of("mart", mart.failed.date.due)) == 1


def test_a_faulty_file_says_its_fault_instead_of_a_form(mart):
    mart.write("mart", "steps: [{id: a, bsh: x}]\n")
    assert "bsh" in mart.get("/pipelines/mart/act/trigger", 422).text
    assert do(mart, "/pipelines/mart/act/pause", reason="it is faulty") == "/pipelines/mart"


@pytest.mark.parametrize("where", [where for where, form in FORMS.items() if form.why], ids=" ".join)
def test_some_acts_ask_why(mart, where):
    address, fields, _, happened = ASKED[where]
    prepare(mart, where)
    page = see(mart, address, 422, reason="  ", **fields)
    assert "say why" in page and "aria-invalid" in page and not mart.store.audit.rows(1)


def test_what_was_seen_can_be_changed_with_all_that_was_typed(mart):
    shown = kept(see(mart, "/pipelines/mart/act/trigger", date="2026-02-25", reason="a & b", only=["load", "tidy"], **{"param.region": "US"}))
    form = mart.post("/pipelines/mart/act/trigger", 200, go="change", **shown).text
    assert 'value="2026-02-25"' in form and 'value="a &amp; b"' in form and 'value="US"' in form and form.count(" checked") == 2


# ----------------------------------------------------------------------------------------------------- grid and backfill


def test_runs_and_steps_are_chosen_in_the_grid_and_seen_as_one(mart):
    other = mart.run("mart", "2026-02-25", {**STATES, "load": "failed"}, "failed")
    form = mart.text("/pipelines/mart/act/rerun")
    assert f'name="cells" value="{mart.failed.id}:load"' in form and f'name="runs" value="{other.id}"' in form and f'name="runs" value="{mart.waits.id}"' not in form
    page = see(mart, "/pipelines/mart/act/rerun", cells=[f"{mart.failed.id}:load", f"{mart.failed.id}:tidy"], runs=str(other.id), each="all")
    assert shown_commands(page) == ["runner rerun mart@2026-02-26 --from load --from tidy", "runner rerun mart@2026-02-25 --all"]
    assert mart.post("/pipelines/mart/act/rerun", 303, go="do", **kept(page)).headers["Location"] == "/pipelines/mart"
    assert {run.name: run.state for run in mart.store.recent_runs("mart", None, 9)} == dict.fromkeys(("mart@2026-02-25", "mart@2026-02-26", "mart@2026-02-27"), "queued")
    assert [row.state for row in mart.store.step_runs(mart.failed.id)] == ["success", "failed", "pending", "pending"]


def test_several_reruns_are_done_together_or_not_at_all(mart):
    other = mart.run("mart", "2026-02-25", STATES, "failed")
    shown = kept(see(mart, "/pipelines/mart/act/rerun", runs=[str(mart.failed.id), str(other.id)], each="all"))
    with mart.store.transaction():
        mart.store.move("run", other.id, "failed", "queued", mart.clock.now())
    mart.post("/pipelines/mart/act/rerun", 409, go="do", **shown)
    assert mart.store.run_by_id(mart.failed.id).state == "failed" and not mart.store.audit.rows(5)


@pytest.mark.parametrize("fields, said", [
    ({}, "choose at least one"), ({"cells": "1:load", "runs": "1"}, "not both"), ({"runs": "99"}, "there is no run 99"), ({"cells": "x:load"}, "there is no run x"),
    ({"cells": "1:nothing"}, "has no step nothing"),
])
def test_a_choice_that_means_nothing_is_said(mart, fields, said):
    answer = mart.client.post("/pipelines/mart/act/rerun", data={"form_token": "the form of kim", "go": "preview", "each": "all", **fields}, headers={"Origin": "http://localhost"}, environ_base=HERE)
    assert answer.status_code in (409, 422) and said in answer.text


def test_a_run_of_another_pipeline_is_not_repeated_by_the_right_to_this_one(mart):
    mart.write("secret", (mart.pipelines / "mart.yaml").read_text().replace("tags: [mart, night]", "tags: [payroll]"))
    other = mart.run("secret", "2026-02-26", STATES, "failed")
    mart.sign_in("operator", ["mart"])
    page = see(mart, "/pipelines/mart/act/rerun", 422, runs=str(other.id), each="all")
    assert "there is no run" in page and mart.store.run_by_id(other.id).state == "failed"


def test_a_backfill_shows_its_dates_in_their_order_and_what_is_left_alone(mart):
    page = see(mart, "/pipelines/mart/act/backfill", first="2026-02-24", last="2026-02-27", repeat="none", order="newest", parallel="1")
    assert re.findall(r"<td>(?:<a[^>]*>)?(mart@[\d-]+)", page) == ["mart@2026-02-25", "mart@2026-02-24"] and "2 dates have a run and are left alone" in page
    assert shown_commands(page) == ["runner backfill mart --from 2026-02-24 --to 2026-02-27 --newest-first --yes"]
    for wrong, said in (({"first": "x"}, "not a date"), ({"parallel": "7"}, "max_active_runs"), ({"last": "2026-01-01"}, "is before"), ({"last": ""}, "not a date")):
        fields = {"first": "2026-02-24", "last": "2026-02-27", "parallel": "1", **wrong}
        answer = mart.client.post("/pipelines/mart/act/backfill", data={"form_token": "the form of kim", "go": "preview", **fields}, headers={"Origin": "http://localhost"}, environ_base=HERE)
        assert answer.status_code in (409, 422) and said in answer.text and 'value="2026-02-24"' in answer.text or wrong == {"first": "x"}


def test_the_switch_in_the_list_says_how_it_stands(mart):
    assert re.search(r'class="switch on" href="pipelines/mart/act/pause"', mart.text("/pipelines"))
    do(mart, "/pipelines/mart/act/pause", reason="we move house")
    assert re.search(r'class="switch" href="pipelines/mart/act/unpause"', mart.text("/pipelines"))
    assert "we move house" in mart.text("/pipelines/mart") and '"/pipelines/mart/act/unpause"' in mart.text("/pipelines/mart")


def test_the_forms_speak_korean_and_answer_what_is_not_there(mart):
    assert "다시 실행" in mart.text("/pipelines/mart/act/rerun", Accept_Language="ko")
    for path in ("/pipelines/nothing/act/trigger", "/runs/nothing@1/act/stop", "/backfills/9/act/stop", "/pipelines/mart/act/stop", "/pipelines/mart/act/nothing", "/pipelines/..%2fx/act/trigger"):
        mart.get(path, 404)


def test_a_pipeline_of_a_thousand_steps_has_forms_and_previews_of_a_bearable_size(mart):
    names = [f"step_{number:04d}" for number in range(1000)]
    mart.write("wide", "timezone: Asia/Seoul\nsteps:\n" + "".join(f"  - {{id: {name}, bash: 'echo {name}'}}\n" for name in names))
    mart.run("wide", "2026-02-26", dict.fromkeys(names[:50], "success"), "failed")
    for path in ("/pipelines/wide/act/trigger", "/pipelines/wide/act/rerun", "/runs/wide@2026-02-26/act/rerun", "/runs/wide@2026-02-26/act/mark", "/pipelines/wide/act/hold"):
        assert len(mart.text(path)) < 300_000, path
    page = see(mart, "/pipelines/wide/act/trigger", date="2026-02-25", only="step_0001\r\nstep_0999")
    assert "--only step_0001 --only step_0999" in shown_commands(page)[0]
    assert do(mart, "/runs/wide@2026-02-26/act/rerun", **{"what": "from", "from": "step_0003\n step_0999"}) == "/runs/wide@2026-02-26"
    assert {row.step for row in mart.store.step_runs(mart.store.run("wide@2026-02-26").id) if row.reason == "rerun"} == {"step_0003"}  # the other never ran
    page = see(mart, "/pipelines/wide/act/backfill", first="2020-01-01", last="2026-01-01", parallel="1")
    assert len(page) < 300_000 and "and 1993 more" in page and "What wide@2020-01-01 executes" in page


def test_from_the_log_of_a_step_one_comes_to_its_rerun_and_mark_with_the_step_chosen(mart):
    page = mart.text("/runs/mart@2026-02-26/steps/clean")
    again, mark = (html.unescape(re.search(rf'href="([^"]*/act/{act}[^"]*)"', page)[1]) for act in ("rerun", "mark"))
    form = mart.text(again)
    assert 'value="from" checked' in form and 'value="clean" checked' in form and form.count("checked") == 2
    assert '<option value="clean" selected>' in mart.text(mark)
    assert "/act/" not in mart.text("/runs/mart@2026-02-27/steps/clean"), "one that has not ended is not repeated"
    mart.sign_in("viewer")
    assert "/act/" not in mart.text("/runs/mart@2026-02-26/steps/clean")


def test_a_run_is_stopped_however_far_it_has_gone_on_since_one_looked(mart):
    run = mart.run("mart", "2026-02-25", {"extract": "running"}, "running")
    address = "/runs/mart@2026-02-25/act/stop"
    page = see(mart, address, reason="the source is wrong")
    assert "extract" in page.split("<h1>")[1]
    with mart.store.transaction():
        mart.store.move("attempt", run.id, "running", "success", mart.clock.now(), step="extract", number=1)
        mart.store.move("step", run.id, "running", "success", mart.clock.now(), step="extract")
    assert mart.post(address, 303, go="do", **kept(page)).headers["Location"] == "/runs/mart@2026-02-25"
    assert mart.store.run_by_id(run.id).stop_requested == "kim: the source is wrong"
    again = kept(see(mart, address, reason="now", force="1"))
    mart.post(address, 303, go="do", **again)
    assert mart.store.run_by_id(run.id).stop_requested == "!kim: now"
    with mart.store.transaction():
        mart.store.move("run", run.id, "running", "killed", mart.clock.now())
    assert "has ended already" in mart.post(address, 409, go="do", **{**again, "key": "another"}).text


def test_who_never_got_the_answer_and_sends_it_again_is_led_to_what_was_done(mart, monkeypatch):
    shown = kept(see(mart, "/pipelines/mart/act/trigger", date="2026-02-26", new="1"))

    def die(own):
        raise RuntimeError("killed between the commit and the answer")

    with monkeypatch.context() as patched:
        patched.setattr("runner.acts.ring", die)
        mart.post("/pipelines/mart/act/trigger", 500, go="do", **shown)
    assert mart.post("/pipelines/mart/act/trigger", 303, go="do", **shown).headers["Location"] == "/runs/mart@2026-02-26%232"
    assert [run.number for run in mart.store.runs_of("mart", mart.failed.date.due)] == [0, 1]


def test_a_disk_that_is_full_is_no_fault_of_who_asks(mart, monkeypatch):
    from runner.errors import EnvironmentFault

    shown = kept(see(mart, "/pipelines/mart/act/pause", reason="x"))
    with monkeypatch.context() as patched:
        patched.setattr(mart.desk, "acting_store", lambda: (_ for _ in ()).throw(EnvironmentFault("runner.db: the disk is full", "free some space")))
        assert "free some space" in mart.post("/pipelines/mart/act/pause", 503, go="do", **shown).text
    assert mart.store.pipelines.get("mart").paused_by is None
    mart.post("/pipelines/mart/act/pause", 303, go="do", **shown)


def test_an_editor_has_the_daemon_read_again_and_an_operator_does_not(mart, monkeypatch):
    sent = []
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append((pid, number)))
    assert "/operations/reload" not in mart.text("/operations")
    mart.post("/operations/reload", 403)
    mart.sign_in("editor")
    mart.post("/operations/reload", 404)  # no daemon lives
    monkeypatch.setattr("runner.daemonlock.look", lambda home: daemonlock.Daemon(4711, "", "", "", 2e9, ""))
    assert "/operations/reload" in mart.text("/operations")
    mart.post("/operations/reload", 303)
    assert sent == [(4711, signal.SIGHUP)] and mart.store.audit.rows(1)[0].act == "reload"
