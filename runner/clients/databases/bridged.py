"""Databases that runner has no driver for: by a JDBC jar of the site, or by a Python driver that the site's own Python has.

    oracle:
      type: jdbc
      url: jdbc:oracle:thin:@//db3.example:1521/ORCL
      jar: /opt/oracle/ojdbc11.jar        # several: a list, or one text with `:` between
      user: etl
      password: << secret.oracle >>
      driver: oracle.jdbc.OracleDriver    # default: what the jar offers
      properties: {oracle.net.CONNECT_TIMEOUT: 10000}
      java_home: /opt/jdk-17              # default: $JAVA_HOME, else java of the PATH; a JDK 11 or newer, not a JRE
      java_options: -Djava.security.krb5.conf=/etc/krb5.conf
    impala:
      type: dbapi
      driver: impala.dbapi                # the module with connect()
      python: /opt/python3/bin/python     # default: the Python of the site's python steps
      connect: {host: impala1.example, port: 21050, password: << secret.impala >>}

A child does the work, `Bridge.java` (run from its source, so nothing is compiled on the site) or `bridge.py`. Both speak lines: a verb
and fields between tabs; `\\t`, `\\n`, `\\r` and `\\\\` stand for themselves, a field `\\N` is NULL. Passwords go through this pipe only.
The child leads a session of its own, so that a TERM to the step reaches only the parent, which cancels first; it ends when the pipe closes.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import threading
from decimal import Decimal
from typing import Any, List, Mapping, Optional, Sequence

from runner.clients.databases import DatabaseError, Rows, Value, dial, wanted
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.sqltext import Filled, Statement

_HERE = os.path.dirname(os.path.abspath(__file__))
_START = 60.0  # seconds a JVM may need before it even tries to connect
_PARTING = 3.0
_POSITION = re.compile(r"\s*Position: (\d+)$")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_PLAIN = {escape: plain for plain, escape in _ESCAPES.items()}


def connect(settings: Mapping[str, Any], *, who: str = "runner", python: str = "python3") -> "Session":
    java = str(settings.get("type")).strip().lower() == "jdbc"
    argv, opening, name = _java(settings) if java else _python(settings, python)
    seconds = dial.limit(settings)
    try:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        what = "a JDK 11 or newer" if java else "the Python that has the driver"
        raise EnvironmentFault(f"{argv[0]} cannot be started: {error.strerror}", f"`{'java_home' if java else 'python'}:` in the connection names {what}") from None
    session = Session(child, name, str(settings.get("url") or name))
    try:
        session.open(opening, seconds, java)
    except BaseException:
        session.close()
        raise
    return session


def _java(settings: Mapping[str, Any]):
    url = wanted(settings, "url")
    jars = settings.get("jar") or settings.get("jars") or ()
    jars = [os.path.expanduser(each) for each in (jars.split(":") if isinstance(jars, str) else [str(one) for one in jars]) if each]
    if not jars:
        raise UsageError("the connection has no `jar:`", "name the file of the JDBC driver: `jar: /opt/drivers/ojdbc11.jar`")
    for jar in jars:
        if not os.path.exists(jar.rstrip("*")):
            raise EnvironmentFault(f"jar: there is no file {jar}", f"type: ls -l {os.path.dirname(jar)}")
    home = str(settings.get("java_home") or os.environ.get("JAVA_HOME") or "")
    java = os.path.join(home, "bin", "java") if home else "java"
    options = settings.get("java_options") or ""
    words = shlex.split(options) if isinstance(options, str) else [str(one) for one in options]
    argv = [java, "-Dfile.encoding=UTF-8", "-XX:+UseSerialGC", *words, "-cp", ":".join(jars), os.path.join(_HERE, "Bridge.java")]
    opening = {"url": url, "driver": str(settings.get("driver") or ""), "seconds": str(int(dial.limit(settings)) or 1)}
    for name in ("user", "password"):
        if settings.get(name):
            opening[f"p.{name}"] = str(settings[name])
    for name, value in (settings.get("properties") or {}).items():
        opening[f"p.{name}"] = str(value)
    return argv, opening, re.split(r"[;?]", url)[0]  # what follows may hold a password


def _python(settings: Mapping[str, Any], python: str):
    module = wanted(settings, "driver")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", module):
        raise UsageError(f"driver: {module!r} is no name of a Python module", "write what you would import: `driver: oracledb`")
    opening = {"module": module}
    given = settings.get("connect") or {}
    if isinstance(given, str):
        opening["text"] = given
    else:
        opening.update({f"p.{name}": _typed(name, str(value)) for name, value in given.items()})
    return [str(settings.get("python") or python), os.path.join(_HERE, "bridge.py")], opening, module


def _typed(name: str, value: str) -> str:
    """With its type in front: all in a connection is text, and a password of digits is to stay one."""
    if (name == "port" or name.endswith("timeout")) and value.isdigit():
        return "i" + value
    if value.lower() in ("true", "false") and name not in ("user", "username", "password"):
        return "b" + value.lower()
    return "s" + value


def _line(*fields: Optional[str]) -> bytes:
    return ("\t".join("\\N" if one is None else re.sub(r"[\\\t\n\r]", lambda found: _ESCAPES[found.group()], one) for one in fields) + "\n").encode("utf-8")


def _fields(line: bytes) -> List[Optional[str]]:
    texts = line[:-1].decode("utf-8", "replace").split("\t")
    return [None if one == "\\N" else re.sub(r"\\.", lambda found: _PLAIN[found.group()], one) if "\\" in one else one for one in texts]


class Session:
    dialect = "ansi"
    about = ""

    def __init__(self, child: "subprocess.Popen[bytes]", name: str, url: str):
        self._child, self._name, self._url, self._style = child, name, url, "qmark"
        self._writing = threading.Lock()

    # ------------------------------------------------------------------------------------------------------------ lines

    def _send(self, *fields: Optional[str]) -> None:
        try:
            with self._writing:
                self._child.stdin.write(_line(*fields))
                self._child.stdin.flush()
        except (OSError, ValueError):
            raise self._gone() from None

    def _gone(self) -> DatabaseError:
        return DatabaseError("the process of the driver ended; what it said stands above", code="lost")

    def _receive(self) -> List[Optional[str]]:
        line = self._child.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._gone()
        found = _fields(line)
        if found[0] == "err":
            code, message, hint = (one or "" for one in found[1:4])
            place = _POSITION.search(message)  # PostgreSQL's driver says it so
            raise DatabaseError(_POSITION.sub("", message) or "unknown error", code=code, position=int(place.group(1)) - 1 if place else None, hint=hint)
        return found

    def _ask(self, *fields: Optional[str]) -> List[Optional[str]]:
        self._send(*fields)
        return self._receive()

    # ---------------------------------------------------------------------------------------------------------- session

    def open(self, opening: Mapping[str, str], seconds: float, java: bool) -> None:
        try:
            self._send("open", *(word for pair in opening.items() for word in pair))
            if not select.select([self._child.stdout], [], [], seconds + _START)[0]:
                raise EnvironmentFault(f"{self._name} does not answer within {seconds:g} s", "`connect_timeout:` in the connection waits longer")
            said = self._receive()
        except DatabaseError as error:
            raise self._unwelcome(error, java) from None
        self.about, self._style = f"{said[1]}, {self._name}", said[2] or "qmark"

    def _unwelcome(self, error: DatabaseError, java: bool) -> RunnerError:
        if error.code == "lost":
            status = self._child.wait()
            hint = "it must be a JDK 11 or newer, not a JRE: type java --list-modules | grep jdk.compiler" if java else ""
            return EnvironmentFault(f"{'java' if java else 'the driver'} ended with {status} before it had connected", hint)
        said = error.message.replace(self._url, self._name)
        if error.code.startswith("28"):
            return UsageError(f"{self._name} refuses the user: {said}", "look at `user:` and `password:` of the connection")
        return EnvironmentFault(f"{self._name}: {said}" + (f" ({error.code})" if error.code else ""), error.hint)

    def prepare(self, statement: Statement) -> Filled:
        count = iter(range(1, len(statement.binds) + 1))
        marks = {
            "qmark": lambda name: "?", "numeric": lambda name: f":{next(count)}", "named": lambda name: f":{name}", "format": lambda name: "%s",
            "pyformat": lambda name: f"%({name})s",
        }
        double = self._style in ("format", "pyformat") and bool(statement.binds)
        return statement.filled(marks[self._style], (lambda text: text.replace("%", "%%")) if double else str)

    def execute(self, filled: Filled, values: Sequence[Value], rows: Rows) -> int:
        words: List[Optional[str]] = []
        for name, value in zip(filled.names, values):
            words += [name, *_value(value)]
        found = self._ask("run", filled.sql, *words)
        try:
            while found[0] != "ok":
                if found[0] == "row":
                    rows.row(found[1:])
                else:
                    rows.columns([name or "" for name in found[1::2]], [flag == "i" for flag in found[2::2]])
                found = self._receive()
        except DatabaseError:
            raise
        except BaseException:
            self.close()  # in the middle of a result
            raise
        return int(found[1] or -1)

    def begin(self) -> None:
        self._ask("begin")

    def commit(self) -> None:
        self._ask("commit")

    def rollback(self) -> None:
        self._ask("rollback")

    def cancel(self) -> None:
        try:
            self._send("cancel")
        except DatabaseError:
            pass

    def close(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            self._child.wait(_PARTING)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def _value(value: Value) -> List[Optional[str]]:
    if value is None:
        return ["n", None]
    if isinstance(value, bool):
        return ["b", "true" if value else "false"]
    if isinstance(value, int):
        return ["i", str(value)]
    return ["d", format(value, "f")] if isinstance(value, Decimal) else ["s", value]
