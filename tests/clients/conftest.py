"""Servers of the closed network on loopback, and a client of runner's as the engine starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from runner.clients import start


class Launcher:
    """Starts a client in an attempt's folder of its own, with a RUNNER_HOME for its connections and secrets."""

    def __init__(self, folder):
        self.folder, self.home, self.count = folder, folder / "home", 0
        self.home.mkdir(mode=0o700)

    def site(self, **files):
        """connections=..., secrets=...: YAML texts of RUNNER_HOME."""
        for name, text in files.items():
            path = self.home / f"{name}.yaml"
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)

    def begin(self, name, body, attempt=None, words=(), **env):
        if attempt is None:
            self.count += 1
        self.attempt = self.folder / f"attempt.{attempt or self.count}"
        self.attempt.mkdir(exist_ok=True)
        request = self.attempt / "request.json"
        request.write_text(json.dumps({"body": body, "pipeline_folder": str(self.folder)}, ensure_ascii=False), encoding="utf-8")
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "RUNNER_HOME": str(self.home), "RUNNER_ATTEMPT": str(self.attempt),
            "RUNNER_OUTPUT": str(self.attempt / "output"), "RUNNER_DS": "2026-11-20", "RUNNER_RUN_ID": "mart@2026-11-20",
            "RUNNER_PIPELINE": "mart", "RUNNER_STEP": "a", "RUNNER_TRY_NUMBER": "1", **env,
        }
        with open(self.attempt / "log", "wb") as log:
            return subprocess.Popen([sys.executable, "-I", start.__file__, name, str(request), *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=subprocess.STDOUT, env=environ, start_new_session=True)

    def __call__(self, name, body, code=0, **env):
        """To the end; the log, after its exit code was compared."""
        process = self.begin(name, body, **env)
        try:
            found = process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        log = self.log()
        assert found == code and "Traceback" not in log, (found, log)
        return log

    def log(self):
        return (self.attempt / "log").read_text(encoding="utf-8", errors="replace")

    def outputs(self):
        path = self.attempt / "output"
        found = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            found.update(json.loads(line))
        return found


@pytest.fixture
def launch(tmp_path):
    return Launcher(tmp_path)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A folder with ca.pem, and cert.pem and key.pem of localhost, made by openssl."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*words):
        try:
            subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            pytest.skip("no openssl here: install it for the tests of TLS")

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=Company CA",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem",
            "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out",
            "cert.pem")
    return folder
