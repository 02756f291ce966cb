"""Who gets the next slot: lanes, weights, fairness between pipelines, pools."""

from __future__ import annotations

from runner.planning.slots import BACKFILL, Slots


def order_of(slots):
    out = []
    while slots.best() is not None:
        out.append(slots.best())
        slots.withdraw(out[-1])
    return out


def test_a_backfill_goes_last_then_weight_then_the_pipeline_with_least_at_work_then_order():
    slots = Slots(8, {})
    slots.offer(1, (1, -99, 0, 0))
    slots.offer(2, (0, -1, 3, 0))
    slots.offer(3, (0, -1, 0, 2))
    slots.offer(4, (0, -1, 0, 1))
    slots.offer(5, (0, -5, 9, 9))
    assert order_of(slots) == [5, 4, 3, 2, 1]


def test_a_later_offer_takes_the_place_of_the_earlier():
    slots = Slots(8, {})
    slots.offer(1, (0, -1, 0, 0))
    slots.offer(2, (0, -1, 0, 1))
    slots.offer(1, (0, -1, 5, 0))
    assert order_of(slots) == [2, 1]


def test_a_run_whose_pool_is_full_lets_others_pass_and_comes_back_when_there_is_room():
    slots = Slots(8, {"hive": 1})
    slots.take({"hive": 1})
    slots.offer(1, (0, -9, 0, 0))
    slots.offer(2, (0, -1, 0, 1))
    assert slots.full_pool({"hive": 1}) == "hive"
    slots.park(1, "hive")
    assert slots.best() == 2
    slots.give_back({"hive": 1})
    assert slots.best() == 1 and slots.full_pool({"hive": 1}) is None and slots.free == 8


def test_who_wants_more_than_a_pool_has_waits_until_it_is_empty_not_for_ever():
    slots = Slots(8, {"hive": 2})
    slots.take({"hive": 1})
    assert slots.full_pool({"hive": 5}) == "hive"
    slots.give_back({"hive": 1})
    assert slots.full_pool({"hive": 5}) is None
    slots.take({"hive": 5})
    assert slots.full_pool({"hive": 1}) == "hive"


def test_backfills_leave_a_quarter_of_the_slots_free():
    slots = Slots(8, {})
    for _ in range(6):
        assert slots.full_pool({BACKFILL: 1}) is None
        slots.take({BACKFILL: 1})
    assert slots.full_pool({BACKFILL: 1}) == BACKFILL and slots.free == 2
    assert Slots(1, {}).full_pool({BACKFILL: 1}) is None


def test_a_run_that_ended_while_parked_is_forgotten():
    slots = Slots(8, {"hive": 1})
    slots.take({"hive": 1})
    slots.offer(1, (0, -1, 0, 0))
    assert slots.best() == 1
    slots.park(1, "hive")
    slots.withdraw(1)
    slots.give_back({"hive": 1})
    assert slots.best() is None
