"""The sql step by a driver of the site: a JDBC jar with the site's java, and a DB-API module of the site's Python."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from runner.clients import sql
from tests.clients.sqlservers import PASSWORD, Step, eventually, free_port
from tests.clients.sqlservers import postgres as postgres  # noqa: PLC0414 - a fixture

JAR = os.environ.get("RUNNER_TEST_JDBC_JAR", "/usr/share/java/postgresql.jar")


# ---------------------------------------------------------------------------------------------------------------- JDBC


@pytest.fixture
def jdbc(tmp_path, postgres):
    if not shutil.which("java") or "jdk.compiler" not in subprocess.run(["java", "--list-modules"], stdout=subprocess.PIPE, text=True).stdout:
        pytest.skip("needs a JDK 11 or newer: apt-get install openjdk-17-jdk-headless")
    if not os.path.exists(JAR):
        pytest.skip("needs PostgreSQL's JDBC jar: apt-get install libpostgresql-jdbc-java, or its path in RUNNER_TEST_JDBC_JAR")
    postgres.admin("drop owned by etl", "mart")
    postgres.admin("grant all on schema public to etl", "mart")
    url = f"jdbc:postgresql://127.0.0.1:{postgres.port}/mart"
    good = {"type": "jdbc", "url": url, "jar": JAR, "user": "etl", "password": PASSWORD}
    return Step(
        tmp_path, ora=good, loose={**good, "properties": {"stringtype": "unspecified", "ApplicationName": "loose"}, "driver": "org.postgresql.Driver"},
        wrong={**good, "password": "x"}, closed={**good, "url": f"jdbc:postgresql://127.0.0.1:{free_port()}/mart"}, strange={**good, "url": "jdbc:oracle:thin:@x?password=y"},
        nojar={**good, "jar": "/no/such.jar"}, nojava={**good, "java_home": "/no/jdk"}, noclass={**good, "driver": "com.example.Nope"},
        nourl={"type": "jdbc", "jar": JAR}, odd={**good, "java_options": "--nonesuch"},
    )


def test_jdbc_values_and_rows(jdbc, postgres):
    bad = "'); drop table t; -- \\ 한글\t\n\r ?"
    jdbc("ora", """create table t (a int, b text, c numeric(30,10), d date, g bytea);
        insert into t values (:n, :bad, :c, cast(:dt as date), '\\x00ff');
        insert into t (a, b) values (2, :none);
        select t.*, d::timestamp as e from t order by a;""", to="o.csv",
        binds={"n": 1, "bad": bad, "c": {"value": "12345678901234567890.0123456789", "type": "decimal"}, "dt": "2026-02-28", "none": None})
    assert (jdbc.folder / "o.csv").read_bytes().decode() == (
        f'a,b,c,d,g,e\n1,"{bad}",12345678901234567890.0123456789,2026-02-28,\\x00ff,2026-02-28 00:00:00\n2,,,,,\n')
    assert postgres.admin("select b from t where a = 1", "mart") == [[bad]]
    assert jdbc.outputs == {"rows": 2, "rows_affected": 1, "value": 1, "file": str(jdbc.folder / "o.csv")}


def test_jdbc_all_or_nothing_with_the_place(jdbc, postgres):
    log = jdbc("loose", "create table t (a date);\ninsert into t values (:d);\nselect\n  nope, :d from t", binds={"d": "2026-01-01"}, code=1)
    assert "      4 |   nope, :d from t\n        |   ^\n" in log
    assert 'error: statement 3 of 3, line 4 of the step\'s sql: ERROR: column "nope" does not exist [42703]; rolled back' in log
    assert postgres.admin("select count(*) from pg_tables where tablename = 't'", "mart") == [[0]]


def test_jdbc_autocommit(jdbc):
    jdbc("ora", "create table t (a int); vacuum t; insert into t values (1); select count(*) from t", autocommit=True, expect="value = 1")


@pytest.mark.parametrize("name, code, said", [
    ("wrong", 2, "refuses the user: FATAL: password authentication failed"), ("closed", 1, "Connection to 127.0.0.1"), ("strange", 1, "No suitable driver"),
    ("nojar", 1, "jar: there is no file /no/such.jar"), ("nojava", 1, "/no/jdk/bin/java cannot be started: No such file"),
    ("noclass", 1, "ClassNotFoundException: com.example.Nope"), ("nourl", 2, "the connection has no `url:`"), ("odd", 1, "java ended with 1 before it had connected"),
])
def test_jdbc_connections_that_fail_say_why(jdbc, name, code, said):
    log = jdbc(name, "select 1", code=code)
    assert f"error: {name}: " in log and said in log and PASSWORD not in log and "password=y" not in log


def test_jdbc_the_password_is_in_no_argv(jdbc, postgres):
    process = jdbc.start("ora", "select pg_sleep(310)")
    eventually(lambda: postgres.running("%310%"))
    words = subprocess.run(["ps", "-ww", "-e", "-o", "args"], stdout=subprocess.PIPE, text=True).stdout
    assert "Bridge.java" in words and PASSWORD not in words
    process.send_signal(signal.SIGTERM)
    assert "error: stopped: the query was cancelled on the server; rolled back" in jdbc.end(process, 143)
    assert not postgres.running("%310%") and not _children(jdbc)


def test_jdbc_a_statement_that_takes_too_long(jdbc, postgres):
    assert "took longer than 1s: it was cancelled; rolled back" in jdbc("ora", "select pg_sleep(311)", code=1, statement_timeout="1s")
    assert not postgres.running("%311%")


def test_jdbc_killed_hard_the_child_ends_as_well(jdbc, postgres):
    process = jdbc.start("ora", "select pg_sleep(312)")
    eventually(lambda: postgres.running("%312%"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not _children(jdbc) and not postgres.running("%312%"))
    process.stdout.close()


def test_jdbc_many_rows(jdbc):
    jdbc("ora", "select i, '한글' || i from generate_series(1, 200000) i", to="o.csv", expect="rows = 200000")
    assert len((jdbc.folder / "o.csv").read_text().splitlines()) == 200001


def _children(step):
    """Processes born with this attempt's mark."""
    mark, found = f"RUNNER_ATTEMPT={step.folder}".encode(), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                found += [pid] if mark in file.read().split(b"\0") else []
        except OSError:
            continue
    return found


