"""A real beeline against a real server: Spark's Thrift server, and on request Apache Hive's own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from runner import model, steps
from tests.e2e.conftest import Shell
from tests.hive.servers import PASSWORD, SparkThriftServer
from tests.spark.conftest import CACHE, spark  # noqa: F401

SLEEPER = "select count(x) from (select reflect('java.lang.Thread', 'sleep', id * 0 + 1000) x from range(100000));"


class Hive:
    """Runs one hive step as its attempt would be: the command that the step builds, in an attempt's folder."""

    def __init__(self, folder, path, **env):
        self.folder, self.count, self.begun = folder, 0, []
        self.env = {"PATH": f"{path}:{os.environ['PATH']}", "HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1", **env}
        self.defaults = {}

    def begin(self, sql=None, grace=30.0, **body):
        self.count += 1
        self.attempt = self.folder / f"load.{self.count}"
        self.attempt.mkdir()
        body = {**self.defaults, **({} if sql is None else {"sql": sql}), **body}
        kind = steps.get("hive")
        assert kind.check(body) == []
        context = steps.BuildContext(folder=str(self.attempt), cwd=str(self.folder), pipeline_folder=str(self.folder), python="python3",
                                     read=lambda path: Path(path).read_text(encoding="utf-8"), render=str)
        command = kind.build(model.Step(id="load", kind="hive", body=body, kill_grace=grace), body, context)
        for name, text in command.files.items():
            (self.attempt / name).write_text(text, encoding="utf-8")
        with open(self.attempt / "log", "wb") as log:
            process = subprocess.Popen(command.argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                       start_new_session=True, env={**self.env, "RUNNER_ATTEMPT": str(self.attempt),
                                                                    "RUNNER_OUTPUT": str(self.attempt / "output")})
        self.begun.append(process)
        return process

    def close(self):
        """Leave no process behind."""
        for process in self.begun:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()

    def __call__(self, sql=None, code=0, **body):
        """To the end; the lines of the log."""
        process = self.begin(sql, **body)
        found = process.wait(200)
        assert found == code and "Traceback" not in self.log(), (found, self.log())
        return self.log().splitlines()

    def log(self):
        return (self.attempt / "log").read_text(encoding="utf-8", errors="replace")

    def last_words(self):
        """The error and its hint."""
        lines = [line for line in self.log().splitlines() if line.strip()]
        at = max(index for index, line in enumerate(lines) if line.startswith("error: "))
        return " | ".join(line.strip() for line in lines[at:])

    def outputs(self):
        from runner.executors.process import read_outputs

        return read_outputs(str(self.attempt))


def wait(check, what="", seconds=120, process=None):
    until = time.monotonic() + seconds
    while not check():
        ended = process is not None and process.poll() is not None
        assert time.monotonic() < until and not ended, what() if callable(what) else what
        time.sleep(0.2)


@pytest.fixture(scope="session")
def thrift(tmp_path_factory, spark):  # noqa: F811
    server = SparkThriftServer(tmp_path_factory.mktemp("thrift") / "server", spark.home)
    try:
        yield server.start()
    finally:
        server.stop()


def password(folder):
    path = folder / "password"
    path.write_text(PASSWORD, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def hive(tmp_path, thrift):
    made = Hive(tmp_path, f"{thrift.home}/bin", SPARK_HOME=thrift.home)
    made.defaults = {"url": thrift.url, "user": "etl", "password_file": password(tmp_path)}
    yield made
    made.close()


@pytest.fixture
def shell(tmp_path, thrift):
    """Types `runner ...` where beeline is."""
    made = Shell(tmp_path)
    made.env.update(PATH=f"{thrift.home}/bin:{made.env['PATH']}", SPARK_HOME=thrift.home, SPARK_LOCAL_IP="127.0.0.1")
    password(tmp_path)
    return made
