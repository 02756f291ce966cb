"""One session with a database, alike for all of them: what a sql step needs and no more.

A session has `dialect` (see sqltext), `about` (server and version, for the log) and:

    prepare(statement)            a Statement's text as its driver wants it, as Filled
    execute(filled, values, rows) runs it; each row goes to `rows`; returns the number of changed rows, -1 when there is none
    begin() commit() rollback()   one transaction over several statements
    cancel()                      end what runs on the server; from another thread, any time, as often as wanted
    close()                       whatever state it is in; raises nothing

All raise DatabaseError. A value is a text, int, Decimal, bool or None; a cell that comes back is a text or None, as the
database itself writes it, so that no decimal and no date is bent on its way.
"""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module
from typing import Any, Mapping, Optional, Protocol, Sequence, Union

from runner.errors import RunnerError, UsageError

Value = Union[str, int, Decimal, bool, None]
KINDS = {  # type of a connection: module
    "sqlite": "sqlite", "postgres": "postgres", "postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "jdbc": "bridged", "dbapi": "bridged",
}
TIMEOUT = 10.0  # seconds, to connect


class DatabaseError(RunnerError):
    """What the database has against a statement, in its words."""

    def __init__(self, message: str, *, code: str = "", position: Optional[int] = None, hint: str = ""):
        super().__init__(message, hint)
        self.code = code  # the database's own: 42P01, 1146
        self.position = position  # in the text that was sent, from 0


class BySql:
    """The transaction of a session whose database takes it as three statements."""

    def _command(self, sql: str) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        self._command("BEGIN")

    def commit(self) -> None:
        self._command("COMMIT")

    def rollback(self) -> None:
        self._command("ROLLBACK")


class Rows(Protocol):
    """Takes a result as it comes."""

    def columns(self, names: Sequence[str], whole: Sequence[bool]) -> None:
        """A result begins; `whole` tells which columns hold whole numbers."""

    def row(self, cells: Sequence[Optional[str]]) -> None: ...


def connect(settings: Mapping[str, Any], *, who: str = "runner", python: str = "python3"):
    """A session for a connection of the site. Raises RunnerError, and says which of host, port, user, password or name is wrong."""
    kind = str(settings.get("type") or "").strip().lower()
    if kind not in KINDS:
        raise UsageError(
            f"`type: {kind}` is no database" if kind else "the connection has no `type:`", f"known: {', '.join(KINDS)}"
        )
    module = import_module(f"runner.clients.databases.{KINDS[kind]}")  # only the driver that is used is loaded
    return module.connect(settings, who=who, python=python)


def dialect(settings: Mapping[str, Any]) -> str:
    """How the SQL for a connection is read, known before it is opened."""
    return {"sqlite": "sqlite", "postgres": "postgres", "mysql": "mysql"}.get(KINDS.get(str(settings.get("type") or "").strip().lower(), ""), "ansi")


def wanted(settings: Mapping[str, Any], *names: str) -> str:
    """The first of these settings that is there. Raises UsageError when none is."""
    for name in names:
        if settings.get(name):
            return str(settings[name])
    raise UsageError(f"the connection has no `{names[0]}:`", f"add it: `{names[0]}: ...`")


def cell(value: Any) -> Optional[str]:
    """A value of a driver that makes Python objects, as text that loses nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)