# -------------------------------------------------------------------------------------------------------------- DB-API


DRIVER = '''
"""A driver with another paramstyle than sqlite3: it counts what it was asked."""
import sqlite3
paramstyle = "{style}"
__version__ = "1.0"
class Connection:
    def __init__(self, **words):
        assert words.pop("port") == 21050 and words.pop("password") == "0123" and words.pop("ssl") is False, words
        print("a driver that talks")
        self.inner = sqlite3.connect(**words, check_same_thread=False)
        self.commit, self.rollback = self.inner.commit, self.inner.rollback
    def cursor(self):
        return Cursor(self.inner.cursor())
    def cancel(self):
        self.inner.interrupt()
class Cursor:
    def __init__(self, inner):
        self.inner = inner
        self.fetchmany, self.close = inner.fetchmany, inner.close
    description = property(lambda self: self.inner.description)
    rowcount = property(lambda self: self.inner.rowcount)
    def execute(self, sql, values=None):
        if values is None:
            return self.inner.execute(sql)
        if "{style}" == "pyformat":
            sql = sql % {{name: ":" + name for name in values}}
        elif "{style}" == "format":
            sql = sql % tuple("?" for _ in values)
        self.inner.execute(sql, values)
def connect(**words):
    return Connection(**words)
'''


@pytest.fixture
def dbapi(tmp_path, monkeypatch):
    for style in ("pyformat", "format", "numeric", "named", "qmark"):
        (tmp_path / f"driver_{style}.py").write_text(DRIVER.format(style=style))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    good = {"type": "dbapi", "driver": "driver_qmark", "connect": {"database": str(tmp_path / "x.db"), "port": "21050", "password": "0123", "ssl": "false"}}
    return Step(
        tmp_path, **{style: {**good, "driver": f"driver_{style}"} for style in ("pyformat", "format", "numeric", "named", "qmark")},
        plain={"type": "dbapi", "driver": "sqlite3", "connect": str(tmp_path / "x.db")}, missing={**good, "driver": "no_such_driver"},
        nopython={**good, "python": "/no/python"}, odd={**good, "driver": "os; import"}, badargs={"type": "dbapi", "driver": "sqlite3", "connect": {"database": ":memory:", "nope": "1"}},
    )


