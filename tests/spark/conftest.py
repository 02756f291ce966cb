"""A real Spark, and on request a real YARN: see fetch.sh."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from xml.sax.saxutils import escape

import pytest

from tests.e2e.conftest import Shell

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runner-spark"
FETCH = "tests/spark/fetch.sh brings it here once, 320 MB; or set RUNNER_TEST_SPARK_HOME"
CUSTOMERS = "CustomerID,Gender,Age,Annual Income (k$),Spending Score (1-100)"


def spark_home():
    said = os.environ.get("RUNNER_TEST_SPARK_HOME")
    found = [said] if said else glob.glob(str(CACHE / "venv/lib/python3*/site-packages/pyspark"))
    return found[0] if found and os.path.exists(os.path.join(found[0], "bin", "spark-submit")) else None


@pytest.fixture(scope="session")
def spark():
    """Where Spark is, and the Python of its drivers."""
    home = spark_home()
    if home is None:
        pytest.skip(f"no Spark: {FETCH}")
    if not shutil.which("java"):
        pytest.skip("no java: install openjdk-17-jre-headless")
    venv = CACHE / "venv/bin/python"
    python = str(venv) if not os.environ.get("RUNNER_TEST_SPARK_HOME") else shutil.which("python3")
    return SimpleNamespace(home=home, python=python)


class SparkShell(Shell):
    """Types `runner ...` where Spark keeps to this machine and to this folder."""

    def __init__(self, folder, spark):
        super().__init__(folder)
        self.spark = spark
        self.env.update(SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=spark.python, SPARK_LOCAL_DIRS=str(folder / "scratch"))
        for name in ("SPARK_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
            self.env.pop(name, None)
        for job in (HERE / "jobs").iterdir():
            if job.suffix == ".py":
                shutil.copy(job, folder / job.name)

    def log(self, pipeline, step, attempt=1, date="2026-11-20"):
        path = self.home / "runs" / pipeline / date / f"{step}.{attempt}" / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait(self, check, what="", seconds=240):
        until = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < until, what() if callable(what) else what
            time.sleep(0.3)


@pytest.fixture
def shell(tmp_path, spark):
    return SparkShell(tmp_path, spark)


# ---------------------------------------------------------------------------------------------------------------- YARN


class Yarn:
    """A ResourceManager and a NodeManager, each a process of its own; their files in one folder."""

    def __init__(self, folder, jars):
        self.folder, self.conf, self.jars = folder, folder / "conf", jars
        self.conf.mkdir()
        names = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
        places = {f"yarn.resourcemanager.{name}": f"127.0.0.1:{free_port()}" for name in names}
        places.update({f"yarn.nodemanager.{name}": f"127.0.0.1:{free_port()}" for name in ("address", "localizer.address", "webapp.address")})
        self.url = "http://" + places["yarn.resourcemanager.webapp.address"]
        self.settings = {
            **places, "fs.defaultFS": "file:///", "hadoop.tmp.dir": folder / "tmp", "yarn.resourcemanager.am.max-attempts": 1,
            "yarn.resourcemanager.scheduler.class": "org.apache.hadoop.yarn.server.resourcemanager.scheduler.fifo.FifoScheduler",
            "yarn.scheduler.minimum-allocation-mb": 256, "yarn.nodemanager.hostname": "127.0.0.1", "yarn.nodemanager.bind-host": "127.0.0.1",
            "yarn.nodemanager.resource.memory-mb": 6144, "yarn.nodemanager.resource.cpu-vcores": 8,
            "yarn.nodemanager.local-dirs": folder / "local", "yarn.nodemanager.log-dirs": folder / "logs",
            "yarn.nodemanager.vmem-check-enabled": "false", "yarn.nodemanager.pmem-check-enabled": "false",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 100,
        }
        self.write(self.conf, self.settings)
        self._processes = []

    def write(self, conf, settings):
        pairs = "".join(f"<property><name>{name}</name><value>{escape(str(value))}</value></property>\n" for name, value in settings.items())
        for name in ("core-site.xml", "yarn-site.xml"):
            (conf / name).write_text(f'<?xml version="1.0"?>\n<configuration>\n{pairs}</configuration>\n')
        (conf / "log4j.properties").write_text(
            "log4j.rootLogger=INFO,console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\nlog4j.appender.console.target=System.err\n"
            "log4j.appender.console.layout=org.apache.log4j.PatternLayout\nlog4j.appender.console.layout.ConversionPattern=%d %p %c{1}: %m%n\n")

    def words(self, main, conf=None):
        opens = ("--add-opens", "java.base/java.lang=ALL-UNNAMED") if b"1.8" not in subprocess.run(
            ["java", "-version"], stderr=subprocess.PIPE).stderr else ()
        return ["java", "-Xmx400m", "-XX:+UseSerialGC", *opens, "-cp", f"{conf or self.conf}:{self.jars}/*", main]

    def start(self):
        for main in ("resourcemanager.ResourceManager", "nodemanager.NodeManager"):
            with open(self.folder / f"{main}.log", "ab") as log:
                self._processes.append(subprocess.Popen(self.words(f"org.apache.hadoop.yarn.server.{main}"), cwd=self.folder,
                                                        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))
        until = time.monotonic() + 180
        while '"activeNodes":1' not in self.ask("/ws/v1/cluster/metrics"):
            assert time.monotonic() < until and all(each.poll() is None for each in self._processes), f"YARN does not come up: see {self.folder}"
            time.sleep(0.5)

    def stop(self):
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ask(self, path):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.url + path, timeout=20) as answer:
                return answer.read().decode("utf-8")
        except OSError:
            return ""

    def command(self, folder, conf):
        """A `yarn` that does what Hadoop's does."""
        path = folder / "yarn"
        app, logs = (" ".join(f"'{word}'" for word in self.words(f"org.apache.hadoop.yarn.client.cli.{name}", conf)) for name in ("ApplicationCLI", "LogsCLI"))
        path.write_text(f'#!/bin/sh\ncase $1 in application) exec {app} "$@" ;; logs) shift; exec {logs} "$@" ;; esac\n')
        path.chmod(0o755)
        return path


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="session")
def yarn(tmp_path_factory, spark):
    if not os.environ.get("RUNNER_TEST_YARN"):
        pytest.skip("against a real YARN, for about five minutes: tests/spark/yarn.sh")
    jars = CACHE / "yarn-jars"
    if not (jars / "whole").exists():
        pytest.skip("no jars of Hadoop: tests/spark/fetch.sh --yarn")
    cluster = Yarn(tmp_path_factory.mktemp("yarn"), jars)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
