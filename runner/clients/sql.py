"""SQL in a database: statements one by one, one transaction, a CSV file, checks; what the sql step asks for.

A worker thread talks to the database, since a driver may sit in C code where Python takes no signals; the main thread takes TERM and
watches the time of a statement. Both end it the same way: cancel on the server, wait for it to say so, roll back. A server that does
not even answer that is left after PATIENCE.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import threading
from decimal import Decimal, InvalidOperation
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from runner import sqltext
from runner.clients import BAD_REQUEST, Client, ClientError, databases
from runner.clients.databases import DatabaseError, Value, export, listing
from runner.clock import Clock
from runner.durations import parse_duration
from runner.errors import RunnerError, UsageError

from runner.site import secrets
from runner.steps.sql import expectation

PROBE = 60.0  # seconds that a statement of a wait may take
PATIENCE = 8.0  # seconds a cancelled server has to answer; shorter than the kill_grace that steps have
STOPPED = 143
SHOWN = 20  # rows of a result in the log
_AGAIN = 2.0  # seconds between two tries to cancel: the first may come between two statements
_LONGEST_VALUE = 4000
_CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT", "WITH"})
_COMPARE: Dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<>": lambda a, b: a != b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
}


def main(client: Client) -> int:
    job = _Job(client)
    return _Watch(job).run()


def test(connection: Mapping[str, Any]) -> str:
    """Connect and say to what: for `runner connections test`. Raises RunnerError."""
    session = databases.connect(connection, who="runner connections test")
    try:
        return session.about
    finally:
        session.close()


def first_value(name: str, text: str, home: str) -> Any:
    """The first column of the first row of one statement; 0 and False for what a database writes as `0.00` or `f`. Raises ClientError.

    For waits, which ask again and again: nothing is changed, and after PROBE seconds it is cancelled.
    """
    client = Client({"body": {}}, {**os.environ, "RUNNER_HOME": home})
    settings = client.connection(name)
    try:
        statements = sqltext.split(text, databases.dialect(settings))
        if len(statements) != 1 or statements[0].binds:
            raise ClientError("one statement without :binds is asked again and again", "write one SELECT", BAD_REQUEST)
        session = databases.connect(settings, who="runner wait")
        timer = threading.Timer(PROBE, session.cancel)
        timer.start()
        try:
            result = _Result(0, None)
            session.execute(session.prepare(statements[0]), (), result)
            result.close()
        finally:
            timer.cancel()
            session.close()
    except sqltext.SqlTextError as error:
        raise ClientError(error.message, code=BAD_REQUEST) from None
    except RunnerError as error:
        raise _unreached(name, error) from None
    return {"f": False, "false": False}.get(str(result.value), 0 if _is_zero(result.value) else result.value)


def _unreached(name: str, error: RunnerError) -> ClientError:
    """What stands between us and a database; what is wrong with its connection is asked for once only, since a login may be locked."""
    return ClientError(f"{name}: {error.message}", error.hint, BAD_REQUEST if isinstance(error, UsageError) else 1)


class _Stopped(Exception):
    """The watch wants the work to end."""


class _Watch:
    """The main thread: signals and time limits, while a worker does the job."""

    def __init__(self, job: "_Job"):
        self.job, self.clock = job, Clock()
        self.session: Any = None
        self.reason: Optional[ClientError] = None  # why the work is to end
        self._events: "queue.SimpleQueue[str]" = queue.SimpleQueue()
        self._limit: Optional[float] = None  # of the statement that runs
        self._outcome: Any = None

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._events.put("stop"))
        threading.Thread(target=self._work, daemon=True).start()
        give_up: Optional[float] = None
        while True:
            event = self._wait(give_up)
            if event == "done":
                break
            now = self.clock.monotonic()
            if event == "stop" and self.reason is None:
                self.reason = ClientError("stopped: the query was cancelled on the server", code=STOPPED)
            elif self.reason is None and self._limit is not None and now >= self._limit:
                self.reason = self.job.too_slow()
            if self.reason is None:
                continue
            give_up = give_up or now + PATIENCE
            if self.session is None or now >= give_up:
                self._leave()
            threading.Thread(target=self.session.cancel, daemon=True).start()  # it may have to connect, to a server that hangs
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return 0

    def _wait(self, give_up: Optional[float]) -> str:
        """The next event; "time" when there is something to look at without one."""
        now = self.clock.monotonic()
        if give_up is not None:
            seconds: Optional[float] = min(_AGAIN, max(give_up - now, 0.01))
        else:
            seconds = 1.0 if self._limit is None else min(1.0, max(self._limit - now, 0.01))  # a limit may be set while this waits
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return "time"

    def _leave(self) -> None:
        """The server does not answer: nothing can be waited for."""
        self.job.discard()
        message = self.reason.message
        if self.session is not None:
            message = message.replace("was cancelled on the server", "had to be left").replace("it was cancelled", "it had to be left")
            message += f": the server has not answered the cancel for {PATIENCE:g} s"
        else:
            message = "stopped while connecting" if self.reason.code == STOPPED else message
        print(f"error: {message}", flush=True)
        os._exit(self.reason.code)

    def _work(self) -> None:
        try:
            self.job.work(self)
        except _Stopped:
            self._outcome = self.reason
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._outcome = error
        self._events.put("done")

    def begins(self, seconds: Optional[float]) -> None:
        """Before each statement. Raises _Stopped."""
        if self.reason is not None:
            raise _Stopped
        self._limit = None if seconds is None else self.clock.monotonic() + seconds

    def ended(self) -> None:
        self._limit = None


class _Result:
    """Takes the rows of one statement: counts them, keeps the first, hands all to the file."""

    def __init__(self, shown: int, file: Optional[export.CsvFile]):
        self.shown, self.file = shown, file
        self.results: List[Dict[str, Any]] = []
        self.count = 0
        self.first: Optional[Sequence[Optional[str]]] = None
        self.names: Optional[Sequence[str]] = None
        self.whole: Sequence[bool] = ()
        self._sample: List[Sequence[Optional[str]]] = []

    def columns(self, names: Sequence[str], whole: Sequence[bool]) -> None:
        self.close()
        self.names, self.whole, self.count, self.first, self._sample = names, whole, 0, None, []
        if self.file is not None:
            self.file.begin(names)

    def row(self, cells: Sequence[Optional[str]]) -> None:
        self.count += 1
        if self.count <= self.shown or self.count == 1:
            self._sample.append(cells)
        if self.file is not None:
            self.file.row(cells)

    def close(self) -> None:
        """The result is whole: print its first rows."""
        if self.names is None:
            return
        self.first = self._sample[0] if self._sample else None
        if self.shown and self.names:
            print("\n".join(listing.table(self.names, self.whole, self._sample[:self.shown])))
            if self.count > self.shown:
                print(f"  ... and {self.count - self.shown} more")

    @property
    def value(self) -> Any:
        """The first column of the first row: a whole number as one, all else as its text."""
        if not self.first:
            return None
        text = self.first[0]
        if text is not None and self.whole[0] and re.fullmatch(r"-?\d{1,18}", text):
            return int(text)
        return text if text is None else text[:_LONGEST_VALUE]


class _Job:
    """What one step asks for."""

    def __init__(self, client: Client):
        self.client, self.body = client, client.body
        self.name = self.body["connection"]
        self.settings = client.connection(self.name)
        self.source = self.body.get("file") or "the step's sql"
        self.together = not self.body.get("autocommit")
        self.limit = parse_duration(self.body["statement_timeout"]) if "statement_timeout" in self.body else None
        self.values = {name: _bound(name, given) for name, given in (self.body.get("binds") or {}).items()}
        self.expected = [self._expectation(text) for text in _listed(self.body.get("expect"))]
        self.statements = self._read()
        self.file: Optional[export.CsvFile] = None
        if "to" in self.body:
            self.file = export.CsvFile(client.path(self.body["to"]), export.Layout(self.body.get("csv") or {}))
        self.shown = self.body.get("print", 0 if self.file else SHOWN)
        self.at: Optional[sqltext.Statement] = None  # the one that runs
        self.rows, self.affected, self.value = 0, 0, None

    # ----------------------------------------------------------------------------------------------- before connecting

    def _expectation(self, text: str):
        try:
            return (text, *expectation(text))
        except ValueError:
            raise ClientError(f"'{text}' is no expectation", "write for example: rows > 0", BAD_REQUEST) from None

    def _read(self) -> List[sqltext.Statement]:
        with open(os.path.join(self.client.folder, self.body["script"]), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if secrets.MARK.search(text):
            raise ClientError("a secret cannot stand in the SQL, which is on disk and in logs", "write :name in the SQL and "
                              "`binds: {name: << secret.NAME >>}`", BAD_REQUEST)
        try:
            found = sqltext.split(text, databases.dialect(self.settings))
        except sqltext.SqlTextError as error:
            raise ClientError(f"{self.source}, line {error.line}: {error.message}", code=BAD_REQUEST) from None
        if not found:
            raise ClientError(f"{self.source} holds no statement", "write SQL, or use `noop:`", BAD_REQUEST)
        for statement in found:
            self._examine(statement)
        unused = sorted(set(self.values) - {bind.name for statement in found for bind in statement.binds})
        if unused:
            raise ClientError(f"the SQL has no :{unused[0]}, but `binds:` has {unused[0]}", "take it out, or write the name in the SQL, not inside "
                              "quotes", BAD_REQUEST)
        return found

    def _examine(self, statement: sqltext.Statement) -> None:
        place = f"statement {statement.number}, line {statement.line} of {self.source}"
        for bind in statement.binds:
            if bind.name not in self.values:
                raise ClientError(f"{place}: it wants :{bind.name}, and `binds:` has no {bind.name}",
                                  f"add it; a colon that is to stay is written \\:{bind.name}", BAD_REQUEST)
        if statement.text.startswith("\\"):
            word = statement.text.split()[0]
            raise ClientError(f"{place}: {word} is a command of psql, no SQL", "use psql in a bash step for it", BAD_REQUEST)
        if self.together and _ends_transaction(statement, databases.dialect(self.settings)):
            raise ClientError(f"{place}: {statement.words[0]} would break the one transaction that this step is",
                              "leave it out; with `autocommit: true` each statement stands for itself", BAD_REQUEST)

    # ---------------------------------------------------------------------------------------------------------- the work

    def work(self, watch: _Watch) -> None:
        done = False
        try:
            if self.file is not None:
                self.file.open()
            self._run(watch)
            done = True
        finally:
            if not done:
                self.discard()
        if self.file is not None:
            self.file.publish()
            print(f"written: {self.file.path}, {_counted(self.rows, 'row')}, {self.file.bytes} bytes")
        self._hand_on()

    def _run(self, watch: _Watch) -> None:
        try:
            session = databases.connect(self.settings, who=self._who(), python=self.body.get("python") or "python3")
        except RunnerError as error:
            raise _unreached(self.name, error) from None
        watch.session = session
        print(f"{self.name}: {session.about}")
        try:
            if self.together:
                session.begin()
            for statement in self.statements:
                self.at = statement
                watch.begins(self.limit)
                self._execute(session, statement, watch)
            watch.begins(None)
            self.at = None
            if self.file is not None:
                if not self.file.begun:
                    raise ClientError(f"no statement gave rows, so there is nothing to write to {self.body['to']}", "end with a SELECT, or leave `to:` out")
                self.file.finish()
            self._check()
            watch.begins(None)
        except DatabaseError as error:
            raise self._failed(session, error, watch) from None
        except (ClientError, _Stopped) as error:
            self._rolled_back(session)
            if self.together:  # also where the connection had to be closed in the middle of a result: that undoes it as well
                (watch.reason if isinstance(error, _Stopped) else error).message += "; rolled back"
            raise
        else:
            if self.together:
                self._commit(session)
        finally:
            session.close()

    def _execute(self, session, statement: sqltext.Statement, watch: _Watch) -> None:
        filled = session.prepare(statement)
        result = _Result(self.shown, self.file)
        began = watch.clock.monotonic()
        try:
            changed = session.execute(filled, [self.values[name] for name in filled.names], result)
        except DatabaseError as error:
            if error.position is not None:
                error.position = filled.back(error.position)
            raise
        watch.ended()
        took = watch.clock.monotonic() - began
        said = []
        if result.names is not None:
            said.append(_counted(result.count, "row"))
        elif changed > 0 or (changed == 0 and statement.words[:1] and statement.words[0] in _CHANGING):  # some say 0 for a CREATE
            self.affected = changed
            said.append(_counted(changed, "row") + " changed")
        print(f"[{statement.number}/{len(self.statements)}] {_short(statement.text)}: {', '.join([*said, f'{took:.2f} s'])}")
        if result.names is not None:
            result.close()
            self.rows, self.value = result.count, result.value

    def _check(self) -> None:
        found = {"rows": self.rows, "rows_affected": self.affected, "value": self.value}
        for text, name, operator, wanted in self.expected:
            if not _holds(found[name], operator, wanted):
                value = found[name] if found[name] is not None else "NULL" if self.rows else "nothing: there was no row"
                raise ClientError(f"expected {text}, but {name} is {value}")

    def _commit(self, session) -> None:
        try:
            session.commit()
        except DatabaseError as error:
            if error.code == "lost":
                raise ClientError("the server broke off at the COMMIT: whether it was done is not known", "look into the tables before the step runs again") from None
            raise ClientError(f"COMMIT: {error.message}; rolled back", error.hint) from None
        print("committed")

    def _rolled_back(self, session) -> bool:
        if not self.together:
            return False
        try:
            session.rollback()
        except (DatabaseError, OSError, ValueError):
            return False  # the connection is gone, and the server undoes it then
        return True

    def _failed(self, session, error: DatabaseError, watch: _Watch) -> ClientError:
        back = self._rolled_back(session)
        if watch.reason is not None:
            if back:
                watch.reason.message += "; rolled back"
            return watch.reason
        if self.at is None:
            return ClientError(error.message, error.hint)
        self._show(self.at, error.position)
        line = self.at.line + (self.at.text.count("\n", 0, error.position) if error.position is not None else 0)
        code = f" [{error.code}]" if error.code and error.code != "lost" else ""
        message = f"statement {self.at.number} of {len(self.statements)}, line {line} of {self.source}: {error.message}{code}"
        if back:
            message += "; rolled back"
        elif not self.together and self.at.number > 1:
            message += f"; what the {self.at.number - 1} before it did stays"
        hint = error.hint or ("did it end or restart, or did the network break? its log says" if error.code == "lost" else "")
        return ClientError(message, hint)

    def _show(self, statement: sqltext.Statement, position: Optional[int]) -> None:
        """The lines of the statement that matter, with a mark where the database stumbled."""
        lines = statement.text.split("\n")
        at = statement.text.count("\n", 0, position) if position is not None else min(4, len(lines) - 1)
        for index in range(max(0, at - 4), at + 1):
            print(f"  {statement.line + index:>5} | {lines[index][:200]}")
        if position is not None:
            column = position - (statement.text.rfind("\n", 0, position) + 1)
            if column < 200:
                before = "".join("\t" if letter == "\t" else " " * max(listing.width(letter), 0) for letter in lines[at][:column])
                print(f"        | {before}^")
        elif at < len(lines) - 1:
            print("        | ...")

    def too_slow(self) -> ClientError:
        place = f"statement {self.at.number} of {len(self.statements)}, line {self.at.line} of {self.source}" if self.at else "it"
        return ClientError(f"{place} took longer than {self.body['statement_timeout']}: it was cancelled", "`statement_timeout:` of the step allows more")

    def discard(self) -> None:
        if self.file is not None:
            self.file.discard()

    def _who(self) -> str:
        names = [self.client.environ.get(f"RUNNER_{name}", "") for name in ("PIPELINE", "STEP")]
        return "/".join(["runner", *filter(None, names)])

    def _hand_on(self) -> None:
        outputs: Dict[str, Any] = {"rows": self.rows, "rows_affected": self.affected, "value": self.value}
        if self.file is not None:
            outputs["file"] = self.file.path
        self.client.hand_on(**outputs)


# ------------------------------------------------------------------------------------------------------------ the pieces


def _listed(given: Any) -> List[str]:
    return [] if given is None else [given] if isinstance(given, str) else list(given)


def _bound(name: str, given: Any) -> Value:
    """A bind's value for a driver. Raises ClientError."""
    kind = ""
    if isinstance(given, Mapping):
        given, kind = given.get("value"), given.get("type", "")
    if given is None:
        return None
    if isinstance(given, float):
        return Decimal(repr(given))
    text = str(given).strip()
    try:
        if kind == "integer":
            return int(text)
        if kind == "decimal":
            return Decimal(text)
    except (ValueError, InvalidOperation):
        raise ClientError(f"binds: {name} is {text[:60]!r}, which is no {kind}", code=BAD_REQUEST) from None
    if kind == "boolean" and not isinstance(given, bool):
        if text.lower() not in ("true", "false"):
            raise ClientError(f"binds: {name} is {text[:60]!r}, which is neither true nor false", code=BAD_REQUEST)
        return text.lower() == "true"
    if kind == "text" and not isinstance(given, str):
        return "true" if given is True else "false" if given is False else str(given)
    return given


def _ends_transaction(statement: sqltext.Statement, dialect: str) -> bool:
    words = statement.words
    if words[:1] == ("ROLLBACK",):
        return "TO" not in words[1:3]
    if words[:1] == ("BEGIN",):
        return dialect != "ansi"  # there it is PL/SQL
    return words[:1] in (("COMMIT",), ("END",), ("ABORT",)) or words[:2] == ("START", "TRANSACTION")


def _holds(found: Any, operator: str, wanted: str) -> bool:
    """Numbers are compared as numbers, texts only for being the same."""
    if found is None:
        return False
    try:
        return _COMPARE[operator](Decimal(str(found)), Decimal(wanted))
    except InvalidOperation:
        return operator in ("=", "!=", "<>") and _COMPARE[operator](str(found), wanted)


def _is_zero(value: Any) -> bool:
    try:
        return Decimal(str(value)) == 0
    except InvalidOperation:
        return False


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"
