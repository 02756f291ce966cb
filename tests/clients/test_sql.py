"""The sql step by SQLite, as a process: what it prints, hands on, writes and refuses."""

from __future__ import annotations

import os
import signal
import sqlite3

import pytest

from runner.clients import sql
from runner.clients.databases import export, listing
from tests.clients.sqlservers import Step, eventually


@pytest.fixture
def step(tmp_path):
    return Step(tmp_path, lite={"type": "sqlite", "path": str(tmp_path / "x.db"), "create": "true"}, gone={"type": "sqlite", "path": str(tmp_path / "no.db")},
                text={"type": "sqlite", "path": str(tmp_path / "script.sql")}, odd={"type": "sybase"}, empty={"host": "x"}, bare={"type": "sqlite"})


def rows(step, query):
    with sqlite3.connect(step.folder / "x.db") as connection:
        return connection.execute(query).fetchall()


def test_statements_in_order_with_what_they_did_and_the_table(step):
    log = step("lite", "create table t (a, b); insert into t values (:a, :b), (2, null);\nselect a, b as 이름 from t", binds={"a": 1, "b": "한글"})
    assert "[1/3] create table t (a, b): 0." in log
    assert "[2/3] insert into t values (:a, :b), (2, null): 2 rows changed, " in log
    assert "  a | 이름\n  --+-----\n  1 | 한글\n  2 | NULL\ncommitted\n" in log
    assert step.outputs == {"rows": 2, "rows_affected": 2, "value": 1}


def test_a_value_cannot_become_sql(step):
    bad = "x'); drop table t; --"
    step("lite", "create table t (a text); insert into t values (:bad), (:bad)", binds={"bad": bad})
    assert rows(step, "select a from t") == [(bad,), (bad,)]


def test_types_of_values(step):
    step("lite", "create table t as select :i as i, :f as f, :n as n, :s as s, :t as t, :d as d", binds={
        "i": 3, "f": 1.5, "n": None, "s": "0010", "t": {"value": "7", "type": "integer"}, "d": {"value": "0.5", "type": "decimal"}})
    assert rows(step, "select i, f, n, s, t, d from t") == [(3, 1.5, None, "0010", 7, 0.5)]


@pytest.mark.parametrize("value, kind, said", [("x", "integer", "no integer"), ("1,5", "decimal", "no decimal"), ("ja", "boolean", "neither true nor false")])
def test_a_value_that_is_not_what_it_says(step, value, kind, said):
    assert said in step("lite", "select :a", code=2, binds={"a": {"value": value, "type": kind}})


def test_one_transaction_all_or_nothing(step):
    step("lite", "create table t (a int unique)")
    log = step("lite", "insert into t values (1);\ninsert into t\n  values (1)", code=1)
    assert log.splitlines()[-3:] == [
        "      2 | insert into t", "      3 |   values (1)",
        log.splitlines()[-1]]
    assert log.splitlines()[-1].startswith("error: statement 2 of 2, line 2 of the step's sql: UNIQUE constraint failed: t.a")
    assert log.splitlines()[-1].endswith("; rolled back")
    assert rows(step, "select * from t") == []


def test_autocommit_keeps_what_was_done(step):
    log = step("lite", "create table t (a int unique); insert into t values (1); insert into t values (1)", code=1, autocommit=True)
    assert log.rstrip().endswith("; what the 2 before it did stays")
    assert rows(step, "select * from t") == [(1,)]


def test_an_expectation_that_does_not_hold_rolls_back_and_leaves_no_file(step):
    log = step("lite", "create table t (a); insert into t values (1); select * from t", code=1, to="out.csv", expect="rows > 1")
    assert log.rstrip().splitlines()[-1] == "error: expected rows > 1, but rows is 1; rolled back"
    assert rows(step, "select name from sqlite_master") == [] and not list(step.folder.glob("*out.csv*"))


@pytest.mark.parametrize("query, expect, code", [
    ("select 1", "rows = 1", 0), ("select 1", "rows == 1", 0), ("select 10 as x", "value > 9", 0), ("select 10", "value < 9.5", 1), ("select 'a'", "value = a", 0),
    ("select 'a'", "value = 'a'", 0), ("select 'a'", "value != a", 1), ("select 'a'", "value > 5", 1), ("select null", "value != 1", 1), ("select 1 where 0", "value = 1", 1),
    ("select '1.50'", "value = 1.5", 0), ("select 1 where 0", ["rows = 0", "rows_affected = 0"], 0), ("select 1", ["rows = 1", "value = 2"], 1),
    ("select '12345678901234567890'", "value = 12345678901234567890", 0),
])
def test_expectations(step, query, expect, code):
    step("lite", query, code=code, expect=expect)


