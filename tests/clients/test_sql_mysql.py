"""The sql step against a real MariaDB, by the driver that MySQL has as well."""

from __future__ import annotations

import os
import signal

import pytest

from runner.clients import sql
from tests.clients.sqlservers import PASSWORD, Step, eventually, free_port, silent_server
from tests.clients.sqlservers import mariadb as mariadb  # noqa: PLC0414 - a fixture


@pytest.fixture
def step(tmp_path, mariadb):
    mariadb.admin("drop database shop")
    mariadb.admin("create database shop")
    good = mariadb.connection
    return Step(
        tmp_path, my=good, named={**good, "type": "mariadb"}, wrong={**good, "password": "x"}, other={**good, "database": "nonesuch"},
        forbidden={**good, "database": "mysql"}, closed={**good, "port": str(free_port())}, encrypted={**good, "tls": "require"},
    )


def test_values_cross_as_values_and_come_back_exact(step, mariadb):
    bad = "'); drop table t; -- \\ \\' \" 한글 😀 %s %(x)s :y"
    log = step("my", """
        create table t (a int, b text, c decimal(40,10), d date, e datetime(6), f boolean, g blob, h double);
        set sql_mode = '';
        insert into t values (:n, :bad, 12345678901234567890.0123456789, :dt, '2026-02-28 01:02:03.000004', :yes, x'00ff', 0.1);
        insert into t (a, b, d) values (2, :none, '0000-00-00');
        select * from t where b like '%s%' or d is null or 1 order by a""",
        binds={"n": 1, "bad": bad, "dt": "2026-02-28", "yes": True, "none": None}, to="o.csv")
    lines = (step.folder / "o.csv").read_text().splitlines()
    quoted = bad.replace('"', '""')
    assert lines == ["a,b,c,d,e,f,g,h", f'1,"{quoted}",12345678901234567890.0123456789,2026-02-28,2026-02-28 01:02:03.000004,1,\\x00ff,0.1',
                     "2,,,0000-00-00,,,,"]
    assert mariadb.admin("select b from shop.t where a = 1") == ((bad,),)
    assert "[1/5] create table t" in log and "0 rows changed" not in log


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES"])
def test_no_value_becomes_sql_whatever_the_mode(step, mariadb, mode):
    for bad in ("\\", "\\'; drop table t; -- ", "'; drop table t; -- ", "\\\\'", "%s", "%%"):
        step("my", f"set sql_mode = '{mode}'; create table t (a text); insert into t values (:bad); select a, a = :bad from t", binds={"bad": bad})
        assert mariadb.admin("select a from shop.t") == ((bad,),)
        mariadb.admin("drop table shop.t")


def test_a_percent_sign_with_and_without_binds(step):
    step("my", "select 'a%s' like 'a\\%s'", expect="value = 1")
    step("my", "select 'a%s' like concat('a\\%', :s)", binds={"s": "s"}, expect="value = 1")


def test_all_or_nothing_and_which_statement_it_was(step, mariadb):
    step("my", "create table t (a int unique) engine = innodb")
    log = step("my", "insert into t values (1);\n\ninsert into t values (1)", code=1)
    assert "error: statement 2 of 2, line 3 of the step's sql: Duplicate entry '1' for key 'a' [1062]; rolled back" in log
    assert mariadb.admin("select count(*) from shop.t") == ((0,),)


def test_a_procedure_with_delimiter_and_its_result(step):
    log = step("my", "delimiter //\ncreate procedure p(in n int)\nbegin\n  select n as a; select n + 1 as b;\nend//\ndelimiter ;\ncall p(:n);", binds={"n": 5})
    assert "  a\n  -\n  5\n" in log and step.outputs["value"] == 6


@pytest.mark.parametrize("name, code, said", [
    ("wrong", 2, "refuses user etl: Access denied"), ("other", 2, "nonesuch"), ("forbidden", 2, "refuses user etl: Access denied"),
    ("closed", 1, "refuses the connection: nothing listens there"), ("encrypted", 2, "offers no TLS"),
])
def test_connections_that_fail_say_why(step, name, code, said):
    log = step(name, "select 1", code=code)
    assert log.startswith(f"error: {name}: ") and said in log and log.count("\n") <= 2 and PASSWORD not in log


