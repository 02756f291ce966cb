"""What can be done: once, by who may, with a preview that says the same, and a row in the trail."""

from __future__ import annotations

import pytest

from runner import acts

DAY = {"date": "2026-02-27"}
RUN = "mart@2026-02-27"


def states(site, run):
    return {step["id"]: step["state"] for step in site.read(f"runs/{run}")["steps"]}


def trail(site):
    return [(row.act, row.actor, row.source, row.reason) for row in reversed(site.store.audit.rows(50)) if row.pipeline]


def test_the_same_pipeline_and_date_are_the_same_run(site):
    made = site.ask("POST", "pipelines/mart/runs", 201, {**DAY, "reason": "다시"}, token="operate")
    assert made.get_json()["name"] == RUN and made.headers["Location"] == f"/api/v1/runs/{RUN}"
    again = site.ask("POST", "pipelines/mart/runs", 200, DAY, token="operate")
    assert again.get_json()["name"] == RUN and again.headers["Location"] == f"/api/v1/runs/{RUN}"
    assert len(site.store.recent_runs("mart")) == 1
    assert trail(site) == [("trigger", "operate", "token operate", "다시")], "the second did nothing"


def test_another_value_for_a_date_that_has_its_run_is_no_second_run_and_not_passed_over(site):
    site.act("pipelines/mart/runs", {**DAY, "params": {"region": "KR"}}, 201)
    assert site.act("pipelines/mart/runs", {**DAY, "params": {"region": "KR"}}, 200)["params"] == {"region": "KR"}
    found = site.refused("POST", "pipelines/mart/runs", 409, "conflict", {**DAY, "params": {"region": "US"}})
    assert found["run"] == RUN and "region" in found["detail"]
    site.refused("POST", "pipelines/mart/runs", 409, "conflict", {**DAY, "only": ["load"]})
    assert site.act("pipelines/mart/runs", {**DAY, "new": True}, 201)["name"] == RUN + "#2"


def test_parameters_are_typed_by_the_file(site):
    made = site.act("pipelines/plain/runs", {**DAY, "params": {"n": 7}}, 201)
    assert made["params"] == {"n": 7}
    found = site.refused("POST", "pipelines/plain/runs", 400, "wrong-request", {"date": "2026-02-26", "params": {"n": "many"}})
    assert "whole number" in found["detail"]
    site.refused("POST", "pipelines/plain/runs", 400, "wrong-request", {"date": "2026-02-26", "params": {"m": 1}})


def test_a_key_gives_the_same_answer_and_nothing_happens_twice(site):
    site.run("mart", "2026-02-27", state="failed", states={"extract": "success", "clean": "failed"})
    first = site.ask("POST", f"runs/{RUN}/rerun", 200, {"failed": True}, Idempotency_Key="night-1")
    second = site.ask("POST", f"runs/{RUN}/rerun", 200, {"failed": True}, Idempotency_Key="night-1")
    assert first.data == second.data and [act for act, *_ in trail(site)] == ["rerun"]
    site.refused("POST", f"runs/{RUN}/rerun", 409, "conflict", {"failed": True})
    site.refused("POST", f"runs/{RUN}/rerun", 422, "other-request", {"all": True}, Idempotency_Key="night-1")
    site.refused("POST", f"runs/{RUN}/rerun", 409, "conflict", {"failed": True}, Idempotency_Key="night-1", token="operate")  # another's key is another key
    site.refused("POST", f"runs/{RUN}/rerun", 400, "wrong-request", {"failed": True}, Idempotency_Key="x" * 201)


def test_without_a_date_a_key_makes_one_run_of_a_pipeline_without_schedule(site):
    first = site.act("pipelines/plain/runs", {}, 201, Idempotency_Key="k")
    site.clock.advance(120)
    assert site.act("pipelines/plain/runs", {}, 201, Idempotency_Key="k")["name"] == first["name"]
    assert site.act("pipelines/plain/runs", {}, 201, Idempotency_Key="l")["name"] != first["name"]


