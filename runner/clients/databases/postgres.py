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

from runner.clients.databases import DatabaseError, Rows, Value, dial, wanted
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.sqltext import Filled, Statement

PORT = 5432
_WHOLE = frozenset({20, 21, 23, 26})  # int8, int2, int4, oid
_CANCEL = 80877102  # the code of a CancelRequest
_LENGTH = struct.Struct("!i").unpack_from


def connect(settings: Mapping[str, Any], *, who: str = "runner", **_: str) -> "Session":
    host, port = dial.place(settings, PORT)
    seconds, context = dial.limit(settings), dial.tls(settings)
    user, database = wanted(settings, "user"), str(settings.get("database") or "") or None
    sock = dial.dial(host, port, seconds)
    try:
        inner = _Connection(
            user, host=host, port=port, database=database, password=str(settings.get("password") or ""), sock=sock,
            ssl_context=False if host.startswith("/") else context, application_name=who[:63],
        )
    except OSError as error:  # TLS
        sock.close()
        raise dial.trouble(error, host, port, seconds, "is it PostgreSQL? look at `host:` and `port:` of the connection") from None
    except Exception as error:  # noqa: BLE001 - another protocol than its own confuses the driver in many ways
        sock.close()
        raise _unwelcome(error, f"{host}:{port}", user, database or user, seconds) from None
    inner._usock.settimeout(None)  # from here on a query may take its time; the keepalive watches
    session = Session(inner, host, port, seconds)
    session.about = f"PostgreSQL {inner.parameter_statuses.get('server_version', '?')}, {user}@{host}:{port}/{database or user}"
    session.notice_our_death()
    return session


def _unwelcome(error: BaseException, place: str, user: str, database: str, seconds: float) -> RunnerError:
    """What was wrong when the server was reached and no session came of it."""
    if isinstance(error, ServerSaid):
        said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        code, message = said.get("C", ""), said.get("M", str(error))
        if code in ("28P01", "28000"):
            return UsageError(f"{place} refuses user {user}: {message}", "look at `user:` and `password:` of the connection")
        if code == "3D000":
            return UsageError(f"{place} has no database {database}", "look at `database:` of the connection")
        return EnvironmentFault(f"{place}: {message} ({code})")
    cause = error.__cause__
    if isinstance(cause, socket.timeout):
        return EnvironmentFault(f"{place} takes the connection but does not answer within {seconds:g} s", "is it PostgreSQL, and does it hang?")
    if isinstance(error, InterfaceError) and "Server refuses SSL" in str(error):
        return UsageError(f"{place} offers no TLS", "write `tls: off` in the connection, where the network may be trusted")
    if isinstance(error, InterfaceError) and ("authentication" in str(error).lower() or "password" in str(error).lower()):
        return UsageError(f"{place}: {error}", "it wants a login that runner does not know (Kerberos, for one): reach it with `type: jdbc` or `type: dbapi`")
    if isinstance(error, InterfaceError) and str(error) == "network error":
        return EnvironmentFault(f"{place} broke the connection off", "is it PostgreSQL? look at its log")
    return EnvironmentFault(f"{place} does not speak PostgreSQL: {error}", "look at `host:` and `port:` of the connection")


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


class Session:
    dialect = "postgres"
    about = ""

    def __init__(self, inner: _Connection, host: str, port: int, seconds: float):
        self._inner, self._place = inner, (host, port, seconds)

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

    def begin(self) -> None:
        self._command("BEGIN")

    def commit(self) -> None:
        self._command("COMMIT")

    def rollback(self) -> None:
        self._command("ROLLBACK")

    def cancel(self) -> None:
        """Another connection says it: so the protocol wants it."""
        try:
            with dial.dial(*self._place) as other:
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
