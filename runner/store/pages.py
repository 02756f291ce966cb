"""Rows of many runs at once, as the page shows them. Nothing here changes anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Dict, List, NamedTuple, Optional
from zoneinfo import ZoneInfo

from runner.clock import from_text, to_text
from runner.store.db import Database


class Tick(NamedTuple):
    """A run, as little of it as a picture needs. `standing.shown_state` takes it as it takes a run."""

    id: int
    name: str
    pipeline: str
    state: str
    reason: str
    engine: Optional[str]
    due: str  # moments as they are kept: of thousands few are looked at
    created: str
    started: Optional[str]
    ended: Optional[str]
    timezone: str

    @property
    def label(self) -> str:
        """2026-11-20, or what else stands behind the @."""
        return self.name.partition("@")[2]

    def moment(self, text: Optional[str]) -> Optional[datetime]:
        """One of its moments, in the zone of the run."""
        return from_text(text).astimezone(ZoneInfo(self.timezone)) if text else None

    @property
    def seconds(self) -> Optional[float]:
        """How long it took; None while it has not ended."""
        if not (self.started and self.ended):
            return None
        return (from_text(self.ended) - from_text(self.started)).total_seconds()


class Result(NamedTuple):
    """How a run came out. `standing.shown_state` takes it as it takes a run."""

    id: int
    name: str
    logical: str  # as it is kept
    state: str
    engine: Optional[str]


class Pages:
    """Part of a Store; shares its connection."""

    def __init__(self, db: Database):
        self._db = db

    def last_of_each(self, limit: int) -> Dict[str, List[Tick]]:
        """Pipeline -> its newest runs, the newest last; of those that the daemon knows."""
        out: Dict[str, List[Tick]] = {}
        for row in self._db.execute("last_runs_of_each", limit=limit):
            out.setdefault(row["pipeline"], []).append(Tick(*row))
        return out

    def newest_of(self, pipeline: str, limit: int) -> List[Tick]:
        """By date, the newest first."""
        return [Tick(*row) for row in self._db.all("newest_runs_of", pipeline=pipeline, limit=limit)]

    def within(self, since: datetime, limit: int) -> List[Tick]:
        """What has ended since then, and what has not ended, as they were made. Sorted here: SQLite would walk through all runs for it."""
        found = [Tick(*row) for row in self._db.all("runs_within", since=to_text(since), limit=limit)]
        return sorted(found, key=lambda tick: (tick.created, tick.id))

    def step_states(self, pipeline: str, limit: int) -> Dict[int, Dict[str, str]]:
        """Run -> step -> state, of its newest runs by date; of mapped steps only the one that they were made from."""
        out: Dict[int, Dict[str, str]] = {}
        for run, step, state in self._db.all("states_of_runs", pipeline=pipeline, limit=limit):
            out.setdefault(run, {})[step] = state
        return out

    def results(self, pipeline: str, since: datetime, until: datetime, limit: int = 50_000) -> List[Result]:
        """Its runs with a logical date from `since` to before `until`, in order. A run is due at its date or up to an interval later."""
        horizon = to_text(until + timedelta(days=370))
        return [Result(*row) for row in self._db.all("results_between", pipeline=pipeline, since=to_text(since), until=to_text(until), horizon=horizon, limit=limit)]

    def deadlines_of_pipeline(self, pipeline: str, limit: int) -> Dict[int, Dict[str, Any]]:
        """Run -> when it had to be done and how that came out, of its newest runs by date."""
        return {row["id"]: {"at": from_text(row["at"]), "outcome": row["outcome"]} for row in self._db.all("deadlines_of_pipeline", pipeline=pipeline, limit=limit)}

    def definitions(self, pipeline: str, limit: int = 50) -> List[Dict[str, Any]]:
        """The texts that were kept of it, the newest first: hash, since, how many runs, the last due."""
        return [
            {"hash": row["hash"], "since": from_text(row["created_at"]), "runs": row["runs"], "last_due": from_text(row["last_due"]) if row["last_due"] else None}
            for row in self._db.all("definitions_of", pipeline=pipeline, limit=limit)
        ]

    def alerts_of(self, run: str) -> List[Dict[str, Any]]:
        return [{**{key: row[key] for key in ("channel", "event", "step", "state", "tries", "reason")}, "at": from_text(row["at"])} for row in self._db.all("alerts_of_run", run=run)]

    def deadlines_of(self, run_id: int) -> Dict[str, Dict[str, Any]]:
        """Step, "" for the whole run -> its deadline and how it came out."""
        return {row["step"]: {"at": from_text(row["at"]), "outcome": row["outcome"]} for row in self._db.all("deadlines_of_run", run_id=run_id)}

    def deadlines(self, since: datetime, until: datetime, limit: int = 2000) -> List[Dict[str, Any]]:
        """Those between two moments, of whole runs and of steps."""
        rows = self._db.all("open_deadlines", since=to_text(since), until=to_text(until), limit=limit)
        return [{**{key: row[key] for key in ("run_id", "step", "run", "pipeline", "outcome")}, "at": from_text(row["at"])} for row in rows]
