"""pipelines/customer_segments/ for real: a Spark Thrift server, beeline, spark-submit and a mail server, on loopback.

Each run takes a minute or more, most of which is Java starting; so there are three of them, and each looks at all it can.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import random
import shutil
import socket
import subprocess
import sys

import pytest

from tests.spark.conftest import spark  # noqa: F401

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MALL = os.path.abspath(os.path.join(ROOT, "..", "shared", "data", "Mall_Customers.csv"))
COLUMNS = ["CustomerID", "Gender", "Age", "Annual Income (k$)", "Spending Score (1-100)"]
DAY = "2026-02-28"
ABOVE, BELOW = f"customer_cluster@{DAY}", f"customer_segments@{DAY}"
GOOD = "success"
SECONDS = 800
pytestmark = pytest.mark.timeout(SECONDS + 100)


@pytest.fixture
def mails(runner, mail_server):
    path = runner.write("home/connections.yaml", f"mail: {{type: smtp, host: 127.0.0.1, port: {mail_server.port}, tls: none, from: night@example.com}}\n")
    path.chmod(0o600)
    runner.home.chmod(0o700)
    return mail_server.received


@pytest.fixture
def examples(runner):
    """The command line over the folder of examples; whatever a test leaves of its cluster is ended."""
    runner.env.update(RUNNER_PIPELINES=os.path.join(ROOT, "pipelines"), RUNNER_STEP_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        runner.port = free.getsockname()[1]
    yield runner
    for pid in left(runner):
        os.kill(pid, 9)


def words(runner, spark, file):
    params = {"file": file, "folder": runner.folder / "segments", "spark_home": spark, "port": runner.port, "mail_to": "kim@example.com"}
    return ["run", "customer_cluster", "--date", DAY, *(word for name, value in params.items() for word in ("--param", f"{name}={value}"))]


@pytest.fixture
def site(examples, spark, mails):  # noqa: F811
    """Words of `runner run` with a real Spark."""
    examples.env["PYSPARK_PYTHON"] = spark.python
    return words(examples, spark.home, examples.folder / "고객.csv")


def left(runner):
    """Every process that was born of this home or works in its folder."""
    out = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as env, open(f"/proc/{name}/cmdline", "rb") as line, open(f"/proc/{name}/stat", "rb") as stat:
                    if str(runner.folder).encode() in env.read() + line.read() and stat.read().rpartition(b")")[2].split()[0] != b"Z":
                        out.append(int(name))
            except OSError:
                pass
    return out


def commands(runner):
    """The command lines of all that `left` finds."""
    for pid in left(runner):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                yield file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            pass


def is_up(runner):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", runner.port)) == 0


def check_down(runner, mails, said):
    """The cluster is away with all that was started, and one mail says how it went."""
    assert runner.wait_for(lambda: not left(runner), 30) and not is_up(runner)
    assert not (runner.folder / "segments/cluster/pid").exists()
    (mail,) = mails
    text = mail.get_content().replace("\r\n", "\n")
    assert mail["Subject"] == f"Customer segments {DAY}: {said}" and mail["To"] == "kim@example.com"
    assert text.startswith(ABOVE + "\n") and "The cluster is down: yes" in text
    return text


def customers(path):
    """200 of them: those of the shared file where it is beside the checkout, else such as they could be."""
    if os.path.isfile(MALL):
        shutil.copyfile(MALL, path)
    else:
        chance = random.Random(1)
        lines = [f"{n},{chance.choice(['Male', 'Female'])},{chance.randint(18, 70)},{chance.randint(15, 140)},{chance.randint(1, 99)}" for n in range(1, 201)]
        path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def parquet(spark, folder):
    """The rows of the file as they stand in it, by Spark's own reader."""
    code = ("import json, sys; from pyspark.sql import SparkSession; s = SparkSession.builder.master('local[1]').config('spark.ui.enabled', False).getOrCreate()\n"
            "rows = s.read.parquet(sys.argv[1]).collect(); print('ROWS' + json.dumps([r.asDict() for r in rows]))")
    env = {**os.environ, "SPARK_HOME": spark.home, "PYSPARK_PYTHON": spark.python, "SPARK_LOCAL_IP": "127.0.0.1"}
    env["PYTHONPATH"] = os.pathsep.join([f"{spark.home}/python", *glob.glob(f"{spark.home}/python/lib/py4j-*.zip"), os.path.dirname(spark.home)])
    said = subprocess.run([spark.python, "-c", code, folder], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout.rpartition("ROWS")[2])


def ended(process, code):
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code, (out, err)
    assert "Traceback" not in out + err
    return out


def test_the_file_is_ordered_the_cluster_is_gone_and_the_mail_says_so(runner, site, mails, spark):  # noqa: F811
    source = customers(runner.folder / "고객.csv")
    ended(runner.start(*site), 0)
    assert runner.states(ABOVE) == dict.fromkeys(("up", "answers", "segments", "result", "down", "mail"), GOOD)
    assert runner.states(BELOW) == dict.fromkeys(("prepare", "load", "order", "check", "result"), GOOD)
    child = runner.json("status", BELOW)
    assert (child["ds"], child["trigger"]) == (DAY, "pipeline")

    ordered = runner.folder / "segments" / DAY / "ordered"
    assert len(list(ordered.glob("*.parquet"))) == 1 and (ordered / "_SUCCESS").exists()
    rows = [{name: str(value) for name, value in row.items()} for row in parquet(spark, str(ordered))]
    scores = [int(row[COLUMNS[-1]]) for row in rows]
    assert [*rows[0]] == COLUMNS and rows == sorted(source, key=lambda row: (int(row[COLUMNS[-1]]), int(row["CustomerID"])))

    text = check_down(runner, mails, "done")
    assert f"200 customers in order, scores {scores[0]} to {scores[-1]}\n{ordered}\n" in text