def test_what_was_there_instead_is_said(step):
    assert "but value is NULL" in step("lite", "select null", code=1, expect="value = 1")
    assert "but value is nothing: there was no row" in step("lite", "select 1 where 0", code=1, expect="value = 1")


def test_the_csv_file(step):
    log = step("lite", "select 'a' as x, 'b' as y; select 1 as \"번호\", 'a,b' as b, 'say \"x\"' as c, null as d, '' as e, 'two\nlines' as f", to="out/새 파일.csv")
    path = step.folder / "out" / "새 파일.csv"
    assert path.read_bytes().decode() == '번호,b,c,d,e,f\n1,"a,b","say ""x""",,"","two\nlines"\n'
    assert f"written: {path}, 1 row, {path.stat().st_size} bytes" in log
    assert "a,b" not in log.partition("[2/2]")[2].partition("written:")[0].partition(":")[2]  # rows that are written are not shown
    assert step.outputs["file"] == str(path) and step.outputs["rows"] == 1
    assert os.listdir(path.parent) == ["새 파일.csv"]


def test_the_csv_file_as_a_bank_wants_it(step):
    step("lite", "select '한글' as 이름, null as b, '\\N' as c", to="o.csv", csv={"encoding": "cp949", "delimiter": "|", "header": False, "null": "\\N", "newline": "crlf"})
    assert (step.folder / "o.csv").read_bytes() == '한글|\\N|"\\N"\r\n'.encode("cp949")
    step("lite", "select '한글' as a, 1 as b", to="o.csv", csv={"encoding": "utf-8-sig", "delimiter": "tab"})
    assert (step.folder / "o.csv").read_bytes() == "\ufeffa\tb\n한글\t1\n".encode()


def test_a_letter_that_the_encoding_lacks(step):
    (step.folder / "o.csv").write_text("before")
    query = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000) select i, case i when 40123 then '😀' else '가' end as x from n"
    log = step("lite", query, code=1, to="o.csv", csv={"encoding": "cp949"})
    assert "error: row 40123: '😀' (U+1F600) cannot be written in cp949; rolled back" in log
    assert (step.folder / "o.csv").read_text() == "before" and not list(step.folder.glob(".*"))
    step("lite", query, to="o.csv", csv={"encoding": "cp949", "replace": True})
    assert "40123,?\n".encode("cp949") in (step.folder / "o.csv").read_bytes()
    assert "the header: '😀'" in step("lite", "select 1 as '😀'", code=1, to="o.csv", csv={"encoding": "cp949"})


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(step):
    (step.folder / "out").mkdir()
    assert "is a folder" in step("lite", "create table t (a)", code=1, to="out")
    (step.folder / "plain").write_text("")
    log = step("lite", "create table t (a); select 1", code=1, to="plain/x.csv")
    assert "plain/x.csv cannot be written: " in log and "[1/" not in log
    assert not (step.folder / "x.db").exists()


def test_rows_are_wanted_where_a_file_is(step):
    assert "no statement gave rows" in step("lite", "create table t (a)", code=1, to="o.csv")
    assert rows(step, "select name from sqlite_master") == [] and not list(step.folder.glob("*.csv"))


def test_two_steps_do_not_write_one_file(step):
    first = export.CsvFile(str(step.folder / "o.csv"), export.Layout({}))
    first.open()
    assert "another step is writing" in step("lite", "select 1", code=1, to="o.csv")
    first.discard()
    step("lite", "select 1 as a", to="o.csv")
    assert (step.folder / "o.csv").read_text() == "a\n1\n"


def test_how_many_rows_the_log_shows(step):
    query = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 30) select i from n"
    log = step("lite", query)
    assert "  20\n  ... and 10 more\n" in log and "  21\n" not in log
    assert "  ... and 28 more\n" in step("lite", query, print=2)
    assert "more" not in step("lite", query, print=0)
    assert "  5\n" in step("lite", query, to="o.csv", print=5)


@pytest.mark.parametrize("query, binds, said", [
    ("select 1;\nselect :a", {}, "statement 2, line 2 of the step's sql: it wants :a, and `binds:` has no a"),
    ("select ':a'", {"a": 1}, "the SQL has no :a, but `binds:` has a"),
    ("-- nothing", {}, "holds no statement"),
    ("select 1;\nselect 'x", {}, "line 2: the quote that begins here has no end"),
    ("select 1; commit; select 2", {}, "COMMIT would break the one transaction"),
    ("begin; select 1", {}, "BEGIN would break the one transaction"),
    ("select '<< secret.x >>'", {}, "a secret cannot stand in the SQL"),
])
def test_refused_before_connecting(step, query, binds, said):
    log = step("lite", query, code=2, binds=binds)
    assert said in log and not (step.folder / "x.db").exists()


