"""SQLite: a file on this server.

    numbers:
      type: sqlite
      path: /data/numbers.db
      create: true               # default: the file must be there
      busy_timeout: 30s          # how long to wait for another writer
"""

from __future__ import annotations

import os
import sqlite3
from decimal import Decimal
from typing import Any, Mapping, Sequence

from runner.clients import net
from runner.clients.databases import DatabaseError, Rows, Value, cell, wanted
from runner.errors import EnvironmentFault
from runner.sqltext import Filled, Statement


def connect(settings: Mapping[str, Any], **_: str) -> "Session":
    path = os.path.expanduser(wanted(settings, "path", "database", "file"))
    if path != ":memory:" and not os.path.isfile(path) and not net.flag(settings.get("create")):
        raise EnvironmentFault(f"there is no database file {path}", "look at `path:`; `create: true` in the connection makes a new one")
    try:
        inner = sqlite3.connect(path, net.seconds(settings.get("busy_timeout"), 30.0, "busy_timeout"), isolation_level=None, check_same_thread=False)
        inner.execute("PRAGMA schema_version").fetchone()  # opens the file: one that is no database is told now
        inner.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise EnvironmentFault(f"{path} cannot be opened: {error}", f"type: ls -l {path}; file {path}") from None
    return Session(inner, path)


class Session:
    dialect = "sqlite"

    def __init__(self, inner: sqlite3.Connection, path: str):
        self._inner = inner
        self.about = f"SQLite {sqlite3.sqlite_version}, {path}"

    def prepare(self, statement: Statement) -> Filled:
        return statement.filled(lambda name: "?")

    def execute(self, filled: Filled, values: Sequence[Value], rows: Rows) -> int:
        try:
            cursor = self._inner.execute(filled.sql, [float(value) if isinstance(value, Decimal) else value for value in values])
            if cursor.description is None:
                return cursor.rowcount
            first = cursor.fetchone()
            rows.columns([column[0] for column in cursor.description], [type(value) is int for value in first or cursor.description])
            while first is not None:
                rows.row([cell(value) for value in first])
                first = cursor.fetchone()
            return -1
        except sqlite3.ProgrammingError as error:
            if "binding" in str(error):
                raise DatabaseError("the statement has a placeholder of SQLite's own (?, @name or $name)", hint="write :name and `binds:`") from None
            raise DatabaseError(str(error)) from None
        except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
            raise DatabaseError(str(error), code=_code(error)) from None

    def _command(self, sql: str) -> None:
        try:
            self._inner.execute(sql)
        except sqlite3.Error as error:
            raise DatabaseError(str(error), code=_code(error)) from None

    def begin(self) -> None:
        self._command("BEGIN")

    def commit(self) -> None:
        self._command("COMMIT")

    def rollback(self) -> None:
        if self._inner.in_transaction:  # some errors have undone it already
            self._command("ROLLBACK")

    def cancel(self) -> None:
        self._inner.interrupt()

    def close(self) -> None:
        self._inner.close()


def _code(error: Exception) -> str:
    """From Python 3.11 on; the one that says nothing is left out."""
    name = getattr(error, "sqlite_errorname", "")
    return "" if name == "SQLITE_ERROR" else name
