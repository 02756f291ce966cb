"""The daemon's own log: a line for each event, with its time, whoever reads it."""

from __future__ import annotations

import logging
import re

import pytest

from runner.daemon.log import FILE, Lines, _Journal, open_log


@pytest.fixture
def log(tmp_path):
    opened = open_log(str(tmp_path), {})
    yield opened
    for handler in opened.handlers:
        handler.close()


def test_what_a_turn_tells_is_a_line_each_with_its_time_and_level(tmp_path, log):
    log.info("daemon started")
    log.info(Lines(["run mart@2026-02-28 running", "run 마트@2026-02-28 success: 끝", "run odd@1 failed: two\nlines"]))
    log.warning(Lines(["100 % of it failed"]))
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (INFO|WARNING) ", line) for line in lines)
    assert [line.split(" ", 2)[1:] for line in lines] == [
        ["INFO", "daemon started"], ["INFO", "run mart@2026-02-28 running"], ["INFO", "run 마트@2026-02-28 success: 끝"],
        ["INFO", "run odd@1 failed: two lines"], ["WARNING", "100 % of it failed"]]


def test_each_line_has_the_time_of_its_own_second(log):
    form = log.handlers[0].formatter
    times = []
    for second in (1e9, 1e9 + 0.9, 1e9 + 1, 1e9):
        record = logging.makeLogRecord({"msg": "x", "created": second, "levelname": "INFO"})
        times.append(form.format(record).split()[0])
    assert times[0] == times[1] == times[3] and times[2] != times[0]


def test_the_journal_has_the_priority_before_every_line():
    record = logging.makeLogRecord({"msg": Lines(["a", "b"]), "levelno": logging.WARNING})
    assert _Journal("%(message)s").format(record) == "<4>a\n<4>b"