def test_savepoints_are_no_end_of_the_transaction(step):
    step("lite", "create table t (a); savepoint s; insert into t values (1); rollback to s; insert into t values (2)")
    assert rows(step, "select a from t") == [(2,)]


@pytest.mark.parametrize("name, code, said", [
    ("nonesuch", 2, "there is no connection nonesuch"), ("gone", 1, "gone: there is no database file"), ("text", 1, "cannot be opened: file is not a database"),
    ("odd", 2, "`type: sybase` is no database"), ("empty", 2, "the connection has no `type:`"), ("bare", 2, "the connection has no `path:`"),
])
def test_connections_that_cannot_work(step, name, code, said):
    log = step(name, "select 1 -- " + "x" * 200, code=code)
    assert said in log and log.count("\n") == 2  # the error and what to do


def test_placeholders_of_sqlite_itself_are_told(step):
    assert "a placeholder of SQLite's own" in step("lite", "select ?", code=1)


LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def test_a_statement_that_takes_too_long_is_cancelled(step):
    log = step("lite", "create table t (a);\n" + LONG, code=1, statement_timeout="2s")
    assert "error: statement 2 of 2, line 2 of the step's sql took longer than 2s: it was cancelled; rolled back" in log
    assert rows(step, "select name from sqlite_master") == []


def test_stopped_in_the_middle(step):
    step("lite", "create table t (a)")
    process = step.start("lite", "insert into t values (1);\n" + LONG, to="o.csv")
    assert eventually(lambda: "[1/2]" in process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    log = step.end(process, 143)
    assert "error: stopped: the query was cancelled on the server; rolled back" in log
    assert rows(step, "select * from t") == [] and not list(step.folder.glob("*.csv")) and not list(step.folder.glob(".*.part"))


def test_killed_hard_and_started_again(step):
    step("lite", "create table t (a)")
    process = step.start("lite", "insert into t values (1);\n" + LONG, to="o.csv")
    assert eventually(lambda: "[1/2]" in process.stdout.readline())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    step("lite", "insert into t values (2); select a from t", to="o.csv")
    assert (step.folder / "o.csv").read_text() == "a\n2\n" and [path.name for path in step.folder.glob("*csv*")] == ["o.csv"]
    assert not list(step.folder.glob(".*.part"))


def test_a_locked_database_is_told(tmp_path):
    step = Step(tmp_path, lite={"type": "sqlite", "path": str(tmp_path / "x.db"), "create": "true", "busy_timeout": "100ms"})
    step("lite", "create table t (a)")
    with sqlite3.connect(tmp_path / "x.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "database is locked" in step("lite", "insert into t values (1)", code=1)


def test_first_value_for_waits(step, monkeypatch):
    step("lite", "create table t (a)")
    ask = lambda query: sql.first_value("lite", query, str(step.folder / "home"))  # noqa: E731
    assert ask("select count(*) from t") == 0 and ask("select a from t") is None and ask("select 'x'") == "x"
    assert ask("select 'f'") is False and ask("select '0.00'") == 0 and ask("select 7") == 7
    with pytest.raises(sql.ClientError) as caught:
        ask("select nope")
    assert "no such column: nope" in caught.value.message
    monkeypatch.setattr(sql, "PROBE", 0.2)
    with pytest.raises(sql.ClientError):
        ask(LONG)


def test_connection_test(step):
    assert sql.test({"type": "sqlite", "path": ":memory:"}) == f"SQLite {sqlite3.sqlite_version}, :memory:"


def test_the_listing_lines_up_and_shows_no_control_character():
    lines = listing.table(["이름", "n"], [False, True], [["a\nb\x1b[31m", "5"], ["가나다", None], ["x" * 100, "12345"]])
    assert lines[2].strip().startswith("a\\nb?[31m") and "…" in lines[4] and "\x1b" not in "".join(lines)
    assert len({listing.width(line) for line in lines}) == 1


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    file = export.CsvFile(str(tmp_path / "o.csv"), export.Layout({}))
    file.open()
    file.begin(["a"])
    os.dup2(os.open("/dev/full", os.O_WRONLY), file._fd)
    with pytest.raises(sql.ClientError) as caught:
        file.row(["x" * (1 << 19)])
    assert "No space left" in caught.value.message and "df -h" in caught.value.hint
    file.discard()
