"""MySQL and MariaDB by PyMySQL.

    shop:
      type: mysql                # or mariadb
      host: db2.example          # or the path of its socket
      port: 3306
      database: shop
      user: etl
      password: << secret.shop >>
      tls: prefer                # off | prefer | require | verify
      charset: utf8mb4
      connect_timeout: 10s
"""

from __future__ import annotations

import socket
from typing import Any, Dict, Mapping, Sequence

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from runner.clients.databases import DatabaseError, Rows, Value, cell, dial, wanted
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.sqltext import Filled, Statement

PORT = 3306
_WHOLE = frozenset({FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.INT24, FIELD_TYPE.YEAR})
_KILLED, _NO_DATABASE, _LOST, _GONE = 1317, 1049, 2013, 2006
_REFUSED = (1044, 1045, 1698)


def connect(settings: Mapping[str, Any], *, who: str = "runner", **_: str) -> "Session":
    host, port = dial.place(settings, PORT)
    seconds, context = dial.limit(settings), dial.tls(settings)
    user, database = wanted(settings, "user"), str(settings.get("database") or "") or None
    options: Dict[str, Any] = dict(
        host=host, port=port, user=user, database=database, password=str(settings.get("password") or "").encode("utf-8"), program_name=who,
        charset=str(settings.get("charset") or "utf8mb4"), conv=encoders, cursorclass=SSCursor, autocommit=True, defer_connect=True,
        read_timeout=seconds, write_timeout=seconds,
    )
    options.update({"ssl_disabled": True} if context is False or host.startswith("/") else {"ssl": context} if context else {})
    inner = _dialled(options, seconds)
    inner._read_timeout = inner._write_timeout = None  # a query may take its time; the keepalive watches
    session = Session(inner, options, seconds)
    session.about = f"{_product(inner.get_server_info())}, {user}@{host}:{port}/{database or ''}"
    return session


def _product(version: str) -> str:
    number = version.split("-")
    return f"MariaDB {number[1] if number[0] == '5.5.5' else number[0]}" if "MariaDB" in version else f"MySQL {version}"


def _dialled(options: Mapping[str, Any], seconds: float) -> pymysql.Connection:
    sock = dial.dial(options["host"], options["port"], seconds)
    try:
        inner = pymysql.Connection(**options)
        if options["host"].startswith("/"):
            inner._secure = True  # as the driver holds it for sockets that it opens itself
        inner.connect(sock)
        return inner
    except Exception as error:  # noqa: BLE001 - another protocol than its own confuses the driver in many ways
        sock.close()
        raise _unwelcome(error, options, seconds) from None


def _unwelcome(error: Exception, options: Mapping[str, Any], seconds: float) -> RunnerError:
    place, user = f"{options['host']}:{options['port']}", options["user"]
    number, message = _parts(error)
    if number in _REFUSED:
        return UsageError(f"{place} refuses user {user}: {message}", "look at `user:` and `password:` of the connection")
    if number == _NO_DATABASE:
        return UsageError(f"{place} has no database {options['database']}", "look at `database:` of the connection")
    if "cryptography" in str(error):
        return UsageError(f"{place} wants a login that needs TLS, and this connection has none", "write `tls: require` in the connection")
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, socket.timeout) or "timed out" in str(error):
        return EnvironmentFault(f"{place} takes the connection but does not answer within {seconds:g} s", "is it MySQL, and does it hang?")
    if isinstance(cause, OSError):
        return dial.trouble(cause, options["host"], options["port"], seconds)
    if number == 2026 or "SSL" in message:
        return UsageError(f"{place} offers no TLS", "write `tls: off` in the connection, where the network may be trusted")
    if number:
        return EnvironmentFault(f"{place}: {message} ({number})")
    return EnvironmentFault(f"{place} does not speak MySQL: {error}", "look at `host:` and `port:` of the connection")


def _parts(error: Exception):
    if isinstance(error, pymysql.err.MySQLError) and len(error.args) >= 2 and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1])
    return 0, str(error)


class Session:
    dialect = "mysql"
    about = ""

    def __init__(self, inner: pymysql.Connection, options: Mapping[str, Any], seconds: float):
        self._inner, self._options, self._seconds = inner, options, seconds

    def prepare(self, statement: Statement) -> Filled:
        if not statement.binds:
            return statement.filled(lambda name: "")
        return statement.filled(lambda name: "%s", lambda text: text.replace("%", "%%"))

    def execute(self, filled: Filled, values: Sequence[Value], rows: Rows) -> int:
        try:
            return self._execute(filled.sql, tuple(values) or None, rows)
        except pymysql.err.Error as error:
            raise _said(error) from None
        except BaseException:
            self.close()  # in the middle of a result
            raise

    def _execute(self, sql: str, values: Any, rows: Rows) -> int:
        cursor = self._inner.cursor()
        try:
            cursor.execute(sql, values)
            changed = -1 if cursor.description else cursor.rowcount
            more: Any = True
            while more:  # a procedure may give several results
                if cursor.description:
                    rows.columns([column[0] for column in cursor.description], [column[1] in _WHOLE for column in cursor.description])
                    for row in cursor.fetchall_unbuffered():
                        rows.row([cell(value) for value in row])
                more = cursor.nextset()
            return changed
        finally:
            cursor.connection = None  # else it reads all rows that are left, at the latest when it is collected

    def _command(self, sql: str) -> None:
        try:
            self._inner.query(sql)
        except pymysql.err.Error as error:
            raise _said(error) from None

    def begin(self) -> None:
        self._command("BEGIN")

    def commit(self) -> None:
        self._command("COMMIT")

    def rollback(self) -> None:
        self._command("ROLLBACK")

    def cancel(self) -> None:
        try:
            other = _dialled({**self._options, "database": None}, self._seconds)
        except RunnerError:
            return
        try:
            other.query(f"KILL QUERY {int(self._inner.thread_id())}")
        except pymysql.err.Error:
            pass  # it has just ended
        finally:
            other.close()

    def close(self) -> None:
        """Without a word when rows are still coming: they would all have to be read first."""
        if self._inner._result is not None:
            self._inner._result.unbuffered_active = False
        self._inner._force_close()


def _said(error: Exception) -> DatabaseError:
    number, message = _parts(error)
    if number in (_LOST, _GONE) or not number:
        return DatabaseError("the server broke the connection off" if number or not message else message, code="lost")
    return DatabaseError(message, code=str(number))
