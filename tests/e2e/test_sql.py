"""The sql step in a pipeline, by the installed command: templates, secrets, outputs, stop, retry."""

from __future__ import annotations

import signal
import sqlite3

import pytest


@pytest.fixture
def base(runner):
    """A site with one SQLite database in its connections."""
    shell = runner
    shell.home.mkdir(parents=True, exist_ok=True)
    file = shell.home / "connections.yaml"
    file.write_text(f"mart: {{type: sqlite, path: {shell.folder}/mart.db, create: true}}\n", encoding="utf-8")
    file.chmod(0o600)
    return shell


def fetch(shell, query):
    with sqlite3.connect(shell.folder / "mart.db") as connection:
        return connection.execute(query).fetchall()


def test_load_count_and_export_one_date(base):
    base.write("sql/load.sql", "create table if not exists << params.table >> (dt text, name text);\ndelete from customer where dt = :dt;\n"
               "insert into customer values (:dt, :who), (:dt, null);")
    base.write("mart.yaml", """
        params: {table: customer}
        steps:
          - id: load
            sql: {connection: mart, file: sql/load.sql, binds: {dt: "<< ds >>", who: "<< secret.who >>"}, expect: rows_affected = 2}
          - id: export
            needs: load
            sql:
              connection: mart
              sql: select dt, name as 이름 from customer where dt = :dt order by name desc
              binds: {dt: "<< ds >>"}
              expect: rows = << outputs.load.rows_affected >>
              to: out/<< ds_nodash >>.csv
              csv: {encoding: cp949, delimiter: "|"}
          - id: tell
            needs: export
            bash: echo "<< outputs.export.rows >> << outputs.export.value >> << outputs.export.file >>"
        """)
    secrets = base.home / "secrets.yaml"
    secrets.write_text("who: 홍길동'; drop table customer; --\n", encoding="utf-8")
    secrets.chmod(0o600)
    base("check", "mart.yaml")
    base("run", "mart.yaml", "--date", "2026-02-28")
    assert (base.folder / "out/20260228.csv").read_bytes() == "dt|이름\n2026-02-28|홍길동'; drop table customer; --\n2026-02-28|\n".encode("cp949")
    assert f"2 2026-02-28 {base.folder}/out/20260228.csv" in base("logs", "mart@2026-02-28", "tell").stdout
    assert "[3/3] insert into customer values (:dt, :who), (:dt, null): 2 rows changed" in base("logs", "mart@2026-02-28", "load").stdout
    kept = [path for path in base.home.rglob("*") if path.is_file() and path.name != "secrets.yaml" and "홍길동".encode() in path.read_bytes()]
    assert kept == []
    base("rerun", "mart@2026-02-28", "--all", "--yes", code=None)
    assert fetch(base, "select count(*) from customer") == [(2,)]


def test_plan_shows_the_sql_as_it_will_run(base):
    base.write("p.yaml", """
        steps:
          - id: a
            sql: {connection: mart, sql: "select '<< ds >>', :dt", binds: {dt: "<< ds >>"}}
        """)
    shown = base("plan", "p.yaml", "--date", "2026-02-28").stdout
    assert "select '2026-02-28', :dt" in shown


@pytest.mark.parametrize("body, said", [
    ("{connection: mart, sql: 'select :a'}", "the SQL wants :a, and `binds:` has no a"),
    ("{connection: mart, sql: 'select 1', binds: {b: 1}}", "the SQL has no :b"),
    ("{connection: mart, sql: \"select '<< secret.x >>'\"}", "a secret cannot stand in the SQL"),
    ("{connection: mart, sql: 'select 1', expect: 'row > 1'}", "is no expectation"),
    ("{connection: mart, sql: 'select 1', csv: {encoding: utf8}}", "there is no `to:`"),
    ("{connection: mart, sql: 'select 1', to: a.csv, csv: {encoding: cp9499}}", "there is no encoding 'cp9499'"),
    ("{connection: mart, sql: 'select 1', to: a.csv, csv: {delimiter: '||'}}", "is more than one letter"),
    ("{connection: mart, sql: 'select 1', statement_timeout: soon}", "is not a length of time"),
    ("{connection: mart}", "nothing to run: `sql:` or `file:` is missing"),
    ("{sql: 'select 1'}", "connection"),
    ("select 1", "does not say for which database"),
    ("{connection: mart, sql: 'select 1', bind: {a: 1}}", "binds"),
])
def test_check_tells_before_any_run(base, body, said):
    base.write("p.yaml", f"steps:\n  - id: a\n    sql: {body}\n")
    done = base("check", "p.yaml", code=1)
    assert said in done.stdout + done.stderr and "p.yaml:3:" in done.stdout + done.stderr


def test_a_failed_statement_then_a_clean_retry(base):
    base.write("p.yaml", """
        steps:
          - id: a
            sql: {connection: mart, sql: "insert into t values (1); select * from t", to: o.csv}
        """)
    done = base("run", "p.yaml", "--date", "2026-02-28", code=1)
    assert base.states("p@2026-02-28") == {"a": "failed"}
    log = base("logs", "p@2026-02-28", "a").stdout
    assert "error: statement 1 of 2, line 1 of the step's sql: no such table: t; rolled back" in log, done.stdout
    with sqlite3.connect(base.folder / "mart.db") as connection:
        connection.execute("create table t (a)")
    base("rerun", "p@2026-02-28", "--failed", code=None)
    assert base.states("p@2026-02-28") == {"a": "success"} and (base.folder / "o.csv").read_text() == "a\n1\n"


LONG = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def test_the_timeout_of_the_step_rolls_back(base):
    base.write("p.yaml", f"""
        steps:
          - id: a
            timeout: 10s
            sql: {{connection: mart, sql: "create table t (a); {LONG}", to: o.csv}}
        """)
    base("run", "p.yaml", "--date", "2026-02-28", code=1)
    assert "stopped: the query was cancelled on the server; rolled back" in base("logs", "p@2026-02-28", "a").stdout
    assert fetch(base, "select name from sqlite_master") == [] and not (base.folder / "o.csv").exists() and not list(base.folder.glob(".o*"))


def test_interrupted_by_a_person(base):
    base.write("p.yaml", f"steps:\n  - id: a\n    sql: {{connection: mart, sql: 'create table t (a); {LONG}'}}\n")
    process = base.start("run", "p.yaml", "--date", "2026-02-28", "--logs")
    base.wait_for(lambda: "[1/2]" in base("logs", "p@2026-02-28", "a", code=None).stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    base.wait_for(lambda: base.states("p@2026-02-28")["a"] != "running")
    assert fetch(base, "select name from sqlite_master") == []
