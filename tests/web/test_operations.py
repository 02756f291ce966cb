"""How the server stands: what runs, what waits and why, and who did what."""

from __future__ import annotations

from tests.web.stage import MART

GOOD = {"extract": "success", "clean": "success", "load": "success", "tidy": "success"}


def test_slots_pools_and_what_waits_for_them(web):
    web.open(slots=1, pools={"hive": 1})
    web.write("mart", MART.replace('bash: "echo extract"', 'bash: "echo extract", pool: hive').replace("timezone:", "max_active_runs: 9\ntimezone:"))
    web.run("mart", "2026-02-26", {"extract": "running"}, "running")
    web.run("mart", "2026-02-27", {}, "running")
    queued = web.run("mart", "2026-02-28")
    found = web.json("/operations.json")
    assert found["slots"] == {"used": 1, "of": 1} and found["pools"] == [{"name": "hive", "used": 1, "of": 1}]
    assert [(each["run"], each["step"], each["pool"]) for each in found["running"]] == [("mart@2026-02-26", "extract", "hive")]
    assert {(each["run"], each["step"]): each["why"] for each in found["waiting"]} == {
        (queued.name, ""): "no daemon runs; type: runner daemon", ("mart@2026-02-27", "extract"): "waits for pool hive (1 of 1): mart@2026-02-26/extract"}
    assert "waits for pool hive" in web.text("/operations")


def test_a_wait_holds_no_slot(web):
    web.write("mart", "steps:\n  - {id: there, wait: {file: /nothing}}\n")
    web.run("mart", "2026-02-27", {"there": "running"}, "running", trigger="manual")
    found = web.json("/operations.json")
    assert found["slots"]["used"] == 0 and [each["slot"] for each in found["running"]] == [False]
    assert "holds no slot" in web.text("/operations")


def did(web, count=1, actor="kim", **more):
    with web.store.transaction():
        for _ in range(count):
            web.store.audit.add(web.clock.now(), actor, "cli", "mark", **{"pipeline": "mart", **more})


def test_who_did_what_stands_on_operations_and_whole_on_a_page_of_its_own(mart):
    run = mart.run("mart", "2026-02-27", GOOD, "success")
    did(mart, run=run.name, reason="<b>checked</b> by hand", before={"state": "failed", "same": 1}, after={"state": "success", "same": 1, "new": [2]})
    for address in ("/operations", "/operations/trail"):
        text = mart.text(address)
        assert "state: failed → success" in text and "new: [2]" in text and "same: 1" not in text
        assert "&lt;b&gt;checked" in text and f'href="/runs/{run.name}"' in text
    row, = mart.json("/operations/trail.json")["rows"]
    assert (row["actor"], row["source"], row["act"], row["before"]) == ("kim", "cli", "mark", {"state": "failed", "same": 1})


def test_the_trail_is_paged_and_filtered(mart):
    did(mart, 150)
    did(mart, 3, "이영희", pipeline="other")
    first = mart.json("/operations/trail.json")
    assert len(first["rows"]) == 100 and first["rows"][0]["actor"] == "이영희"
    rest = mart.json(f"/operations/trail.json?before={first['next']}")
    assert len(rest["rows"]) == 53 and rest["next"] is None and not {row["id"] for row in rest["rows"]} & {row["id"] for row in first["rows"]}
    assert len(mart.json("/operations/trail.json?actor=이영희")["rows"]) == len(mart.json("/operations/trail.json?pipeline=other")["rows"]) == 3
    text = mart.text("/operations/trail?actor=nobody")
    assert "the filter takes whole names" in text and 'value="nobody"' in text
    assert "before=" in mart.text("/operations/trail?pipeline=mart") and "pipeline=mart" in mart.text("/operations/trail?pipeline=mart")
    assert len(mart.json("/operations/trail.json?before=x")["rows"]) == 100


def test_paused_held_faulty_and_alerts(mart):
    mart.write("bad", "steps: [{id: a, bsh: x}]\n")
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now(), "month end")
    mart.store.pipelines.hold("mart", "load", "lee", mart.clock.now(), "disk work")
    mart.store.alerts.add("k", "mail", "failure", mart.clock.now(), {}, pipeline="mart")
    found = mart.json("/operations.json")
    assert found["paused"][0]["reason"] == "month end" and "disk work" in found["held"][0]["words"] and found["alerts"]["waiting"][0]["count"] == 1
    assert [(each["name"], each["scheduled"]) for each in found["faulty"]] == [("bad", False)]
    text = mart.text("/operations")
    assert "month end" in text and "disk work" in text and "1 wait to be sent" in text and "bsh" in text


def test_disk_database_versions_and_clock(web):
    found = web.json("/operations.json")
    assert found["disk"]["free"] > 0 and found["database"]["size"] > 0 and found["clock"]["timezone"] == "Asia/Seoul" and found["versions"]["sqlite"]
    assert "no daemon runs" in web.text("/operations") and "Nothing waits." in web.text("/operations")
