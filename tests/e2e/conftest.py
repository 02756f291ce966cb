"""The installed command as its users meet it: a process of its own, a home of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def _as_on_a_terminal():
    """The tests may run under nohup, and what is ignored there would be ignored here."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Shell:
    """Types `runner ...` in a scratch folder."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RUNNER_")},
            "RUNNER_HOME": str(self.home), "RUNNER_TIMEZONE": "Asia/Seoul", "PYTHONPATH": ROOT, "NO_COLOR": "1",
        }

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def words(self, *words):
        return [sys.executable, "-m", "runner", *map(str, words)]

    def start(self, *words, env=None, **options):
        """A process that is not waited for."""
        return subprocess.Popen(
            self.words(*words), env={**self.env, **(env or {})}, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace", preexec_fn=_as_on_a_terminal, **options)

    def __call__(self, *words, env=None, code=0, stdin=None):
        """Run to the end; checks the exit code, and that no traceback reaches anybody."""
        done = subprocess.run(
            self.words(*words), env={**self.env, **(env or {})}, cwd=self.folder, input=stdin or "", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace", timeout=180)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *words, **options):
        return json.loads(self(*words, "--json", **options).stdout)

    def states(self, run):
        return {step["id"]: step["state"] for step in self.json("status", run)["steps"]}

    def wait_for(self, check, seconds=60):
        """Poll something of the outside world until it is true; fails after `seconds`."""
        pause = threading.Event()
        for _ in range(int(seconds / 0.02)):
            value = check()
            if value:
                return value
            pause.wait(0.02)
        raise AssertionError("never came true")


@pytest.fixture
def runner(tmp_path):
    return Shell(tmp_path)


def plain(text):
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
