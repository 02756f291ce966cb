"""The progress of a run in the foreground: a table that redraws itself on a terminal, lines elsewhere.

Drawing must never stop the run: a terminal that is gone, or a `| head` that has seen enough, ends the drawing alone.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime
from typing import Dict, Iterator, List, NamedTuple, Optional

from runner import logtail, model
from runner.cli import table
from runner.cli.streams import Output
from runner.workorder import attempt_folder

FRAMES = 4  # a second
FAILED_LINES = 10  # of the log of a step that failed
HEAD, NOTE = 1, 24  # lines above the steps; cells that a note wants at least
# Which steps are shown when there are more than lines.
_RANK = {state: rank for rank, state in enumerate(
    ("running", "failed", "retry_wait", "killed", "pending", "success", "upstream_failed", "skipped"))}
_BAR = 24
_DONE = ("success", "failed", "skipped", "upstream_failed", "killed")


class Row(NamedTuple):
    """What is known of one step."""

    state: str = "pending"
    note: str = ""
    number: int = 0  # of its attempt
    started: Optional[datetime] = None
    ended: Optional[datetime] = None


class Progress:
    """Listens to an engine (`engine.Event`) and shows what it hears."""

    def __init__(self, app, run_name: str, pipeline: model.Pipeline, stream=None, logs: bool = False, quiet: bool = False):
        self._app, self._logs, self._quiet = app, logs, quiet
        self._stream = Output(stream or sys.stderr, calm=True)
        self._board = Board(run_name, [step.id for step in pipeline.steps])
        self._show = None

    def start(self) -> None:
        """Begin to draw."""
        if self._quiet:
            return
        self._learn()
        terminal = self._stream.isatty() and self._app.environ.get("TERM", "dumb") not in ("dumb", "")
        self._show = (_Table if terminal else _Lines)(self._board, self._stream, self._app)
        self._show.start()

    def stop(self) -> None:
        """Draw once more and leave the terminal as it was. Harmless when nothing was started."""
        if self._show:
            self._show.stop()
            self._show = None

    def __call__(self, event) -> None:
        if self._show is None or not self._board.take(event):
            return
        self._show.changed(event)
        if event.step and event.number:
            self._show_log(event)

    def _learn(self) -> None:
        """A run that goes on has steps that ended before."""
        store = self._app.store_if_any()
        if store is None:
            return
        run = store.run(self._board.run_name)
        if set(store.step_counts(run.id)) - {"pending"}:
            for row in store.step_runs(run.id):
                self._board.rows[row.step] = Row(row.state, row.reason, row.tries, row.started_at, row.ended_at)
        store.close()

    def _show_log(self, event) -> None:
        """What a step printed: the end of it when it failed, all of it with --logs."""
        if event.state == "running" or not (self._logs or event.state == "failed"):
            return
        path = os.path.join(attempt_folder(self._app.config.runs_folder, event.run, event.step, event.number), "log")
        tail = logtail.find_tail(path, sys.maxsize if self._logs else FAILED_LINES)
        if tail.cut:
            self._show.write(f"{event.step} | ... the last {table.size(tail.size - tail.offset)} of {table.size(tail.size)}: {path}")
        if not self._logs or isinstance(self._show, _Table):  # a line without an end must not flood the terminal, nor a mail
            shown = [table.brief(line, table.LINE) for line in logtail.last_lines(path, sys.maxsize if self._logs else FAILED_LINES)]
        else:
            shown = [table.clean(logtail.decode(line)) for line in logtail.read_lines(path, tail.offset, tail.size)]
        if shown:
            self._show.write("\n".join(f"{event.step} | {line}" for line in shown))


class Board:
    """All steps and how far they are; the picture that is drawn is made from it alone."""

    def __init__(self, run_name: str, steps: List[str]):
        self.run_name = run_name
        self.rows: Dict[str, Row] = dict.fromkeys(steps, Row())
        self._order = {step: i for i, step in enumerate(steps)}
        self.note = ""  # about the run
        self.began: Optional[datetime] = None
        self.lock = threading.Lock()  # between the engine's thread and the one that draws
        self._last_note = ("", "")

    def take(self, event) -> bool:
        """Learn an event; False when it says nothing new."""
        if event.run.name != self.run_name:  # a run that one of the steps has started
            return event.state != "waiting"
        with self.lock:
            if event.step is None:
                self.note, said = event.reason, (event.state, event.reason)
                if event.state == "running":
                    self.began = event.at
                new, self._last_note = said != self._last_note, said
                return new
            old = self.rows.get(event.step, Row())
            started = event.at if event.state == "running" else old.started
            ended = event.at if event.state in _DONE else None
            state = "running" if event.state == "waiting" else event.state
            self.rows[event.step] = Row(state, event.reason, event.number or old.number, started, ended)
            return True

    def counts(self) -> Dict[str, int]:
        counts: Dict[str, int] = {}
        for row in self.rows.values():
            counts[row.state] = counts.get(row.state, 0) + 1
        return counts

    def _ordered(self) -> Dict[str, Row]:
        """As in the file, mapped steps behind the one they are made from."""
        if len(self.rows) == len(self._order):
            return dict(self.rows)
        return dict(sorted(self.rows.items(), key=lambda item: (self._order.get(model.parent_of(item[0]), 0), len(item[0]), item[0])))

    def picture(self, cells: int, lines: int, now: datetime) -> Iterator[tuple]:
        """The lines to draw, as (text, state or "")."""
        with self.lock:
            rows, note, began = self._ordered(), self.note, self.began
            counts = self.counts()
        done = sum(counts.get(state, 0) for state in _DONE)
        yield table.fit(self._head(done, len(rows), began, note, now), cells).rstrip(), ""
        room = max(lines - HEAD, 1)
        shown = list(rows)
        if len(rows) > room:
            shown = sorted(rows, key=lambda step: _RANK[rows[step].state])[: room - 1]
        wide = min(max(map(table.width, shown), default=0), max(cells - NOTE - 24, 12))
        for step in shown:
            yield table.fit(_line(step, rows[step], wide, now), cells).rstrip(), rows[step].state
        if len(shown) < len(rows):
            yield table.fit(_more(rows, shown, counts), cells).rstrip(), ""

    def _head(self, done: int, total: int, began: Optional[datetime], note: str, now: datetime) -> str:
        filled = _BAR * done // total if total else _BAR
        percent = 100 * done // total if total else 100
        bar = "#" * filled + "-" * (_BAR - filled)
        text = f"{self.run_name}  [{bar}] {percent:3d}%  {done}/{total}  {table.elapsed(began, None, now)}"
        return text + (f"  {table.one_line(note)}" if note else "")


def _line(step: str, row: Row, wide: int, now: datetime) -> str:
    spent = table.elapsed(row.started, row.ended, now)
    note = (f"try {row.number}  " if row.number > 1 else "") + table.one_line(row.note)
    return f"{table.STATE_SIGNS[row.state]} {table.fit(step, wide)}  {row.state:<15} {spent:>6}  {note}"


def _more(rows: Dict[str, Row], shown: List[str], counts: Dict[str, int]) -> str:
    left = dict(counts)
    for step in shown:
        left[rows[step].state] -= 1
    parts = [f"{left[state]} {state}" for state in _RANK if left.get(state)]
    return f"… {len(rows) - len(shown)} more: {' '.join(parts)}"


class _Lines:
    """One line for each change: for log files, cron mails and dumb terminals."""

    def __init__(self, board: Board, stream, app):
        self._stream, self._run_name = stream, board.run_name
        self._wide = min(max([table.width(step) for step in board.rows] + [3]), 32)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def changed(self, event) -> None:
        at = event.at.astimezone(event.run.date.due.tzinfo)
        step = event.step or "run"
        if event.run.name != self._run_name:
            step = f"{event.run.pipeline}: {step}"
        step += " " * (self._wide - table.width(step))
        attempt = f"attempt {event.number}" if event.number and event.number > 1 and event.state == "running" else ""
        self.write(f"{at:%H:%M:%S}  {step}  {event.state:<15}  {table.one_line(event.reason) or attempt}".rstrip())

    def write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class _Table:
    """The board on a terminal, redrawn in place by rich; what is written meanwhile scrolls away above it."""

    def __init__(self, board: Board, stream, app):
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._board, self._clock, self._text = board, app.clock, Text
        self._console = Console(
            file=stream, force_terminal=True, highlight=False, markup=False, emoji=False,
            no_color=bool(app.environ.get("NO_COLOR")), _environ=app.environ,
        )
        self._live = Live(self, console=self._console, refresh_per_second=FRAMES, vertical_overflow="crop")

    def __rich_console__(self, console, options):
        lines = max(console.size.height - 2, 3)  # one for the cursor, one so that nothing ever scrolls
        for text, state in self._board.picture(options.max_width - 1, lines, self._clock.now()):
            yield self._text(text, style=table.STATE_COLORS.get(state, "bold"), no_wrap=True, overflow="crop")

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def changed(self, event) -> None:
        """The next frame shows it."""

    def write(self, text: str) -> None:
        self._console.print(self._text.from_ansi(text), soft_wrap=True)