def test_a_key_is_forgotten_after_two_days(site):
    site.act("pipelines/plain/runs", {}, 201, Idempotency_Key="k")
    site.clock.advance(3 * 86400)
    site.act("pipelines/plain/runs", {}, 201, Idempotency_Key="other")
    assert site.store.db.connection.execute("SELECT count(*) FROM answers").fetchone()[0] == 1


def test_rerun_mark_and_stop(site):
    site.run("mart", "2026-02-27", state="failed", states={"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"})
    assert site.act(f"runs/{RUN}/mark", {"step": "clean", "state": "success", "reason": "von Hand"})["steps"][1]["state"] == "success"
    site.act(f"runs/{RUN}/rerun", {"from": ["load"]})
    assert states(site, RUN) == {"extract": "success", "clean": "success", "load": "pending", "tidy": "pending"}
    assert site.act(f"runs/{RUN}/stop", {"reason": "doch nicht"})["state"] == "killed"
    assert [(act, reason) for act, _, _, reason in trail(site)] == [("mark", "von Hand"), ("rerun", ""), ("stop", "doch nicht")]
    assert site.refused("POST", f"runs/{RUN}/stop", 409, "conflict", {})["hint"]
    site.refused("POST", f"runs/{RUN}/rerun", 400, "wrong-request", {})
    site.refused("POST", f"runs/{RUN}/rerun", 404, "not-found", {"from": ["laod"]})


def test_one_that_runs_is_asked_to_stop(site):
    site.run("plain", "2026-02-27", state="running", states={"a": "running"})
    assert "admin" in site.act("runs/plain@2026-02-27/stop", {})["stop_requested"]


def test_a_backfill_is_made_looked_at_and_stopped(site):
    made = site.act("backfills", {"pipeline": "mart", "first": "2026-02-20", "last": "2026-02-24", "newest_first": True}, 201)
    assert made["runs"][0] == "mart@2026-02-24" and made["backfill"]["counts"] == {"queued": 5}
    number = made["backfill"]["id"]
    assert not site.read(f"backfills/{number}")["over"] and site.read("backfills?pipeline=mart")["items"][0]["id"] == number
    assert len(site.act(f"backfills/{number}/stop", {})["stopped"]) == 5
    assert site.read(f"backfills/{number}")["over"]
    site.refused("POST", "backfills", 400, "wrong-request", {"pipeline": "mart", "first": "2026-02-20", "last": "2026-02-24"})
    site.refused("POST", "backfills", 404, "not-found", {"pipeline": "marz", "first": "2026-02-20", "last": "2026-02-24"})
    site.refused("POST", "backfills", 400, "wrong-request", {"pipeline": "mart", "first": "gestern", "last": "2026-02-24"})
    site.refused("GET", "backfills/4711", 404, "not-found")


@pytest.mark.parametrize("there, back, step", [("pause", "unpause", ""), ("hold", "release", ""), ("hold", "release", "load")])
def test_switches(site, there, back, step):
    body = {"step": step} if step else {}
    site.act(f"pipelines/mart/{there}", {**body, "reason": "Umbau"}, token="operate")
    site.refused("POST", f"pipelines/mart/{there}", 409, "conflict", body)
    site.act(f"pipelines/mart/{back}", body)
    site.refused("POST", f"pipelines/mart/{back}", 409, "conflict", body)
    assert [act for act, *_ in trail(site)] == [there, back]


def test_a_pipeline_whose_file_is_gone_can_still_be_released(site):
    site.act("pipelines/mart/hold", {})
    (site.pipelines / "mart.yaml").unlink()
    site.desk._files = None
    site.act("pipelines/mart/release", {})
    site.refused("POST", "pipelines/mart/runs", 404, "not-found", DAY)


EACH = [
    ("pipelines/mart/runs", {"date": "2026-02-26"}), ("pipelines/mart/pause", {}), ("pipelines/mart/hold", {"step": "load"}), (f"runs/{RUN}/rerun", {"failed": True}),
    (f"runs/{RUN}/mark", {"step": "clean", "state": "skipped"}), ("backfills", {"pipeline": "mart", "first": "2026-02-20", "last": "2026-02-22"}),
    ("runs/mart@2026-02-25/stop", {}), ("pipelines/plain/unpause", {}), ("pipelines/plain/release", {}), ("backfills/1/stop", {}),
]


