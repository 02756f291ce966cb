"""The sql step against a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from runner.clients import sql
from runner.errors import RunnerError
from tests.clients.sqlservers import PASSWORD, Step, eventually, free_port, silent_server
from tests.clients.sqlservers import postgres as postgres  # noqa: PLC0414 - a fixture


@pytest.fixture
def step(tmp_path, postgres):
    postgres.admin("drop owned by etl", "mart")
    postgres.admin("grant all on schema public to etl", "mart")
    good = postgres.connection
    return Step(
        tmp_path, pg=good, wrong={**good, "password": "x"}, none={**good, "password": ""}, other={**good, "database": "nonesuch"},
        nobody={**good, "user": "누구"}, closed={**good, "port": str(free_port())}, unknown={**good, "host": "no.such.host.invalid"},
        odd={**good, "port": "abc"}, verified={**good, "tls": "verify", "ca": postgres.ca or ""}, encrypted={**good, "tls": "require"},
        plain={**good, "tls": "off"}, stranger={**good, "tls": "verify"}, tls={**good, "tls": "yes"},
    )


def fetch(postgres, query):
    return postgres.admin(query, "mart")


def test_values_cross_as_values_and_come_back_exact(step, postgres):
    bad = "'); drop table t; -- \\ \\' 한글 $1 :x %s"
    log = step("pg", """
        create table t (a int, b text, c numeric(30,10), d date, e timestamp, f boolean, g bytea, h jsonb, i text[], j timestamptz);
        insert into t values (:n, :bad, 12345678901234567890.0123456789, :dt, :dt::timestamp, :yes, '\\x00ff', '{"a": 1}', '{"x,y",null}', 'infinity');
        insert into t (a, b, c) values (2, :none, 'NaN');
        select * from t where d = :dt or d is null order by a""",
        binds={"n": 1, "bad": bad, "dt": "2026-02-28", "yes": True, "none": None}, to="o.csv")
    assert (step.folder / "o.csv").read_text() == (
        'a,b,c,d,e,f,g,h,i,j\n1,\'); drop table t; -- \\ \\\' 한글 $1 :x %s,12345678901234567890.0123456789,2026-02-28,2026-02-28 00:00:00,t,\\x00ff,'
        '"{""a"": 1}","{""x,y"",NULL}",infinity\n2,,NaN,,,,,,,\n')
    assert fetch(postgres, "select b from t where a = 1") == [[bad]]
    assert "[3/4] insert into t (a, b, c) values (2, :none, 'NaN'): 1 row changed" in log
    assert step.outputs["value"] == 1 and step.outputs["rows"] == 2


def test_the_session_says_who_it_is(step, postgres):
    log = step("pg", "select application_name, current_user from pg_stat_activity where pid = pg_backend_pid()")
    assert "runner/??????/load" in log or "runner/시험/load" in log  # PostgreSQL 15 keeps ASCII only
    assert "pg: PostgreSQL 15" in log.splitlines()[0] and PASSWORD not in log


def test_dollar_quotes_casts_and_notices(step):
    log = step("pg", "do $$ begin raise notice 'one; two :x'; end $$; select '3'::int + :a::int as b", binds={"a": 4})
    assert "NOTICE: one; two :x\n" in log and step.outputs["value"] == 7


def test_a_failed_statement_is_shown_with_its_place(step, postgres):
    log = step("pg", "create table t (a int);\ninsert into t values (:one);\nselect a,\n       :one, 이름없음\n  from t", binds={"one": 1}, code=1)
    assert "      3 | select a,\n      4 |        :one, 이름없음\n        |              ^\n" in log
    assert "error: statement 3 of 3, line 4 of the step's sql: column \"이름없음\" does not exist [42703]; rolled back\n" in log
    assert fetch(postgres, "select count(*) from pg_tables where tablename = 't'") == [[0]]


def test_the_databases_detail_and_hint_are_kept(step):
    log = step("pg", "create table t (a int primary key); insert into t values (1), (1)", code=1)
    assert "duplicate key value violates unique constraint \"t_pkey\"; Key (a)=(1) already exists. [23505]; rolled back" in log
    assert "No function matches the given name" in step("pg", "select nofunc(1)", code=1).splitlines()[-1]


def test_vacuum_wants_autocommit(step):
    step("pg", "create table t (a int)")
    assert step("pg", "vacuum t", code=1).splitlines()[-1].strip().startswith("write `autocommit: true`")
    step("pg", "vacuum t; begin; insert into t values (1); commit; select count(*) from t", autocommit=True, expect="value = 1")


def test_copy_and_psql_commands_are_told(step):
    assert "COPY from or to the client is not done here" in step("pg", "copy (select 1) to stdout", code=1)
    step("pg", "create table t (a int)")
    assert "COPY from or to the client is not done here" in step("pg", "copy t from stdin", code=1)
    assert "\\copy is a command of psql" in step("pg", "\\copy t from 'x'", code=2)


def test_returning_counts_as_rows(step):
    step("pg", "create table t (a serial, b int); insert into t (b) values (5), (6) returning a", expect=["rows = 2", "value = 1"])


@pytest.mark.parametrize("name, code, said", [
    ("wrong", 2, "refuses user etl: password authentication failed"), ("none", 2, "refuses user etl"), ("nobody", 2, "refuses user 누구"),
    ("other", 2, "has no database nonesuch"), ("closed", 1, "refuses the connection: nothing listens there"), ("unknown", 1, "the name no.such.host.invalid is not known"),
    ("odd", 2, "port: 'abc' is no port"), ("tls", 2, "tls: 'yes' is not known"),
])
def test_connections_that_fail_say_why(step, name, code, said):
    log = step(name, "select 1", code=code)
    assert log.startswith(f"error: {name}: ") and said in log and log.count("\n") <= 2 and PASSWORD not in log


def test_tls(step, postgres):
    if not postgres.ca:
        pytest.skip("needs openssl")
    ask = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    for name, wanted in (("pg", "t"), ("encrypted", "t"), ("verified", "t"), ("plain", "f")):
        step(name, ask, expect=f"value = {wanted}")
    assert "is not trusted: it is signed by itself" in step("stranger", "select 1", code=1)


def test_a_server_that_says_nothing(tmp_path, postgres):
    with silent_server() as port:
        step = Step(tmp_path, pg={**postgres.connection, "port": str(port), "connect_timeout": "300ms"})
        assert "did not answer within 0.3 s" in step("pg", "select 1", code=1)


def test_a_server_of_another_kind(tmp_path, postgres):
    words = [sys.executable, "-c", "import socket\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\n"
             "while True:\n    c, _ = s.accept()\n    c.sendall(b'SSH-2.0-OpenSSH_9.2\\r\\n')\n    c.close()"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        step = Step(tmp_path, pg={**postgres.connection, "port": other.stdout.readline().strip()})
        log = step("pg", "select 1", code=1)
        other.kill()
    assert "TLS with 127.0.0.1" in log and "is it PostgreSQL?" in log


def test_by_its_socket(tmp_path, postgres):
    step = Step(tmp_path, pg={**postgres.connection, "host": postgres.folder, "password": ""})
    step("pg", "select 1", expect="value = 1")


def test_a_statement_that_takes_too_long_is_cancelled_on_the_server(step, postgres):
    log = step("pg", "create table t (a int);\nselect pg_sleep(300)", code=1, statement_timeout="2s")
    assert "error: statement 2 of 2, line 2 of the step's sql took longer than 2s: it was cancelled; rolled back" in log
    assert not postgres.running() and fetch(postgres, "select count(*) from pg_tables where tablename = 't'") == [[0]]


def test_stopped_in_the_middle_the_query_ends_on_the_server(step, postgres):
    process = step.start("pg", "select pg_sleep(301)")
    eventually(lambda: postgres.running("%301%"))
    process.send_signal(signal.SIGTERM)
    assert "error: stopped: the query was cancelled on the server; rolled back" in step.end(process, 143)
    assert not postgres.running("%301%")


def test_killed_hard_the_server_notices(step, postgres):
    process = step.start("pg", "select pg_sleep(302)")
    eventually(lambda: postgres.running("%302%"))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    eventually(lambda: not postgres.running("%302%"))


def test_stopped_while_rows_stream_leaves_no_file(step, postgres):
    process = step.start("pg", "select generate_series(1, 100000000), repeat('x', 1000)", to="o.csv")
    part = step.folder / ".o.csv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 1_000_000)
    process.send_signal(signal.SIGTERM)
    assert "rolled back" in step.end(process, 143)
    assert not part.exists() and not (step.folder / "o.csv").exists() and not postgres.running("%repeat%")


def test_stopped_while_connecting(tmp_path, postgres):
    with silent_server() as port:
        step = Step(tmp_path, pg={**postgres.connection, "port": str(port), "connect_timeout": "5m"})
        process = step.start("pg", "select 1")
        eventually(lambda: f":{port:04X} " in open(f"/proc/{process.pid}/net/tcp").read() and _connected(process.pid))
        process.send_signal(signal.SIGTERM)
        assert step.end(process, 143).startswith("error: stopped while connecting")


def _connected(pid):
    """Whether it holds a socket."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return any(link.startswith("socket:") for link in links)


