"""The screen of all pipelines, as a page and as JSON."""

from __future__ import annotations

import re

import pytest

from tests.web.stage import MART

ALL_GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}


def entries(web, query=""):
    return {entry["name"]: entry for entry in web.json("/pipelines.json" + query)["pipelines"]}


def test_a_pipeline_shows_its_last_runs_and_its_next_with_the_date(mart):
    for day in range(1, 13):
        mart.run("mart", f"2026-02-{day:02d}", ALL_GOOD, "failed" if day == 12 else "success")
    entry = entries(mart)["mart"]
    assert [(tick["label"], tick["state"]) for tick in entry["runs"]][-2:] == [("2026-02-11", "success"), ("2026-02-12", "failed")]
    assert len(entry["runs"]) == 10 and entry["owner"] == "data-team" and entry["tags"] == ["mart", "night"]
    assert entry["next_due"] == "2026-03-01T01:00:00+09:00" and entry["next_ds"] == "2026-03-01"
    text = mart.text("/pipelines")
    assert 'title="2026-02-12 failed">x</a>' in text and "ds 2026-03-01" in text
    number = re.search(r'href="r/(\d+)" title="2026-02-12', text)[1]
    assert mart.get(f"/r/{number}", 302).headers["Location"] == "/runs/mart@2026-02-12"
    mart.get("/r/9999", 404)


def test_what_failed_is_failed_also_while_others_wait(mart):
    mart.run("mart", "2026-02-12", ALL_GOOD, "failed")
    mart.run("mart", "2026-02-13", {}, "queued")
    assert entries(mart)["mart"]["marks"] == ["failed", "waiting"]


def test_the_next_date_of_one_that_runs_on_the_day_after(web):
    web.write("after", "timezone: Asia/Seoul\nlogical_date: interval_start\n" + MART.partition("timezone: Asia/Seoul\n")[2])
    assert entries(web)["after"]["next_ds"] == "2026-02-28" and entries(web)["after"]["next_due"].startswith("2026-03-01T01:00")


def test_paused_held_and_faulty_say_why(mart):
    mart.write("bad", "steps: [{id: a, bsh: x}]\n")
    mart.write("still", MART.replace("extract", "get"))
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now(), "month end")
    mart.store.pipelines.hold("still", "", "lee", mart.clock.now(), "disk work")
    found = entries(mart)
    assert found["mart"]["paused"]["by"] == "kim" and found["mart"]["paused"]["reason"] == "month end"
    assert "held by lee since 2026-02-28 23:50 KST: disk work" == found["still"]["held"] and "bsh" in found["bad"]["problem"]
    text = mart.text("/pipelines")
    assert "paused by kim" in text and "disk work" in text and "unknown key &#39;bsh&#39;" in text
    assert mart.json("/pipelines.json")["counts"] == {"failed": 0, "running": 0, "waiting": 0, "paused": 2, "faulty": 1}
    assert set(entries(mart, "?only=faulty")) == {"bad"} and set(entries(mart, "?q=state:paused")) == {"mart", "still"}


def test_of_a_file_with_many_faults_the_first_stands_there_with_its_remedy_and_how_many_more(mart):
    mart.write("bad", "steps: [{id: a, bsh: x}, {id: b, bash: x, nedds: a}]\n")
    found = entries(mart)["bad"]
    assert found["faults"] > 1 and found["hint"]
    text = mart.text("/pipelines")
    assert f"and {found['faults'] - 1} more" in text and found["hint"].replace("'", "&#39;").replace('"', "&#34;") in text


def test_an_owner_of_two_words_is_found_by_the_link_that_names_them(mart):
    mart.write("two", MART.replace("owner: data-team", "owner: Data Team"))
    assert 'href="?q=owner:%22Data%20Team%22"' in mart.text("/pipelines")
    assert set(entries(mart, "?q=owner:%22Data%20Team%22")) == {"two"}


@pytest.mark.parametrize("query, names", [
    ("", {"mart", "other"}), ("MART", {"mart"}), ("tag:night", {"mart"}), ("owner:data-team", {"mart"}), ("owner:data", set()), ("customer day", {"mart"}),
    ("other zzz", set()), ("tag:ni", set()),
])
def test_the_filter_stands_in_the_address(mart, query, names):
    mart.write("other", "steps: [{id: a, bash: 'true'}]\n")
    assert set(entries(mart, f"?q={query}")) == names


def test_one_whose_file_is_gone_is_not_shown_and_one_that_nobody_has_read_yet_is(mart):
    (mart.pipelines / "new.yaml").write_text("steps: [{id: a, bash: 'true'}]\n")
    (mart.pipelines / "mart.yaml").unlink()
    mart.desk._files = None
    mart.store.pipelines.lose("mart", mart.clock.now())
    assert set(entries(mart)) == {"new"}


def test_an_empty_home_says_where_files_go(web):
    assert f"There is no pipeline in {web.pipelines}" in web.text("/pipelines")


def test_what_a_file_says_is_text_and_nothing_else(web):
    web.write("odd", "description: \"<script>alert(1)</script>\"\nowner: '\"><img src=x>'\ntags: ['<b>']\nsteps: [{id: a, bash: 'true'}]\n")
    text = web.text("/pipelines")
    assert "<script>alert" not in text and "<img" not in text and "<b>" not in text.replace('<b class="sign', "")
    assert "&lt;script&gt;alert(1)" in text
