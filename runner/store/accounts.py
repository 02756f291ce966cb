"""Rows of users, of their sessions and of tokens. What a browser or a program has is never kept, only its hash."""

from __future__ import annotations

from runner.store.db import Database

ROLES = ("viewer", "operator", "editor", "admin")  # each may all that the one before may


class Accounts:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db
