"""Due times to runs: what the database says is due becomes rows, and the next due time is written beside them.

Rows of one batch and their cursors are one transaction, and (pipeline, due instant) is unique: whatever is killed, no due
time is lost or run twice (semantics D17, D21, D26).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from runner import acts, faults, model, params, schedule
from runner.clock import UTC
from runner.daemon.catalogue import next_due, with_since
from runner.definitions import Definitions
from runner.errors import Conflict, EnvironmentFault
from runner.shown import minute
from runner.store import Store

BATCH = 200  # pipelines in one transaction: between two, the first of their runs begin
ROWS = 500  # runs in one transaction: after a long outage the other processes want to write too
MISSED_ROWS = 1000  # of one pipeline after one outage; the oldest of them says that there were earlier ones
ON_TIME = timedelta(minutes=5)  # later than this a run was missed and caught up
ACTOR = "daemon"


class Due(NamedTuple):
    """What is to be written for one pipeline."""

    row: model.PipelineRow
    spec: Optional[model.Pipeline] = None
    values: Mapping[str, Any] = {}
    run: Sequence[datetime] = ()
    missed: Sequence[datetime] = ()  # all earlier than those to run
    reason: str = ""  # why those were missed
    earlier: str = ""  # said with the first of them, when there were still earlier ones
    next_due: Optional[datetime] = None
    broken: str = ""


class Dispatch:
    """Makes the rows of what is due."""

    def __init__(self, store: Store, definitions: Definitions, environ: Mapping[str, str], say: Callable[[str], None], warn: Optional[Callable[[str], None]] = None):
        """`say` takes a line for the daemon's log, `warn` one that somebody should see."""
        self._store, self._definitions, self._environ, self._say, self._warn = store, definitions, environ, say, warn or say

    def run(self, now: datetime) -> List[str]:
        """Deal with one batch; the pipelines that were due. It is worth to come again until there are none."""
        found: List[Due] = []
        rows = 0
        for row in self._store.pipelines.due(now, BATCH):
            found.append(self._prepare(row, now))
            rows += len(found[-1].run) + len(found[-1].missed)
            if rows >= ROWS:
                break
        try:
            self._write_all(found, now)
        except EnvironmentFault:
            raise
        except Exception:  # noqa: BLE001 - one of them cannot be written: find it, and let the others have theirs
            for due in found:
                self._write_alone(due, now)
        return [due.row.name for due in found]

    def _write_all(self, found: Sequence[Due], now: datetime) -> None:
        if found:
            with self._store.transaction():
                for due in found:
                    self._write(due, now)
                faults.point("dispatch.made")
            faults.point("dispatch.committed")

    def _write_alone(self, due: Due, now: datetime) -> None:
        try:
            self._write_all([due], now)
        except EnvironmentFault:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            self._write_all([Due(due.row, broken=_words(error))], now)

    def rewind(self, now: datetime) -> None:
        """The clock was set back: cursors that lie ahead start from now. Unique rows keep what ran from running again."""
        for row in self._store.pipelines.all():
            if not (row.cursor and row.cursor > now and row.definition and not row.gone_at):
                continue
            try:
                due, broken = next_due(self._get(row).schedule, row.schedule_key, now), ""
                self._say(f"pipeline {row.name}: the clock was set back; its due times count from now")
            except EnvironmentFault:
                raise
            except Exception as error:  # noqa: BLE001 - as in _prepare
                due, broken = None, _words(error)
            with self._store.transaction():
                self._store.pipelines.schedule(row.name, row.schedule_key, now, due, broken)

    def _get(self, row: model.PipelineRow) -> model.Pipeline:
        return self._definitions.get(row.definition)

    def _prepare(self, row: model.PipelineRow, now: datetime) -> Due:
        """Pure but for reading the definition; one pipeline that cannot be worked out is marked and stops nobody else."""
        try:
            spec = self._get(row)
        except EnvironmentFault:  # of the database: no fault of this pipeline
            raise
        except Exception as error:  # noqa: BLE001 - see above
            return Due(row, broken=_words(error))
        try:
            found = with_since(spec.schedule, row.schedule_key)
            until, paused = _pause(row, now)
            run, missed, more = split(found, row.cursor, until, spec.catchup, spec.catchup_limit, paused)
            missed, run = missed[:ROWS], run[: max(ROWS - len(missed), 0)]  # the rest when it comes again
            values = params.resolve(spec, (), self._environ)
            earlier = f"; so were all since {minute(row.cursor, ZoneInfo(spec.timezone))}" if more else ""
            last = next(reversed([*missed, *run]), until)  # no max(): in a repeated hour the wall clocks mislead it
            return Due(row, spec, values, run, missed, _reason(row, spec, paused), earlier, schedule.next_due(found, last))
        except Exception as error:  # noqa: BLE001 - see above
            return Due(row, broken=_words(error))

    def _write(self, due: Due, now: datetime) -> None:
        row = due.row
        if due.broken:
            self._store.pipelines.schedule(row.name, row.schedule_key, row.cursor, None, due.broken)
            self._warn(f"pipeline {row.name}: {due.broken}; it is due no more until its file changes")
            return
        for i, instant in enumerate(due.missed):
            self._make(due, instant, now, state="missed", reason=due.reason + (due.earlier if i == 0 else ""))
        for instant in due.run:
            self._make(due, instant, now)
        last = next(reversed([*due.missed, *due.run]), row.cursor)
        self._store.pipelines.schedule(row.name, row.schedule_key, last, due.next_due)

    def _make(self, due: Due, instant: datetime, now: datetime, **more: Any) -> None:
        spec = due.spec
        trigger = "schedule" if now - instant <= ON_TIME else "catchup"
        date = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, instant)
        try:
            run = acts.create_run(self._store, spec, date, params=due.values, at=now, trigger=trigger, who=ACTOR, **more)
        except Conflict as conflict:
            run = conflict.run
            if run.state != "missed" or more:
                self._pass_over(run)
                return
            run = acts.revive(self._store, run, spec, at=now, who=ACTOR)  # it was missed on a clock that ran ahead
        self._say(f"run {run.name} {run.state}" + (f": {run.reason}" if run.reason else ""))

    def _pass_over(self, run: model.Run) -> None:
        """That date has its run. One that a person made, or took out before it began, is told: the schedule starts nothing."""
        if run.trigger not in ("schedule", "catchup"):
            how = ", ".join(filter(None, (run.trigger, f"{run.state}: {run.reason}" if run.reason else run.state, f"only {', '.join(run.only)}" if run.only else "")))
            self._say(f"run {run.name} is the one of this due time already ({how}); the schedule makes no other")