def test_an_unknown_database(tmp_path, mariadb):
    mariadb.admin("create or replace user boss@'%' identified by 'x'")
    mariadb.admin("grant all on *.* to boss@'%'")
    step = Step(tmp_path, my={**mariadb.connection, "user": "boss", "password": "x", "database": "nonesuch"})
    assert "has no database nonesuch" in step("my", "select 1", code=2)


def test_a_server_that_says_nothing(tmp_path, mariadb):
    with silent_server() as port:
        step = Step(tmp_path, my={**mariadb.connection, "port": str(port), "connect_timeout": "300ms"})
        assert "does not answer within 0.3 s" in step("my", "select 1", code=1)


def test_a_server_of_another_kind(tmp_path, mariadb):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            connection, _ = server.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        step = Step(tmp_path, my={**mariadb.connection, "port": str(server.getsockname()[1])})
        assert "does not speak MySQL" in step("my", "select 1", code=1)


def test_by_its_socket_and_by_its_other_name(tmp_path, step, mariadb):
    assert "named: MariaDB 10" in step("named", "select 1")
    other = Step(tmp_path, my={"type": "mysql", "host": mariadb.socket, "user": "root"})
    other("my", "select 1", expect="value = 1")


def test_a_statement_that_takes_too_long_is_cancelled_on_the_server(step, mariadb):
    log = step("my", "select 1;\nselect sleep(300), 'slow'", code=1, statement_timeout="2s")
    assert "statement 2 of 2, line 2 of the step's sql took longer than 2s: it was cancelled; rolled back" in log
    assert not mariadb.running("%slow%")


def test_stopped_in_the_middle_the_query_ends_on_the_server(step, mariadb):
    step("my", "create table t (a int) engine = innodb")
    process = step.start("my", "insert into t values (1); update t set a = sleep(301)")
    eventually(lambda: mariadb.running("%301%"))
    process.send_signal(signal.SIGTERM)
    assert "error: stopped: the query was cancelled on the server; rolled back" in step.end(process, 143)
    assert not mariadb.running("%301%") and mariadb.admin("select count(*) from shop.t") == ((0,),)


def test_stopped_while_rows_stream_leaves_no_file(step, mariadb):
    process = step.start("my", "select seq, repeat('x', 1000) from seq_1_to_100000000", to="o.csv")
    part = step.folder / ".o.csv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 1_000_000)
    process.send_signal(signal.SIGTERM)
    assert "rolled back" in step.end(process, 143)
    assert not part.exists() and not (step.folder / "o.csv").exists() and not mariadb.running("%repeat%")


def test_a_letter_that_the_encoding_lacks_ends_it_at_once(step, mariadb):
    log = step("my", "select seq, if(seq = 60000, '😀', repeat('가', 20)) as x from seq_1_to_100000000", code=1, to="o.csv", csv={"encoding": "cp949"})
    assert "row 60000: '😀' (U+1F600) cannot be written in cp949; rolled back" in log
    eventually(lambda: not mariadb.running("%seq%"))


def test_the_server_dies_in_the_middle_and_a_retry_works(step, mariadb):
    process = step.start("my", "select sleep(305)", to="o.csv")
    eventually(lambda: mariadb.running("%305%"))
    mariadb.server.down()
    try:
        log = step.end(process, 1)
    finally:
        mariadb.server.up()
    assert "error: statement 1 of 1, line 1 of the step's sql: the server broke the connection off\n" in log
    assert not list(step.folder.glob("*.csv")) and not list(step.folder.glob(".*.part"))
    step("my", "select 1 as a", to="o.csv")


def test_a_million_rows_take_no_memory(step):
    def peak(rows):
        process = step.start("my", f"select seq, seq * 1.5 as b, concat('한글 ', seq) as c from seq_1_to_{rows}", to="o.csv", expect=f"rows = {rows}")
        log = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.WEXITSTATUS(status)
        process.stdout.close()
        assert process.returncode == 0, log
        return usage.ru_maxrss

    small = peak(1000)
    assert peak(1_000_000) < small + 16 * 1024
    with open(step.folder / "o.csv", encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1_000_001


def test_connection_test(mariadb):
    assert sql.test(mariadb.connection).startswith("MariaDB ")
