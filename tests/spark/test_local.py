"""spark-submit for real, on this machine: what it writes, how it ends, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import random
import subprocess

import pytest

from tests.e2e.conftest import ROOT
from tests.spark.conftest import CUSTOMERS


def processes(text):
    """The processes whose command line holds a text."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read()
            with open(f"/proc/{name}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if os.fsencode(text) in words and state not in b"ZX":
            found.append((int(name), words))
    return found


def pipeline(shell, name, steps, **keys):
    """A pipeline of spark-submit steps, `id -> body`, with what a test machine needs."""
    base = {"master": "local[1]", "spark_home": shell.spark.home, "driver_memory": "600m",
            "conf": {"spark.ui.enabled": False, "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": 2}}
    all_steps = [{"id": step, "spark-submit": {**base, **body}, **keys} for step, body in steps.items()]
    shell.write(f"{name}.yaml", json.dumps({"steps": all_steps}))


def test_the_example_orders_a_csv_and_writes_parquet(shell):
    people = [(i, random.Random(i).choice(("Male", "Female")), 18 + i % 50, 15 + i % 120, random.Random(-i).randint(1, 99)) for i in range(1, 201)]
    (shell.folder / "in put").mkdir()
    source = shell.folder / "in put" / "고객.csv"
    source.write_text("\n".join([CUSTOMERS, *(",".join(map(str, each)) for each in people)]) + "\n", encoding="utf-8")
    shell.env.update(RUNNER_PIPELINES=os.path.join(ROOT, "pipelines"), SPARK_HOME=shell.spark.home, PATH=f"{shell.spark.home}/bin:{os.environ['PATH']}")
    shell("run", "spark_scores", "--date", "2026-11-20", "--param", f"file={source}", "--param", f"folder={shell.folder}/out", "--param", "master=local[1]")
    wanted = sorted((score, number) for number, _, _, _, score in people)
    assert shell.log("spark_scores", "report") == f"2026-11-20: 200 customers, lowest {wanted[0][0]}, highest {wanted[-1][0]}\n"
    found = read(shell, "out/2026-11-20")
    assert [(score, number) for score, number, _ in found] == wanted and {date for _, _, date in found} == {"2026-11-20"}


def read(shell, folder):
    """The rows as they stand in the file."""
    code = ("import sys, json; from pyspark.sql import SparkSession; s = SparkSession.builder.config('spark.ui.enabled', 'false').getOrCreate(); "
            "print('rows=' + json.dumps([[r.spending_score, r.customer_id, str(r.date)] for r in s.read.parquet(sys.argv[1]).collect()])); s.stop()")
    done = subprocess.run([shell.spark.python, "-c", code, str(shell.folder / folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200,
                          env={**shell.env, "SPARK_HOME": shell.spark.home, "PYTHONPATH": python_path(shell.spark.home)})
    return json.loads(done.stdout.partition("rows=")[2])


def python_path(home):
    folder = os.path.join(home, "python")
    return os.pathsep.join([folder, *(os.path.join(folder, "lib", name) for name in os.listdir(os.path.join(folder, "lib")) if name.endswith(".zip"))])


def test_how_a_job_can_fail_and_what_is_said(shell):
    """One pipeline of five, so that Spark is started no more often than needed."""
    (shell.folder / "now").touch()
    shell.write("empty.jar", "")
    pipeline(shell, "bad", {
        "error": {"application": "stay.py", "args": ["now", "값이 없다"]},
        "code": {"application": "stay.py", "args": ["now", 42]},
        "source": {"application": os.path.join(ROOT, "pipelines/spark_scores/order.py"), "args": ["/no/such.csv", "out", "<< ds >>"]},
        "main": {"application": "empty.jar", "class": "com.example.Main"},
        "binary": {"application": "stay.py", "spark_home": "/opt/no-spark"},
    })
    done = shell("run", "bad.yaml", "--date", "2026-11-20", code=1)
    last = {step: shell.log("bad", step).splitlines()[-1] for step in ("error", "code", "source", "main")}
    assert last["error"] == "error: ValueError: 값이 없다"
    assert last["code"] == "error: spark-submit ended with exit code 42"
    assert last["source"].startswith("error: pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/no/such.csv")
    assert last["main"] == "error: Failed to load class com.example.Main."
    assert "error: /opt/no-spark/bin/spark-submit was not found" in shell.log("bad", "binary")
    reasons = {step["id"]: step["reason"] for step in shell.json("status", "bad@2026-11-20")["steps"]}
    assert reasons == {"error": "exit 1", "code": "exit 42", "source": "exit 1", "main": "exit 101", "binary": "exit 127"}
    assert "ValueError: 값이 없다" in done.stderr


def test_a_file_that_is_not_there_is_refused_before_anything_runs(shell):
    pipeline(shell, "bad", {"a": {"application": "none.py"}})
    assert "none.py" in shell("check", "bad.yaml", code=1).stdout


@pytest.mark.parametrize("how", ["stop", "kill -9 of the client"])
def test_a_job_that_is_ended_leaves_no_process(shell, how):
    flag = shell.folder / "never"
    pipeline(shell, "stay", {"a": {"application": "stay.py", "args": [str(flag)]}})
    run = shell.start("run", "stay.yaml", "--date", "2026-11-20")
    shell.wait((shell.folder / "never.began").exists, lambda: shell.log("stay", "a"))
    assert len(processes(str(flag))) >= 2  # the JVM and the Python driver
    if how == "stop":
        shell("stop", "stay@2026-11-20")
    else:
        [pid] = [pid for pid, words in processes(str(flag)) if b"start.py" in words and b"wrapper.sh" not in words]
        os.kill(pid, 9)
    run.communicate(timeout=200)
    assert run.returncode != 0
    shell.wait(lambda: not processes(str(flag)), lambda: str(processes(str(flag))), seconds=30)
    [step] = shell.json("status", "stay@2026-11-20")["steps"]
    assert step["state"] == ("killed" if how == "stop" else "failed")
    assert how == "stop" or step["reason"] == "exit 137; left processes in the background: ended"
