"""Due times to runs: what the database says is due becomes rows, and the next due time is written beside them.

Rows of one batch and their cursors are one transaction, and (pipeline, due instant) is unique: whatever is killed, no due
time is lost or run twice (semantics D17, D21, D26).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Tuple

from runner import acts, model, params, schedule
from runner.daemon.catalogue import next_due, with_since
from runner.definitions import Definitions
from runner.errors import Conflict
from runner.store import Store

BATCH = 200  # pipelines in one transaction
MISSED_ROWS = 1000  # of one pipeline after one outage; the oldest of them says that there were earlier ones
ON_TIME = timedelta(minutes=5)  # later than this a run was missed and caught up
ACTOR = "daemon"


class Due(NamedTuple):
    """What is to be written for one pipeline."""

    row: model.PipelineRow
    spec: Optional[model.Pipeline] = None
    values: Mapping[str, Any] = {}
    run: Tuple[datetime, ...] = ()
    missed: Tuple[datetime, ...] = ()
    reason: str = ""  # why those were missed
    next_due: Optional[datetime] = None
    broken: str = ""


class Dispatch:
    """Makes the rows of what is due."""

    def __init__(self, store: Store, definitions: Definitions, environ: Mapping[str, str], say: Callable[[str], None]):
        self._store, self._definitions, self._environ, self._say = store, definitions, environ, say

    def run(self, now: datetime) -> bool:
        """Deal with one batch; True when something was due, so that it is worth to come again."""
        rows = self._store.pipelines.due(now, BATCH)
        found = [self._prepare(row, now) for row in rows]
        if found:
            with self._store.transaction():
                for due in found:
                    self._write(due, now)
        return bool(found)

    def rewind(self, now: datetime) -> None:
        """The clock was set back: cursors that lie ahead start from now. Unique rows keep what ran from running again."""
        for row in self._store.pipelines.all():
            if row.cursor and row.cursor > now and row.definition and not row.gone_at:
                spec = self._definitions.get(row.definition)
                with self._store.transaction():
                    self._store.pipelines.schedule(row.name, row.schedule_key, now, next_due(spec.schedule, row.schedule_key, now))
                self._say(f"pipeline {row.name}: the clock was set back; its due times count from now")

    def _prepare(self, row: model.PipelineRow, now: datetime) -> Due:
        """Pure but for reading the definition; one pipeline that cannot be worked out is marked and stops nobody else."""
        try:
            spec = self._definitions.get(row.definition)
            found = with_since(spec.schedule, row.schedule_key)
            run, missed, more = split(found, row.cursor, now, spec.catchup, spec.catchup_limit, bool(row.paused_by))
            values = params.resolve(spec, (), self._environ)
            reason = _reason(row, spec, now, more)
            last = max(run + missed, default=now)
            return Due(row, spec, values, tuple(run), tuple(missed), reason, schedule.next_due(found, last))
        except Exception as error:  # noqa: BLE001 - see above
            return Due(row, broken=f"its schedule cannot be worked out: {getattr(error, 'message', None) or error}")

    def _write(self, due: Due, now: datetime) -> None:
        row = due.row
        if due.broken:
            self._store.pipelines.schedule(row.name, row.schedule_key, row.cursor, None, due.broken)
            self._say(f"pipeline {row.name}: {due.broken}; it is due no more until its file changes")
            return
        for instant in due.missed:
            self._make(due, instant, now, state="missed", reason=due.reason)
        for instant in due.run:
            self._make(due, instant, now)
        last = max(due.run + due.missed, default=row.cursor)
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
                return  # that date has its run
            run = acts.revive(self._store, run, spec, at=now, who=ACTOR)  # it was missed on a clock that ran ahead
        self._say(f"run {run.name} {run.state}" + (f": {run.reason}" if run.reason else ""))


def split(
    found: model.Schedule, cursor: datetime, now: datetime, catchup: str, limit: Optional[int], paused: bool
) -> Tuple[List[datetime], List[datetime], bool]:
    """(to run, to record as missed, whether there were still earlier ones) of the due times with cursor < due <= now.

    A due time that comes while the daemon lives is the latest of them: `last` and `all` run it, `none` too unless it is late.
    """
    if catchup == "all" and not paused:
        run, missed = schedule.missed(found, cursor, now, "all", limit)
        return run, missed[-MISSED_ROWS:], len(missed) > MISSED_ROWS
    dues = list(islice(schedule.due_between(found, cursor, now), MISSED_ROWS + 1))
    more = len(dues) > MISSED_ROWS
    if more:  # an outage of weeks: the latest ones, walked back from now
        dues = _latest(found, cursor, now)
    keep = 0 if paused or not dues or (catchup == "none" and now - dues[-1] > ON_TIME) else 1
    return dues[len(dues) - keep:], dues[: len(dues) - keep], more


def _latest(found: model.Schedule, cursor: datetime, now: datetime) -> List[datetime]:
    out: List[datetime] = []
    moment = now + timedelta(microseconds=1)
    while len(out) < MISSED_ROWS:
        moment = schedule.previous_due(found, moment)
        if moment is None or moment <= cursor or (found.start and moment < found.start):
            break
        if not (found.end and moment > found.end):
            out.append(moment)
    return out[::-1]


def _reason(row: model.PipelineRow, spec: model.Pipeline, now: datetime, more: bool) -> str:
    if row.paused_by:
        why = f"paused by {row.paused_by}" + (f": {row.pause_reason}" if row.pause_reason else "")
    else:
        why = f"no daemon ran at that time (catchup: {spec.catchup})"
    return why + (f"; so were all since {row.cursor:%Y-%m-%d %H:%M} UTC" if more else "")


