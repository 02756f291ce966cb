"""hive steps against Apache Hive's own HiveServer2; a suite of its own: tests/hive/apache.sh"""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest

from runner.clients.probes import partition
from tests.hive.conftest import Hive, wait
from tests.hive.servers import ApacheHiveServer2
from tests.spark.conftest import CACHE, spark  # noqa: F401

SLEEPER = "select count(reflect('java.lang.Thread', 'sleep', cast(id * 0 + 600000 as bigint))) from one;\n"


@pytest.fixture(scope="session")
def apache(tmp_path_factory, spark):  # noqa: F811
    if not os.environ.get("RUNNER_TEST_HIVE"):
        pytest.skip("against Apache Hive's own server, for about three minutes: tests/hive/apache.sh")
    if not shutil.which("jcmd"):
        pytest.skip("no jcmd: install openjdk-17-jdk-headless")
    server = ApacheHiveServer2(tmp_path_factory.mktemp("apache") / "server", CACHE / "hive-jars")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def hive(tmp_path, apache, spark):  # noqa: F811
    made = Hive(tmp_path, f"{spark.home}/bin", SPARK_HOME=spark.home)
    made.defaults = {"url": apache.url, "user": "etl"}
    yield made
    made.close()


def test_rows_statements_and_a_semicolon_in_a_comment(hive):
    log = hive("-- a; b\ncreate table if not exists t (id int, name string);\ninsert overwrite table t values (1, '한글, \"x\"'), (2, NULL);\n"
               "select 'a;b' as x, id, name from t /* c; d */ where name is not null or id > ${hivevar:n} order by id;\n",
               hivevar={"n": 1}, queue="batch", to="out.csv", print=9)
    assert "Connected to: Apache Hive (version 4.0.1)" in log
    assert (hive.folder / "out.csv").read_text(encoding="utf-8") == 'x,id,name\na;b,1,"한글, ""x"""\na;b,2,\n'
    assert hive.outputs()["rows"] == 2 and any(line.startswith("INFO  : Compiling command(queryId=") for line in log)


def test_the_statement_that_failed_is_named(hive):
    hive("use default;\nselect *\n  from nosuch; select 3;\n", code=2)
    assert hive.last_words().startswith("error: statement 2 of 3, line 2 of the step's sql: FAILED: SemanticException [Error 10001]: Line 2:5 Table not found 'nosuch'")


def test_a_stop_ends_the_query(hive, apache):
    process = hive.begin("create table if not exists one (id int);\ninsert overwrite table one values (1);\n" + SLEEPER)
    wait(apache.running, hive.log, process=process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143
    wait(lambda: not apache.running(), "the query goes on", 20)
    assert re.search("stopped in statement 3 of 3, .*closed its session", hive.last_words())


def test_partitions_that_are_waited_for(hive, apache):
    hive("create table if not exists parts (id int) partitioned by (dt string, r string);\n"
         "alter table parts add if not exists partition (dt='2026-11-20', r='O\\'K') partition (dt='2026-11-21', r='x');\n")
    wanted = ["default.parts/dt=2026-11-20/r=O'K", "default.absent/dt=1", "default.parts/dt=2026-11-22/r=x", "default.parts/dt=2026-11-21"]
    probe = {"url": apache.url, "user": "etl", "env": hive.env, "cwd": str(hive.folder)}
    seen = partition.look_many([{**probe, "partition": each} for each in wanted])
    assert [one.ready for one in seen] == [{"partition": "dt=2026-11-20/r=O'K"}, None, None, {"partition": "dt=2026-11-21"}]
    assert "Table not found" in seen[1].missing and seen[2].missing == "default.parts/dt=2026-11-22/r=x is not there"
