"""Which moment a deadline means, for whom it counts, whether it was kept."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import model
from runner.alerts import deadlines
from runner.alerts.deadlines import Facts
from runner.spec import build

UTC = timezone.utc
ZONES = ("Asia/Seoul", "UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo")


def date_at(due):
    return model.LogicalDate(due, due, due - timedelta(days=1), due, str(due.tzinfo))


def at(text, zone="Asia/Seoul"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize("said, due, moment", [
    ("06:00", "2026-02-28T01:00", "2026-02-28T06:00"),
    ("06:00", "2026-02-28T23:50", "2026-03-01T06:00"),  # the first one after it is due
    ("06:00", "2026-02-28T06:00", "2026-03-01T06:00"),
    ("6:05", "2026-02-28T01:00", "2026-02-28T06:05"),
    ("00:00", "2026-12-31T01:00", "2027-01-01T00:00"),
    ("5h", "2026-02-28T01:00", "2026-02-28T06:00"),
    ("30h", "2026-02-28T01:00", "2026-03-01T07:00"),
    (90, "2026-02-28T01:00:00", "2026-02-28T01:01:30"),
])
def test_the_moment_of_a_deadline(said, due, moment):
    assert deadlines.moment_of(build.deadline(said), date_at(at(due))) == at(moment)


def test_clocks_that_change():
    gap = date_at(at("2026-03-08T01:00", "America/New_York"))  # 02:00 to 03:00 is skipped
    assert deadlines.moment_of(build.deadline("02:30"), gap) == at("2026-03-08T03:00", "America/New_York")
    twice = date_at(at("2026-11-01T00:30", "America/New_York"))  # 01:00 to 02:00 comes twice
    assert deadlines.moment_of(build.deadline("01:30"), twice) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert deadlines.moment_of(build.deadline("3h"), twice) == datetime(2026, 11, 1, 7, 30, tzinfo=UTC)


@given(st.sampled_from(ZONES), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.integers(0, 23), st.integers(0, 59))
def test_a_wall_time_is_after_the_due_instant_and_within_a_long_day(zone, due, hour, minute):
    due = due.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    moment = deadlines.moment_of(model.Deadline("", time=(hour, minute)), date_at(due))
    assert timedelta(0) < moment - due <= timedelta(hours=26)
    local = moment.astimezone(ZoneInfo(zone))
    if (local.hour, local.minute) != (hour, minute):  # only where that wall time does not exist on that day
        wall = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
        assert wall.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall.replace(tzinfo=None)


@given(st.sampled_from(ZONES), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.floats(0, 10**6))
def test_a_length_of_time_is_counted_in_real_seconds(zone, due, seconds):
    due = due.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    moment = deadlines.moment_of(model.Deadline("", after=seconds), date_at(due))
    assert abs((moment - due.astimezone(UTC)).total_seconds() - seconds) < 1e-3


def run_of(pipeline, trigger, created, only=None):
    date = date_at(at("2026-02-28T01:00"))
    return model.Run(1, "mart@2026-02-28", "mart", 0, "", date, trigger, {}, "queued", "", created, None, None, None, None, only)


def pipeline():
    limit = model.Deadline("06:00", time=(6, 0))
    early = model.Deadline("1h", after=3600.0)
    steps = (model.Step("a", "bash", {}, deadline=limit), model.Step("b", "bash", {}), model.Step("c", "bash", {}, deadline=early))
    return model.Pipeline("mart", "", "", steps, "Asia/Seoul", deadline=limit)


def test_the_run_and_its_steps_have_their_own():
    found = deadlines.all_of(pipeline(), run_of(pipeline(), "schedule", at("2026-02-28T01:00")))
    assert {name: moment.astimezone(ZoneInfo("Asia/Seoul")).hour for name, moment in found.items()} == {"": 6, "a": 6, "c": 2}


@pytest.mark.parametrize("trigger, created, counts", [
    ("schedule", "2026-02-28T01:00", True), ("catchup", "2026-03-02T09:00", True), ("manual", "2026-02-28T03:30", True),
    ("manual", "2026-03-02T09:00", False), ("backfill", "2026-03-02T09:00", False),
])
def test_who_makes_a_run_of_a_past_date_is_late_on_purpose(trigger, created, counts):
    assert ("" in deadlines.all_of(pipeline(), run_of(pipeline(), trigger, at(created)))) is counts


def test_of_steps_that_were_not_chosen_nothing_is_expected():
    assert set(deadlines.all_of(pipeline(), run_of(pipeline(), "schedule", at("2026-02-28T01:00"), only=("c",)))) == {"", "c"}


LIMIT = at("2026-02-28T06:00")
EARLY, LATE = LIMIT - timedelta(minutes=5), LIMIT + timedelta(minutes=20)


@pytest.mark.parametrize("facts, words", [
    (Facts("success", EARLY), None),
    (Facts("success", LIMIT), None),
    (Facts("skipped", EARLY), None),
    (Facts("success", LATE), "ended 20 min late"),
    (Facts("running", started_at=at("2026-02-28T05:10")), "still running since 2026-02-28 05:10 KST"),
    (Facts("retry_wait", reason="exit 1"), "failed, and waits for its next attempt: exit 1"),
    (Facts("failed", EARLY, reason="failed: load"), "failed: failed: load"),
    (Facts("killed", EARLY, reason="stopped by kim"), "killed: stopped by kim"),
    (Facts("missed", reason="paused by kim: audit"), "did not run: paused by kim: audit"),
    (Facts("missed"), "did not run: nobody started it"),
    (Facts("queued", waits="mart is held by kim"), "has not begun: mart is held by kim"),
    (Facts("pending", run_state="running"), "has not begun"),
    (Facts("pending", run_state="success"), None),
    (Facts("pending", run_state="missed", reason="paused"), "did not run: the run missed: paused"),
    (Facts("upstream_failed", EARLY, run_state="failed"), "cannot run: what it needs failed"),
])
def test_what_is_said_of_each_state(facts, words):
    assert deadlines.missed(LIMIT, facts, LATE) == words


@given(st.sampled_from(model.RUN_STATES + model.STEP_STATES), st.sampled_from(model.RUN_STATES), st.integers(-10**6, 10**6))
def test_only_what_was_good_in_time_or_is_not_wanted_is_not_late(state, run_state, offset):
    ended = LIMIT + timedelta(seconds=offset) if state in model.RUN_TERMINAL | model.STEP_TERMINAL else None
    now = max(LIMIT, ended or LIMIT) + timedelta(seconds=1)
    words = deadlines.missed(LIMIT, Facts(state, ended, run_state=run_state), now)
    good = state in ("success", "skipped") and ended <= LIMIT
    unwanted = state in ("pending", "queued") and run_state == "success"
    assert (words is None) is (good or unwanted)
