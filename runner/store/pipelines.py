"""Rows about pipelines as such: what the daemon knows of them, who paused or holds them, and backfills."""

from __future__ import annotations

from datetime import datetime
from typing import Dict, List, Optional
from zoneinfo import ZoneInfo

from runner import model
from runner.clock import from_text, to_text
from runner.shown import minute
from runner.store.db import Database


class Pipelines:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database, zone: ZoneInfo):
        self._db, self._zone = db, zone

    def all(self) -> List[model.PipelineRow]:
        """By name; also those whose file is gone."""
        return [_row(row) for row in self._db.all("pipeline_rows")]

    def get(self, name: str) -> Optional[model.PipelineRow]:
        row = self._db.one("pipeline_row", name=name)
        return _row(row) if row else None

    def place(self, name: str, path: str, definition: Optional[str], problem: str, at: datetime) -> None:
        """A file of that name is there. `definition` None leaves the last good text as it is."""
        self._db.execute("insert_pipeline", name=name, path=path, at=to_text(at))
        self._db.execute("place_pipeline", name=name, path=path, definition=definition, problem=problem)

    def lose(self, name: str, at: datetime) -> None:
        """Its file is gone: it is due no more, its history stays."""
        self._db.execute("lose_pipeline", name=name, at=to_text(at))

    def schedule(self, name: str, key: str, cursor: Optional[datetime], next_due: Optional[datetime], broken: str = "") -> None:
        """How far its due times have been dealt with, and the next one."""
        self._db.execute(
            "schedule_pipeline", name=name, schedule_key=key, cursor_at=to_text(cursor) if cursor else None,
            next_due=to_text(next_due) if next_due else None, broken=broken,
        )

    def pause(self, name: str, path: str, actor: Optional[str], at: datetime, reason: str = "") -> None:
        """Stop its schedule; `actor` None lets it go on: `paused_at` then says since when."""
        self._db.execute("insert_pipeline", name=name, path=path, at=to_text(at))
        self._db.execute("pause_pipeline", name=name, actor=actor, at=to_text(at), reason=reason)

    def due(self, now: datetime, limit: int) -> List[model.PipelineRow]:
        """Those with a due time that has come, the latest first: who has weeks to catch up on keeps nobody waiting."""
        return [_row(row) for row in self._db.all("due_pipelines", now=to_text(now), limit=limit)]

    def nearest_due(self) -> Optional[datetime]:
        return _moment(self._db.one("nearest_due")["next_due"])

    def latest_cursor(self) -> Optional[datetime]:
        """The latest moment up to which due times were dealt with."""
        return _moment(self._db.one("latest_cursor")["cursor_at"])

    # -- holds

    def hold(self, pipeline: str, step: str, actor: str, at: datetime, reason: str) -> bool:
        """Let nothing new of it begin; step '' is the whole pipeline. False when it is held already."""
        return self._db.execute("insert_hold", pipeline=pipeline, step=step, actor=actor, at=to_text(at), reason=reason).rowcount == 1

    def let_go(self, pipeline: str, step: str) -> bool:
        return self._db.execute("delete_hold", pipeline=pipeline, step=step).rowcount == 1

    def holds(self) -> Dict[str, Dict[str, str]]:
        """Pipeline -> step -> "held by ME since ...: REASON"."""
        out: Dict[str, Dict[str, str]] = {}
        for row in self._db.all("holds"):
            words = f"held by {row['actor']} since {minute(from_text(row['at']), self._zone)}" + (f": {row['reason']}" if row["reason"] else "")
            out.setdefault(row["pipeline"], {})[row["step"]] = words
        return out

    # -- backfills

    def add_backfill(self, pipeline: str, from_ds: str, to_ds: str, parallel: int, actor: str, at: datetime) -> int:
        number = self._db.one("next_backfill_id")["id"]
        self._db.execute(
            "insert_backfill", id=number, pipeline=pipeline, from_ds=from_ds, to_ds=to_ds, parallel=parallel, actor=actor, at=to_text(at)
        )
        return number

    def backfill(self, number: int) -> Optional[model.Backfill]:
        row = self._db.one("backfill", id=number)
        return _backfill(row) if row else None

    def backfills(self, limit: int = 20) -> List[model.Backfill]:
        """Newest first."""
        return [_backfill(row) for row in self._db.all("backfills", limit=limit)]

    def backfills_page(self, before: int, limit: int, pipeline: Optional[str] = None) -> List[model.Backfill]:
        """The same, those before the one of that number."""
        return [_backfill(row) for row in self._db.all("backfills_page", before=before, limit=limit, pipeline=pipeline)]

    def backfill_counts(self, number: int) -> Dict[str, int]:
        """State -> number of its runs."""
        return {row["state"]: row["n"] for row in self._db.all("backfill_counts", backfill=number)}

    def open_runs_of_backfill(self, number: int) -> List[int]:
        return [row["id"] for row in self._db.all("queued_of_backfill", backfill=number)]

    def active_of_backfill(self, number: int) -> int:
        """How many of its runs run now."""
        return self._db.one("active_of_backfill", backfill=number)["n"]


def _moment(text: Optional[str]) -> Optional[datetime]:
    return from_text(text) if text else None


def _row(row) -> model.PipelineRow:
    return model.PipelineRow(
        name=row["name"], path=row["path"], definition=row["definition"], problem=row["problem"], schedule_key=row["schedule_key"],
        first_seen=from_text(row["first_seen"]), cursor=_moment(row["cursor_at"]), next_due=_moment(row["next_due"]),
        broken=row["broken"], paused_by=row["paused_by"], paused_at=_moment(row["paused_at"]), pause_reason=row["pause_reason"],
        gone_at=_moment(row["gone_at"]),
    )


def _backfill(row) -> model.Backfill:
    return model.Backfill(
        id=row["id"], pipeline=row["pipeline"], from_ds=row["from_ds"], to_ds=row["to_ds"], parallel=row["parallel"],
        actor=row["actor"], created_at=from_text(row["created_at"]),
    )
