"""/metrics: in Prometheus' own words, true, bounded, and never going back."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from runner.store import Store, db
from runner.web import metrics

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+)')


def text_of(site, token="look"):
    answer = site.client.get("/metrics", headers={"Authorization": f"Bearer {site.tokens[token]}"}, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.get_data(as_text=True)


def samples(text):
    """{name{labels}: value}; fails for a line that is none."""
    out, family, seen = {}, "", set()
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, _ = line.split(" ", 3)
            assert word in ("HELP", "TYPE")
            if word == "HELP":
                assert name not in seen, f"{name} twice"
                seen.add(name)
            family = name
            continue
        found = SAMPLE.fullmatch(line)
        assert found and found[1].startswith(family), line
        key = line.rpartition(" ")[0]
        assert key not in out, key
        out[key] = float(found[3])
    return out


def test_what_is_told_is_so(site):
    site.run("mart", "2026-02-26", state="success", states={"extract": "success"}, seconds=90)
    site.run("mart", "2026-02-27", state="failed", states={"extract": "failed"}, seconds=30)
    site.run("plain", "2026-02-27", state="running", states={"a": "running"})
    site.run("mart", "2026-02-28")
    site.write("bad", "steps: [{id: a, bsh: x}]\n")
    found = samples(text_of(site))
    assert found['runner_runs_total{pipeline="mart",state="success"}'] == found['runner_runs_total{pipeline="mart",state="failed"}'] == 1
    assert found['runner_run_duration_seconds_sum{pipeline="mart"}'] == pytest.approx(120, abs=0.1) and found['runner_run_duration_seconds_count{pipeline="mart"}'] == 2
    assert found["runner_runs_running"] == found["runner_runs_queued"] == found["runner_slots_used"] == found["runner_pipelines_faulty"] == 1
    assert found["runner_queue_oldest_age_seconds"] == pytest.approx(22 * 3600 + 50 * 60) and found["runner_daemon_up"] == 0
    assert found['runner_pipeline_next_due_timestamp_seconds{pipeline="mart"}'] == 1772294400
    assert found['runner_pipeline_last_success_timestamp_seconds{pipeline="mart"}'] == pytest.approx(site.clock.now().timestamp())
    assert found["runner_disk_free_bytes"] > 0 and found["process_open_fds"] > 0


def test_counters_never_go_back(site):
    """Neither a rerun, nor a mark, nor the removal of old runs, nor a restart takes anything from them."""
    run = site.run("mart", "2026-02-27", state="failed", states={"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"})
    before = samples(text_of(site))
    site.act(f"runs/{run.name}/mark", {"step": "clean", "state": "skipped"})
    site.act(f"runs/{run.name}/rerun", {"all": True})
    middle = samples(text_of(site))
    with site.store.transaction():
        site.store.db.execute_text("DELETE FROM attempts", {})
        site.store.db.execute_text("DELETE FROM runs", {})
    site.desk.drop()
    after = samples(text_of(site))
    counters = [key for key in before if re.match(r"runner_(\w+_total|\w+_seconds_(sum|count))", key)]
    assert counters and all(before[key] <= middle[key] <= after[key] for key in counters)
    assert after['runner_runs_total{pipeline="mart",state="failed"}'] == 1


def test_what_ran_before_there_were_counts_is_counted(site, monkeypatch):
    site.run("mart", "2026-02-26", state="success", states={"extract": "success"}, seconds=90)
    site.run("mart", "2026-02-27", state="failed", states={"extract": "failed"}, seconds=30)
    kept = [dict(row) for row in site.store.db.all("counted")]
    with site.store.transaction():
        for kind, name in [("TRIGGER", each) for each in ("count_made", "count_begun", "count_ended", "count_late")] + [("TABLE", "counted"), ("TABLE", "answers")]:
            site.store.db.execute_text(f"DROP {kind} {name}", {})
        site.store.db.execute_text("PRAGMA user_version = 5", {})
    steps = db.migrations()
    monkeypatch.setattr(db, "migrations", lambda: steps[:6])  # those after it have been taken
    assert site.store.db.upgrade() == 6
    again = {row["pipeline"]: dict(row) for row in Store(site.config.database).db.all("counted")}
    for row in kept:
        if row["pipeline"] in again:
            assert {k: v for k, v in again[row["pipeline"]].items() if k != "id"} == pytest.approx({k: v for k, v in row.items() if k != "id"}, abs=0.01)
    assert again["mart"]["success"] == again["mart"]["failed"] == 1


def test_the_labels_are_bounded(site, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_PIPELINES", 1)
    site.run("mart", "2026-02-27", state="failed", states={"extract": "failed"})
    site.run("plain", "2026-02-27", state="failed", states={"a": "failed"})
    found = samples(text_of(site))
    assert {key for key in found if key.startswith("runner_runs_total") and "failed" in key} == {'runner_runs_total{pipeline="mart",state="failed"}', 'runner_runs_total{pipeline="_other",state="failed"}'}


def test_who_is_unknown_gets_no_figures(site):
    answer = site.client.get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert answer.status_code == 401
    site.desk.has_accounts = lambda: False
    site.app.wsgi_app._may_look = lambda environ: True
    assert site.client.get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 200


def test_promtool_finds_nothing_to_say(site):
    if not shutil.which("promtool"):
        pytest.skip("no promtool: apt-get install prometheus")
    site.run("mart", "2026-02-27", state="failed", states={"extract": "failed"})
    done = subprocess.run(["promtool", "check", "metrics"], input=text_of(site), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
