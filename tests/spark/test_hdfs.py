"""Waits for paths in HDFS and partitions in Hive, against a real NameNode and DataNode. Started by hdfs.sh."""

from __future__ import annotations

import getpass
import json
import os
import signal

import pytest

from tests.hive.servers import SparkThriftServer

DATE = ("--date", "2026-02-28")


class Night:
    """A pipeline of waits, and the HDFS that they look at."""

    def __init__(self, shell, hdfs):
        self.shell, self.hdfs = shell, hdfs
        tools = shell.folder / "tools"
        tools.mkdir()
        hdfs.command(tools)
        shell.env["PATH"] = f"{tools}:{os.environ['PATH']}"

    def begin(self, *waits, **common):
        steps = [{"id": f"w{number}", "wait": {"every": "1s", **wait}, **common} for number, wait in enumerate(waits)]
        self.shell.write("night.yaml", json.dumps({"steps": steps}))
        return self.shell.start("run", "night.yaml", *DATE)

    def steps(self):
        done = self.shell("status", "night@2026-02-28", "--json", code=None)  # there is none at the very first
        return {step["id"]: step for step in json.loads(done.stdout)["steps"]} if done.returncode in (0, 1) and done.stdout else {}

    def wait_reason(self, step, text):
        self.shell.wait(lambda: text in self.steps().get(step, {}).get("reason", ""), lambda: str(self.steps()))

    def ended(self, run, code=0):
        out, err = run.communicate(timeout=240)
        assert run.returncode == code and "Traceback" not in err, (out, err)
        return self.steps()

    def put(self, path, data="x\n"):
        local = self.shell.folder / "local"
        local.write_text(data)
        self.hdfs.do("-mkdir", "-p", os.path.dirname(path))
        self.hdfs.do("-put", "-f", local, path)


@pytest.fixture
def night(shell, hdfs):
    made = Night(shell, hdfs)
    yield made
    hdfs.do("-rm", "-r", "-f", "-skipTrash", "/in")


def test_paths_that_come_one_after_the_other(night):
    run = night.begin(
        {"hdfs": "/in/dt=2026-02-28/고객 명단.csv", "min_size": 5}, {"hdfs": "/in/dt=*/part-*", "count": 2, "done": "/in/dt=2026-02-28/_SUCCESS"},
        {"hdfs": f"{night.hdfs.root}/in/dt=2026-02-28/part-?"}, {"hdfs": "/in/dt=2026-02-28"})
    night.wait_reason("w0", "/in/dt=2026-02-28/고객 명단.csv is not there")
    night.put("/in/dt=2026-02-28/고객 명단.csv", "abc\n")
    night.wait_reason("w0", "고객 명단.csv has 4 of 5 bytes")
    night.put("/in/dt=2026-02-28/part-1")
    night.wait_reason("w1", "/in/dt=*/part-*: 1 of 2")
    night.put("/in/dt=2026-02-28/part-2")
    night.wait_reason("w1", "/in/dt=2026-02-28/_SUCCESS is not there")
    night.put("/in/dt=2026-02-28/_SUCCESS", "")
    night.put("/in/dt=2026-02-28/고객 명단.csv", "abcde\n")
    steps = night.ended(run)
    assert {step["state"] for step in steps.values()} == {"success"}
    assert steps["w0"]["outputs"] == {"path": "/in/dt=2026-02-28/고객 명단.csv", "paths": ["/in/dt=2026-02-28/고객 명단.csv"], "count": 1, "bytes": 6}
    assert steps["w1"]["outputs"]["paths"] == ["/in/dt=2026-02-28/part-1", "/in/dt=2026-02-28/part-2"]
    assert steps["w2"]["outputs"]["path"].startswith(f"{night.hdfs.root}/in/dt=2026-02-28/part-")
    assert steps["w3"]["outputs"]["path"] == "/in/dt=2026-02-28"


def test_a_folder_that_may_not_be_read_is_said(night, hdfs):
    night.put("/in/secret/x.csv")
    hdfs.do("-chmod", "700", "/in/secret")
    night.shell.env["HADOOP_USER_NAME"] = "nobody"
    run = night.begin({"hdfs": "/in/secret/x.csv"}, timeout="60s")
    night.wait_reason("w0", "Permission denied: user=nobody, access=EXECUTE")
    hdfs.do("-chmod", "755", "/in/secret")
    assert night.ended(run)["w0"]["state"] == "success"


def test_a_name_node_that_is_away_and_comes_back(night, hdfs):
    night.put("/in/x.csv")
    hdfs.kill("namenode")
    run = night.begin({"hdfs": "/in/x.csv"})
    night.wait_reason("w0", "Connection refused")
    assert "\tat " not in night.steps()["w0"]["reason"]
    hdfs.begin_name_node()
    assert night.ended(run)["w0"]["state"] == "success"


def test_a_name_node_that_hangs_does_not_hold_the_run(night, hdfs):
    """Its time is over when it is over, and no command is left behind."""
    process = hdfs.processes["namenode"]
    process.send_signal(signal.SIGSTOP)
    try:
        run = night.begin({"hdfs": "/in/none"}, {"file": "/nonesuch"}, timeout="15s", allow_failure=True)
        steps = night.ended(run)
    finally:
        process.send_signal(signal.SIGCONT)
    assert steps["w0"]["reason"].startswith("timeout after 15 s") and steps["w1"]["reason"].startswith("timeout after 15 s: /nonesuch is not there")
    night.shell.wait(lambda: not left(night.shell), lambda: str(left(night.shell)), 60)


def left(shell):
    """The hdfs commands of this test that still run."""
    from tests.spark.test_local import processes

    return [pid for pid, words in processes("org.apache.hadoop.fs.FsShell") if b"/in/none" in words]


def test_a_partition_of_a_table_in_hdfs(night, hdfs, spark, tmp_path_factory):
    """Hive's side of it: the warehouse is in this HDFS, and the partition is added while the step waits."""
    server = SparkThriftServer(tmp_path_factory.mktemp("thrift") / "server", spark.home, door=False)
    try:
        hdfs.do("-mkdir", "/warehouse")
        hdfs.do("-chmod", "777", "/warehouse")
        server.start({"spark.hadoop.fs.defaultFS": hdfs.root, "spark.sql.warehouse.dir": f"{hdfs.root}/warehouse"})
        night.shell.env.update(SPARK_HOME=spark.home, PATH=f"{night.shell.env['PATH']}:{spark.home}/bin")

        def beeline(sql):
            night.shell.write("load.yaml", json.dumps({"steps": [{"id": "load", "hive": {"url": server.url, "user": getpass.getuser(), "sql": sql}}]}))
            night.shell("run", "load.yaml", *DATE, "--new")

        beeline("create table mart (id int) partitioned by (dt string) stored as parquet;")
        run = night.begin({"partition": "default.mart/dt=2026-02-28", "url": server.url, "user": getpass.getuser()}, {"hdfs": "/warehouse/mart/dt=2026-02-28"})
        night.wait_reason("w0", "default.mart/dt=2026-02-28 is not there")
        night.wait_reason("w1", "/warehouse/mart/dt=2026-02-28 is not there")
        beeline("insert into mart partition (dt='2026-02-28') values (1);")
        steps = night.ended(run)
        assert steps["w0"]["outputs"] == {"partition": "dt=2026-02-28"} and steps["w1"]["outputs"]["path"] == "/warehouse/mart/dt=2026-02-28"
    finally:
        server.stop()
