"""One pipeline as a page and as JSON, and its file as it is and as it was."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.clock import to_text
from runner.web import markdown
from tests.web.stage import MART

GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}
BAD = {"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"}
SVG = "{http://www.w3.org/2000/svg}"


def pictures(text):
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg .*?</svg>", text, re.S)]


def test_the_grid_has_a_square_for_each_step_of_each_run_that_leads_to_its_log(mart):
    for day in range(1, 4):
        mart.run("mart", f"2026-02-{day:02d}", BAD if day == 2 else GOOD, "failed" if day == 2 else "success")
    names, grid, *sheets, lengths, graph = pictures(mart.text("/pipelines/mart"))
    assert [each.text for each in names.iter(SVG + "text")][1:] == ["extract", "clean", "load", "tidy"]
    squares = {(each.get("data-x"), each.get("data-y")): (each.get("href"), each.find(SVG + "use").get("href")) for each in grid.iter(SVG + "a")}
    assert len(squares) == 3 * 5
    assert squares["1", "0"] == ("/r/2", "#q-failed") and squares["1", "2"] == ("/r/2/1", "#q-failed") and squares["1", "3"][1] == "#q-upstream_failed"
    assert {each.get("id") for each in grid.iter(SVG + "symbol")} == {"q-success", "q-failed", "q-upstream_failed"}
    assert mart.get("/r/2/1", 302).headers["Location"] == "/runs/mart@2026-02-02/steps/clean"
    mart.get("/r/2/4", 404)
    assert len(sheets) == 4 and len(list(lengths.iter(SVG + "a"))) == 3 and len([each for each in graph.iter(SVG + "rect") if each.get("class") == "node"]) == 4


def test_facts_next_times_and_params(mart):
    found = mart.json("/pipelines/mart.json")
    assert found["about"]["schedule"] == "0 1 * * *" and found["about"]["owner"] == "data-team" and found["params"][0]["default"] == "KR"
    assert [each["ds"] for each in found["next"]] == ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]
    assert found["runs"] == [] and "pictures" not in found
    assert "ds 2026-03-05" in mart.text("/pipelines/mart")


def test_a_fault_of_the_file_is_shown_whole_beside_the_last_good_text(mart):
    mart.write("mart", MART.replace("needs: extract", "needs: extrct").replace("owner: data-team", "ownr: x"))
    found = mart.json("/pipelines/mart.json")
    assert len(found["problems"]) == 2 and found["about"]["steps"] == 4
    assert any("extrct" in each["message"] and "did you mean" in each["hint"] + each["message"] for each in found["problems"])
    text = mart.text("/pipelines/mart")
    assert "extrct" in text and "ownr" in text


def test_paused_gone_and_unknown(mart):
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now(), "month end")
    text = mart.text("/pipelines/mart")
    assert "paused by kim" in text and "these times will pass without a run" in text
    mart.run("mart", "2026-02-02", GOOD, "success")
    (mart.pipelines / "mart.yaml").unlink()
    mart.desk._files = None
    mart.catalogue.scan()
    assert "its file is gone" in mart.text("/pipelines/mart") and mart.json("/pipelines/mart.json")["next"] == []
    assert "no pipeline nothing" in mart.text("/pipelines/nothing", code=404)


def test_the_doc_is_text_and_nothing_else(web):
    web.write("odd", "doc_md: '# Title <script>alert(1)</script>'\nsteps: [{id: a, bash: 'true'}]\n")
    assert "<h3>Title &lt;script&gt;" in web.text("/pipelines/odd")


def test_the_file_as_it_is_and_as_a_run_had_it_with_the_difference(mart):
    before = mart.store.pipelines.get("mart").definition
    mart.run("mart", "2026-02-01", GOOD, "success")
    mart.clock.advance(86400)
    mart.write("mart", MART.replace("echo load", "echo <load>"))
    found = mart.json("/pipelines/mart/file.json")
    assert found["text"] == MART.replace("echo load", "echo <load>") and [each["runs"] for each in found["versions"]] == [0, 1] and found["difference"] is None
    compared = mart.json(f"/pipelines/mart/file.json?against={before}")["difference"]
    assert [each["text"].strip() for each in compared if each["kind"] == "+"] == ['+  - {id: load, needs: clean, bash: "echo <load>", retries: 1, retry_delay: 5m}']
    assert [each["kind"] for each in compared].count("-") == 1
    assert "echo &lt;load&gt;" in mart.text(f"/pipelines/mart/file?against={before}")
    assert mart.json(f"/pipelines/mart/file.json?of={before}")["text"] == MART
    mart.get("/pipelines/mart/file?of=0123", 404)
    mart.get("/pipelines/nothing/file", 404)


def test_a_text_of_another_pipeline_is_not_shown_here(mart):
    mart.write("other", "steps: [{id: a, bash: 'true'}]\n")
    other = mart.store.pipelines.get("other").definition
    mart.get(f"/pipelines/mart/file?of={other}", 404)
    assert mart.json(f"/pipelines/mart/file.json?against={other}")["difference"] is None


def test_a_faulty_file_is_shown_with_its_faults_at_their_lines(mart):
    good = mart.store.pipelines.get("mart").definition
    mart.write("mart", MART.replace("owner: data-team", "ownr: <x>"))
    found = mart.json("/pipelines/mart/file.json")
    assert found["text"].splitlines()[1] == "ownr: <x>" and list(found["faults"]) == ["2"] and found["of"] is None
    text = mart.text("/pipelines/mart/file")
    assert "ownr: &lt;x&gt;   <b>← unknown key" in text
    assert mart.json(f"/pipelines/mart/file.json?of={good}")["text"] == MART
    mart.write("never", "steps: [{id: a, bsh: x}]\n")
    assert "← unknown key" in mart.text("/pipelines/never/file")
    assert "runs when somebody says so" not in mart.text("/pipelines/never")


# ------------------------------------------------------------------------------------------------------- the calendar


def test_the_calendar_tells_each_day_and_what_will_run(mart):
    mart.run("mart", "2026-02-26", BAD, "failed")
    mart.run("mart", "2026-02-27", GOOD, "success")
    mart.run("mart", "2026-01-31", GOOD, "success")
    found = mart.json("/pipelines/mart.json")["calendar"]
    assert {day: each["state"] for day, each in found["days"].items()} == {"2026-01-31": "success", "2026-02-26": "failed", "2026-02-27": "success"}
    assert found["days"]["2026-02-26"]["runs"] == ["mart@2026-02-26"]
    assert sorted(found["coming"])[0] == "2026-03-01" and len(found["coming"]) == 31 and found["coming"]["2026-03-05"] == "03-05 01:00"
    assert found["later"] is None and found["earlier"] == "2025-11"
    old = mart.json("/pipelines/mart.json?month=2026-01")["calendar"]
    assert set(old["days"]) == {"2026-01-31"} and old["later"] == "2026-03" and not old["coming"]
    assert "2026-02-26: failed" in mart.text("/pipelines/mart") and "will run 03-05 01:00" in mart.text("/pipelines/mart")
    assert 'href="/r/1"' in mart.text("/pipelines/mart")


def test_of_a_date_that_ran_again_the_last_run_tells(mart):
    mart.run("mart", "2026-02-26", BAD, "failed")
    mart.run("mart", "2026-02-26", GOOD, "success", new=True)
    day = mart.json("/pipelines/mart.json")["calendar"]["days"]["2026-02-26"]
    assert day == {"state": "success", "runs": ["mart@2026-02-26#2"]}


def test_of_several_runs_of_a_day_the_worst_is_shown(web):
    web.write("hourly", MART.replace('"0 1 * * *"', '"0 * * * *"'))
    for hour, state in (("03", "success"), ("04", "failed"), ("05", "killed"), ("06", "success")):
        web.run("hourly", f"2026-02-26T{hour}:00", {}, state)
    text = web.text("/pipelines/hourly")
    assert web.json("/pipelines/hourly.json")["calendar"]["days"]["2026-02-26"]["state"] == "failed"
    assert "2026-02-26: failed 1, killed 1, success 2" in text


def test_days_are_those_of_the_logical_date_in_the_zone_of_the_pipeline(web):
    web.write("before", MART.replace("start_date:", "logical_date: interval_start\nstart_date:"))
    web.run("before", "2026-02-26", GOOD, "success")  # due on the 27th at one in the morning in Seoul, still the 26th in UTC
    found = web.json("/pipelines/before.json")["calendar"]
    assert list(found["days"]) == ["2026-02-26"]
    assert found["coming"]["2026-02-28"] == "03-01 01:00"


def test_while_it_is_paused_nothing_will_run(mart):
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now(), "month end")
    assert mart.json("/pipelines/mart.json")["calendar"]["coming"] == {}


@pytest.mark.parametrize("month", ["2026-13", "x", "20260-1", "1899-12", "２０２６-01"])
def test_a_month_that_is_none_is_as_none_given(mart, month):
    mart.run("mart", "2026-02-27", GOOD, "success")
    assert "2026-02-27" in mart.json(f"/pipelines/mart.json?month={month}")["calendar"]["days"]


# ------------------------------------------------------------------------------------------------------- when it lands


def test_when_it_was_done_against_its_deadline(web):
    from datetime import timedelta

    web.write("mart", MART.replace("start_date:", 'deadline: "02:00"\nstart_date:'))
    for day, late in (("2026-02-26", False), ("2026-02-27", True), ("2026-02-28", False)):
        run = web.run("mart", day, GOOD, "success", seconds=600)
        end = run.date.due + timedelta(minutes=90 if late else 20)
        web.store.db.connection.execute("UPDATE runs SET started_at = ?, ended_at = ? WHERE id = ?", (to_text(end - timedelta(minutes=5)), to_text(end), run.id))
        web.store.db.connection.execute("INSERT OR REPLACE INTO deadlines (run_id, step, at) VALUES (?, '', ?)", (run.id, to_text(run.date.due + timedelta(hours=1))))
    found = web.json("/pipelines/mart.json")["landing"]
    assert found == {"usual": 1200.0, "most": 5400.0, "with_deadline": 3, "late": 1}
    text = web.text("/pipelines/mart")
    assert "1 of 3 came too late" in text and text.count('class="cross"') == 1 and "+1h30m" in text


# ------------------------------------------------------------------------------------------------------------ its text


def test_what_is_written_about_it_is_shown_as_text_with_links_and_without_its_html(mart):
    doc = ("# Customer mart\n\nSee **the** [runbook](https://wiki.example/run?a=1&b=2) or https://wiki.example/x.\n\n- first `<< ds >>`\n- [no](javascript:alert) [nor](data:text/html,x)\n"
           "1. one\n\n```\n<script>x</script>\n```\n<img src=x onerror=alert(1)>\n")
    mart.write("mart", MART + "doc_md: |\n" + "".join(f"  {line}\n" for line in doc.splitlines()))
    text = mart.text("/pipelines/mart")
    assert "<h3>Customer mart</h3>" in text and '<a href="https://wiki.example/run?a=1&amp;b=2" rel="noopener noreferrer">runbook</a>' in text
    assert '<a href="https://wiki.example/x" rel="noopener noreferrer">https://wiki.example/x</a>.' in text and "<strong>the</strong>" in text
    assert "<code>&lt;&lt; ds &gt;&gt;</code>" in text and "<pre>&lt;script&gt;x&lt;/script&gt;</pre>" in text and "<ol><li>one</li></ol>" in text
    assert "<script>x" not in text and "<img" not in text and 'href="javascript' not in text and 'href="data' not in text


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="#*`[]()<>\"'&:/ \n-1.hjavscriptp한", max_size=80))
def test_no_text_makes_a_tag_that_is_not_ours(text):
    tags = re.findall(r"<[^>]*>?", markdown.html(text))
    ours = r'</?(?:h[3-6]|p|ul|ol|li|pre|code|strong|em|a|br)>|<a href="(?:https?|mailto):[^"<>]*" rel="noopener noreferrer">'
    assert all(re.fullmatch(ours, each, re.IGNORECASE) for each in tags), tags


def test_a_text_of_long_ago_is_shown_though_the_list_ends_before_it(mart):
    run = mart.run("mart", "2026-02-01", GOOD, "success")
    for number in range(60):
        mart.clock.advance(60)
        mart.write("mart", MART + f"# {number}\n")
    address = f"/pipelines/mart/file?of={run.definition}"
    assert f'href="{address}"' in mart.text(f"/runs/{run.name}") and "# 59" not in mart.text(address)
    assert "# 59" in mart.text(f"/pipelines/mart/file?of={mart.store.pipelines.get('mart').definition}&against={run.definition}")
    mart.write("other", MART)
    mart.get(f"/pipelines/other/file?of={run.definition}", 404)
