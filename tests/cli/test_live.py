"""The progress of a run: on a terminal of 80x24, on a pipe, with Hangul, with more steps than lines."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import textwrap
from types import SimpleNamespace

import pyte
import pytest

from runner.cli import table
from runner.cli.live import Board, Progress
from runner.engine import Event
from runner.workorder import attempt_folder
from tests.conftest import FakeClock, add_run, make_pipeline, make_step

STEPS = ["extract", "고객_적재", "매출집계", "load"]


def _app(tmp_path, environ=None, store=None):
    config = SimpleNamespace(runs_folder=str(tmp_path / "runs"))
    return SimpleNamespace(environ=environ or {}, clock=FakeClock(), config=config, store_if_any=lambda: store)


@pytest.fixture
def run(store, clock):
    return add_run(store, make_pipeline(*[make_step(name) for name in STEPS]), clock)


def _event(run, clock, step, state, reason="", number=1):
    return Event(run, step, state, reason, number, clock.now())


def _lines(tmp_path, run, events, **options):
    stream = io.StringIO()
    progress = Progress(_app(tmp_path), run.name, make_pipeline(*[make_step(name) for name in STEPS]), stream, **options)
    progress.start()
    for event in events:
        progress(event)
    progress.stop()
    return stream.getvalue().splitlines()


def _log(tmp_path, run, step, data, number=1):
    folder = attempt_folder(str(tmp_path / "runs"), run, step, number)
    os.makedirs(folder)
    with open(os.path.join(folder, "log"), "wb") as file:
        file.write(data)


# --------------------------------------------------------------------------------------------------------------- lines


def test_without_a_terminal_each_change_is_one_aligned_line_in_the_runs_own_zone(tmp_path, run, clock):
    lines = _lines(tmp_path, run, [
        _event(run, clock, None, "running", number=None),
        _event(run, clock, "extract", "running"),
        _event(run, clock, "고객_적재", "skipped", "when: params.full", None),
        _event(run, clock, "extract", "running", number=2),
    ])
    assert lines == [
        "23:50:00  run        running",
        "23:50:00  extract    running",
        "23:50:00  고객_적재  skipped          when: params.full",
        "23:50:00  extract    running          attempt 2",
    ]


def test_a_wait_that_goes_on_is_said_once(tmp_path, run, clock):
    wait = _event(run, clock, None, "queued", "waits for mart@2026-02-27", None)
    assert len(_lines(tmp_path, run, [wait, wait, wait])) == 1


def test_a_failed_step_shows_the_end_of_its_log(tmp_path, run, clock):
    _log(tmp_path, run, "load", "".join(f"line {n}\n" for n in range(30)).encode() + "실패\n".encode("cp949"))
    lines = _lines(tmp_path, run, [_event(run, clock, "load", "failed", "exit 1")])
    assert lines[0].endswith("failed           exit 1")
    assert lines[1:] == [f"load | line {n}" for n in range(21, 30)] + ["load | 실패"]


def test_with_logs_each_step_shows_what_it_printed_when_it_ends(tmp_path, run, clock):
    _log(tmp_path, run, "extract", b"one\ntwo\x07\n")
    lines = _lines(tmp_path, run, [_event(run, clock, "extract", "running"), _event(run, clock, "extract", "success")], logs=True)
    assert lines[2:] == ["extract | one", "extract | two\\x07"]


def test_a_log_of_one_endless_line_is_cut(tmp_path, run, clock):
    _log(tmp_path, run, "extract", b"x" * 3_000_000)
    lines = _lines(tmp_path, run, [_event(run, clock, "extract", "success")], logs=True)
    assert lines[1].startswith("extract | ... the last 1.0 MB of 3.0 MB")


@pytest.mark.parametrize("data", [b"\0" * 300_000, b"x" * 3_000_000, (b"y" * 50_000 + b"\n") * 40], ids=["NULs", "endless", "long lines"])
def test_a_failed_step_does_not_flood_the_terminal(tmp_path, run, clock, data):
    _log(tmp_path, run, "load", data)
    lines = _lines(tmp_path, run, [_event(run, clock, "load", "failed", "exit 1")])
    assert len(lines) <= 12 and sum(map(len, lines)) < 12_000
    assert any("characters)" in line for line in lines)


def test_quiet_says_nothing(tmp_path, run, clock):
    assert _lines(tmp_path, run, [_event(run, clock, "load", "failed", "exit 1")], quiet=True) == []


def test_a_reader_that_went_away_does_not_stop_the_run(tmp_path, run, clock):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    progress = Progress(_app(tmp_path), run.name, make_pipeline(make_step("load")), Gone())
    progress.start()
    progress(_event(run, clock, "load", "running"))
    progress(_event(run, clock, "load", "success"))
    progress.stop()


# ------------------------------------------------------------------------------------------------------------- picture


def _board(run, clock, count, states):
    board = Board(run.name, [f"step_{n:04}" for n in range(count)])
    board.take(Event(run, None, "running", "", None, clock.now()))
    for n, state in states.items():
        board.take(Event(run, f"step_{n:04}", state, "", 1, clock.now()))
    return board


def test_more_steps_than_lines_show_what_needs_a_look_first_and_count_the_rest(run, clock):
    states = {n: "success" for n in range(100)}
    states.update({2000: "failed", 3000: "running", 4000: "retry_wait"})
    board = _board(run, clock, 5000, states)
    clock.advance(65)
    lines = [text for text, _ in board.picture(79, 22, clock.now())]
    assert len(lines) == 22
    assert lines[0] == "mart@2026-02-28  [------------------------]   2%  101/5000  1m05s"
    assert [line.split()[:3] for line in lines[1:4]] == [
        [">", "step_3000", "running"], ["x", "step_2000", "failed"], ["~", "step_4000", "retry_wait"],
    ]
    assert lines[-1] == "… 4980 more: 4880 pending 100 success"


def test_no_line_is_wider_than_the_terminal(run, clock):
    board = Board("아주긴파이프라인이름" * 4, ["단계" * 40, "b"])
    board.take(Event(run, "단계" * 40, "failed", "이유 " * 60, 3, clock.now()))
    for cells in (20, 40, 79, 200):
        assert all(table.width(text) <= cells for text, _ in board.picture(cells, 22, clock.now()))


def test_a_resumed_run_begins_with_what_has_ended(tmp_path, store, clock):
    pipeline = make_pipeline(make_step("a"), make_step("b"))
    run = add_run(store, pipeline, clock)
    with store.transaction():
        store.move("step", run.id, "pending", "success", clock.now(), step="a")
    progress = Progress(_app(tmp_path, store=store), run.name, pipeline, io.StringIO())
    progress.start()
    assert progress._board.counts() == {"success": 1, "pending": 1}


# ------------------------------------------------------------------------------------------------------------ terminal

_SCRIPT = """
import os, sys
from types import SimpleNamespace
from runner.cli.live import Progress
from runner.engine import Event
from tests.conftest import FakeClock, make_date, make_pipeline, make_step

