"""The mail of the morning: complete, and there also when all is well."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from runner.alerts import summary
from runner.alerts.message import Place
from runner.store.alerts import Delivery
from tests.conftest import make_date, make_pipeline, make_step

PLACE = Place("db01", "/data/runner")


class Past:
    """Makes runs that ended."""

    def __init__(self, home):
        self.home, self.day = home, 0

    def run(self, name, state, minutes=10, ago=timedelta(hours=2), reason=""):
        store, now = self.home.store, self.home.clock.now()
        self.day += 1
        date = make_date(f"{datetime(2026, 1, 1) + timedelta(days=self.day):%Y-%m-%d}")
        pipeline, label = make_pipeline(make_step("a"), name=name), f"{date.logical:%Y-%m-%d}"
        if state == "missed":
            return store.create_run(pipeline, date, label, trigger="schedule", params={}, at=now - ago, state=state, reason=reason)
        run = store.create_run(pipeline, date, label, trigger="schedule", params={}, at=now - ago)
        began = now - ago - timedelta(minutes=minutes)
        with store.transaction():
            if state != "queued":
                store.move("run", run.id, "queued", "running", began, started_at=began)
            if state not in ("queued", "running"):
                store.move("run", run.id, "running", state, now - ago, reason=reason)
        return store.run_by_id(run.id)

    def gather(self):
        return summary.gather(self.home.store, self.home.config, self.home.clock.now())

    def text(self):
        return summary.message("summary/x", self.gather(), PLACE)


@pytest.fixture
def past(home):
    return Past(home)


def test_it_comes_also_when_all_is_well(past):
    past.run("mart", "success")
    found = past.text()
    assert found.subject == "[runner] SUMMARY 2026-02-28 db01: all well, 1 done" and "All is well." in found.text
    assert "From 2026-02-27 23:50 to 2026-02-28 23:50 KST on db01, /data/runner" in found.text


def test_everything_that_is_not_well_is_listed(past):
    store, now = past.home.store, past.home.clock.now()
    past.run("good", "success")
    past.run("old", "failed", ago=timedelta(days=2))
    past.run("bad", "failed", reason="failed: load")
    past.run("고객", "missed", reason="paused by kim")
    past.run("gone", "killed", reason="stopped by lee")
    late = past.run("slow", "success")
    with store.transaction():
        store.alerts.add_deadline(late.id, "a", now - timedelta(hours=3))
        store.alerts.close_deadline(store.alerts.passed_deadlines(now)[0], "late")
        store.pipelines.pause("audit", "/p/audit.yaml", "kim", now, "quarter end")
        store.pipelines.place("odd", "/p/odd.yaml", None, "line 3: unknown key 'x'", now)
        store.alerts.log(Delivery(now, "ops", "s", "k", 1, "failed", "mail:25 refuses the connection; look at host", 0.1))
    found = past.text()
    for words in ("failed: 1\n  bad@", "failed: load", "not started: 1\n  고객@", "paused by kim", "stopped by a person: 1\n  gone@",
                  "late: 1\n  slow@",
                  "step a: deadline 2026-02-28 20:50 KST", "paused: 1\n  audit: by kim since 2026-02-28: quarter end", "odd: line 3: unknown key 'x'",
                  "channel ops fails since 2026-02-28 23:50 KST: mail:25 refuses the connection"):
        assert words in found.text, words
    assert found.subject.startswith("[runner] SUMMARY 2026-02-28 db01: 2 done, 1 failed, 1 late, 1 not started, 1 stopped by a person, ")
    assert "old@" not in found.text
    assert found.fields["state"] == "trouble"


def test_a_pause_alone_is_no_trouble(past):
    past.home.store.pipelines.pause("audit", "/p/audit.yaml", "kim", past.home.clock.now(), "")
    assert "all well, 0 done, 1 paused" in past.text().subject


def test_a_run_that_takes_longer_than_its_kind_does(past):
    for minutes in (10, 12, 11):
        past.run("mart", "success", minutes)
    past.run("mart", "running", 0, ago=timedelta(minutes=21))
    assert past.gather().long == []
    past.home.clock.advance(120)
    (line,) = past.gather().long
    assert line.endswith(": 23 min, usually 11 min") and len(past.gather().interrupted) == 1  # and nobody works on it


@pytest.mark.parametrize("elapsed, usual, long", [
    (3600, [600, 660, 720], True), (1300, [600, 660, 720], False), (3600, [600, 660], False), (3600, [], False),
    (200, [10, 10, 10], False), (301, [10, 10, 10], True),
])
def test_what_counts_as_long(elapsed, usual, long):
    assert summary.is_long(elapsed, usual) is long


def test_a_bad_night_does_not_make_an_endless_mail(past):
    for _ in range(summary.LISTED + 12):
        past.run("bad", "failed", reason="x" * 5000)
    found = past.text()
    assert "failed: 42\n" in found.text and "... and 12 more" in found.text and len(found.text) < 40_000


def test_channels_that_do_not_deliver_are_known_until_they_do(past):
    store, now = past.home.store, past.home.clock.now()

    def logged(name, outcome):
        store.alerts.log(Delivery(now, name, "s", "k", 1, outcome, "why", 0.1))
        return summary.troubles(store, now)

    assert logged("ops", "sent") == []
    assert logged("ops", "failed") == ["channel ops fails since 2026-02-28 23:50 KST: why"]
    past.home.add("k1", "ops")
    assert summary.troubles(store, now) == ["channel ops fails since 2026-02-28 23:50 KST: why; 1 wait"]
    assert logged("ops", "sent") == []
    past.home.add("k2", "bash")
    store.alerts.end(store.alerts.due("bash", now), "given_up", now)
    assert logged("bash", "given_up") == ["hooks: 1 failed within a day"]
