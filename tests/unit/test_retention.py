"""What is kept and for how long, on made-up rows; the settings behind it; a log that was compressed."""

from __future__ import annotations

import gzip
import os
import random
from datetime import datetime, timedelta, timezone

import pytest

from runner import config, logtail, retention
from runner.clock import to_text
from runner.errors import EnvironmentFault
from runner.store.housekeeping import Past

NOW = datetime(2026, 11, 20, 4, 30, tzinfo=timezone.utc)


def past(number, pipeline="mart", state="success", ended=100.0, due=None, again=0):
    """Run `number`, ended that many days ago; None: it has not."""
    due = ended if due is None else due
    return Past(number, f"{pipeline}@{number}", pipeline, state, to_text(NOW - timedelta(days=due or 0)), again,
                None if ended is None else to_text(NOW - timedelta(days=ended)))


def ids(runs):
    return [run.id for run in runs]


# ---------------------------------------------------------------------------------------------------------- always kept


@pytest.mark.parametrize("runs, kept", [
    ([past(1, ended=9), past(2, ended=8)], {2}),
    ([past(1, ended=9), past(2, ended=8, state="failed")], {1, 2}),
    ([past(1, ended=9), past(2, ended=8, state="failed"), past(3, ended=7, state="killed")], {1, 3}),
    ([past(1, ended=9), past(2, "other", ended=8)], {1, 2}),
    ([past(1, ended=9), past(2, ended=None, state="running", due=1)], {1, 2}),
    ([past(1, ended=2, due=2), past(2, ended=1, due=30), past(3, ended=1, due=31)], {1, 3}),  # a backfill does not push it out
    ([past(1, ended=9), past(2, ended=9, again=1)], {2}),  # of one date the last number
    ([past(1, ended=9), past(2, ended=8, state="failed"), past(3, ended=7, state="missed")], {1, 2, 3}),
    ([], set()),
])
def test_the_last_run_the_latest_date_and_its_last_success_are_kept(runs, kept):
    for _ in range(3):
        random.Random(len(runs)).shuffle(runs)
        assert retention.always_kept(runs) == kept


@pytest.mark.parametrize("days, gone", [(90, [3, 1]), (100, [3]), (1, [3, 1, 2]), (0, [])])
def test_age_counts_from_the_end_and_0_is_never(days, gone):
    runs = [past(1, ended=90.01, due=5), past(2, ended=89.99, due=400), past(3, ended=200), past(4, ended=None, state="running")]
    assert ids(retention.ended_before(runs, days, NOW)) == gone


# --------------------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("taken, limit, gone", [
    (0, 60, []), (0, 59, [1]), (0, 50, [1]), (0, 49, [1, 2]), (0, 1, [1, 2, 3]), (40, 100, []), (41, 100, [1]), (1000, 100, [1, 2, 3]), (1000, 0, []),
])
def test_the_oldest_go_until_the_rest_has_room(taken, limit, gone):
    runs = [past(3, ended=1), past(1, ended=3), past(4, ended=2.5), past(2, ended=2)]
    assert ids(retention.beyond(runs, {1: 10, 2: 20, 3: 30, 4: 0}, taken, limit)) == gone


def test_what_stays_has_room_and_nothing_newer_went_than_what_stays():
    dice = random.Random(7)
    for _ in range(300):
        runs = [past(n, ended=dice.random() * 50) for n in range(dice.randrange(20))]
        sizes = {run.id: dice.randrange(100) for run in runs}
        limit, taken = dice.randrange(1, 1000), dice.randrange(200)
        gone = retention.beyond(runs, sizes, taken, limit)
        stay = [run for run in runs if run not in gone and sizes[run.id]]
        total = taken + sum(sizes[run.id] for run in stay)
        assert total <= limit or not stay
        assert not gone or total + sizes[gone[-1].id] > limit, "one too many went"
        assert not gone or not stay or max(run.ended_at for run in gone) <= min(run.ended_at for run in stay)


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("text, size", [
    ("500M", 500 * 10**6), ("20G", 20 * 10**9), ("1T", 10**12), ("1.5g", 1_500_000_000), ("20 GB", 20 * 10**9), ("64k", 64_000),
    ("5000000", 5_000_000), ("0", 0), ("never", 0), ("Never", 0),
])
def test_sizes(text, size):
    assert config.load({"RUNNER_HOME": "/nowhere", "RUNNER_KEEP_BYTES": text}).keep_bytes == size


@pytest.mark.parametrize("text, days", [("90", 90), ("7d", 7), ("1 day", 1), ("365 days", 365), ("0", 0), ("never", 0)])
def test_days(text, days):
    assert config.load({"RUNNER_HOME": "/nowhere", "RUNNER_KEEP_DAYS": text}).keep_days == days