def test_a_step_in_the_middle_fails_and_the_cluster_goes_down(runner, site, mails):
    rows = customers(runner.folder / "고객.csv")
    with open(runner.folder / "고객.csv", "a", encoding="utf-8") as file:
        file.write("201,Male,40,60,많음\n")  # right columns, and a score that is no number: Hive finds it
    out = ended(runner.start(*site), 1)
    assert out.startswith(f"{ABOVE}  failed") and len(rows) == 200
    assert runner.states(BELOW) == {"prepare": GOOD, "load": "failed", "order": "upstream_failed", "check": "upstream_failed", "result": "upstream_failed"}
    assert runner.states(ABOVE) == {"up": GOOD, "answers": GOOD, "segments": "failed", "result": "upstream_failed", "down": GOOD, "mail": GOOD}
    assert "is not true" in runner("logs", BELOW, "load", "--all").stdout
    text = check_down(runner, mails, "FAILED")
    assert f"runner status {ABOVE}" in text and not (runner.folder / "segments" / DAY / "ordered").exists()


def test_a_stopped_run_takes_the_cluster_down_too(runner, site, mails):
    customers(runner.folder / "고객.csv")
    process = runner.start(*site)
    runner.wait_for(lambda: process.poll() is not None or any("BeeLine" in line for line in commands(runner)), SECONDS)
    assert process.poll() is None, process.communicate()
    assert is_up(runner)
    runner("stop", ABOVE)
    ended(process, 1)
    states = runner.states(ABOVE)
    assert states["segments"] == states["result"] == "killed" and states["down"] == states["mail"] == GOOD
    below = runner.json("status", BELOW)
    assert below["state"] == "killed" and runner.states(BELOW)["load"] == "killed" and runner.states(BELOW)["order"] == "killed"
    check_down(runner, mails, "FAILED")


# ------------------------------------------------------------------------------------------------- what needs no Spark


def pretended(runner, text):
    """A Spark whose spark-submit does this."""
    submit = runner.write("spark/bin/spark-submit", "")
    submit.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    submit.chmod(0o755)
    return runner.folder / "spark"


def test_a_spark_that_is_not_there_is_said_at_once(examples, mails):
    examples(*words(examples, "/nonesuch", "x.csv"), code=1)
    assert "no Spark at /nonesuch: give --param spark_home=DIR" in examples("logs", ABOVE, "up").stdout
    assert examples.states(ABOVE) == {"up": "failed", "answers": "upstream_failed", "segments": "upstream_failed", "result": "upstream_failed", "down": GOOD, "mail": GOOD}
    check_down(examples, mails, "FAILED")


def test_a_port_that_is_taken_is_left_alone(examples, mails):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", examples.port))
        taken.listen()
        examples(*words(examples, pretended(examples, "exit 1"), "x.csv"), code=1)
    assert f"port {examples.port} is taken by another program" in examples("logs", ABOVE, "up").stdout
    check_down(examples, mails, "FAILED")


def test_a_server_that_dies_while_it_starts_is_told_with_its_last_words(examples, mails):
    examples(*words(examples, pretended(examples, "echo 'java.net.BindException: 이미 사용 중'; exit 1"), "x.csv"), code=1)
    assert "the server has died:\njava.net.BindException: 이미 사용 중\n" in examples("logs", ABOVE, "answers").stdout
    states = examples.states(ABOVE)
    assert (states["up"], states["answers"], states["segments"]) == (GOOD, "failed", "upstream_failed")
    check_down(examples, mails, "FAILED")


def test_a_stop_while_the_server_starts_ends_it(examples, mails):
    """It lives in a session of its own, so that no signal to the step reaches it: the pid file does."""
    process = examples.start(*words(examples, pretended(examples, "while :; do sleep 0.1; done"), "x.csv"))
    examples.wait_for(lambda: process.poll() is not None or any("cluster.sh answers" in line for line in commands(examples)))
    examples("stop", ABOVE)
    ended(process, 1)
    assert examples.states(ABOVE) == {"up": GOOD, "answers": "killed", "segments": "killed", "result": "killed", "down": GOOD, "mail": GOOD}
    check_down(examples, mails, "FAILED")


def test_a_server_that_hears_no_term_is_killed(examples, mails):
    process = examples.start(*words(examples, pretended(examples, "trap '' TERM; while :; do sleep 0.1; done"), "x.csv"))
    examples.wait_for(lambda: process.poll() is not None or any("cluster.sh answers" in line for line in commands(examples)))
    examples("stop", ABOVE)
    ended(process, 1)
    assert "it did not end by itself, so it is killed" in examples("logs", ABOVE, "down").stdout
    check_down(examples, mails, "FAILED")


@pytest.mark.parametrize("text, said", [
    ("CustomerID,Score\n1,2\n", "its columns are CustomerID, Score; needed are CustomerID, Gender"), ("", "its columns are none"),
    (",".join(COLUMNS) + "\n1,Male,20,30\n", "line 2 has not 5 cells"), (None, "in.csv cannot be read"),
])
def test_a_wrong_file_is_told_before_anything_is_loaded(examples, text, said):
    if text is not None:
        (examples.folder / "in.csv").write_text(text, encoding="utf-8")
    params = ["--param", f"file={examples.folder}/in.csv", "--param", f"folder={examples.folder}/s"]
    examples("run", "customer_segments", "--date", DAY, *params, code=1)
    assert said in examples("logs", BELOW, "prepare").stdout
    assert examples.states(BELOW) == {"prepare": "failed", **dict.fromkeys(("load", "order", "check", "result"), "upstream_failed")}
