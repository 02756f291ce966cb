"""What `runner clean` reads and removes: old runs, texts that nothing refers to, free pages of the file.

Each call is small: the caller puts as many into one transaction as its patience for others allows.
"""

from __future__ import annotations

from datetime import datetime
from typing import List, NamedTuple, Optional

from runner.clock import to_text
from runner.store.db import Database

BITE = 500  # rows of one run that go at once
INCREMENTAL = 2  # what PRAGMA auto_vacuum says of a file that can give room back in bites


class Past(NamedTuple):
    """A run as housekeeping sees it. Moments are the text of the database, whose order is that of time."""

    id: int
    name: str
    pipeline: str
    state: str
    due_at: str
    number: int
    ended_at: Optional[str]  # None: it has not ended


class Housekeeping:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db

    def runs(self) -> List[Past]:
        """Every run, in no order."""
        return [Past(*row) for row in self._db.execute("past_runs")]

    def is_at_rest(self, run: Past) -> bool:
        """Whether it is still as it was seen: ended then, not run again since, no attempt open."""
        return self._db.one("at_rest", id=run.id, ended_at=run.ended_at) is not None

    def thin(self, run: Past) -> int:
        """Remove a bite of its journal, then of its attempts; the number of rows removed, 0 when it is thin enough to `forget`.

        Both are unseen once its folder is gone; its steps are seen, and go with the run in one piece.
        """
        for name in ("thin_journal", "thin_attempts"):
            removed = self._db.execute(name, id=run.id, limit=BITE).rowcount
            if removed == BITE:
                return removed
        return 0

    def forget(self, run: Past) -> None:
        """Remove the run and, by the tables' own rule, all rows that belong to it."""
        self._db.execute("delete_run", id=run.id)

    def unused_definitions(self, before: datetime) -> List[str]:
        """Hashes of texts kept before that moment which neither a run nor a pipeline refers to."""
        return [row["hash"] for row in self._db.all("unused_definitions", before=to_text(before))]

    def drop_definition(self, digest: str) -> bool:
        """False when something refers to it by now."""
        return self._db.execute("delete_definition", hash=digest).rowcount == 1

    def drop_empty_backfills(self, before: datetime) -> int:
        """Backfills made before that moment without a run left. The last one stays: its number must not come again."""
        return self._db.execute("delete_empty_backfills", before=to_text(before)).rowcount

    def free_bytes(self) -> int:
        """What `give_back` could take off the file; 0 for a file that was not made to be shortened."""
        if self._db.one("auto_vacuum")[0] != INCREMENTAL:
            return 0
        return self._db.one("free_pages")[0] * self._db.one("page_size")[0]

    def give_back(self) -> None:
        """Shorten the file by one free page: Python lets this pragma do one step of its work, whatever number it is given."""
        self._db.execute("give_back")

    def checkpoint(self) -> None:
        """Let the file on disk follow, as far as no reader needs what was; nobody waits for it."""
        self._db.one("checkpoint")