@pytest.fixture
def ready(site):
    """Where each of EACH can be done."""
    site.run("mart", "2026-02-27", state="failed", states={"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"})
    site.run("mart", "2026-02-25")
    who = acts.Who("kim", "cli")
    acts.Pause("plain").ready(site.desk, site.store).do(site.store, who)
    acts.Hold("plain").ready(site.desk, site.store).do(site.store, who)
    acts.Backfill("mart", "2026-02-10", "2026-02-11").ready(site.desk, site.store).do(site.store, who)
    return site


def rows(site):
    return [tuple(row) for table in ("runs", "step_runs", "holds", "pipelines", "backfills", "audit", "answers") for row in site.store.db.connection.execute(f"SELECT * FROM {table}")]


@pytest.mark.parametrize("path, body", EACH, ids=[path for path, _ in EACH])
def test_a_preview_says_what_happens_and_nothing_happens(ready, path, body):
    before = rows(ready)
    found = ready.act(path + "?dry_run=true", body)
    assert found["commands"] and found["commands"][0].startswith("runner ") and found["refusal"] is None
    assert rows(ready) == before
    becomes = {run["name"]: {step["id"]: step["becomes"] for step in run["steps"]} for run in found["runs"]}
    ready.act(path, body, 201 if path.endswith("runs") or path == "backfills" else 200)
    for name, steps in becomes.items():
        assert {step: state for step, state in states(ready, name).items() if step in steps} == steps


@pytest.mark.parametrize("path, body", EACH, ids=[path for path, _ in EACH])
def test_who_may_only_look_does_nothing(ready, path, body):
    before = rows(ready)
    assert "operator" in ready.refused("POST", path, 403, "forbidden", body, token="look")["detail"]
    ready.refused("POST", path + "?dry_run=true", 403, "forbidden", body, token="look")
    ready.refused("POST", path, 403, "forbidden", {"nonsense": 1}, token="look")  # before anything of it is looked at
    assert rows(ready) == before


@pytest.mark.parametrize("path, body", EACH, ids=[path for path, _ in EACH])
def test_a_token_of_other_tags_does_nothing(ready, path, body):
    ready.token("narrow", "operate", ("elsewhere",))
    before = rows(ready)
    assert "elsewhere" in ready.refused("POST", path, 403, "forbidden", body, token="narrow")["detail"]
    ready.refused("POST", path + "?dry_run=true", 403, "forbidden", body, token="narrow")
    assert rows(ready) == before
    assert ready.read("runs", token="narrow")["items"], "looking is not limited"


def test_a_token_of_its_tag_acts(ready):
    ready.token("nights", "operate", ("night",))
    ready.act("pipelines/mart/runs", {"date": "2026-02-26"}, 201, token="nights")
    ready.refused("POST", "pipelines/plain/runs", 403, "forbidden", {"date": "2026-02-26"}, token="nights")


def test_an_act_on_what_has_changed_since_it_was_read_is_refused(ready):
    tag = ready.ask("GET", f"runs/{RUN}").headers["ETag"]
    ready.act(f"runs/{RUN}/mark", {"step": "clean", "state": "skipped"}, If_Match=tag)
    before = rows(ready)
    ready.refused("POST", f"runs/{RUN}/mark", 412, "changed", {"step": "clean", "state": "success"}, If_Match=tag)
    assert rows(ready) == before
    ready.act(f"runs/{RUN}/mark", {"step": "clean", "state": "success"}, If_Match="*")
    tag = ready.ask("GET", "pipelines/mart").headers["ETag"]
    ready.act("pipelines/mart/pause", {}, If_Match=tag)
    ready.refused("POST", "pipelines/mart/unpause", 412, "changed", {}, If_Match=tag)


def test_an_act_that_fails_half_way_leaves_nothing(ready, monkeypatch):
    before = rows(ready)
    monkeypatch.setattr(type(ready.store.audit), "add", lambda *words, **more: 1 / 0)
    ready.refused("POST", "pipelines/mart/runs", 500, "fault", {"date": "2026-02-26"}, Idempotency_Key="k")
    assert rows(ready) == before
