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

from runner.clients.databases import BySql, DatabaseError, Rows, Value, cell, dial
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.sqltext import Filled, Statement

PORT = 3306
_WHOLE = frozenset({FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.INT24, FIELD_TYPE.YEAR})
_KILLED, _NO_DATABASE, _LOST, _GONE = 1317, 1049, 2013, 2006
_REFUSED = (1044, 1045, 1698)


def connect(settings: Mapping[str, Any], *, who: str = "runner", **_: str) -> "Session":
    server = dial.server("MySQL", settings, PORT)
    options: Dict[str, Any] = dict(
        host=server.host, port=server.port, user=server.user, database=server.database, password=server.password.encode("utf-8"), program_name=who,
        charset=str(settings.get("charset") or "utf8mb4"), conv=encoders, cursorclass=SSCursor, autocommit=True, defer_connect=True,
        read_timeout=server.seconds, write_timeout=server.seconds,
    )
    options.update({"ssl_disabled": True} if server.context is False or server.is_local else {"ssl": server.context} if server.context else {})
    inner = _dialled(server, options)
    inner._read_timeout = inner._write_timeout = None  # a query may take its time; the keepalive watches
    session = Session(inner, server, options)
    session.about = server.about(_product(inner.get_server_info()))
    return session


def _product(version: str) -> str:
    number = version.split("-")
    return f"MariaDB {number[1] if number[0] == '5.5.5' else number[0]}" if "MariaDB" in version else f"MySQL {version}"


def _dialled(server: dial.Server, options: Mapping[str, Any]) -> pymysql.Connection:
    sock = server.dial()
    try:
        inner = pymysql.Connection(**options)
        if server.is_local:
            inner._secure = True  # as the driver holds it for sockets that it opens itself
        inner.connect(sock)
        return inner
    except Exception as error:  # noqa: BLE001 - another protocol than its own confuses the driver in many ways
        sock.close()
        raise _unwelcome(error, server) from None


def _unwelcome(error: Exception, server: dial.Server) -> RunnerError:
    number, message = _parts(error)
    if number in _REFUSED:
        return server.refuses(message)
    if number == _NO_DATABASE:
        return server.lacks_database()
    if "cryptography" in str(error):
        return UsageError(f"{server.place} wants a login that needs TLS, and this connection has none", "write `tls: require` in the connection")
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, socket.timeout) or "timed out" in str(error):
        return server.is_silent()
    if isinstance(cause, OSError):
        return server.trouble(cause)
    if number == 2026 or "SSL" in message:
        return server.lacks_tls()
    if number:
        return EnvironmentFault(f"{server.place}: {message} ({number})")
    return server.is_another(error)


def _parts(error: Exception):
    if isinstance(error, pymysql.err.MySQLError) and len(error.args) >= 2 and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1])
    return 0, str(error)


class Session(BySql):
    dialect = "mysql"
    about = ""

    def __init__(self, inner: pymysql.Connection, server: dial.Server, options: Mapping[str, Any]):
        self._inner, self._server, self._options = inner, server, options

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

    def cancel(self) -> None:
        try:
            other = _dialled(self._server, {**self._options, "database": None})
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
