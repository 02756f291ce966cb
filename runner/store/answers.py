"""What a program was answered that sent an Idempotency-Key, for two days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, Optional

from runner.clock import to_text
from runner.store.db import Database

KEPT = timedelta(days=2)


class Answer(NamedTuple):
    asked: str  # hash of the request
    status: int
    body: str
    location: str


class Answers:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db

    def get(self, who: str, key: str) -> Optional[Answer]:
        row = self._db.one("kept_answer", who=who, key=key)
        return Answer(row["asked"], row["status"], row["body"], row["location"]) if row else None

    def keep(self, who: str, key: str, asked: str, status: int, body: str, location: str, at: datetime) -> None:
        """In the transaction of the act itself; what is old goes."""
        self._db.execute("prune_answers", before=to_text(at - KEPT))
        self._db.execute("keep_answer", who=who, key=key, asked=asked, status=status, body=body, location=location, at=to_text(at))
