"""logs: what the steps of a run printed, from the end, and on as it comes."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import click

from runner import logtail, model
from runner.cli import table
from runner.cli.app import App
from runner.cli.completion import complete_run, complete_step
from runner.cli.finding import find_run
from runner.config import shown
from runner.errors import InvalidPipeline, NotFound, UsageError
from runner.standing import is_worked_on

POLL_SECONDS = 0.2  # a log file rings no bell
PATIENCE = 5  # looks at a run that nobody works on before it counts as interrupted: it may be about to be taken
ONE_STEP, MANY_STEPS = 50, 10  # lines shown unless told
MOST = 4000  # characters of a line on a terminal; a file gets all of it
BAR_PARTS = 3  # of what a progress bar wrote over itself, on a terminal
BATCH = 500  # lines that go out in one write


class Source(NamedTuple):
    """The log of one attempt."""

    attempt: model.Attempt
    state: str  # of the attempt

    @property
    def path(self) -> str:
        return os.path.join(self.attempt.folder, "log")

    @property
    def place(self) -> str:
        """Where the bytes lie: `log`, or the `log.gz` that `runner clean` made of it."""
        return logtail.place_of(self.path)

    @property
    def removed(self) -> bool:
        """Whether its folder was taken away, by `runner clean` or by hand; a running attempt may not have made it yet."""
        return self.state in model.ATTEMPT_TERMINAL and not os.path.exists(self.attempt.folder)

    @property
    def title(self) -> str:
        return f"==> {self.attempt.step} (attempt {self.attempt.number}, {self.state}) <=="


def check_words(run: str, count: Optional[int], everything: bool, follow: bool, number: Optional[int], paths: bool, as_json: bool) -> None:
    """Raises UsageError for options that contradict each other."""
    if follow and (as_json or paths or number):
        raise UsageError("-f goes with neither --json nor --path nor --attempt", f"type: runner logs {run} -f")
    if everything and count is not None:
        raise UsageError(f"--all is from the beginning, -n {count} the end: not both", f"type: runner logs {run} --all   or: runner logs {run} -n {count}")
    if paths and as_json:
        raise UsageError("--path and --json: not both", f"type: runner logs {run} --path   or: runner logs {run} --json")


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@click.argument("step", required=False, shell_complete=complete_step)
@click.option("-n", "--lines", "count", type=click.IntRange(0), help=f"How many lines ({ONE_STEP}; {MANY_STEPS} each of several steps).")
@click.option("--all", "everything", is_flag=True, help="From the beginning.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the step, or the run, has ended.")
@click.option("--attempt", "number", type=click.IntRange(1), help="This attempt, not the last one.")
@click.option("--raw", is_flag=True, help="The bytes as they are, without headers.")
@click.option("--path", "paths", is_flag=True, help="Print only where the files are.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def logs(app: App, run_name, step, count, everything, follow, number, raw, paths, as_json):
    """What the steps of RUN printed: the end of it, for each step that started, or for STEP.

    RUN is a run's name, a pipeline's name for its newest run, or `latest`. On a terminal very long lines are shortened.
    """
    check_words(run_name, count, everything, follow, number, paths, as_json)
    store = app.store()
    run = find_run(app, store, run_name)
    _check_step(store, run, step)
    sources = _sources(store, run, step, number)
    if number and not sources:
        _need_attempt(store, run, step, number)
    waits = _waits(app, store, run, sources)
    sources = [source for source in sources if source not in waits]
    if everything:
        count = None
    elif count is None:
        count = ONE_STEP if step or len(sources) == 1 else MANY_STEPS
    if paths:
        for source in sources:
            app.out(source.place)
    elif as_json:
        app.out_json({"run": run.name, "steps": [_as_json(source, count) for source in sources]})
    elif follow:
        _Following(app, store, run, step, raw).go(sources, count)
    else:
        for position, source in enumerate(sources):
            _show(app, source, count, raw, header=len(sources) > 1, first=not position)
    if waits and not as_json:
        app.say(f"{', '.join(source.attempt.step for source in waits)}: no log, it waits and prints nothing: runner status {run.name}")
    elif not sources and not follow:
        _say_none(app, store, run, step)
    if not as_json:
        _say_removed(app, run, [source for source in sources if source.removed])
    return 0


def _waits(app: App, store, run: model.Run, sources: List[Source]) -> List[Source]:
    """Those of steps without a process: they never had a log."""
    empty = [source for source in sources if source.removed]
    if not empty:
        return []
    from runner.definitions import Definitions  # it loads the check, and few runs need it here

    try:
        spec = Definitions(store, app.site()).of(run)
        return [source for source in empty if spec.step(source.attempt.step).slotless]
    except (InvalidPipeline, KeyError):  # a text of an older version
        return []


def _say_removed(app: App, run: model.Run, removed: List[Source]) -> None:
    if removed:
        kept = f"keep_days: {shown(app.config, 'keep_days')}, keep_bytes: {shown(app.config, 'keep_bytes')}"
        names = ", ".join(source.attempt.step for source in removed[:5]) + (", ..." if len(removed) > 5 else "")
        app.say(f"the logs of {run.name} ({names}) were removed: `runner clean` keeps them for a time ({kept})")


def _check_step(store, run: model.Run, step: Optional[str]) -> None:
    if step is None:
        return
    known = [row.step for row in store.step_runs(run.id)]
    if step not in known:
        import difflib

        near = difflib.get_close_matches(step, known, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "steps: " + ", ".join(known[:20])
        raise NotFound(f"run {run.name} has no step {step}", hint)


def _sources(store, run: model.Run, step: Optional[str], number: Optional[int]) -> List[Source]:
    """One attempt of each step, in the order in which they started."""
    chosen: Dict[str, model.Attempt] = {}
    for attempt in store.attempts(run.id, step):
        if number in (None, attempt.number):
            chosen.pop(attempt.step, None)  # a later attempt takes a later place
            chosen[attempt.step] = attempt
    return [Source(attempt, attempt.state) for attempt in chosen.values()]


def _what(run: model.Run, step: Optional[str]) -> str:
    return f"step {step} of run {run.name}" if step else f"run {run.name}"


def _need_attempt(store, run: model.Run, step: Optional[str], number: int) -> None:
    """Raises NotFound for an attempt that there is not, where there are others."""
    there = sorted({attempt.number for attempt in store.attempts(run.id, step)})
    if there:
        raise NotFound(f"{_what(run, step)} has no attempt {number}", "there are: " + ", ".join(map(str, there)))


def _say_none(app: App, store, run: model.Run, step: Optional[str]) -> None:
    what = _what(run, step)
    rows = {row.step: row for row in store.step_runs(run.id)}
    row = rows.get(step or "")
    app.say(f"{what} printed nothing: it " + (_why_none(row.state, row.reason) if row else _why_none(run.state, run.reason)))


def _why_none(state: str, reason: str) -> str:
    return f"never started ({state}{': ' + reason if reason else ''})"


# ------------------------------------------------------------------------------------------------------------- showing


def _as_json(source: Source, count: Optional[int]) -> dict:
    tail = _tail(source.path, count)
    return {
        "step": source.attempt.step, "attempt": source.attempt.number, "state": source.state, "path": source.place,
        "size": tail.size, "offset": tail.offset, **({"removed": True} if source.removed else {}),
        "lines": [logtail.decode(line) for line in logtail.read_lines(source.path, tail.offset, tail.size)],
    }


def _tail(path: str, count: Optional[int]) -> logtail.Tail:
    if count is None:
        return logtail.Tail(0, logtail.size_of(path), False)
    return logtail.find_tail(path, count)


def _show(app: App, source: Source, count: Optional[int], raw: bool, header: bool, first: bool) -> int:
    """Print the end of one log; returns how far it was read."""
    tail = _tail(source.path, count)
    if raw:
        _copy(source.path, tail)
        return tail.size
    if header:
        _print_header(app, source, first)
    if tail.cut:
        app.say(f"... the last {table.size(tail.size - tail.offset)} of {table.size(tail.size)} (--all: everything)")
    print_lines(app, logtail.read_lines(source.path, tail.offset, tail.size))
    if not header and tail.offset and not tail.cut:
        app.say(f"({table.size(tail.offset)} before this: --all, or -n N; the file: {source.place})")
    return tail.size


def _print_header(app: App, source: Source, first: bool) -> None:
    app.out(("" if first else "\n") + click.style(source.title, fg=table.STATE_COLORS.get(source.state), bold=True))


def _copy(path: str, tail: logtail.Tail) -> None:
    """Bytes to stdout, unchanged."""
    if not tail.size:
        return
    sys.stdout.flush()
    with logtail.open_log(path) as file:
        file.seek(tail.offset)
        shutil.copyfileobj(file, sys.stdout.buffer, logtail.BLOCK)
    sys.stdout.buffer.flush()


def print_lines(app: App, lines: Iterable[bytes]) -> None:
    for text in _batches(lines):
        app.out(text)


def _batches(lines: Iterable[bytes]) -> Iterator[str]:
    """Many lines as one text: one write for each line would be most of the work."""
    batch: List[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) >= BATCH:
            yield _readable(batch)
            batch = []
    if batch:
        yield _readable(batch)


def _readable(lines: List[bytes]) -> str:
    """Lines for a person. What a progress bar wrote over itself becomes lines."""
    if sys.stdout.isatty():
        return "\n".join(_shortened(lines))
    data = b"\n".join(lines)
    if b"\r" not in data:
        try:
            return table.clean(data.decode("utf-8"))
        except UnicodeDecodeError:
            pass  # not all of it is: judged line by line
    return "\n".join(table.clean(part) for line in lines for part in logtail.decode(line).split("\r"))


def _shortened(lines: Iterable[bytes]) -> Iterator[str]:
    """The same for a terminal, which a line without an end must not flood."""
    for line in lines:
        parts = logtail.decode(line).split("\r")
        if len(parts) > BAR_PARTS:
            yield f"... ({len(parts) - BAR_PARTS} times written over)"
        yield from (table.brief(part, MOST) for part in parts[-BAR_PARTS:])


# ----------------------------------------------------------------------------------------------------------- following


class _Following:
    """Prints what is added to the logs of a run, or of one step, until that has ended."""

    def __init__(self, app: App, store, run: model.Run, step: Optional[str], raw: bool):
        self._app, self._store, self._run, self._step, self._raw = app, store, run, step, raw
        self._open: Dict[Tuple[str, int], logtail.Follower] = {}
        self._sources: Dict[Tuple[str, int], Source] = {}
        self._known: Dict[str, int] = {}  # step -> highest attempt seen
        self._shown: Optional[Tuple[str, int]] = None
        self._deserted = 0  # looks in a row at which nobody worked on the run

    def go(self, sources: List[Source], count: Optional[int]) -> None:
        for position, source in enumerate(sources):
            key = self._take(source)
            end = _show(self._app, source, count, self._raw, header=self._headers(), first=not position)
            self._open[key].offset, self._shown = end, key
        while self._turn():
            self._app.clock.sleep(POLL_SECONDS)

    def _headers(self) -> bool:
        return not self._step and not self._raw

    def _take(self, source: Source) -> Tuple[str, int]:
        key = (source.attempt.step, source.attempt.number)
        self._open[key], self._sources[key] = logtail.Follower(source.path, 0), source
        self._known[source.attempt.step] = source.attempt.number
        return key

    def _turn(self) -> bool:
        """Print what came; False when there is nothing more to come. States are read before the files are, so that
        the file of a step that has ended is whole."""
        ended = self._ended()
        live = {(each.step, each.number) for each in self._store.live_attempts(self._run.id)}
        self._take_new()
        for key in list(self._open):
            self._print_new(key, ended or key not in live)
            if key not in live:
                del self._open[key], self._sources[key]
        if ended:
            self._app.say(ended)
        return not ended

    def _ended(self) -> str:
        """What to say at the end; empty while more may come."""
        run = self._run = self._store.run_by_id(self._run.id)
        if self._step:
            row = next(row for row in self._store.step_runs(run.id) if row.step == self._step)
            if row.state in model.STEP_TERMINAL:
                return f"({self._step}: {row.state}{': ' + row.reason if row.reason else ''})"
        if run.state in model.RUN_TERMINAL:
            return f"({run.name}: {run.state}{': ' + run.reason if run.reason else ''})"
        self._deserted = 0 if is_worked_on(self._app, run) else self._deserted + 1
        if self._deserted >= PATIENCE:
            return f"({run.name}: interrupted, nobody works on it; finish it: runner rerun {run.name} --resume)"
        return ""

    def _take_new(self) -> None:
        """Attempts that began since the last look, also those that have ended again."""
        for step, number in self._store.attempt_numbers(self._run.id).items():
            if number > self._known.get(step, 0) and self._step in (None, step):
                for attempt in self._store.attempts(self._run.id, step):
                    if attempt.number > self._known.get(step, 0):
                        self._take(Source(attempt, attempt.state))

    def _print_new(self, key: Tuple[str, int], ended) -> None:
        follower = self._open[key]
        if self._raw:
            data = follower.read()
            while data:
                sys.stdout.buffer.write(data)
                data = follower.read() if ended else b""
            sys.stdout.buffer.flush()
            return
        for text in _batches(follower.lines(bool(ended))):
            if self._shown != key and (self._headers() or key[1] > 1):
                _print_header(self._app, self._sources[key], self._shown is None)
            self._shown = key
            self._app.out(text)
