"""Deadlines that were missed are told once, whoever looks and however late."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from runner import acts, schedule
from runner.alerts import late
from runner.alerts.recorder import Recorder
from runner.daemon import alerting

TEXT = """
schedule: "0 1 * * *"
timezone: Asia/Seoul
on_late: duty
on_failure: ops
deadline: "06:00"
steps:
  - {id: a, bash: "true"}
  - {id: b, bash: "true", needs: a, deadline: 2h, on_late: [mine]}
"""
DUE = datetime(2026, 2, 27, 16, 0, tzinfo=timezone.utc)  # 01:00 on the 28th in Seoul


class Night:
    """One date of `mart`, and a clock that stands at its due time."""

    def __init__(self, home):
        self.home = home
        home.clock.moment = DUE
        self.recorder, self.said, self.waits = Recorder(str(home.folder)), [], "paused"

    def make(self, text=TEXT, trigger="schedule", **more):
        home = self.home
        self.spec = home.pipeline(text)
        date = schedule.date_of(self.spec.schedule, self.spec.logical_date, self.spec.timezone, DUE)
        self.run = acts.create_run(home.store, self.spec, date, params={}, at=home.clock.now(), trigger=trigger, who="daemon", **more)
        return self.run

    def at(self, text):
        """A wall time of that night in Seoul."""
        wall = datetime.fromisoformat(f"2026-02-{text}" if len(text) > 5 else f"2026-02-28T{text}")
        self.home.clock.moment = wall.replace(tzinfo=timezone(timedelta(hours=9))).astimezone(timezone.utc)

    def move(self, to, step=None, frm="queued", **more):
        with self.home.store.transaction():
            self.home.store.move("step" if step else "run", self.run.id, frm, to, self.home.clock.now(), step=step, **more)

    def look(self):
        late.look(self.home.store, self.home.definitions, self.recorder, self.home.clock.now(), lambda run, spec: self.waits, self.said.append)
        return self.told()

    def told(self):
        rows = self.home.store.db.execute_text("SELECT * FROM alerts ORDER BY id", {}).fetchall()
        return [(row["channel"], row["step"]) for row in rows]

    def reason(self, channel="duty"):
        return self.home.store.alerts.due(channel, self.home.clock.now())[0].body["reason"]


@pytest.fixture
def night(home):
    return Night(home)


def test_nothing_is_told_before_the_moment_and_once_after_it(night):
    night.make()
    night.move("running", started_at=night.home.clock.now())
    night.at("02:59")
    assert night.look() == []
    night.at("03:00")
    assert night.look() == [("mine", "b")] and night.reason("mine") == "has not begun"
    night.at("06:00")
    assert night.look() == [("mine", "b"), ("duty", "")]
    night.at("09:00")
    assert night.look() == [("mine", "b"), ("duty", "")]
    assert night.reason() == "still running since 2026-02-28 01:00 KST" and night.recorder.news
    assert night.said == [f"run mart@2026-02-28 step b is late: {night.reason('mine')}", f"run mart@2026-02-28 is late: {night.reason()}"]


def test_what_still_runs_is_told_with_the_end_of_its_log(night):
    night.make()
    night.move("running")
    night.move("running", "a", "pending")
    with night.home.store.transaction():
        night.home.store.add_attempt(night.run.id, "a", 1, str(night.home.folder / "a.1"), night.home.clock.now(), None)
    night.at("06:00")
    night.look()
    body = night.home.store.alerts.due("duty", night.home.clock.now())[0].body
    assert (body["log_file"], body["log_of"]) == (str(night.home.folder / "a.1" / "log"), "a")
    assert "log_file" not in night.home.store.alerts.due("mine", night.home.clock.now())[0].body


def test_a_run_that_was_done_in_time_is_not_late(night):
    night.make()
    night.move("running")
    for step in "ab":
        night.move("running", step, "pending")
        night.move("success", step, "running")
    night.at("02:00")
    night.move("success", frm="running")
    night.at("09:00")
    assert night.look() == []


def test_what_ended_late_while_nobody_looked_is_told_when_somebody_does(night):
    night.make()
    night.move("running")
    for step in "ab":
        night.move("running", step, "pending")
        night.move("success", step, "running")
    night.at("06:20")
    night.move("success", frm="running")
    night.at("09:00")
    assert night.look() == [("duty", "")] and night.reason() == "ended 20 min late"


def test_a_run_that_never_began_says_what_it_waits_for(night):
    night.make()
    night.waits = "mart is held by kim"
    night.at("06:00")
    night.look()
    assert night.reason() == "has not begun: mart is held by kim"


def test_a_date_that_was_missed_says_why(night):
    night.make(state="missed", reason="paused by kim: audit")
    night.at("06:00")
    night.look()
    assert night.reason() == "did not run: paused by kim: audit"
    assert night.reason("mine") == "did not run: the run missed: paused by kim: audit"


def test_a_rerun_of_a_late_date_is_not_told_again(night):
    night.make()
    night.move("running")
    night.move("failed", frm="running")
    night.at("06:00")
    first = night.look()
    night.run = acts.reset(night.home.store, night.home.store.run_by_id(night.run.id), night.spec, ["a"], at=night.home.clock.now(), who="kim")
    night.at("08:00")
    assert night.look() == first


def test_without_on_late_those_are_told_who_hear_of_failures(night):
    night.make(TEXT.replace("on_late: duty\n", "").replace(", on_late: [mine]", ""))
    night.at("06:00")
    assert night.look() == [("ops", "b"), ("ops", "")]


def test_the_sites_default_counts_too(night):
    night.home.alerts("channels: {site: {command: x}}\ndefault: {on_late: [site]}\n")
    night.make("schedule: '0 1 * * *'\ndeadline: 06:00\nsteps: [{id: a, bash: 'true'}]\n")
    night.at("06:00")
    assert night.look() == [("site", "")]


def test_a_person_who_runs_an_old_date_is_not_late(night):
    night.at("12:00")
    night.make(trigger="manual")
    assert night.look() == []


def test_two_who_look_tell_once(night, tmp_path):
    from runner.store import Store

    night.make()
    night.at("06:00")
    other = Store(str(tmp_path / "runner.db"))
    late.look(other, night.home.definitions, Recorder(str(tmp_path)), night.home.clock.now(), lambda run, spec: "", lambda line: None)
    other.close()
    assert night.look() == [("mine", "b"), ("duty", "")]


def test_a_removed_run_takes_its_deadlines_along(night):
    night.make()
    night.home.store.db.execute_text("DELETE FROM runs", {})
    night.at("06:00")
    assert night.look() == []


# --------------------------------------------------------------------------------------------------- no run was made


def test_a_due_time_of_which_no_run_was_made_is_told_once_and_not_again_when_it_is(night):
    home = night.home
    spec = home.pipeline(TEXT)
    with home.store.transaction():
        home.store.pipelines.place("mart", spec.path, home.store.keep_definition(spec, DUE), "", DUE)
        home.store.pipelines.schedule("mart", "key", DUE - timedelta(days=1), DUE)

    def look():
        return late.look_for_unmade(home.store, home.definitions, night.recorder, home.clock.now(), "asked to leave", night.said.append)

    night.at("05:59")
    assert (look(), night.told()) == (0, [])
    night.at("06:01")
    assert (look(), look(), night.told()) == (1, 0, [("duty", "")]) and len(night.said) == 1
    assert night.reason() == "no run was made: asked to leave"
    night.make()
    assert night.look() == [("duty", ""), ("mine", "b")]


# -------------------------------------------------------------------------------------------------- the daemon's part


class Starts:
    """Stands for the sender: what would be started."""

    def __init__(self):
        self.count, self.code = 0, None

    def __call__(self, home, environ, say):
        self.count += 1
        self.code = None
        return self

    def poll(self):
        return self.code

    @property
    def returncode(self):
        return self.code


@pytest.fixture
def daemon(night, monkeypatch):
    starts = Starts()
    monkeypatch.setattr(alerting, "start_sender", starts)
    part = alerting.Alerting(night.home.config, {}, night.home.store, night.home.definitions, night.said.append)
    part.starts, night.recorder = starts, part.recorder
    return part


def test_one_sender_is_started_when_something_waits(night, daemon):
    home = night.home
    daemon.look(home.clock.now())
    assert daemon.starts.count == 0
    home.add()
    daemon.look(home.clock.now())
    daemon.look(home.clock.now())
    assert daemon.starts.count == 1
    daemon.starts.code = 0
    daemon.look(home.clock.now())
    assert daemon.starts.count == 2
    daemon.starts.code = 70
    home.store.alerts.put_off(home.store.alerts.due("ops", home.clock.now()), home.clock.now() + timedelta(seconds=30))
    daemon.look(home.clock.now())
    assert daemon.starts.count == 2 and "ended with exit 70" in night.said[-1]
    home.clock.advance(30)
    daemon.look(home.clock.now())
    assert daemon.starts.count == 3


def test_a_waiting_run_says_what_the_disk_has_to_do_with_it(night, daemon):
    night.make()
    night.at("06:00")
    daemon.look(night.home.clock.now(), "the disk is full")
    assert night.reason() == "has not begun: the disk is full"


def test_something_odd_about_a_deadline_is_said_once_and_the_sender_goes_on(night, daemon, monkeypatch):
    monkeypatch.setattr(alerting.late, "look", lambda *_: 1 / 0)
    night.home.add()
    for _ in range(3):
        daemon.look(night.home.clock.now())
    assert night.said == ["a fault of runner itself, deadlines are not looked at: ZeroDivisionError: division by zero"] and daemon.starts.count == 1


SUMMARY = "channels: {ops: {command: x}, duty: {command: x}}\nsummary: {at: '08:00', to: [ops, duty]}\n"


def test_the_summary_is_due_once_a_day_by_the_sites_clocks(night, daemon):
    night.home.alerts(SUMMARY)
    for wall, count in (("27T07:59", 0), ("27T08:00", 2), ("27T23:00", 2), ("28T07:59", 2), ("28T14:00", 4), ("28T15:00", 4)):
        night.at(wall)
        daemon.look(night.home.clock.now())
        assert len(night.told()) == count, wall
    keys = [row["key"] for row in night.home.store.db.execute_text("SELECT DISTINCT key FROM alerts", {}).fetchall()]
    assert keys == ["summary/2026-02-27", "summary/2026-02-28"]
    night.home.alerts(SUMMARY.replace("[ops, duty]", "[ops, duty, later]").replace("duty: {", "later: {command: x}, duty: {"))
    daemon.look(night.home.clock.now())
    assert len(night.told()) == 4  # whoever is added gets the next one


def test_a_fault_of_alerts_yaml_is_said_once_in_the_daemons_log(night, daemon):
    night.home.alerts(SUMMARY.replace("summary", "sumary"))
    for _ in range(3):
        daemon.look(night.home.clock.now())
    assert [line for line in night.said if "sumary" in line] == [night.said[0]] and "did you mean summary?" in night.said[0]
    night.home.alerts(SUMMARY)
    daemon.look(night.home.clock.now())
    night.home.alerts(SUMMARY.replace("summary", "sumary"))
    daemon.look(night.home.clock.now())
    assert len([line for line in night.said if "sumary" in line]) == 2


@pytest.mark.parametrize("zone, now, moment", [
    ("Asia/Seoul", "2026-02-28T00:30+00:00", "2026-02-27T23:00+00:00"),
    ("America/New_York", "2026-03-08T12:00+00:00", "2026-03-08T12:00+00:00"),  # the clocks went forward that night
])
def test_the_moment_of_the_summary(zone, now, moment):
    assert alerting.summary_moment((8, 0), zone, datetime.fromisoformat(now)) == datetime.fromisoformat(moment)