count = int(sys.argv[1])
names = ["고객_적재", "매출집계", "load"] + [f"단계{n:04}" for n in range(count)]
clock = FakeClock()
config = SimpleNamespace(runs_folder=sys.argv[2])
app = SimpleNamespace(environ=os.environ, clock=clock, config=config, store_if_any=lambda: None)
run = SimpleNamespace(name="mart@2026-02-28", pipeline="mart", date=make_date())
progress = Progress(app, run.name, make_pipeline(*[make_step(name) for name in names]))
tell = lambda step, state, reason="", number=1: progress(Event(run, step, state, reason, number, clock.now()))
progress.start()
tell(None, "running", "", None)
tell("고객_적재", "running")
tell("매출집계", "running")
clock.advance(75)
tell("고객_적재", "success")
tell("매출집계", "failed", "exit 3")
tell("load", "upstream_failed", "매출집계 failed", None)
progress.stop()
sys.stderr.write("END\\n")
"""


def _screen(tmp_path, count, **environ):
    """What a terminal of 80x24 shows after the script."""
    script = tmp_path / "play.py"
    script.write_text(textwrap.dedent(_SCRIPT), encoding="utf-8")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    pid, fd = pty.fork()
    if pid == 0:
        variables = {**os.environ, "TERM": "xterm", "PYTHONPATH": root, "LINES": "24", "COLUMNS": "80", **environ}
        os.execve(sys.executable, [sys.executable, str(script), str(count), str(tmp_path / "runs")], variables)
    data = b""
    while select.select([fd], [], [], 60)[0]:
        try:
            block = os.read(fd, 65536)
        except OSError:
            break
        if not block:
            break
        data += block
    os.waitpid(pid, 0)
    os.close(fd)
    screen = pyte.Screen(80, 24)
    pyte.ByteStream(screen).feed(data)
    return data, screen


def _text(screen):
    """The lines of a screen; the second cell of a wide letter is an empty one."""
    return ["".join(screen.buffer[y][x].data for x in range(80)).rstrip() for y in range(24)]


def _column(screen, y, letters):
    """The cell at which a word begins."""
    line = [screen.buffer[y][x].data for x in range(80)]
    return next(x for x in range(80) if "".join(line[x:]).startswith(letters))


def test_a_terminal_of_80x24_with_hangul_lines_up(tmp_path, run):
    _log(tmp_path, run, "매출집계", b"no such table\n")
    data, screen = _screen(tmp_path, 0)
    lines = [line for line in _text(screen) if line]
    assert lines == [
        "매출집계 | no such table",
        "mart@2026-02-28  [########################] 100%  3/3  1m15s",
        "+ 고객_적재  success          1m15s",
        "x 매출집계   failed           1m15s  exit 3",
        "^ load       upstream_failed         매출집계 failed",
        "END",
    ]
    assert len({_column(screen, y, word) for y, word in ((2, "success"), (3, "failed"), (4, "upstream_failed"))}) == 1
    assert b"\x1b[3" in data  # colours


def test_more_steps_than_a_terminal_has_lines(tmp_path):
    _, screen = _screen(tmp_path, 5000)
    lines = [line for line in _text(screen) if line]
    assert lines[-1] == "END"
    assert lines[-2] == "… 4983 more: 4981 pending 1 success 1 upstream_failed"
    assert "x 매출집계" in lines[-22]
    assert all(table.width(line) < 80 for line in lines)
    assert len(lines) <= 24


def test_no_color_is_honoured(tmp_path):
    data, _ = _screen(tmp_path, 0, NO_COLOR="1")
    assert b"\x1b[3" not in data


def test_a_dumb_terminal_gets_lines(tmp_path):
    data, _ = _screen(tmp_path, 0, TERM="dumb")
    assert b"\x1b" not in data
    assert "매출집계   failed".encode() in data
