"""A real Spark, and on request a real YARN and a real HDFS: see fetch.sh."""

from __future__ import annotations

import glob
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.conftest import Shell
from tests.site.kdc import MISSING, Kdc
from tests.spark.hadoop import Hdfs, KerberisedYarn, Yarn

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


# -------------------------------------------------------------------------------------------------------------- Hadoop


def hadoop_jars(wanted, suite):
    if not os.environ.get(wanted):
        pytest.skip(f"against a real Hadoop, for some minutes: tests/spark/{suite}.sh")
    jars = CACHE / "hadoop-jars"
    if not (jars / "whole").exists():
        pytest.skip("no jars of Hadoop: tests/spark/fetch.sh --hadoop")
    return jars


@contextmanager
def running(cluster):
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def yarn(tmp_path_factory, spark):
    with running(Yarn(tmp_path_factory.mktemp("yarn"), hadoop_jars("RUNNER_TEST_YARN", "yarn"))) as cluster:
        yield cluster


@pytest.fixture
def two_managers(tmp_path, spark):
    """A pair of ResourceManagers, the first active, and a NodeManager."""
    folder = tmp_path / "yarn"
    folder.mkdir()
    with running(Yarn(folder, hadoop_jars("RUNNER_TEST_YARN", "yarn"), managers=("rm1", "rm2"))) as cluster:
        yield cluster


@pytest.fixture
def guarded(tmp_path, spark):
    """A ResourceManager and a NodeManager that want to know who asks."""
    if MISSING or not shutil.which("curl"):
        pytest.skip(MISSING or "no curl")
    jars, folder = hadoop_jars("RUNNER_TEST_YARN", "yarn"), tmp_path / "yarn"
    folder.mkdir()
    kdc = Kdc(tmp_path / "kdc", life=3000).start()
    try:
        with running(KerberisedYarn(folder, jars, kdc)) as cluster:
            yield cluster
    finally:
        kdc.stop()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory):
    with running(Hdfs(tmp_path_factory.mktemp("hdfs"), hadoop_jars("RUNNER_TEST_HDFS", "hdfs"))) as cluster:
        yield cluster
