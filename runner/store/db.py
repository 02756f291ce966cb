"""One connection to the SQLite file: transactions, named SQL, migrations. Knows nothing of pipelines."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import contextmanager
from typing import Dict, Iterator, List, Tuple

from runner.errors import EnvironmentFault

_HERE = os.path.dirname(__file__)
BUSY_SECONDS = 30.0  # how long a command waits for another process's transaction


def load_queries() -> Dict[str, str]:
    """All statements of queries/*.sql by their `-- name:` line."""
    queries: Dict[str, str] = {}
    folder = os.path.join(_HERE, "queries")
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file), encoding="utf-8") as handle:
            parts = re.split(r"^-- name: *(\w+) *$", handle.read(), flags=re.M)
        queries.update(zip(parts[1::2], (text.strip() for text in parts[2::2])))
    return queries


def migrations() -> List[Tuple[int, str]]:
    """(version, path) of every step from an empty file to today's tables, in order."""
    folder = os.path.join(_HERE, "migrations")
    return [(int(name.split("_")[0]), os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith(".sql")]


class _Faults:
    """What SQLite raises inside becomes an EnvironmentFault with a remedy. A class, since a generator would cost each statement a third."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise EnvironmentFault(f"{self._path}: {error}", _remedy(str(error), self._path)) from None


class Database:
    """An open database. Every write happens inside `transaction()`."""

    def __init__(self, path: str, durability: str = "full", create: bool = True):
        """Open `path`, making it when `create`. Raises EnvironmentFault for a missing, damaged, newer or older one."""
        self.path, self._faults = path, _Faults(path)
        if not create and not os.path.exists(path):
            raise EnvironmentFault(f"{path}: there is no database yet", "it is made by the first `runner run`")
        if create:
            _make_private(path)
        with self._faults:
            self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self.connection.row_factory = sqlite3.Row
            self._pragmas(durability)
        self._queries = load_queries()
        self._check_version()

    def _pragmas(self, durability: str) -> None:
        run = self.connection.execute
        if not self._tables():
            run("PRAGMA auto_vacuum = INCREMENTAL")  # so that `runner clean` gives room back in small bites; only a new file takes it
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA cache_size = -4000")  # KiB: a run of 10,000 steps fits, the process stays small
        run("PRAGMA wal_autocheckpoint = 100")  # pages: so the log is soon written over in place, which a commit waits for half as long as for one that grows

    def close(self) -> None:
        self.connection.close()

    # -- statements

    def execute(self, name: str, /, **values) -> sqlite3.Cursor:
        """Run the statement of that name."""
        with self._faults:
            return self.connection.execute(self._queries[name], values)

    def execute_many(self, name: str, rows) -> None:
        with self._faults:
            self.connection.executemany(self._queries[name], rows)

    def execute_text(self, text: str, values) -> sqlite3.Cursor:
        """Run a statement put together by the store's one `move`."""
        with self._faults:
            return self.connection.execute(text, values)

    def one(self, name: str, /, **values):
        return self.execute(name, **values).fetchone()

    def all(self, name: str, /, **values) -> list:
        return self.execute(name, **values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Takes the write lock at once, so that what is read inside cannot be overtaken.

        Inside another one it is a part of that one.
        """
        if self.connection.in_transaction:
            yield
            return
        with self._faults:
            self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._faults:
                self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def only_read(self) -> None:
        """For one that looks: nothing can be written through it, and its cache stays small."""
        with self._faults:
            self.connection.execute("PRAGMA query_only = ON")
            self.connection.execute("PRAGMA cache_size = -100")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment; nobody is kept from writing."""
        with self._faults:
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    # -- versions

    def _check_version(self) -> None:
        found, known = self.version(), migrations()[-1][0]
        if found == 0 and not self._tables():
            self.upgrade()
        elif found > known:
            raise EnvironmentFault(
                f"{self.path}: written by a newer runner (database version {found}, this one knows {known})",
                "install that newer version again, or point RUNNER_HOME at another folder",
            )
        elif found < known:
            raise EnvironmentFault(
                f"{self.path}: database version {found}, this runner needs {known}",
                "type: runner db upgrade   (it keeps a copy first)",
            )

    def version(self) -> int:
        with self._faults:
            return self.connection.execute("PRAGMA user_version").fetchone()[0]

    def _tables(self) -> int:
        with self._faults:
            return self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]

    def upgrade(self) -> int:
        """Take every missing step in one transaction; returns the version reached."""
        with self.transaction():
            version = self.version()  # read under the lock: two processes may have come together
            for number, path in migrations():
                if number <= version:
                    continue
                with open(path, encoding="utf-8") as file:
                    for statement in _statements(file.read()):
                        with self._faults:
                            self.connection.execute(statement)
                with self._faults:
                    self.connection.execute(f"PRAGMA user_version = {number}")
        return self.version()


def _make_private(path: str) -> None:
    """Make the file before SQLite would, which gives it to all that the umask lets; -wal and -shm take its mode. One that is
    there keeps its own."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError:
        pass  # SQLite meets the same and says so


def upgrade_file(path: str) -> Tuple[int, int, str]:
    """`runner db upgrade`: copy the file, then upgrade it. Returns (from, to, path of the copy or "")."""
    database = Database.__new__(Database)
    database.path, database._faults = path, _Faults(path)
    with database._faults:
        database.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    before = database.version()
    copy = ""
    if database._tables() and before < migrations()[-1][0]:
        copy = f"{path}.before-{migrations()[-1][0]}"
        _make_private(copy)
        with sqlite3.connect(copy) as target:
            database.connection.backup(target)
        shutil.copymode(path, copy)
    after = database.upgrade() if before <= migrations()[-1][0] else before
    database.close()
    return before, after, copy


def _statements(text: str) -> List[str]:
    out, buffer = [], ""
    for line in text.splitlines(keepends=True):
        buffer += line
        if sqlite3.complete_statement(buffer):
            out.append(buffer.strip())
            buffer = ""
    return [statement for statement in out if statement]


def _remedy(message: str, path: str) -> str:
    if "full" in message:
        return f"free some space: df -h {os.path.dirname(path)}"
    if "readonly" in message or "unable to open" in message:
        return f"make the folder and the file writable for this user: ls -la {os.path.dirname(path)}"
    if "malformed" in message or "not a database" in message:
        return f"the file is damaged: move it away (mv {path} {path}.damaged) and bring back a copy"
    if "locked" in message:
        return f"another process holds it: fuser -v {path}"
    return ""