@pytest.mark.parametrize("style", ["pyformat", "format", "numeric", "named", "qmark"])
def test_dbapi_every_paramstyle(dbapi, style):
    bad = "'); drop table t; -- \\ 한글\t\n ? :x %s"
    log = dbapi(style, "create table t (a, b, c); insert into t values (:n, :bad, 'it%s'), (2, :bad, null); select b, c, a from t where a = :n and a = :n",
                binds={"n": 1, "bad": bad}, to="o.csv")
    assert "a driver that talks" in log and f"{style}: driver_{style} 1.0 in Python" in log and "0123" not in log
    assert (dbapi.folder / "o.csv").read_bytes().decode() == f'b,c,a\n"{bad}",it%s,1\n'
    with sqlite3.connect(dbapi.folder / "x.db") as check:
        assert check.execute("select b from t").fetchall() == [(bad,), (bad,)]


def test_dbapi_all_or_nothing_and_autocommit(dbapi):
    dbapi("qmark", "create table t (a unique)")
    log = dbapi("qmark", "insert into t values (1); insert into t values (1)", code=1)
    assert "UNIQUE constraint failed: t.a; rolled back" in log
    dbapi("qmark", "insert into t values (1); insert into t values (1)", code=1, autocommit=True)
    dbapi("plain", "select count(*) from t", expect="value = 1")


@pytest.mark.parametrize("name, code, said", [
    ("missing", 1, "cannot load the driver: No module named 'no_such_driver'"), ("nopython", 1, "/no/python cannot be started"),
    ("odd", 2, "is no name of a Python module"), ("badargs", 1, "nope"),
])
def test_dbapi_connections_that_fail_say_why(dbapi, name, code, said):
    log = dbapi(name, "select 1", code=code)
    assert log.startswith(f"error: {name}: ") and said in log


LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def test_dbapi_stopped_and_too_slow(dbapi):
    dbapi("qmark", "create table t (a)")
    assert "took longer than 2s: it was cancelled; rolled back" in dbapi("qmark", "insert into t values (1); " + LONG, code=1, statement_timeout="2s")
    process = dbapi.start("qmark", "insert into t values (1); " + LONG)
    eventually(lambda: "[1/2]" in process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert "stopped: the query was cancelled on the server; rolled back" in dbapi.end(process, 143)
    dbapi("plain", "select count(*) from t", expect="value = 0")
    assert not _children(dbapi)


def test_dbapi_a_letter_that_the_encoding_lacks_ends_it_at_once(dbapi):
    dbapi("qmark", "create table t (a)")
    query = LONG.replace("select count(*) from n", "select i, case i when 5000 then '😀' end as x from n")
    log = dbapi("qmark", "insert into t values (1); " + query, code=1, to="o.csv", csv={"encoding": "cp949"})
    assert "row 5000: '😀' (U+1F600) cannot be written in cp949; rolled back" in log
    dbapi("plain", "select count(*) from t", expect="value = 0")
    assert not _children(dbapi)


def test_dbapi_a_driver_that_dies(dbapi):
    (dbapi.folder / "driver_qmark.py").write_text(DRIVER.format(style="qmark") + "\nimport os\nCursor.execute = lambda *words: os._exit(9)\n")
    log = dbapi("qmark", "select 1", code=1)
    assert "the process of the driver ended" in log


def test_dbapi_with_an_old_python(dbapi):
    old = os.path.expanduser("~/.pyenv/versions/3.6.15/bin/python")
    if not os.path.exists(old):
        pytest.skip("needs Python 3.6, the oldest that a site's python may be")
    dbapi("plain", "create table t (a); insert into t values (:a); select a from t", python=old, binds={"a": "한글"}, expect="value = 한글")


def test_connection_test(dbapi):
    assert sql.test({"type": "dbapi", "driver": "sqlite3", "connect": ":memory:", "python": sys.executable}).startswith("sqlite3 in Python 3.")
