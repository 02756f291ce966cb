"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from runner.durations import DurationError, parse_duration

GOOD = [
    ("90", 90), ("90.5", 90.5), (90, 90), (0, 0), (1.5, 1.5), ("0", 0), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1h 30m", 5400),
    ("2d", 172800), ("1w", 604800), ("1d12h", 129600), ("1.5h", 5400), ("500ms", 0.5), ("1m500ms", 60.5), (" 5m ", 300),
    ("PT1M", 60), ("PT1H30M", 5400), ("P2D", 172800), ("P1DT12H", 129600), ("PT90S", 90), ("P1W", 604800), ("PT0.5S", 0.5),
]  # fmt: skip
BAD = [
    ("", "empty", "5m"),
    ("five", "not a length", "5m"),
    ("5 minutes", "not a length", "write 5m"),
    ("1 hour 30 minutes", "not a length", "write 1h30m"),
    ("5M", "not a length", "write 5m"),
    ("30m1h", "not a length", "largest first"),
    ("5m5m", "not a length", "once"),
    ("1:30", "not a length", "write 1h30m"),
    ("1:30:15", "not a length", "write 1h30m15s"),
    ("3mo", "no fixed length", "30d"),
    ("1 year", "no fixed length", "30d"),
    ("P1Y", "no fixed length", "P30D"),
    ("P", "ISO 8601", "PT1M"),
    ("P1DT", "ISO 8601", "PT1M"),
    ("-5", "negative", "5m"),
    (-5, "negative", "5m"),
    (True, "not a length", "5m"),
    (None, "not a length", "5m"),
    ([5], "not a length", "5m"),
    (float("nan"), "not a length", "5m"),
    (float("inf"), "not a length", "5m"),
    ("9999d", "more than ten years", "no limit"),
    ("٥m", "not a length", "5m"),
]


@pytest.mark.parametrize("value, seconds", GOOD)
def test_good(value, seconds):
    assert parse_duration(value) == seconds
    assert isinstance(parse_duration(value), float)


@pytest.mark.parametrize("value, message, hint", BAD)
def test_bad_with_a_remedy(value, message, hint):
    with pytest.raises(DurationError) as caught:
        parse_duration(value)
    assert message in caught.value.message
    assert hint in caught.value.hint