def split(
    found: model.Schedule, cursor: datetime, now: datetime, catchup: str, limit: Optional[int], paused: bool
) -> Tuple[List[datetime], List[datetime], bool]:
    """(to run, to record as missed, whether there were still earlier ones) of the due times with cursor < due <= now.

    A due time that comes while the daemon lives is the latest of them: `last` and `all` run it, `none` too unless it is late.
    Of `all` without a limit only the first ROWS: they are dealt with from the oldest on, in several goes.
    """
    everything = catchup == "all" and not paused
    if everything and limit is None:
        return list(islice(schedule.due_between(found, cursor, now), ROWS)), [], False
    most = MISSED_ROWS + (limit if everything and limit else 1)
    dues = list(islice(schedule.due_between(found, cursor, now), most + 1))
    more = len(dues) > most
    if more:  # an outage of weeks: the latest ones, walked back from now
        dues = _latest(found, cursor, now, most)
    keep = limit if everything and limit else 1
    if paused or (catchup == "none" and dues and now - dues[-1] > ON_TIME):
        keep = 0
    first = max(len(dues) - keep, 0)
    return dues[first:], dues[:first][-MISSED_ROWS:], more or first > MISSED_ROWS


def _latest(found: model.Schedule, cursor: datetime, now: datetime, most: int) -> List[datetime]:
    out: List[datetime] = []
    moment = min(now, found.end or now).astimezone(UTC) + timedelta(microseconds=1)
    while len(out) < most:
        moment = schedule.previous_due(found, moment)
        if moment is None or moment <= cursor or (found.start and moment < found.start):
            break
        out.append(moment)
    return out[::-1]


def _pause(row: model.PipelineRow, now: datetime) -> Tuple[datetime, bool]:
    """(up to when due times are dealt with in this go, whether it was paused then): it may have been let go while no daemon lived."""
    if not row.paused_by and row.paused_at and row.next_due <= row.paused_at <= now:
        return row.paused_at, True
    return now, bool(row.paused_by)


def _reason(row: model.PipelineRow, spec: model.Pipeline, paused: bool) -> str:
    if row.paused_by:
        return f"paused by {row.paused_by}" + (f": {row.pause_reason}" if row.pause_reason else "")
    if paused:
        return f"paused until {minute(row.paused_at, ZoneInfo(spec.timezone))}"
    limit = f", catchup_limit: {spec.catchup_limit}" if spec.catchup == "all" and spec.catchup_limit is not None else ""
    return f"no daemon started it at that time (catchup: {spec.catchup}{limit})"


def _words(error: Exception) -> str:
    return f"its schedule cannot be worked out: {getattr(error, 'message', None) or error}"
