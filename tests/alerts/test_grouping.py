"""How much is one message, and when what failed is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from runner.alerts import grouping

NOW = datetime(2026, 2, 28, tzinfo=timezone.utc)


def test_a_few_go_out_one_by_one_and_at_once():
    assert grouping.decide(5, 0, None, NOW, 5, 60) == grouping.Go(single=5)


def test_a_flood_is_one_message_at_once():
    assert grouping.decide(200, 0, None, NOW, 5, 60) == grouping.Go(together=True)


def test_what_comes_after_the_first_few_is_kept_until_the_minute_is_over():
    first = NOW - timedelta(seconds=20)
    assert grouping.decide(1, 5, first, NOW, 5, 60) == grouping.Go(hold=first + timedelta(seconds=60))
    assert grouping.decide(30, 0, None, NOW + timedelta(seconds=40), 5, 60).together


def test_nothing_is_kept_where_nobody_comes_back_for_it():
    assert grouping.decide(30, 5, NOW, NOW, 5, 60, may_hold=False) == grouping.Go(together=True)
    assert grouping.decide(1, 5, NOW, NOW, 5, 60, may_hold=False) == grouping.Go(single=1)


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 600), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=30))
def test_every_alert_goes_out_once_and_no_minute_has_a_flood(first, more_than, within, later):
    """A channel that works: alerts come in bursts, the sender looks whenever something is due."""
    now, waiting, held, sent, total = NOW, first, None, [], first
    delivered = 0
    for pause, burst in [*later, (within + 1, 0), (within + 1, 0)]:
        while waiting and (held is None or held <= now):
            inside = [moment for moment in sent if moment > now - timedelta(seconds=within)]
            go = grouping.decide(waiting, len(inside), min(inside, default=None), now, more_than, within)
            if go.hold:
                assert go.hold > now
                held = go.hold
                break
            held = None
            count = waiting if go.together else go.single
            assert 0 < count <= waiting
            sent += [now] * (1 if go.together else count)
            delivered, waiting = delivered + count, waiting - count
        now += timedelta(seconds=pause)
        waiting, total = waiting + burst, total + burst
    assert (delivered, waiting) == (total, 0)
    for moment in sent:
        assert len([each for each in sent if moment <= each < moment + timedelta(seconds=within)]) <= more_than + 1


def test_the_wait_doubles_up_to_an_hour_and_after_a_day_it_is_hopeless():
    waits = [(grouping.next_try(tries, NOW) - NOW).total_seconds() for tries in range(1, 12)]
    assert waits[:4] == [30, 60, 120, 240] and waits == sorted(waits) and waits[-1] == 3600
    assert grouping.next_try(10_000, NOW) - NOW == timedelta(hours=1)
    assert not grouping.is_hopeless(NOW, NOW + timedelta(hours=23)) and grouping.is_hopeless(NOW, NOW + timedelta(hours=24))
