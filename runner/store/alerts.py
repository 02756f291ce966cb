"""Rows about telling people: what is to be told, how each try went, and the deadlines that are watched."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from runner.clock import from_text, to_text
from runner.store.db import Database


class Alert(NamedTuple):
    """Something that one channel is to be told."""

    id: int
    key: str
    channel: str
    event: str
    at: datetime
    pipeline: str
    run: str  # its name; "" where no run was made
    step: str
    body: Mapping[str, Any]
    tries: int


class Delivery(NamedTuple):
    """One try of one message."""

    at: datetime
    channel: str
    subject: str
    key: str
    alerts: int
    outcome: str  # sent | failed | given_up
    detail: str
    seconds: float


class Deadline(NamedTuple):
    run_id: int
    step: str  # "": of the whole run
    at: datetime


class Alerts:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db

    # -- what is to be told

    def add(
        self, key: str, channel: str, event: str, at: datetime, body: Mapping[str, Any], *, pipeline: str = "", run: str = "", step: str = ""
    ) -> bool:
        """In the caller's transaction; False when this channel is told of it already."""
        found = self._db.execute(
            "insert_alert", key=key, channel=channel, event=event, at=to_text(at), pipeline=pipeline, run=run, step=step,
            body=json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace").decode(),
        )
        return found.rowcount == 1

    def known(self, key: str) -> bool:
        return self._db.one("alert_known", key=key) is not None

    def channels_due(self, now: datetime) -> Dict[str, int]:
        """Channel -> how much it is to be told now; who has waited longest comes first."""
        return {row["channel"]: row["n"] for row in self._db.all("alert_channels_due", now=to_text(now))}

    def due(self, channel: str, now: datetime, limit: int = 1000) -> List[Alert]:
        """Oldest first."""
        return [_alert(row) for row in self._db.all("alerts_due", channel=channel, now=to_text(now), limit=limit)]

    def next_at(self) -> Optional[datetime]:
        """When something is to be tried next."""
        return _moment(self._db.one("next_alert")["next_at"])

    def put_off(self, alerts: Sequence[Alert], until: datetime, reason: str = "", tried: bool = False) -> None:
        for alert in alerts:
            self._db.execute("put_alert_off", id=alert.id, next_at=to_text(until), reason=reason, tries=int(tried))

    def end(self, alerts: Sequence[Alert], state: str, at: datetime, reason: str = "", tried: bool = True) -> None:
        """`state`: sent or given_up."""
        for alert in alerts:
            self._db.execute("end_alert", id=alert.id, state=state, at=to_text(at), reason=reason, tries=int(tried))

    def waiting(self) -> Dict[str, Tuple[int, datetime]]:
        """Channel -> (how many wait, since when)."""
        return {row["channel"]: (row["n"], from_text(row["since"])) for row in self._db.all("alerts_waiting")}

    def given_up(self, since: datetime) -> Dict[str, int]:
        return {row["channel"]: row["n"] for row in self._db.all("alerts_given_up", since=to_text(since))}

    # -- the delivery log

    def log(self, entry: Delivery) -> None:
        self._db.execute("insert_delivery", **{**entry._asdict(), "at": to_text(entry.at)})

    def deliveries(self, limit: int, channel: Optional[str] = None) -> List[Delivery]:
        """Newest first."""
        rows = self._db.all("deliveries_of", channel=channel, limit=limit) if channel else self._db.all("deliveries", limit=limit)
        return [_delivery(row) for row in rows]

    def deliveries_page(self, before: int, limit: int, channel: Optional[str] = None) -> List[Tuple[int, Delivery]]:
        """The same with their numbers, those before that number."""
        return [(row["id"], _delivery(row)) for row in self._db.all("deliveries_page", before=before, limit=limit, channel=channel)]

    def last_deliveries(self) -> Dict[str, Delivery]:
        """Channel -> how its last try went."""
        return {row["channel"]: _delivery(row) for row in self._db.all("last_deliveries")}

    def delivered_since(self, channel: str, since: datetime) -> Tuple[int, Optional[datetime]]:
        """(messages that it got, when the first of them)."""
        row = self._db.one("delivered_since", channel=channel, since=to_text(since))
        return row["n"], _moment(row["first"])

    def prune(self, before: datetime, limit: int = 500) -> None:
        """Remove a bite of what ended long ago."""
        for name in ("prune_alerts", "prune_deliveries"):
            self._db.execute(name, before=to_text(before), limit=limit)

    # -- deadlines

    def add_deadline(self, run_id: int, step: str, at: datetime) -> None:
        self._db.execute("insert_deadline", run_id=run_id, step=step, at=to_text(at))

    def passed_deadlines(self, now: datetime, limit: int = 500) -> List[Deadline]:
        """Those whose moment has come and that nobody has looked at since."""
        return [Deadline(row["run_id"], row["step"], from_text(row["at"])) for row in self._db.all("passed_deadlines", now=to_text(now), limit=limit)]

    def next_deadline(self) -> Optional[datetime]:
        return _moment(self._db.one("next_deadline")["at"])

    def close_deadline(self, found: Deadline, outcome: str) -> None:
        self._db.execute("close_deadline", run_id=found.run_id, step=found.step, outcome=outcome)

    # -- for the summary

    def runs_ended(self, since: datetime, until: datetime) -> List[sqlite3.Row]:
        """name, pipeline, state, reason, ... of runs in the order in which they ended."""
        return self._db.all("runs_ended_since", since=to_text(since), until=to_text(until))

    def late(self, since: datetime) -> List[Tuple[str, str, datetime]]:
        """(run, step or "", deadline) that were missed."""
        return [(row["run"], row["step"], from_text(row["at"])) for row in self._db.all("late_runs", since=to_text(since))]

    def durations(self, pipeline: str, limit: int) -> List[float]:
        """Seconds of its latest good runs."""
        rows = self._db.all("durations_of", pipeline=pipeline, limit=limit)
        return [(from_text(row["ended_at"]) - from_text(row["started_at"])).total_seconds() for row in rows]


def _moment(text: Optional[str]) -> Optional[datetime]:
    return from_text(text) if text else None


def _alert(row: sqlite3.Row) -> Alert:
    return Alert(
        id=row["id"], key=row["key"], channel=row["channel"], event=row["event"], at=from_text(row["at"]), pipeline=row["pipeline"],
        run=row["run"], step=row["step"], body=json.loads(row["body"]), tries=row["tries"],
    )


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        at=from_text(row["at"]), channel=row["channel"], subject=row["subject"], key=row["key"], alerts=row["alerts"],
        outcome=row["outcome"], detail=row["detail"], seconds=row["seconds"],
    )
