"""How much goes into one message, and when what failed is tried again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, Optional

FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=30), timedelta(hours=1)
GIVE_UP = timedelta(days=1)  # after what it tells of


class Go(NamedTuple):
    """What to do with `waiting` alerts of one channel now: so many one by one, or all as one, or none until `hold`."""

    single: int = 0
    together: bool = False
    hold: Optional[datetime] = None


def decide(waiting: int, sent: int, first: Optional[datetime], now: datetime, more_than: int, within: float, may_hold: bool = True) -> Go:
    """`sent`: messages that the channel got since `first`, within the last `within` seconds.

    The first `more_than` go out one by one and at once. What comes after them in that time is kept until it is over, and is
    one message then; a flood that is there already is one message at once.
    """
    if waiting <= 0:
        return Go()
    if sent + waiting <= more_than:
        return Go(single=waiting)
    if sent < more_than or not may_hold or first is None:
        return Go(together=True) if waiting > 1 else Go(single=1)
    return Go(hold=max(first + timedelta(seconds=within), now))


def next_try(tries: int, now: datetime) -> datetime:
    """When to try again after `tries` failures: 30 s, 1 min, 2 min ... 1 h."""
    return now + min(FIRST_RETRY * 2 ** min(max(tries - 1, 0), 20), LONGEST_RETRY)


def is_hopeless(at: datetime, now: datetime) -> bool:
    return now - at >= GIVE_UP
