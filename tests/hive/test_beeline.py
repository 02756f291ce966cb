"""hive steps by a real beeline, against Spark's Thrift server, which speaks the protocol of HiveServer2."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.hive.conftest import SLEEPER, wait
from tests.hive.servers import Link

SCRIPT = """-- the day's rows; all of them
create table if not exists days (id int, name string) partitioned by (dt string, r string);
insert overwrite table days partition (dt = '${hivevar:dt}', r = 'O\\'K')
  select 1, '한글, "x"' /* first; then */ union all select 2, NULL;  -- don't stop
select 'a;b' as x, id, name from days where dt = '${hivevar:dt}' order by id;
"""


def test_rows_to_csv_outputs_and_a_semicolon_in_a_comment(hive):
    """The locale is C here, as under cron."""
    (hive.folder / "load.hql").write_text(SCRIPT, encoding="utf-8")
    (hive.folder / "init.sql").write_text("set x.y=7; -- mine; yours\nselect '${x.y}' as y;\n")
    log = hive(file="load.hql", init="init.sql", hivevar={"dt": "2026-11-20"}, hiveconf={"a.b": "c d"}, to="out/days.csv", print=5)
    assert (hive.folder / "out/days.csv").read_text(encoding="utf-8") == 'x,id,name\na;b,1,"한글, ""x"""\na;b,2,\n'
    assert hive.outputs() == {"rows": 2, "value": "a;b", "file": str(hive.folder / "out/days.csv")}
    assert "[5/5] select 'a;b' as x, id, name from days where dt = '${hivevar:dt}' order by id" in log
    assert '  a;b |  1 | 한글, "x"' in log and "  a;b |  2 | NULL" in log and "  7" in log
    assert (hive.attempt / "script.hql").read_text(encoding="utf-8") == SCRIPT, "what is kept is what was written"
    assert log[-1] == f"written: {hive.folder}/out/days.csv, 2 rows, {len((hive.folder / 'out/days.csv').read_bytes())} bytes"


def test_the_statement_that_failed_is_named(hive):
    (hive.folder / "bad.hql").write_text("select 1;\n\n-- why; not\nselect *\n  from nosuch;\nselect 3;\n")
    (hive.folder / "out.csv").write_text("of yesterday")
    log = hive(file="bad.hql", code=2, to="out.csv")
    assert hive.last_words().startswith("error: statement 2 of 3, line 4 of bad.hql: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nosuch` cannot be found.")
    assert "      4 | select *" in log and "      5 |   from nosuch" in log and not any(line.startswith("[3/3]") for line in log)
    assert any(line.startswith("\tat ") for line in log), "the log holds all that beeline said"
    assert "\tat " not in hive.last_words() and hive.outputs() == {}
    assert (hive.folder / "out.csv").read_text() == "of yesterday" and not list(hive.folder.glob(".out*"))


def test_no_server(hive):
    hive("select 1;", code=2, url="jdbc:hive2://127.0.0.1:1/default")
    assert hive.last_words() == "error: 127.0.0.1:1: connection refused | is HiveServer2 up, and is the port in `url:` its own?"


def test_a_wrong_password(hive, thrift):
    if not thrift.door:
        pytest.skip("no javac for the server's password check: install openjdk-17-jdk-headless")
    (hive.folder / "password").write_text("wrong")
    hive("select 1;", code=2)
    assert hive.last_words() == f"error: 127.0.0.1:{thrift.port}: it refuses the login | look at `user:` and at the password in `password_file:`"
    assert "Error validating the login" in hive.log()


def test_a_server_that_dies_in_a_query(hive, thrift):
    link = Link(thrift.port)
    process = hive.begin("select 1;\n" + SLEEPER, url=f"jdbc:hive2://127.0.0.1:{link.port}/default")
    wait(thrift.running, hive.log, process=process)
    link.cut()
    assert process.wait(60) == 2
    assert hive.last_words().startswith("error: statement 2 of 2, line 2 of the step's sql: the connection to the server broke: ")
    wait(lambda: not thrift.running(), "the query goes on")


def left(folder):
    """Processes of attempts below a folder."""
    return subprocess.run(["pgrep", "-f", f"{folder}/"], stdout=subprocess.PIPE).stdout.decode().split()


def pipeline(shell, thrift, sql, **step):
    body = json.dumps({"url": thrift.url, "user": "etl", "password_file": "password", "sql": sql}, ensure_ascii=False)
    keys = "".join(f", {key}: {value}" for key, value in step.items())
    shell.write("mart.yaml", f"steps:\n  - {{id: load{keys}, hive: {body}}}\n  - {{id: tell, needs: load, bash: 'echo << outputs.load.rows >> << outputs.load.value >>'}}\n")


def log_of(shell, number=1):
    return (shell.home / f"runs/mart/2026-11-20/load.{number}/log").read_text(encoding="utf-8")


def test_a_stop_ends_the_query_on_the_server_and_the_rerun_is_clean(shell, thrift):
    pipeline(shell, thrift, "select 1;\n" + SLEEPER)
    first = shell.start("run", "mart.yaml", "--date", "2026-11-20")
    wait(thrift.running, process=first)
    shell("stop", "mart@2026-11-20", code=None)
    first.communicate(timeout=60)
    assert not thrift.running(), "the query has ended before the step"
    assert shell.states("mart@2026-11-20")["load"] == "killed" and left(shell.folder) == []
    last = log_of(shell).strip().splitlines()[-1]
    assert last == "error: stopped in statement 2 of 2, line 2 of the step's sql: beeline closed its session, which ends its query on the server"


def test_a_server_that_hangs_and_a_timeout_with_little_grace(shell, thrift):
    """Nothing hangs on here; there the query ends as soon as the server comes to itself. Then the retry finds all in order."""
    pipeline(shell, thrift, SLEEPER, timeout="40s", kill_grace="3s")
    first = shell.start("run", "mart.yaml", "--date", "2026-11-20")
    wait(thrift.running, process=first)
    thrift.signal(signal.SIGSTOP)
    try:
        first.communicate(timeout=150)
        assert left(shell.folder) == []
    finally:
        thrift.signal(signal.SIGCONT)
    [load, tell] = shell.json("status", "mart@2026-11-20")["steps"]
    assert load["state"] == "failed" and "timeout" in load["reason"] and tell["state"] == "upstream_failed"
    assert "was killed; the server ends what runs" in log_of(shell).strip().splitlines()[-1]
    wait(lambda: not thrift.running(), "the query goes on")
    pipeline(shell, thrift, "select 40 + 2 as answer;")
    shell("run", "mart.yaml", "--date", "2026-11-20", "--new")
    assert "42" in shell("logs", "mart@2026-11-20#2", "tell").stdout


def test_partitions_that_are_waited_for(hive, thrift):
    from runner.clients.probes import partition

    hive("create table if not exists parts (id int) partitioned by (dt string, r string);\n"
         "alter table parts add if not exists partition (dt='2026-11-20', r='O\\'K') partition (dt='2026-11-21', r='x');\n")
    wanted = ["default.parts/dt=2026-11-20/r=O'K", "default.absent/dt=1", "default.parts/dt=2026-11-22/r=x", "parts/dt=2026-11-21"]
    probe = {"url": thrift.url, "user": "etl", "password_file": hive.defaults["password_file"], "env": hive.env, "cwd": str(hive.folder)}
    seen = partition.look_many([{**probe, "partition": each} for each in wanted])
    assert [one.ready for one in seen] == [{"partition": "dt=2026-11-20/r=O'K"}, None, None, {"partition": "dt=2026-11-21"}]
    assert "TABLE_OR_VIEW_NOT_FOUND" in seen[1].missing and seen[2].missing == "default.parts/dt=2026-11-22/r=x is not there"


def test_spark_sql_as_the_client(hive):
    hive.defaults = {"client": "spark-sql", "hiveconf": {"javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={hive.folder}/m;create=true"},
                     "args": ["--master", "local[1]", "--conf", "spark.ui.enabled=false", "--conf", "spark.driver.host=127.0.0.1"]}
    hive("select 'a b', 2;\nselect * -- a; b\nfrom nosuch;\n", code=1)
    assert "statement 2 of 2, line 2 of the step's sql: [TABLE_OR_VIEW_NOT_FOUND]" in hive.last_words()
    assert "a b\t2" in hive.log().splitlines()
