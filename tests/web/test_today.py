"""Half a day back and half a day on: what failed and what is late on top."""

from __future__ import annotations

import re
from datetime import timedelta

from tests.web.stage import MART

GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}
BAD = {"extract": "success", "clean": "failed"}


def test_what_failed_is_on_top_until_it_is_repaired(mart):
    run = mart.run("mart", "2026-02-28", BAD, "failed", "failed: clean")
    found = mart.json("/.json")
    assert [each["name"] for each in found["failed"]] == [run.name] and found["counts"]["failed"] == 1
    assert "failed: clean" in mart.text("/")
    mart.run("mart", "2026-02-28", GOOD, "success", new=True)
    assert mart.json("/.json")["failed"] == []


def test_late_and_will_be_late(mart):
    for day in range(20, 25):
        mart.run("mart", f"2026-02-{day}", GOOD, "success", seconds=3600)
    mart.clock.advance(20 * 3600)
    missed = mart.run("mart", "2026-02-27", {"extract": "running"}, "running", seconds=120)
    mart.store.alerts.add_deadline(missed.id, "", mart.clock.now() - timedelta(minutes=1))
    tight = mart.run("mart", "2026-02-28", {"extract": "running"}, "running", seconds=120)
    mart.store.alerts.add_deadline(tight.id, "", mart.clock.now() + timedelta(minutes=30))
    easy = mart.run("mart", "2026-02-26", {"extract": "running"}, "running", seconds=120)
    mart.store.alerts.add_deadline(easy.id, "", mart.clock.now() + timedelta(hours=2))
    found = {each["run"]: each["kind"] for each in mart.json("/.json")["late"]}
    assert found == {missed.name: "late", tight.name: "will_be_late"} and easy.name not in found
    text = mart.text("/")
    assert "will be late for" in text and "late for" in text


def test_a_team_sees_its_own(mart):
    mart.write("other", "owner: risk\nsteps: [{id: a, bash: 'true'}]\n")
    mart.run("mart", "2026-02-28", GOOD, "success")
    mart.run("other", "2026-02-28", {"a": "failed"}, "failed", trigger="manual")
    whole, own = mart.json("/.json"), mart.json("/.json?team=risk")
    assert whole["teams"] == ["data-team", "risk"] and whole["counts"]["success"] == 1 and own["counts"]["success"] == 0 and own["counts"]["failed"] == 1
    assert ">other<" in mart.text("/?team=risk") or "x other" in mart.text("/?team=risk")


def test_the_picture_has_what_ran_and_what_is_to_come(mart):
    mart.run("mart", "2026-02-28", GOOD, "success")
    picture = re.search(r"<svg .*?</svg>", mart.text("/"), re.S)[0]
    assert picture.count('class="s-success"') == 1 and picture.count('class="s-coming"') == 1 and 'class="now"' in picture
    assert mart.json("/.json")["coming"] == 1
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now())
    assert mart.json("/.json")["coming"] == 0


def test_nothing_at_all_is_said_and_what_to_do_first(web):
    assert "Put a .yaml file there" in web.text("/") and str(web.pipelines) in web.text("/")
    web.write("hand", "steps: [{id: a, bash: 'true'}]\n")
    assert "Nothing ran in the last twelve hours" in web.text("/")


def test_the_deadline_of_a_step_is_not_measured_by_the_length_of_the_run(mart):
    from runner.clock import to_text

    for day in range(20, 27):
        mart.run("mart", f"2026-02-{day}", GOOD, "success", seconds=7200)
    run = mart.run("mart", "2026-02-28", {"extract": "running"}, "running", seconds=60)
    at = to_text(mart.clock.now() + timedelta(minutes=30))
    for step in ("", "clean"):
        mart.store.db.connection.execute("INSERT OR REPLACE INTO deadlines (run_id, step, at) VALUES (?, ?, ?)", (run.id, step, at))
    assert [(each["step"], each["kind"]) for each in mart.json("/.json")["late"]] == [("", "will_be_late")]


def test_one_that_runs_every_five_minutes_has_one_line(web):
    web.write("often", MART.replace('"0 1 * * *"', '"*/5 * * * *"'))
    for minute in range(0, 60, 5):
        web.run("often", f"2026-02-28T20:{minute:02d}", GOOD, "success")
    picture = re.search(r"<svg .*?</svg>", web.text("/"), re.S)[0]
    assert picture.count('class="s-success"') == 12
    height = float(re.search(r' height="([\d.]+)"', picture)[1])
    assert height < 90
