"""The trail of what people did: who, from where, what, why, and how it was before and after."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, List, Mapping, NamedTuple, Optional

from runner.clock import from_text, to_text
from runner.store.db import Database

LONGEST = 2000  # of what came from outside, in characters


class Entry(NamedTuple):
    id: int
    at: datetime
    actor: str
    source: str  # cli, page, api, token NAME
    act: str
    pipeline: str
    run: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Audit:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db

    def add(
        self, at: datetime, actor: str, source: str, act: str, pipeline: str = "", run: str = "", reason: str = "",
        before: Optional[Mapping[str, Any]] = None, after: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """In the transaction of the act itself. `before` and `after` are small, and hold no secret."""
        self._db.execute(
            "insert_audit", at=to_text(at), actor=_clean(actor), source=_clean(source), act=act, pipeline=_clean(pipeline), run=_clean(run),
            reason=_clean(reason), before=_json(before), after=_json(after),
        )

    def rows(self, limit: int, before: Optional[int] = None, pipeline: Optional[str] = None, actor: Optional[str] = None) -> List[Entry]:
        """Newest first; `before`: older than the entry of that id."""
        return [_entry(row) for row in self._db.all("audit_rows", limit=limit, before=before, pipeline=pipeline, actor=actor)]

    def prune(self, before: datetime, limit: int = 500) -> None:
        """Remove a bite of what is long past."""
        self._db.execute("prune_audit", before=to_text(before), limit=limit)


def _clean(text: str) -> str:
    """Whatever somebody typed, so that it can be kept."""
    return text[:LONGEST].encode("utf-8", "replace").decode()


def _json(value: Optional[Mapping[str, Any]]) -> str:
    return json.dumps(value or {}, ensure_ascii=False, sort_keys=True, default=str).encode("utf-8", "replace").decode()


def _entry(row: Any) -> Entry:
    values = {**dict(row), "at": from_text(row["at"]), "before": json.loads(row["before"]), "after": json.loads(row["after"])}
    return Entry(**values)
