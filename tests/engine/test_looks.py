"""Waits for other runs: a turn touches those that are due, however many wait."""

from __future__ import annotations

import pytest

from runner.waits import Waits, runs


class Watched:
    """Waits whose looks are counted."""

    def __init__(self, clock):
        self.clock, self.looks, self.ready = clock, [], set()
        self.waits = Waits(None, None, clock, lambda fd: None, lambda fd: None)

    def begin(self, name, pipeline, every=30.0):
        self.waits._keep(name, lambda: self.look(name), pipeline, every)

    def look(self, name):
        self.looks.append(name)
        return runs.Seen(ready={}) if name in self.ready else runs.Seen(missing="not yet")

    def heard(self):
        self.looks.clear()
        return [(news.folder, bool(news.report)) for news in self.waits.heard()]


@pytest.fixture
def watched(clock):
    return Watched(clock)


def test_each_is_looked_at_when_it_is_due_and_only_then(watched, clock):
    watched.begin("a", "mart", every=30)
    clock.advance(10)
    watched.begin("b", "mart", every=5)
    assert watched.heard() == [("a", False), ("b", False)] and watched.waits.next_look() == clock.monotonic() + 5
    clock.advance(5)
    assert watched.heard() == [("b", False)] and watched.looks == ["b"]
    clock.advance(25)
    watched.heard()
    assert sorted(watched.looks) == ["a", "b"]


def test_an_ended_run_wakes_those_who_wait_for_its_pipeline(watched, clock):
    for number in range(2000):
        watched.begin(f"w{number}", f"p{number % 500}")
    watched.heard()
    watched.ready = {"w7"}
    for _ in range(3):
        watched.waits.ended("p7")
    assert watched.waits.next_look() == 0.0
    assert dict(watched.heard()) == {"w7": True, "w507": False, "w1007": False, "w1507": False} and len(watched.looks) == 4
    watched.waits.ended("p7")
    watched.heard()
    assert sorted(watched.looks) == ["w1007", "w1507", "w507"]
    assert watched.waits.next_look() == clock.monotonic() + 30


def test_what_ended_is_forgotten(watched, clock):
    """Also its moment in the heap: a daemon of a year must not grow."""
    watched.begin("stays", "slow", every=1000)
    for number in range(500):
        watched.begin(f"w{number}", "mart", every=1)
        watched.heard()
        watched.waits.ended("mart")
        watched.waits.end(f"w{number}")
        clock.advance(1)
    watched.heard()
    assert watched.waits.next_look() == 2000.0 and len(watched.waits._due) < 5 and list(watched.waits._of) == ["slow"]
    watched.waits.end("stays")
    assert watched.waits.next_look() is None