def test_a_server_that_hangs_is_left(step, postgres):
    process = step.start("pg", "select pg_sleep(303)")
    [[pid]] = eventually(lambda: postgres.admin("select pid from pg_stat_activity where usename = 'etl' and query like '%303%'"))
    os.kill(pid, signal.SIGSTOP)
    try:
        process.send_signal(signal.SIGTERM)
        log = step.end(process, 143)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "error: stopped: the query had to be left: the server has not answered the cancel for 8 s" in log
    eventually(lambda: not postgres.running("%303%"))


def test_the_administrator_ends_the_session(step, postgres):
    process = step.start("pg", "create table t (a int); select pg_sleep(304)")
    [[pid]] = eventually(lambda: postgres.admin("select pid from pg_stat_activity where usename = 'etl' and query like '%304%'"))
    postgres.admin(f"select pg_terminate_backend({pid})")
    log = step.end(process, 1)
    assert "statement 2 of 2, line 1 of the step's sql: the server ended the connection: terminating connection due to administrator command [57P01]" in log
    assert "rolled back" not in log  # nobody could say so


def test_the_server_dies_in_the_middle_and_a_retry_works(step, postgres):
    process = step.start("pg", "select pg_sleep(305)", to="o.csv")
    eventually(lambda: postgres.running("%305%"))
    postgres.server.down(signal.SIGKILL)
    try:
        log = step.end(process, 1)
    finally:
        eventually(lambda: not subprocess.run(["pgrep", "-f", f"postgres.*{postgres.folder}"], stdout=subprocess.PIPE).stdout)
        postgres.server.up()
    assert "error: statement 1 of 1, line 1 of the step's sql: the server broke the connection off\n" in log
    assert not list(step.folder.glob("*.csv")) and not list(step.folder.glob(".*.part"))
    step("pg", "select 1 as a", to="o.csv")


def test_a_million_rows_take_no_memory(step):
    def peak(rows):
        query = f"select i, i * 1.5 as b, '한글 ' || i as c, date '2026-01-01' + i % 365 as d from generate_series(1, {rows}) i"
        process = step.start("pg", query, to="o.csv", csv={"encoding": "cp949"}, expect=f"rows = {rows}")
        log = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.WEXITSTATUS(status)
        process.stdout.close()
        assert process.returncode == 0, log
        return usage.ru_maxrss

    small = peak(1000)
    assert peak(1_000_000) < small + 16 * 1024  # kilobytes; the file alone is 45 MB
    with open(step.folder / "o.csv", encoding="cp949") as file:
        lines = file.readlines()
    assert len(lines) == 1_000_001 and lines[0] == "i,b,c,d\n" and lines[-1] == "1000000,1500000.0,한글 1000000,2026-09-23\n"


def test_connection_test(postgres):
    assert sql.test(postgres.connection).startswith("PostgreSQL 15") or "etl@127.0.0.1" in sql.test(postgres.connection)
    with pytest.raises(RunnerError) as caught:
        sql.test({**postgres.connection, "password": "x"})
    assert "refuses user etl" in caught.value.message
