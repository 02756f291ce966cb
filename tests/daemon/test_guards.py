"""The clock that was set, and the disk that is full: what holds new runs, and what lets them go."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from runner import mounts
from runner.daemon.guards import JUMP, ClockGuard
from runner.daemon.loop import _Life
from runner.mounts import disk_reason, free_bytes

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Machine:
    """A wall clock and the time since boot, which nobody can set."""

    def __init__(self, known=None):
        self.now, self.tick = NOON, 5000.0
        self.guard = ClockGuard(self.now, self.tick, known)

    def passes(self, span):
        self.now += span
        self.tick += span.total_seconds()
        return self.look()

    def is_set(self, by):
        """The clock is set, and a second later looked at."""
        self.now += by
        return self.passes(timedelta(seconds=1))

    def look(self):
        return self.guard.look(self.now, self.tick)


@pytest.mark.parametrize("span", [timedelta(milliseconds=10), timedelta(seconds=10), HOUR, 30 * DAY])
def test_time_that_passes_is_no_step_however_long_it_was(span):
    """Also SIGSTOP, a suspended machine, a paused virtual one: time since boot goes on in all of them."""
    machine = Machine()
    assert machine.passes(span) is None and machine.guard.reason == ""


@pytest.mark.parametrize("by", [HOUR, -HOUR, timedelta(seconds=3), timedelta(seconds=-3), DAY - HOUR, HOUR - DAY])
def test_a_step_below_a_day_is_told_once_and_holds_nothing(by):
    machine = Machine()
    assert machine.is_set(by) == by
    assert machine.guard.reason == ""
    assert machine.passes(HOUR) is None


def test_an_hour_ahead_and_back_again():
    machine = Machine()
    assert [machine.is_set(HOUR), machine.is_set(-HOUR), machine.guard.reason] == [HOUR, -HOUR, ""]


@pytest.mark.parametrize("by, words", [
    (30 * DAY, "the clock jumped 30 days ahead, to 2026-03-31 12:00 UTC: "),
    (-30 * DAY, "the clock jumped 30 days back, to 2026-01-30 12:00 UTC: "),
    (DAY + HOUR, "the clock jumped 1 day 1 hour ahead, to 2026-03-02 13:00 UTC: "),
    (timedelta(days=3650), "the clock jumped 3650 days ahead, to 2036-02-27 12:00 UTC: "),
])
def test_a_jump_of_more_than_a_day_holds_until_it_is_put_right(by, words):
    machine = Machine()
    assert machine.is_set(by) == by
    assert machine.guard.reason == words + "nothing new begins until it is put right; if it is right, type: runner daemon reload"
    assert machine.passes(HOUR) is None and machine.guard.reason.startswith(words), "time alone does not make it right"
    assert machine.is_set(-by) == -by and machine.guard.reason == ""


def test_a_jump_is_told_by_the_clock_of_the_site():
    now, seoul = datetime(2026, 3, 1, 12, tzinfo=timezone.utc), ZoneInfo("Asia/Seoul")
    guard = ClockGuard(now, 0.0, zone=seoul)
    guard.look(now + 2 * DAY, 0.0)
    assert guard.reason.startswith("the clock jumped 2 days ahead, to 2026-03-03 21:00 KST: ")
    assert ClockGuard(now, 0.0, now + 2 * DAY, seoul).reason.startswith("the clock says 2026-03-01 21:00 KST, but runs of 2026-03-03 21:00 KST were")


def test_a_jump_that_is_put_right_but_for_hours_goes_on():
    machine = Machine()
    machine.is_set(30 * DAY)
    machine.is_set(-30 * DAY + HOUR)
    assert machine.guard.reason == ""
    assert machine.is_set(timedelta(hours=20)) and machine.guard.reason == "", "it counts from where it was put right"


def test_two_jumps_are_told_by_their_sum():
    machine = Machine()
    machine.is_set(2 * DAY)
    machine.is_set(3 * DAY)
    assert machine.guard.reason.startswith("the clock jumped 5 days ahead")


def test_slow_drift_adds_up_to_no_jump():
    machine = Machine()
    for _ in range(100_000):
        machine.now += timedelta(seconds=1)  # a bad clock: a second too many in each ten
        assert machine.passes(timedelta(seconds=10)) is None
    assert machine.guard.reason == ""


def test_a_small_correction_is_drift():
    machine = Machine()
    assert machine.is_set(timedelta(seconds=1.5)) is None and machine.is_set(timedelta(seconds=-1.5)) is None


def test_a_start_on_a_clock_that_lost_its_battery_holds_until_it_is_set():
    machine = Machine(known=NOON + 400 * DAY)
    assert machine.guard.reason.startswith("the clock says 2026-03-01 12:00 UTC, but runs of 2027-04-05 12:00 UTC were made already: nothing new")
    assert machine.passes(HOUR) is None and machine.guard.reason
    assert machine.is_set(100 * DAY) and machine.guard.reason, "not yet right"
    assert machine.is_set(310 * DAY) and machine.guard.reason == ""
    assert machine.is_set(2 * DAY) and machine.guard.reason, "from then on a jump is a jump"


@pytest.mark.parametrize("known", [None, NOON, NOON - 30 * DAY, NOON + HOUR, NOON + JUMP])
def test_a_start_after_any_outage_holds_nothing(known):
    machine = Machine(known)
    assert machine.guard.reason == ""
    assert machine.is_set(2 * DAY) and machine.guard.reason


def test_the_disk_reason_names_the_folder_and_the_setting(tmp_path, monkeypatch):
    assert free_bytes(str(tmp_path)) > 0 and disk_reason(str(tmp_path), 0) == ""
    monkeypatch.setattr(mounts, "free_bytes", lambda folder: 99 * 10**6)
    assert disk_reason("/data", 99 * 10**6) == ""
    assert disk_reason("/data", 100 * 10**6) == "the disk of /data has 99 MB left, less than min_free (100 MB): nothing new begins"


def test_a_clock_that_jumps_in_the_midst_of_a_turn_makes_nothing_due():
    """What is due is told by the moment that was looked at, not by a later one."""
    moments = [NOON, *[NOON + timedelta(days=30)] * 9]
    life = _Life.__new__(_Life)
    life._clock = SimpleNamespace(now=lambda: moments.pop(0), monotonic=lambda: 0.0)
    life.guard = ClockGuard(NOON, 0.0)
    life._asked, life._watch, life._next_due = [], SimpleNamespace(mode="polling"), NOON + timedelta(minutes=1)
    life._next_beat = life._rescan = float("inf")
    life._dispatch = SimpleNamespace(run=lambda now: pytest.fail(f"made what is due by {now}"))

    def over(reports):
        raise InterruptedError

    life._engine, life._executor = SimpleNamespace(turn=over), SimpleNamespace(wait=lambda timeout: [])
    with pytest.raises(InterruptedError):
        life.work()
