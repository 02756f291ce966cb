"""Moments as text: in order, without loss, each hour of a repeated one its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from runner.clock import UTC, from_text, to_text

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.sampled_from([UTC, ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/Berlin")]))


def test_both_halves_of_a_repeated_hour_keep_their_own_text():
    """For Python they are equal; a text that was kept for one must not be given to the other."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    second = first.replace(fold=1)
    assert first == second
    assert [to_text(each) for each in (first, second, first)] == [
        "2026-10-25T00:30:00.000000Z", "2026-10-25T01:30:00.000000Z", "2026-10-25T00:30:00.000000Z"]


@given(MOMENTS, MOMENTS)
def test_text_order_is_time_order_and_nothing_is_lost(one, other):
    texts = to_text(one), to_text(other)
    instants = one.astimezone(UTC), other.astimezone(UTC)
    assert (texts[0] < texts[1]) == (instants[0] < instants[1])
    assert (from_text(texts[0]), from_text(texts[1])) == instants and {len(text) for text in texts} == {27}
    assert from_text(texts[0]).utcoffset() == timedelta() and from_text(texts[0]).tzinfo is timezone.utc
