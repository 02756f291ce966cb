"""One run as a page and as JSON: its steps, why each waits, its pictures, and what differs from the last good one."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from datetime import timedelta

from tests.web.stage import MART

FAILED = {"extract": "success", "clean": "success", "load": "failed", "tidy": "success"}
GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}


def test_a_run_shows_its_date_its_steps_and_what_they_handed_on(mart):
    run = mart.run("mart", "2026-02-27", FAILED, "failed", "failed: load", steps={"load": "exit 7"})
    found = mart.json(f"/runs/{run.name}.json")
    assert found["run"]["state"] == "failed" and found["run"]["ds"] == "2026-02-27" and found["run"]["params"] == {"region": "KR"}
    assert {step["id"]: step["state"] for step in found["steps"]} == FAILED and "pictures" not in found
    load = next(step for step in found["steps"] if step["id"] == "load")
    assert (load["reason"], load["tries"], load["retries"], load["needs"]) == ("exit 7", 1, 1, ["clean"])
    assert load["attempts"][0]["exit_code"] == 1 and found["steps"][0]["outputs"] == {"rows": "42"}
    text = mart.text(f"/runs/{run.name}")
    assert "exit 7" in text and "2026-02-27 Fri" in text and f'href="/runs/{run.name}/steps/load"' in text
    assert "2026-02-27(금)" in mart.text(f"/runs/{run.name}", Accept_Language="ko") and "기준일자" in mart.text(f"/runs/{run.name}", Accept_Language="ko")


def test_a_second_run_of_a_date_has_an_address_too(mart):
    mart.run("mart", "2026-02-27", GOOD, "success")
    again = mart.run("mart", "2026-02-27", GOOD, "success", new=True)
    assert again.name == "mart@2026-02-27#2"
    mart.run("mart", "2026-02-28", FAILED, "failed")
    assert mart.get("/r/2", 302).headers["Location"] == "/runs/mart@2026-02-27%232"
    assert "mart@2026-02-27#2" in mart.text("/runs/mart@2026-02-27%232")
    assert "no run mart@2026-02-2" in mart.text("/runs/mart@2026-02-2", code=404)


def test_a_queued_run_says_why_it_waits(mart):
    run = mart.run("mart", "2026-02-27")
    assert mart.json(f"/runs/{run.name}.json")["run"]["waits"] == "no daemon runs; type: runner daemon"


def test_a_ready_step_says_what_it_waits_for(mart):
    mart.open(slots=1)
    mart.run("mart", "2026-02-26", {"extract": "running"}, "running")
    run = mart.run("mart", "2026-02-27", {}, "running")
    steps = {step["id"]: step["waits"] for step in mart.json(f"/runs/{run.name}.json")["steps"]}
    assert steps["extract"] == "waits for a slot (1 of 1): mart@2026-02-26/extract" and steps["clean"] == "waits for extract"
    assert "waits for a slot" in mart.text(f"/runs/{run.name}")


def test_the_pictures_are_whole_and_lead_to_the_logs(mart):
    run = mart.run("mart", "2026-02-27", FAILED, "failed")
    pictures = re.findall(r"<svg .*?</svg>", mart.text(f"/runs/{run.name}"), re.S)
    assert len(pictures) == 2
    for picture in pictures:
        tree = ElementTree.fromstring(picture)
        links = {each.get("href") for each in tree.iter("{http://www.w3.org/2000/svg}a")}
        assert links == {f"/runs/{run.name}/steps/{step}" for step in FAILED}
        assert "style" not in picture


def test_what_differs_from_the_last_good_run(mart):
    mart.run("mart", "2026-02-26", GOOD, "success")
    mart.write("mart", MART.replace("echo load", "echo load more"))
    run = mart.run("mart", "2026-02-27", FAILED, "failed")
    changes = mart.json(f"/runs/{run.name}.json")["changes"]
    assert changes["since"] == "mart@2026-02-26" and changes["steps"] == ["~ load: body changed"] and changes["params"] == []
    assert "~ load: body changed" in mart.text(f"/runs/{run.name}")
    same = mart.run("mart", "2026-02-28", FAILED, "failed")
    assert mart.json(f"/runs/{same.name}.json")["changes"]["file"] is True


def test_deadlines_and_alerts_of_the_run(mart):
    run = mart.run("mart", "2026-02-27", FAILED, "failed")
    mart.store.alerts.add_deadline(run.id, "", mart.clock.now() - timedelta(minutes=1))
    mart.store.alerts.add("k", "mail", "failure", mart.clock.now(), {}, pipeline="mart", run=run.name, step="load")
    found = mart.json(f"/runs/{run.name}.json")
    assert found["deadlines"][0]["step"] == "" and found["alerts"][0]["channel"] == "mail" and found["alerts"][0]["state"] == "waiting"
    assert "mail" in mart.text(f"/runs/{run.name}")


def test_of_thousands_of_mapped_steps_those_that_went_well_are_left_out(web):
    web.write("wide", "steps: [{id: load, foreach: [1, 2], bash: 'true'}]\n")
    run = web.run("wide", "2026-02-27", {}, "running", trigger="manual")
    items = list(range(1000))
    with web.store.transaction():
        web.store.add_mapped(run.id, "load", items)
        for item in items:
            web._step(run, f"load[{item}]", "failed" if item in (3, 700) else "success", web.clock.now(), "")
    found = web.json(f"/runs/{run.name}.json")
    assert {"load", "load[3]", "load[700]"} == {step["id"] for step in found["steps"]} and found["left_out"] == 998
    page = web.get(f"/runs/{run.name}")
    assert "998 more steps" in page.text and len(page.data) < 60_000
    assert ">998/1000 " in page.text  # in the graph: how many of them went well


def test_a_run_whose_text_is_no_longer_read_is_shown_without_its_graph(mart):
    run = mart.run("mart", "2026-02-27", FAILED, "failed")
    mart.store.db.connection.execute("UPDATE definitions SET text = 'steps: nonsense'")
    text = mart.text(f"/runs/{run.name}")
    assert "exit" not in text and "load" in text and len(re.findall("<svg ", text)) == 1


def test_a_name_of_a_step_is_text_and_nothing_else(web):
    web.write("odd", "steps: [{id: a, bash: 'true', description: '<script>x</script>'}]\n")
    run = web.run("odd", "2026-02-27", {"a": "failed"}, "failed", "<img src=x onerror=y>", trigger="manual", steps={"a": "]]><script>"})
    text = web.text(f"/runs/{run.name}")
    assert "<script>x" not in text and "<img" not in text and "]]><script>" not in text


def test_the_way_that_decides_the_length_is_lit_while_the_run_goes_on(mart):
    run = mart.run("mart", "2026-02-27", {"extract": "success", "clean": "running"}, "running")
    assert mart.json(f"/runs/{run.name}.json")["critical"] == ["clean", "extract"]
    text = mart.text(f"/runs/{run.name}")
    assert text.count('class="node way"') == 2 and text.count('class="edge way"') == 1
    assert text.count('data-step="clean"') == 3, "in the graph, in time and in the table"
