"""Rows of users, sessions, tokens, and of the trail."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from runner.store import Store
from runner.store.audit import LONGEST

NOW = datetime(2026, 2, 28, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path):
    made = Store(str(tmp_path / "runner.db"), "normal")
    yield made
    made.close()


def test_the_trail_is_read_newest_first_page_by_page_and_by_who_and_what(store):
    for number in range(6):
        store.audit.add(NOW + timedelta(seconds=number), ("kim", "lee")[number % 2], "page", f"act{number}", ("mart", "raw")[number // 3], reason="디스크 \udcff", before={"a": 1}, after={"a": 2})
    first = store.audit.rows(2)
    assert [entry.act for entry in first] == ["act5", "act4"] and first[0].at == NOW + timedelta(seconds=5)
    assert (first[0].reason, first[0].before, first[0].after) == ("디스크 ?", {"a": 1}, {"a": 2})
    assert [entry.act for entry in store.audit.rows(2, before=first[-1].id)] == ["act3", "act2"]
    assert [entry.act for entry in store.audit.rows(9, pipeline="mart", actor="kim")] == ["act2", "act0"]
    store.audit.add(NOW, "kim", "cli", "stop", reason="x" * 10_000)
    assert len(store.audit.rows(1)[0].reason) == LONGEST
    store.audit.prune(NOW + timedelta(seconds=3))
    assert [entry.act for entry in store.audit.rows(9)] == ["act5", "act4", "act3"]


def test_an_act_that_fails_leaves_no_line_in_the_trail(store):
    with pytest.raises(ZeroDivisionError):
        with store.transaction():
            store.audit.add(NOW, "kim", "cli", "stop")
            raise ZeroDivisionError
    assert store.audit.rows(9) == []


def test_no_role_but_the_four_can_be_written(store):
    with pytest.raises(sqlite3.IntegrityError):
        store.accounts.add_user("kim", "boss", (), "", NOW)
    store.accounts.add_user("kim", "admin", ("b", "a", "a"), "", NOW)
    assert store.accounts.user("kim").tags == ("a", "b") and store.accounts.any()
    with pytest.raises(sqlite3.IntegrityError):
        store.accounts.add_token("t", "h", "kim", "boss", (), NOW, "root", NOW)


def test_sessions_and_tokens_go_with_their_user(store):
    past = NOW - timedelta(days=1)
    store.accounts.add_user("kim", "admin", (), "", NOW)
    store.accounts.add_session("h", "kim", "f", NOW)
    store.accounts.add_token("t", "h", "kim", "viewer", (), NOW, "root", NOW)
    store.accounts.add_token("free", "h2", "", "viewer", (), NOW, "root", NOW)
    store.accounts.remove_user("kim")
    assert store.accounts.session("h", past, past) is None and [token.name for token in store.accounts.tokens()] == ["free"]
    with pytest.raises(sqlite3.IntegrityError):
        store.accounts.add_session("h", "nobody", "f", NOW)
