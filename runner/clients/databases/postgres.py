"""PostgreSQL, and what speaks its protocol, by pg8000.

    warehouse:
      type: postgres
      host: db1.example          # or the folder of its socket
      port: 5432
      database: mart
      user: etl
      password: << secret.warehouse >>
      tls: prefer                # off | prefer | require | verify
      ca: /etc/ssl/company.pem   # of `verify`
      connect_timeout: 10s
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Callable, Mapping, Optional, Sequence

from pg8000.core import CoreConnection
from pg8000.exceptions import DatabaseError as ServerSaid
from pg8000.exceptions import Error, InterfaceError

from runner.clients.databases import BySql, DatabaseError, Rows, Value, dial
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.sqltext import Filled, Statement

PORT = 5432
_WHOLE = frozenset({20, 21, 23, 26})  # int8, int2, int4, oid
_CANCEL = 80877102  # the code of a CancelRequest
_LENGTH = struct.Struct("!i").unpack_from


def connect(settings: Mapping[str, Any], *, who: str = "runner", **_: str) -> "Session":
    server = dial.server("PostgreSQL", settings, PORT)
    sock = server.dial()
    try:
        inner = _Connection(
            server.user, host=server.host, port=server.port, database=server.database, password=server.password, sock=sock,
            ssl_context=False if server.is_local else server.context, application_name=who[:63],
        )
    except OSError as error:  # TLS
        sock.close()
        raise server.trouble(error) from None
    except Exception as error:  # noqa: BLE001 - another protocol than its own confuses the driver in many ways
        sock.close()
        raise _unwelcome(error, server) from None
    inner._usock.settimeout(None)  # from here on a query may take its time; the keepalive watches
    session = Session(inner, server)
    session.about = server.about(f"PostgreSQL {inner.parameter_statuses.get('server_version', '?')}", server.user)
    session.notice_our_death()
    return session


def _unwelcome(error: BaseException, server: dial.Server) -> RunnerError:
    """What was wrong when the server was reached and no session came of it."""
    if isinstance(error, ServerSaid):
        said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        code, message = said.get("C", ""), said.get("M", str(error))
        if code in ("28P01", "28000"):
            return server.refuses(message)
        if code == "3D000":
            return server.lacks_database()
        return EnvironmentFault(f"{server.place}: {message} ({code})")
    cause = error.__cause__
    if isinstance(cause, socket.timeout):
        return server.is_silent()
    if isinstance(error, InterfaceError) and "Server refuses SSL" in str(error):
        return server.lacks_tls()
    if isinstance(error, InterfaceError) and ("authentication" in str(error).lower() or "password" in str(error).lower()):
        return UsageError(f"{server.place}: {error}", "it wants a login that runner does not know (Kerberos, for one): reach it with `type: jdbc` or `type: dbapi`")
    if isinstance(error, InterfaceError) and str(error) == "network error":
        return EnvironmentFault(f"{server.place} broke the connection off", "is it PostgreSQL? look at its log")
    return server.is_another(error)


class _Connection(CoreConnection):
    """Hands each row on as it comes, as the server's own text: nothing piles up, and nothing is converted."""

    sink: Optional[Rows] = None
    farewell: Optional[ServerSaid] = None  # why the server ended the session

    def handle_ERROR_RESPONSE(self, data, context):
        super().handle_ERROR_RESPONSE(data, context)
        if context.error.args[0].get("V") == "FATAL":
            self.farewell = context.error

    def handle_ROW_DESCRIPTION(self, data, context):
        super().handle_ROW_DESCRIPTION(data, context)
        if self.sink is not None:
            self.sink.columns([column["name"] for column in context.columns], [column["type_oid"] in _WHOLE for column in context.columns])

    def handle_DATA_ROW(self, data, context):
        if self.sink is None:
            return
        at, cells = 2, []
        for _ in context.columns:
            (length,) = _LENGTH(data, at)
            at += 4
            if length < 0:
                cells.append(None)
            else:
                cells.append(str(data[at:at + length], "utf-8"))
                at += length
        self.sink.row(cells)


    def handle_NOTICE_RESPONSE(self, data, context):
        """What RAISE NOTICE and the like say belongs into the log."""
        said = {part[:1]: part[1:].decode("utf-8", "replace") for part in data.split(b"\0") if part}
        print(f"{said.get(b'S', 'NOTICE')}: {said.get(b'M', '')}")


class Session(BySql):
    dialect = "postgres"
    about = ""

    def __init__(self, inner: _Connection, server: dial.Server):
        self._inner, self._server = inner, server

    def notice_our_death(self) -> None:
        """Have the server end a query whose client is gone: PostgreSQL 14 or newer looks, when asked to."""
        try:
            self._inner.execute_simple("SET client_connection_check_interval = '10s'")
        except Error:
            pass

    def prepare(self, statement: Statement) -> Filled:
        count = iter(range(1, len(statement.binds) + 1))
        return statement.filled(lambda name: f"${next(count)}")

    def execute(self, filled: Filled, values: Sequence[Value], rows: Rows) -> int:
        self._inner.sink = rows
        context = self._guarded(lambda: self._inner.execute_unnamed(filled.sql, tuple(values)))
        self._inner.sink = None
        return context.row_count if context.columns is None else -1

    def _command(self, sql: str) -> None:
        self._inner.sink = None
        self._guarded(lambda: self._inner.execute_simple(sql))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """After anything but an answer of the server the wire is in the middle of something: the connection is of no more use."""
        if self._inner._usock is None:
            raise DatabaseError("the connection is closed", code="lost")
        try:
            return call()
        except ServerSaid as error:
            raise _said(error) from None
        except Error as error:
            self.close()
            raise _said(self._inner.farewell or error) from None
        except BaseException:
            self.close()
            raise

    def cancel(self) -> None:
        """Another connection says it: so the protocol wants it."""
        try:
            with self._server.dial() as other:
                other.sendall(struct.pack("!ii", 16, _CANCEL) + self._inner._backend_key_data)
                other.recv(1)  # the server closes when it is done
        except (RunnerError, OSError):
            pass

    def close(self) -> None:
        try:
            self._inner.close()
        except (Error, OSError, ValueError):
            pass


def _said(error: Error) -> DatabaseError:
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else None
    if said is None:
        if "stream" in str(error):
            return DatabaseError("COPY from or to the client is not done here", hint="write a SELECT and `to: FILE.csv`; for loading use psql in a bash step")
        return DatabaseError("the server broke the connection off" if "network" in str(error) else str(error), code="lost")
    message = said.get("M", "unknown error")
    if said.get("D"):
        message += f"; {said['D']}"
    position = said.get("P", "")
    hint = said.get("H", "")
    if said.get("C") == "25001":
        hint = "write `autocommit: true` in the step: then each statement stands for itself"
    if said.get("C") == "57P01":
        message = f"the server ended the connection: {message}"
    return DatabaseError(message, code=said.get("C", ""), position=int(position) - 1 if position.isdigit() else None, hint=hint)
