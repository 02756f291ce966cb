"""Due times, the date of a run, what a date on the command line means, and what a pipeline file may say."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.schedule import due as s
from runner.schedule.moments import MomentError, parse_moment

UTC = timezone.utc
SEOUL, BERLIN = "Asia/Seoul", "Europe/Berlin"
NOW = datetime(2026, 11, 20, 5, 3, 9, 123456, tzinfo=UTC)  # 14:03:09 in Seoul
ROOT = Path(__file__).resolve().parents[2]


def made(value, zone=SEOUL, start=None, end=None) -> s.Schedule:
    schedule, faults = s.parse(value, zone, start, end)
    assert [fault for fault in faults if fault.severity == "error"] == []
    return schedule


def at(text: str, zone: str = SEOUL) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def iso(moment) -> str:
    return moment.isoformat(timespec="minutes") if moment is not None else "none"


def label(schedule, mode, zone, due) -> str:
    return s.run_label(schedule, mode, zone, s.date_of(schedule, mode, zone, due))


# --------------------------------------------------------------------------------------------------- the date of a run


def test_the_date_is_the_local_one():
    """T13: 01:00 in Seoul is still the day before in UTC, where the server may well be."""
    daily = made("0 1 * * *")
    due = s.next_due(daily, at("2024-02-01T12:00"))
    found = s.date_of(daily, "due", SEOUL, due)
    assert (iso(due), iso(found.logical)) == ("2024-02-02T01:00+09:00",) * 2
    assert (iso(found.interval_start), iso(found.interval_end)) == ("2024-02-01T01:00+09:00", "2024-02-02T01:00+09:00")
    by_start = s.date_of(daily, "interval_start", SEOUL, due)
    assert iso(by_start.logical) == "2024-02-01T01:00+09:00"
    assert (by_start.due, by_start.interval_start, by_start.interval_end) == (found.due, found.interval_start, found.interval_end)


@pytest.mark.parametrize("server", ["UTC", "America/New_York", "Asia/Seoul"])
def test_the_servers_zone_does_not_matter(server):
    """T13, in a process of its own, since TZ is read once."""
    code = (
        "from datetime import datetime, timezone; from runner.schedule import due as s\n"
        "x, _ = s.parse('0 1 * * *', 'Asia/Seoul', None, None)\n"
        "due = s.next_due(x, datetime(2024, 2, 1, 3, tzinfo=timezone.utc))\n"
        "print(s.date_of(x, 'due', 'Asia/Seoul', due).logical.isoformat(), s.due_for(x, 'due', 'Asia/Seoul', '2024-02-02', due) == due)"
    )
    environment = {**os.environ, "TZ": server, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["2024-02-02T01:00:00+09:00", "True"]


def test_flipping_the_mode_moves_no_due_time():
    """T12: due times stay contiguous, none comes twice; one ds label is used twice, going to interval_start."""
    daily = made("0 1 * * *")
    dues = list(s.due_between(daily, at("2026-03-01T00:00"), at("2026-03-07T00:00")))
    modes = ["due"] * 3 + ["interval_start"] * 3
    found = [s.date_of(daily, mode, SEOUL, due) for mode, due in zip(modes, dues)]
    assert [each.due for each in found] == dues == sorted(set(dues))
    assert [each.logical.day for each in found] == [1, 2, 3, 3, 4, 5]
    assert [a.interval_end for a in found[:-1]] == [b.interval_start for b in found[1:]]


@pytest.mark.parametrize("schedule", [None, made("@once", start="2026-01-05")])
@pytest.mark.parametrize("mode", s.MODES)
def test_without_intervals_the_date_is_the_due_instant(schedule, mode):
    due = at("2026-01-05T00:00")
    found = s.date_of(schedule, mode, SEOUL, due.astimezone(UTC))
    assert {iso(each) for each in (found.due, found.logical, found.interval_start, found.interval_end)} == {iso(due)}
    assert found.timezone == SEOUL and str(found.logical.tzinfo) == SEOUL


def test_a_manual_run_has_the_last_complete_interval():
    daily = made("0 1 * * *")
    found = s.date_of(daily, "due", SEOUL, NOW)
    assert [iso(t) for t in (found.logical, found.interval_start, found.interval_end)] == [
        "2026-11-20T14:03+09:00", "2026-11-19T01:00+09:00", "2026-11-20T01:00+09:00"]  # fmt: skip


def test_the_second_pass_of_a_repeated_hour_keeps_its_instant():
    hourly = made("@hourly", BERLIN)
    second = at("2026-10-25T02:00+01:00")
    found = s.date_of(hourly, "due", BERLIN, second)
    assert found.due.isoformat() == "2026-10-25T02:00:00+01:00"
    assert found.interval_start.isoformat() == "2026-10-25T02:00:00+02:00"
    assert found.interval_end.isoformat() == "2026-10-25T02:00:00+01:00"


def test_an_unknown_mode_is_a_program_error():
    with pytest.raises(ValueError):
        s.date_of(made("@daily"), "start", SEOUL, NOW)


# ------------------------------------------------------------------------------------------- due times and their bounds


def test_start_and_end_are_inside():
    """D20: a bare date is local midnight, a bare end date includes its day."""
    daily = made("0 0 * * *", start="2026-01-05", end="2026-01-07")
    assert [each.day for each in s.due_between(daily, at("2025-01-01T00:00"), None)] == [5, 6, 7]
    assert [each.day for each in s.due_between(made("50 23 * * *", start="2026-01-05", end="2026-01-07"), at("2025-01-01T00:00"), None)] == [5, 6, 7]
    timed = made("0 * * * *", start="2026-01-05T03:00", end="2026-01-05T05:00")
    assert [each.hour for each in s.due_between(timed, at("2025-01-01T00:00"), None)] == [3, 4, 5]
    assert iso(made("@daily", end="2026-01-07").end) == "2026-01-07T23:59+09:00"
    assert iso(made("@daily", start="2026-01-05T00:00+00:00").start) == "2026-01-05T09:00+09:00"
    assert s.next_due(daily, at("2026-01-07T00:00")) is None


def test_due_between_leaves_out_after_and_takes_in_until():
    daily = made("0 1 * * *")
    dues = s.due_between(daily, at("2026-01-05T01:00"), at("2026-01-07T01:00").astimezone(UTC))
    assert [iso(each) for each in dues] == ["2026-01-06T01:00+09:00", "2026-01-07T01:00+09:00"]


def test_previous_due_ignores_start():
    daily = made("0 1 * * *", start="2026-01-05")
    assert iso(s.previous_due(daily, at("2026-01-05T01:00"))) == "2026-01-04T01:00+09:00"


def test_once():
    """D19: due at start_date, else when first seen."""
    dated = made("@once", start="2026-01-05T03:00")
    assert iso(s.next_due(dated, at("2025-01-01T00:00"))) == "2026-01-05T03:00+09:00"
    assert s.next_due(dated, at("2026-01-05T03:00")) is None
    assert iso(s.previous_due(dated, at("2026-01-06T00:00"))) == "2026-01-05T03:00+09:00"
    assert s.previous_due(dated, at("2026-01-05T03:00")) is None
    bare = made("@once")
    assert s.next_due(bare, at("2025-01-01T00:00")) is None
    seen = s.with_first_seen(bare, NOW)
    assert s.next_due(seen, NOW - timedelta(days=1)) == NOW
    assert s.with_first_seen(dated, NOW) == dated and s.with_first_seen(made("@daily"), NOW) == made("@daily")


def test_presets():
    after = at("2026-05-15T12:00")
    found = {name: iso(s.next_due(made(name), after))[:16] for name in s.PRESETS}
    assert found == {
        "@hourly": "2026-05-15T13:00", "@daily": "2026-05-16T00:00", "@midnight": "2026-05-16T00:00", "@weekly": "2026-05-17T00:00",
        "@monthly": "2026-06-01T00:00", "@quarterly": "2026-07-01T00:00", "@yearly": "2027-01-01T00:00", "@annually": "2027-01-01T00:00",
    }  # fmt: skip


def first_dues(schedule, count=4, after="2020-01-01T00:00") -> list:
    return [iso(each) for each in islice(s.due_between(schedule, at(after), None), count)]


EVERY = [  # D18
    ("3d", SEOUL, "2026-02-26", ["2026-02-26T00:00+09:00", "2026-03-01T00:00+09:00", "2026-03-04T00:00+09:00"]),
    ("3d", SEOUL, "2026-02-26T03:30", ["2026-02-26T03:30+09:00", "2026-03-01T03:30+09:00"]),
    ("2w", SEOUL, "2026-12-21", ["2026-12-21T00:00+09:00", "2027-01-04T00:00+09:00"]),
    ("1mo", SEOUL, "2026-01-31", ["2026-01-31T00:00+09:00", "2026-02-28T00:00+09:00", "2026-03-31T00:00+09:00", "2026-04-30T00:00+09:00"]),
    ("5mo", SEOUL, "2026-10-01", ["2026-10-01T00:00+09:00", "2027-03-01T00:00+09:00", "2027-08-01T00:00+09:00"]),
    ("1d", BERLIN, "2026-03-28T02:30", ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("1d", BERLIN, "2026-10-24T02:30", ["2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("12h", BERLIN, "2026-03-28T18:00", ["2026-03-28T18:00+01:00", "2026-03-29T07:00+02:00", "2026-03-29T19:00+02:00"]),
    ("90m", SEOUL, "2026-01-01T23:00", ["2026-01-01T23:00+09:00", "2026-01-02T00:30+09:00", "2026-01-02T02:00+09:00"]),
]


@pytest.mark.parametrize("distance, zone, start, expected", EVERY)
def test_every(distance, zone, start, expected):
    assert first_dues(made({"every": distance}, zone, start), len(expected)) == expected


def test_every_without_a_start_keeps_its_phase():
    six = made({"every": "6h"})
    assert first_dues(six, 3, "2026-05-15T01:00") == ["2026-05-15T06:00+09:00", "2026-05-15T12:00+09:00", "2026-05-15T18:00+09:00"]
    assert s.next_due(six, at("2026-05-15T11:59")) == s.next_due(six, at("2026-05-15T06:00"))


def test_a_backfill_of_a_month_has_a_run_for_each_day():
    """D22: 31 days, 31 runs, whatever the mode."""
    daily = made("0 1 * * *")
    for mode in s.MODES:
        days = [date(2026, 1, 1) + timedelta(days=n) for n in range(31)]
        dues = [due for day in days for due in s.dues_on(daily, mode, SEOUL, day)]
        assert [s.date_of(daily, mode, SEOUL, due).logical.date() for due in dues] == days
        assert [label(daily, mode, SEOUL, due) for due in dues] == [day.isoformat() for day in days]


VALUES = st.sampled_from([
    ("0 1 * * *", None), ("@hourly", None), ("*/20 2 * * *", None), ("30 2 * * sun", None), ("0 0 L * *", None), ("30 2 * * fri#1", None),
    ({"every": "3d"}, "2026-03-01T02:30"), ({"every": "7m"}, None), ({"every": "1mo"}, "2026-01-31"), ({"every": "36h"}, "2026-01-01"),
    ({"every": "1w"}, "2026-03-01T02:15"),
])  # fmt: skip
PLACES = st.sampled_from([SEOUL, BERLIN, "Australia/Lord_Howe", "America/Santiago", "America/New_York"])


@st.composite
def moments(draw) -> datetime:
    day = draw(st.sampled_from(["2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-09-06", "2026-03-08", "2028-02-29", "2026-12-31"]))
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(seconds=draw(st.integers(-2 * 86400, 2 * 86400)))


@settings(max_examples=300, deadline=None)
@given(VALUES, PLACES, moments())
def test_previous_is_the_inverse_of_next(value, zone, moment):
    schedule = made(value[0], zone, value[1])
    schedule = s.replace(schedule, start=schedule.start and schedule.start - timedelta(days=36500)) if not schedule.every else schedule
    if schedule.start is not None:
        moment = max(moment, schedule.start.astimezone(UTC))
    due = s.next_due(schedule, moment)
    assert due.astimezone(UTC) > moment
    assert s.previous_due(schedule, due.astimezone(UTC) + timedelta(seconds=1)).astimezone(UTC) == due.astimezone(UTC)
    assert s.previous_due(schedule, due).astimezone(UTC) <= moment
    assert str(due.tzinfo) == zone


@settings(max_examples=300, deadline=None)
@given(VALUES, PLACES, moments(), st.sampled_from(s.MODES), st.booleans())
def test_a_label_leads_back_to_its_run(value, zone, moment, mode, manual):
    """due_for(run_label(x)) is x: for scheduled runs, and for runs started by hand at any moment."""
    schedule = made(value[0], zone, value[1])
    due = s.due_for(schedule, mode, zone, None, moment) if manual else s.next_due(schedule, max(moment, at("2026-02-28T00:00")))
    text = label(schedule, mode, zone, due)
    again = s.due_for(schedule, mode, zone, text, NOW)
    assert again.astimezone(UTC) == due.astimezone(UTC), text
    assert s.date_of(schedule, mode, zone, again).logical.date().isoformat() == text[:10]


# ----------------------------------------------------------------------------------------- a date on the command line

DAILY, HOURLY, WEEKLY, NONE = made("0 1 * * *"), made("@hourly"), made("0 6 * * mon"), None
MEANT = [  # schedule, mode, text, due, label
    (DAILY, "due", None, "2026-11-20T14:03:09+09:00", "2026-11-20T14:03:09"),
    (DAILY, "due", "2026-02-28", "2026-02-28T01:00:00+09:00", "2026-02-28"),
    (DAILY, "due", "20260228", "2026-02-28T01:00:00+09:00", "2026-02-28"),
    (DAILY, "due", "2026-02-28T01:00", "2026-02-28T01:00:00+09:00", "2026-02-28"),
    (DAILY, "due", "2026-02-28T03:00", "2026-02-28T03:00:00+09:00", "2026-02-28T03:00"),
    (DAILY, "due", "2026-02-28 03:00", "2026-02-28T03:00:00+09:00", "2026-02-28T03:00"),
    (DAILY, "due", "2026-02-28T03:00:30", "2026-02-28T03:00:30+09:00", "2026-02-28T03:00:30"),
    (DAILY, "due", "20260228T030000", "2026-02-28T03:00:00+09:00", "2026-02-28T03:00"),
    (DAILY, "due", "2026-02-27T16:00Z", "2026-02-28T01:00:00+09:00", "2026-02-28"),
    (DAILY, "due", "2026-02-27T16:00+00:00", "2026-02-28T01:00:00+09:00", "2026-02-28"),
    (DAILY, "interval_start", None, "2026-11-20T01:00:00+09:00", "2026-11-19"),
    (DAILY, "interval_start", "2026-02-28", "2026-03-01T01:00:00+09:00", "2026-02-28"),
    (DAILY, "interval_start", "2026-02-28T01:00", "2026-03-01T01:00:00+09:00", "2026-02-28"),
    (HOURLY, "due", "2026-02-28T03:00", "2026-02-28T03:00:00+09:00", "2026-02-28T03:00"),
    (HOURLY, "interval_start", "2026-02-28T03:00", "2026-02-28T04:00:00+09:00", "2026-02-28T03:00"),
    (HOURLY, "interval_start", None, "2026-11-20T14:00:00+09:00", "2026-11-20T13:00"),
    (WEEKLY, "due", "2026-02-23", "2026-02-23T06:00:00+09:00", "2026-02-23"),
    (WEEKLY, "due", "2026-02-28", "2026-02-28T00:00:00+09:00", "2026-02-28"),
    (WEEKLY, "interval_start", "2026-02-23", "2026-03-02T06:00:00+09:00", "2026-02-23"),
    (NONE, "due", "2026-02-28", "2026-02-28T00:00:00+09:00", "2026-02-28"),
    (NONE, "due", None, "2026-11-20T14:03:09+09:00", "2026-11-20T14:03:09"),
    (NONE, "interval_start", "2026-02-28", "2026-02-28T00:00:00+09:00", "2026-02-28"),
    (NONE, "interval_start", None, "2026-11-20T14:03:09+09:00", "2026-11-20T14:03:09"),
    (made("@once", start="2026-02-28T05:00"), "due", "2026-02-28", "2026-02-28T05:00:00+09:00", "2026-02-28"),
    (made("0 1 * * *", start="2026-06-01"), "due", "2026-02-28", "2026-02-28T01:00:00+09:00", "2026-02-28"),
]


@pytest.mark.parametrize("schedule, mode, text, due, name", MEANT)
def test_what_a_date_means(schedule, mode, text, due, name):
    found = s.due_for(schedule, mode, SEOUL, text, NOW)
    assert found.isoformat() == due
    assert label(schedule, mode, SEOUL, found) == name


NOT_MEANT = [  # schedule, mode, zone, text, a part of the message, of the hint, choices
    (DAILY, "due", SEOUL, "2026-02-30", "February 2026 has 28 days", "2026-02-28", ()),
    (DAILY, "due", SEOUL, "2028-02-30", "February 2028 has 29 days", "2028-02-29", ()),
    (DAILY, "due", SEOUL, "2026-13-01", "no month 13", "2026-01-13", ()),
    (DAILY, "due", SEOUL, "2026-13-32", "no month 13", "01 to 12", ()),
    (DAILY, "due", SEOUL, "2026-02-28T24:00", "no hour 24", "00:00 of the next day", ()),
    (DAILY, "due", SEOUL, "2026-02-28T03:61", "no minute 61", "00 to 59", ()),
    (DAILY, "due", SEOUL, "0206-02-28", "outside 1900 to 2199", "2026-02-28", ()),
    (DAILY, "due", SEOUL, "2026/2/8", "not a date", "write 2026-02-08", ()),
    (DAILY, "due", SEOUL, "2026.02.08", "not a date", "write 2026-02-08", ()),
    (DAILY, "due", SEOUL, "28/02/2026", "not a date", "write the year first: 2026-02-28", ()),
    (DAILY, "due", SEOUL, "2026-01-01T99", "no hour 99", "from 00 to 23", ()),
    (DAILY, "due", SEOUL, "2026-01-01T7", "not a date", "write 2026-01-01T07:00", ()),
    (DAILY, "due", SEOUL, "2026/2/31", "February 2026 has 28 days", "2026-02-28", ()),
    (DAILY, "due", SEOUL, "31/02/2026", "February 2026 has 28 days", "2026-02-28", ()),
    (DAILY, "due", SEOUL, "02/03/2026", "not a date", "2026-03-02 or 2026-02-03", ()),
    (DAILY, "due", SEOUL, "yesterday", "not a date", "2026-02-28T03:00", ()),
    (DAILY, "due", SEOUL, "2026-02-28T03:00:00.5", "not a date", "parts of a second", ()),
    (DAILY, "due", SEOUL, "2026-02-28T03:00+25:00", "no offset", "+09:00", ()),
    (made("0 1,13 * * *"), "due", SEOUL, "2026-02-28", "2 runs", "type one of", ("2026-02-28T01:00", "2026-02-28T13:00")),
    (made("0 1,13 * * *"), "interval_start", SEOUL, "2026-02-28", "2 runs", "type one of", ("2026-02-28T01:00", "2026-02-28T13:00")),
    (made("*/5 * * * *"), "due", SEOUL, "2026-02-28", "more than 24 runs", "...", None),
    (WEEKLY, "interval_start", SEOUL, "2026-02-28", "no interval starts on 2026-02-28", "2026-02-23 or 2026-03-02", ("2026-02-23", "2026-03-02")),
    (DAILY, "interval_start", SEOUL, "2026-02-28T03:00", "no interval starts at", "2026-02-28 or 2026-03-01", ("2026-02-28", "2026-03-01")),
    (HOURLY, "interval_start", SEOUL, "2026-02-28T03:10", "no interval starts at", "T03:00 or", ("2026-02-28T03:00", "2026-02-28T04:00")),
    (None, "due", BERLIN, "2026-03-29T02:30", "does not exist", "type 2026-03-29T03:00", ("2026-03-29T03:00",)),
    (None, "due", BERLIN, "2026-10-25T02:30", "twice", "or", ("2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00")),
    (made("@hourly", BERLIN), "due", BERLIN, "2026-10-25T02:00", "twice", "or", ("2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00")),
]


@pytest.mark.parametrize("schedule, mode, zone, text, message, hint, choices", NOT_MEANT)
def test_a_date_that_names_no_run_says_what_to_type(schedule, mode, zone, text, message, hint, choices):
    with pytest.raises(s.DateError) as caught:
        s.due_for(schedule, mode, zone, text, NOW)
    error = caught.value
    assert message in error.message and hint in error.hint
    assert error.exit_code == 2
    if choices is None:
        choices = error.choices
        assert len(choices) == 24
    assert error.choices == choices
    for choice in choices:
        s.due_for(schedule, mode, zone, choice, NOW)  # what is offered can be typed


def test_repeated_and_skipped_hours_on_the_command_line():
    daily = made("30 2 * * *", BERLIN)
    assert s.due_for(daily, "due", BERLIN, "2026-10-25T02:30", NOW).isoformat() == "2026-10-25T02:30:00+02:00"  # it runs in the first pass only
    assert s.due_for(daily, "due", BERLIN, "2026-10-25", NOW).isoformat() == "2026-10-25T02:30:00+02:00"
    second = at("2026-10-25T02:30+01:00")
    assert label(daily, "due", BERLIN, second) == "2026-10-25T02:30+01:00"  # by hand, an hour later: another run
    assert label(daily, "due", BERLIN, at("2026-10-25T02:30+02:00")) == "2026-10-25"
    assert s.due_for(daily, "due", BERLIN, "2026-03-29", NOW).isoformat() == "2026-03-29T03:00:00+02:00"
    assert s.due_for(None, "due", "America/Santiago", "2026-09-06", NOW).isoformat() == "2026-09-06T01:00:00-03:00"  # no midnight that day


@pytest.mark.parametrize("value", ["2026-02-28", "20260228", " 2026-02-28 "])
def test_a_bare_day(value):
    assert parse_moment(value).day == date(2026, 2, 28) and parse_moment(value).time is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789-T:+Z /.", max_size=26))
def test_no_text_breaks_the_reading_of_dates(text):
    try:
        parse_moment(text).instants(ZoneInfo(BERLIN))
    except MomentError as error:
        assert error.message and error.hint


# ---------------------------------------------------------------------------------------------- what a file may say


@pytest.mark.parametrize("value", [None, "None", "none", "null", " none "])
def test_manual_only(value):
    assert s.parse(value, SEOUL, "2026-01-01", None) == (None, [])


def test_what_is_kept():
    schedule = made(" 0  1 * * MON ", start="2026-01-01")
    assert (schedule.cron, schedule.timezone, schedule.every, schedule.once) == ("0 1 * * mon", SEOUL, None, False)
    assert made("@Daily").cron == "0 0 * * *" and made("@Daily").text == "@Daily"
    assert made({"every": "3d"}, start="2026-01-01").every == (3, "d")


FAULTS = [  # value, zone, start, end, key, a part of the message, of the hint
    ("0 24 * * *", SEOUL, None, None, "schedule", "outside 0 to 23", "hour 0"),
    ("", SEOUL, None, None, "schedule", "empty", "manual"),
    ("@reboot", SEOUL, None, None, "schedule", "@reboot", "runner run"),
    ("@every 5m", SEOUL, None, None, "schedule", "@every", "{every: 5m}"),
    ("@every", SEOUL, None, None, "schedule", "@every", "{every: 5m}"),
    ("@dayly", SEOUL, None, None, "schedule", "not a preset", "did you mean @daily?"),
    ("@xyzzy", SEOUL, None, None, "schedule", "not a preset", "@hourly"),
    ("3d", SEOUL, None, None, "schedule", "not a cron", "{every: 3d}"),
    ("every 5m", SEOUL, None, None, "schedule", "not a cron", "{every: 5m}"),
    (["0 1 * * *"], SEOUL, None, None, "schedule", "list", "two pipelines"),
    (5, SEOUL, None, None, "schedule", "5 is not a schedule", "@daily"),
    (False, SEOUL, None, None, "schedule", "False is not", "@daily"),
    ({"every": "3d"}, SEOUL, None, None, "schedule", "needs a start_date", "start_date:"),
    ({"every": "1w"}, SEOUL, None, None, "schedule", "needs a start_date", "start_date:"),
    ({"every": "3 days"}, SEOUL, "2026-01-01", None, "schedule", "not a distance", "write 3d"),
    ({"every": "1h30m"}, SEOUL, None, None, "schedule", "not a distance", "write one number: 90m"),
    ({"every": "30s"}, SEOUL, None, None, "schedule", "not a distance", "one minute"),
    ({"every": "2y"}, SEOUL, "2026-01-01", None, "schedule", "not a distance", "write 24mo"),
    ({"every": 3}, SEOUL, None, None, "schedule", "not a distance", "3d"),
    ({"every": "0d"}, SEOUL, "2026-01-01", None, "schedule", "outside", "3d"),
    ({"cron": "0 1 * * *"}, SEOUL, None, None, "schedule", "unknown key cron", "itself"),
    ({"every": "3d", "at": "01:00"}, SEOUL, "2026-01-01", None, "schedule", "unknown key at", "every"),
    ({}, SEOUL, None, None, "schedule", "empty", "manual"),
    ("@daily", SEOUL, "2026-02-30", None, "start_date", "February 2026 has 28 days", "2026-02-28"),
    ("@daily", SEOUL, None, "soon", "end_date", "not a date", "2026-02-28"),
    ("@daily", SEOUL, "2026-02-02", "2026-02-01", "end_date", "before start_date", "later"),
    ("0 1 31 * *", SEOUL, "2026-02-02", "2026-02-20", "end_date", "no due time", "later"),
    ("@daily", BERLIN, "2026-03-29T02:30", None, "start_date", "does not exist", "exists"),
    ("@daily", "KST", None, None, "timezone", "not a time zone", "Asia/Seoul"),
    (None, "Seoul", None, None, "timezone", "not a time zone", "Asia/Seoul"),
]


@pytest.mark.parametrize("value, zone, start, end, key, message, hint", FAULTS)
def test_faults_of_a_file(value, zone, start, end, key, message, hint):
    schedule, (fault,) = s.parse(value, zone, start, end)
    assert schedule is None
    assert (fault.severity, fault.key) == ("error", key)
    assert message in fault.message and hint in fault.hint


def test_all_faults_of_a_file_at_once():
    _, faults = s.parse("60 24 * * *", "KST", "2026-02-30", "soon")
    assert [fault.key for fault in faults] == ["timezone", "start_date", "end_date", "schedule", "schedule"]


def test_a_warning_does_not_stop_the_schedule():
    schedule, faults = s.parse("0 0 13 * fri", SEOUL, None, None)
    assert schedule is not None and [fault.severity for fault in faults] == ["warning"]


GOOD_ZONES = ["Asia/Seoul", "UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"]
BAD_ZONES = [
    ("KST", "Asia/Seoul"), ("kst", "Asia/Seoul"), ("JST", "Asia/Tokyo"), ("CST", "Asia/Shanghai or America/Chicago"), ("PST", "America/Los_Angeles"),
    ("Seoul", "did you mean Asia/Seoul"), ("asia/seoul", "did you mean Asia/Seoul"), ("Asia/Soul", "did you mean Asia/Seoul"),
    ("Asia/Berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("+09:00", "Asia/Seoul"), ("UTC+9", "Asia/Seoul"), ("GMT+03:30", "a place"),
    ("Asia", "Area/City"), ("", "Asia/Seoul"), (None, "Asia/Seoul"), (9, "Asia/Seoul"), ("../etc/passwd", "Area/City"), ("localtime", "Area/City"),
    ("right/Asia/Seoul", "Asia/Seoul"), ("서울", "Area/City"),
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD_ZONES)
def test_a_good_zone(name):
    assert s.check_timezone(name) is None


@pytest.mark.parametrize("name, hint", BAD_ZONES)
def test_a_bad_zone_has_a_near_match(name, hint):
    fault = s.check_timezone(name)
    assert (fault.severity, fault.key) == ("error", "timezone")
    assert hint in fault.hint


@pytest.mark.parametrize("name, hint", [("EST", "America/New_York"), ("Etc/GMT+9", "Asia/Seoul")])
def test_a_zone_that_is_seldom_meant_is_a_warning(name, hint):
    fault = s.check_timezone(name)
    assert fault.severity == "warning" and hint in fault.hint
    assert s.parse("@daily", name, None, None)[0] is not None


def test_dates_are_cheap_enough_for_a_backfill():
    """A year of daily runs; the bound is loose, for a busy machine: the aim is under 1 ms each."""
    daily, start = made("0 1 * * *"), process_time()
    for due in s.due_between(daily, at("2026-01-01T00:00"), at("2026-12-31T23:59")):
        s.date_of(daily, "due", SEOUL, due)
    assert process_time() - start < 365 * 0.005


def test_croniter_is_imported_only_when_a_due_time_is_asked_for():
    code = (
        "import sys; from runner.schedule import due as s\n"
        "s.parse('0 1 * * *', 'Asia/Seoul', '2026-01-01', None); s.due_for(None, 'due', 'Asia/Seoul', '2026-02-28', None)\n"
        "print('croniter' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def table(name: str) -> list:
    """The rows of a table in the dates manual, without its head."""
    text = (ROOT / "docs" / "dates.md").read_text(encoding="utf-8").partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]


def test_the_manual_tells_the_truth_about_dates():
    assert len(table("dates")) == 8
    for text, zone, due, by_due, by_start in table("dates"):
        schedule = made(text, zone)
        assert s.next_due(schedule, at(due) - timedelta(seconds=1)).isoformat(timespec="minutes") == due
        assert [f"{s.date_of(schedule, mode, zone, at(due)).logical:%Y-%m-%d}" for mode in s.MODES] == [by_due, by_start]


def test_the_manual_tells_the_truth_about_what_is_typed():
    assert len(table("typed")) == 8
    for text, mode, typed, due, name in table("typed"):
        schedule = s.parse(text, SEOUL, None, None)[0]
        found = s.due_for(schedule, mode, SEOUL, typed or None, NOW)
        assert (found.isoformat(), label(schedule, mode, SEOUL, found)) == (due, name)