@pytest.mark.parametrize("line, words", [
    ("keep_bytes: 20", "unit is missing"), ("keep_bytes: lots", "not a size"), ("keep_bytes: -1G", "not a size"), ("keep_bytes: 20GiB", "not a size"),
    ("keep_days: 1w", "number of days"), ("keep_days: -1", "number of days"), ("compress_days: 1.5", "number of days"),
    ("keep_day: 5", "is no setting"),
])
def test_nonsense_is_refused_with_its_place(tmp_path, line, words):
    (tmp_path / "settings.yaml").write_text(line + "\n")
    with pytest.raises(EnvironmentFault, match=words) as caught:
        config.load({"RUNNER_HOME": str(tmp_path)})
    assert str(tmp_path / "settings.yaml") in caught.value.message and (caught.value.hint or "").split(":")[0]


@pytest.mark.parametrize("text, shown", [("20G", "20G"), ("1500M", "1.5G"), ("999999999", "999999999"), ("64K", "64K"), ("0", "never"), ("1T", "1T")])
def test_a_size_is_shown_as_one_would_write_it(text, shown):
    read = config.load({"RUNNER_HOME": "/nowhere", "RUNNER_KEEP_BYTES": text})
    assert config.shown(read, "keep_bytes") == shown
    assert config.load({"RUNNER_HOME": "/nowhere", "RUNNER_KEEP_BYTES": shown}).keep_bytes == read.keep_bytes


def test_the_template_shows_the_defaults(tmp_path):
    loaded = config.load({"RUNNER_HOME": str(tmp_path)})
    config.ensure_home(loaded)
    text = (tmp_path / "settings.yaml").read_text()
    for name in ("keep_days", "keep_bytes", "compress_days"):
        assert f"# {name}: {config.shown(loaded, name)} " in text


# ------------------------------------------------------------------------------------------------------ compressed logs


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(5000)) + "실패\n".encode("cp949") + b"no end")
    os.utime(path, ns=(10**18, 10**18 + 123456789))
    os.chmod(path, 0o640)
    return str(path)


def test_a_compressed_log_keeps_bytes_time_and_mode(log):
    before, about = open(log, "rb").read(), os.stat(log)
    assert retention.compress(log)
    after = os.stat(log + ".gz")
    assert os.listdir(os.path.dirname(log)) == ["log.gz"]
    assert (after.st_mtime_ns, after.st_mode) == (about.st_mtime_ns, about.st_mode)
    assert gzip.open(log + ".gz").read() == before


@pytest.mark.parametrize("count", [0, 1, 2, 7, 700, 5001, 5002, 9999])
@pytest.mark.parametrize("limit", [1, 100, 4096, logtail.TAIL_BYTES])
def test_the_tail_is_the_same(log, count, limit, monkeypatch):
    monkeypatch.setattr(logtail, "BLOCK", 1000)
    tail = logtail.find_tail(log, count, limit)
    lines, size, every = list(logtail.read_lines(log, tail.offset, tail.size)), logtail.size_of(log), list(logtail.read_lines(log))
    retention.compress(log)
    assert logtail.find_tail(log, count, limit) == tail
    assert list(logtail.read_lines(log, tail.offset, tail.size)) == lines
    assert (logtail.size_of(log), list(logtail.read_lines(log))) == (size, every)
    assert logtail.place_of(log) == log + ".gz"


def test_a_follower_reads_on_in_what_was_compressed(log):
    follower = logtail.Follower(log, 10)
    retention.compress(log)
    assert list(follower.lines(ended=True))[-2:] == ["실패".encode("cp949"), b"no end"]


def test_the_end_of_a_large_compressed_log_takes_little_memory(tmp_path):
    import tracemalloc

    path = str(tmp_path / "log")
    with gzip.open(path + ".gz", "wb", 1) as file:
        for n in range(300):
            file.write(b"%099d\n" % n * 1000)  # 30 MB
    tracemalloc.start()
    lines = logtail.last_lines(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [f"{299:099d}"] * 3 and peak < 4 * logtail.TAIL_BYTES


def test_a_log_that_is_still_written_is_left(log, monkeypatch):
    def write_meanwhile(*_args, **_options):
        with open(log, "ab") as file:
            file.write(b"more")

    monkeypatch.setattr(retention.os, "fsync", write_meanwhile)
    assert retention.compress(log) is False
    assert os.listdir(os.path.dirname(log)) == ["log"]


@pytest.mark.parametrize("spoil", [lambda data: data[:-200], lambda data: b"no gzip at all", lambda data: data[:50] + b"\0\1\2" * 20 + data[110:]])
def test_a_damaged_one_is_an_error_with_words(log, spoil):
    retention.compress(log)
    data = open(log + ".gz", "rb").read()
    with open(log + ".gz", "wb") as file:
        file.write(spoil(data))
    with pytest.raises(EnvironmentFault, match="damaged"):
        logtail.last_lines(log, 5)
