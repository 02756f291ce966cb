"""Columns that line up, with Hangul, colours and control characters."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli import table

NOW = datetime(2026, 2, 28, tzinfo=timezone.utc)


@pytest.mark.parametrize("text, cells", [
    ("abc", 3), ("한글", 4), ("e\u0301", 1), ("", 0), ("\x1b[31mred\x1b[0m", 3), ("ａ", 2), ("a\u200bb", 2),
])
def test_width_counts_cells(text, cells):
    assert table.width(text) == cells


@pytest.mark.parametrize("text, cells, fitted", [
    ("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("한글이다", 4, "한… "), ("한글", 4, "한글"),
    ("\x1b[31mabcdef\x1b[0m", 4, "\x1b[31mabc\x1b[0m…"),
])
def test_fit_pads_or_cuts(text, cells, fitted):
    assert table.fit(text, cells) == fitted


@given(st.text(alphabet="ab한글e\u0301…", max_size=30), st.integers(2, 40))
def test_fit_is_always_exact(text, cells):
    assert table.width(table.fit(text, cells)) == cells


def test_columns_line_up_with_hangul_and_colours():
    lines = table.columns(("step", "state", "note"), [("적재", click.style("failed", fg="red"), "x"), ("extract", "success", "y" * 50)], 40)
    assert [click.unstyle(line) for line in lines] == [
        "step     state    note",
        "적재     failed   x",
        "extract  success  " + "y" * 21 + "…",
    ]


ROWS = [("retries_and_rules@2026-02-28", "+ success", "", "etl", "r" * 40), ("매출" * 10 + "@2026-02-28", "x failed", "", "", "exit 1")]
HEAD = ("run", "state", "tries", "owner", "reason")


def test_what_is_too_wide_loses_what_is_empty_then_what_counts_less_then_the_middle_of_its_names():
    def heads(limit, **more):
        lines = table.columns(HEAD, ROWS, limit, **more)
        assert all(table.width(line) <= limit for line in lines)
        return lines[0].split()

    assert heads(140) == list(HEAD)
    assert heads(93) == ["run", "state", "owner", "reason"]
    assert heads(88, lesser=["owner"]) == ["run", "state", "reason"]
    lines = table.columns(HEAD, ROWS, 65, lesser=["owner"])
    assert lines[1].startswith("retries_") and "…" in lines[1] and "-02-28  + success  rrr" in lines[1]
    assert lines[2].startswith("매출") and "…" in lines[2] and "-02-28 " in lines[2] and lines[2].endswith("x failed   exit 1")
    assert len({table.width(line[:line.index(word)]) for line, word in zip(lines, ("state", "+ succ", "x fail"))}) == 1


@pytest.mark.parametrize("text, most, cut", [("abcdefghij", 10, "abcdefghij"), ("abcdefghij", 9, "abcd…ghij"), ("매출매출매출", 7, "매출…출")])
def test_a_name_loses_its_middle(text, most, cut):
    assert table.middle_cut(text, most) == cut


def test_no_rows_no_header():
    assert table.columns(("a",), []) == []


@pytest.mark.parametrize("text, shown", [
    ("a\tb", "a\tb"), ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"), ("\x1b[2J", "\\x1b[2J"), ("\x07\x00", "\\x07\\x00"),
    ("\x1b]0;title\x07", "\\x1b]0;title\\x07"), ("\x9b2J", "\\x9b2J"), ("한글", "한글"),
])
def test_what_would_move_the_cursor_is_made_visible(text, shown):
    assert table.clean(text) == shown


def test_a_cell_is_one_line():
    assert table.one_line("a\n  b\r\nc") == "a b c"


@pytest.mark.parametrize("seconds, text", [
    (None, ""), (-1, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.97, "10s"), (59.7, "1m00s"), (185, "3m05s"), (7620, "2h07m"), (273600, "3d04h"),
])
def test_duration(seconds, text):
    assert table.duration(seconds) == text


def test_elapsed_runs_on_while_there_is_no_end():
    assert table.elapsed(NOW, None, NOW + timedelta(seconds=12)) == "12s"
    assert table.elapsed(NOW, NOW + timedelta(seconds=3), NOW + timedelta(seconds=12)) == "3.0s"
    assert table.elapsed(None, None, NOW) == ""


@pytest.mark.parametrize("count, text", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (250_000, "250 kB"), (10**9, "1.0 GB"), (5 * 10**15, "5000 TB")])
def test_size(count, text):
    assert table.size(count) == text


def test_every_state_has_a_sign_and_a_colour():
    from runner import model

    for state in model.RUN_STATES + model.STEP_STATES:
        assert state in table.STATE_SIGNS and state in table.STATE_COLORS


def test_a_long_line_of_a_log_shows_its_beginning_and_its_end():
    assert table.brief("short\x00 \x1b[31mred\x1b[0m", 100) == "short\\x00 \x1b[31mred\x1b[0m"
    found = table.brief("begin " + "x" * 100_000 + " end", 100)
    assert found.startswith("begin x") and found.endswith("x end") and "(100010 characters)" in found and len(found) < 150
    assert len(table.brief("\0" * 300_000, 1000)) < 1100
    assert len(table.brief("\0" * 900, 1000)) < 1100
    assert "\x1b" not in table.brief("\x1b[31m" + "red" * 1000 + "\x1b[0m", 1000)
