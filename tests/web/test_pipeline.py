"""One pipeline as a page and as JSON, and its file as it is and as it was."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from tests.web.stage import MART

GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}
BAD = {"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"}
SVG = "{http://www.w3.org/2000/svg}"


def pictures(text):
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg .*?</svg>", text, re.S)]


def test_the_grid_has_a_square_for_each_step_of_each_run_that_leads_to_its_log(mart):
    for day in range(1, 4):
        mart.run("mart", f"2026-02-{day:02d}", BAD if day == 2 else GOOD, "failed" if day == 2 else "success")
    names, grid, lengths, graph = pictures(mart.text("/pipelines/mart"))
    assert [each.text for each in names.iter(SVG + "text")][1:] == ["extract", "clean", "load", "tidy"]
    squares = {(each.get("data-x"), each.get("data-y")): (each.get("href"), each.find(SVG + "use").get("href")) for each in grid.iter(SVG + "a")}
    assert len(squares) == 3 * 5
    assert squares["1", "0"] == ("/r/2", "#q-failed") and squares["1", "2"] == ("/r/2/1", "#q-failed") and squares["1", "3"][1] == "#q-upstream_failed"
    assert {each.get("id") for each in grid.iter(SVG + "symbol")} == {"q-success", "q-failed", "q-upstream_failed"}
    assert mart.get("/r/2/1", 302).headers["Location"] == "/runs/mart@2026-02-02/steps/clean"
    mart.get("/r/2/4", 404)
    assert len(list(lengths.iter(SVG + "a"))) == 3 and len([each for each in graph.iter(SVG + "rect") if each.get("class") == "node"]) == 4


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
    assert "# Title &lt;script&gt;" in web.text("/pipelines/odd")


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
