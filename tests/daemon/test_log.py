"""The daemon's own log: a line for each event, with its time, whoever reads it."""

from __future__ import annotations

import logging
import os
import re
import sys

import pytest

from runner.daemon.log import FILE, OUT, Lines, _Journal, open_log


@pytest.fixture
def log(tmp_path):
    opened = open_log(str(tmp_path), {})
    yield opened
    for handler in opened.handlers:
        handler.close()


@pytest.fixture
def to(tmp_path, monkeypatch):
    """to(file): the log of a daemon whose stderr is that open file."""
    opened = []

    def lead(file):
        monkeypatch.setattr(sys, "stderr", file)
        opened.append(open_log(str(tmp_path), {}))
        return opened[-1]

    yield lead
    for log in opened:
        for handler in log.handlers:
            handler.close()


def test_a_pipe_that_somebody_reads_gets_every_line(to):
    reading, writing = os.pipe()
    with open(writing, "w") as written:
        to(written).warning(Lines(["run 마트@1 failed", "run b@1 success"]))
    with open(reading, encoding="utf-8") as read:
        assert [line.split(" ", 1)[1] for line in read] == ["WARNING run 마트@1 failed\n", "WARNING run b@1 success\n"]


def test_who_stops_reading_does_not_stop_the_daemon(to, tmp_path):
    reading, writing = os.pipe()
    with open(writing, "w") as written:
        log = to(written)
        for _ in range(300):
            log.info("x" * 1000)
        os.close(reading)
        log.info("the last")
    assert "the last" in (tmp_path / FILE).read_text()


def test_a_file_of_somebody_gets_the_lines_and_nobodys_none(to, tmp_path):
    with open(tmp_path / "mine", "w") as mine, open(tmp_path / OUT, "w") as out, open(os.devnull, "w") as nothing:
        to(mine).info("once")
        assert len(to(out).handlers) == len(to(nothing).handlers) == 1, "the start script's file would grow for ever"
    assert (tmp_path / "mine").read_text().endswith(" INFO once\n")


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
