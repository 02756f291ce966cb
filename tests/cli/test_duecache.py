"""The next due instants that are remembered between calls."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runner.cli.duecache import DueCache


class Finder:
    """Counts how often it is asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def __call__(self):
        self.asked += 1
        return self.answer


def test_an_instant_is_found_once_and_again_when_it_has_passed(tmp_path, clock):
    path = str(tmp_path / "cache/due.json")
    find = Finder(clock.now() + timedelta(hours=1))
    for asked in (1, 1):
        cache = DueCache(path)
        assert cache.get("a", clock.now(), find) == find.answer
        cache.save()
        assert find.asked == asked
    clock.advance(3600)
    find.answer += timedelta(days=1)
    assert DueCache(path).get("a", clock.now(), find) == find.answer
    assert find.asked == 2


def test_never_again_is_remembered_too(tmp_path, clock):
    path, find = str(tmp_path / "cache/due.json"), Finder(None)
    for _ in range(2):
        cache = DueCache(path)
        assert cache.get("a", clock.now(), find) is None
        cache.save()
    assert find.asked == 1


def test_what_nobody_asks_for_is_dropped(tmp_path, clock):
    path, find = str(tmp_path / "cache/due.json"), Finder(clock.now() + timedelta(hours=1))
    for keys in ("ab", "b", "a"):
        cache = DueCache(path)
        for key in keys:
            cache.get(key, clock.now(), find)
        cache.save()
    assert find.asked == 3


@pytest.mark.parametrize("text", ["", "[]", "{\"a\": 1}", "{\"a\": \"soon\"}", "\xff"])
def test_a_broken_cache_is_an_empty_one(tmp_path, clock, text):
    path = tmp_path / "cache/due.json"
    path.parent.mkdir()
    path.write_text(text, encoding="latin-1")
    assert DueCache(str(path)).get("a", clock.now(), lambda: clock.now()) == clock.now()


def test_no_home_is_made_for_it(tmp_path, clock):
    cache = DueCache(str(tmp_path / "home/cache/due.json"))
    cache.get("a", clock.now(), clock.now)
    cache.save()
    assert not (tmp_path / "home").exists()
