"""Every act of the command line leaves its row in the trail: who, from where, why."""

from __future__ import annotations

import os

import pytest

from runner.cli import running, triggering

PIPELINE = """\
params: {region: {type: string, default: KR}}
steps:
  - {id: good, bash: "true"}
  - {id: bad, needs: good, bash: "exit 3"}
"""


@pytest.fixture
def trail(app, call, tmp_path):
    """trail(command, words...): the rows that one call adds, oldest first."""
    (tmp_path / "pipelines").mkdir()
    path = tmp_path / "pipelines" / "mart.yaml"
    path.write_text(PIPELINE)
    os.utime(path, (1e9, 1e9))

    def invoke(command, *words, code=0):
        before = len(app.store(create=True).audit.rows(100))
        found, _, err = call(command, *words)
        assert found == code, err
        rows = app.store().audit.rows(100)
        return [row for row in reversed(rows[: len(rows) - before])]

    return invoke


def test_each_command_that_acts_is_in_the_trail(trail, app):
    from runner.acts import actor

    told = []

    def does(command, *words, code=0, reason="because it's so"):
        rows = trail(command, *words, *(["--reason", reason] if reason else []), code=code)
        assert all((row.actor, row.source, row.reason, row.pipeline) == (actor(), "cli", reason, "mart") for row in rows)
        told.extend((row.act, row.run, row.before.get("state"), row.after.get("state")) for row in rows)

    does(triggering.trigger, "mart", "--date", "2026-02-01", "--param", "region=US")
    does(running.stop, "mart@2026-02-01")
    does(running.run, "mart", "--date", "2026-02-02", "-q", code=1, reason="")
    does(running.rerun, "mart@2026-02-02", "--failed", "-q", code=1)
    does(running.mark, "mart@2026-02-02", "bad", "success")
    does(triggering.backfill, "mart", "--from", "2026-02-03", "--to", "2026-02-04", "--yes")
    does(running.stop, "--backfill", "1")
    does(triggering.pause, "mart")
    does(triggering.unpause, "mart")
    does(triggering.hold, "mart", "bad")
    does(triggering.release, "mart", "bad")
    assert told == [
        ("trigger", "mart@2026-02-01", None, "queued"), ("stop", "mart@2026-02-01", "queued", "killed"), ("run", "mart@2026-02-02", None, "queued"),
        ("rerun", "mart@2026-02-02", "failed", "queued"), ("mark", "mart@2026-02-02", "failed", "success"), ("backfill", "", None, None),
        ("stop", "mart@2026-02-03", "queued", "killed"), ("stop", "mart@2026-02-04", "queued", "killed"),
        ("pause", "", None, None), ("unpause", "", None, None), ("hold", "", None, None), ("release", "", None, None),
    ]


def test_what_is_refused_or_only_looked_at_leaves_no_row(trail, app):
    from runner.errors import Conflict

    trail(triggering.trigger, "mart", "--date", "2026-02-01")
    with pytest.raises(Conflict):
        trail(triggering.trigger, "mart", "--date", "2026-02-01")
    assert trail(triggering.backfill, "mart", "--from", "2026-02-01", "--to", "2026-02-04", "--dry-run") == []
    with pytest.raises(Conflict):
        trail(triggering.unpause, "mart")
    assert [row.act for row in app.store().audit.rows(9)] == ["trigger"]


def test_a_missed_date_runs_with_the_parameters_that_are_given_now(trail, app):
    from runner import acts

    spec = app.pipeline("mart")
    store = app.store(create=True)
    acts.create_run(store, spec, acts.date_for(spec, "2026-02-01", app.clock.now()), params={"region": "KR"}, at=app.clock.now(), state="missed", reason="paused")
    trail(triggering.trigger, "mart", "--date", "2026-02-01", "--param", "region=US", "--only", "good")
    run = store.run("mart@2026-02-01")
    assert (run.state, run.params, run.only) == ("queued", {"region": "US"}, ("good",))
