"""The process between wrapper and command: exit codes, signals, output, and what is never there to be seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from runner import attendant

ECHO = [sys.executable, "-c", "import os, sys; print(os.environ.get('TOKEN'), flush=True); sys.stderr.write('err\\n')"]


class Attended:
    """Starts commands behind an attendant, with a home of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.output = folder / "output"

    def secrets(self, text, mode=0o600):
        path = self.folder / "secrets.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def start(self, argv, order=None, **env):
        order = {"env": {"TOKEN": ["", "api", ""]}, "secrets": ["api"], "connections": []} if order is None else order
        return subprocess.Popen(
            [sys.executable, "-I", attendant.__file__, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, cwd=self.folder,
            env={"PATH": os.environ["PATH"], "RUNNER_HOME": str(self.folder), "RUNNER_ATTEMPT": str(self.folder), "RUNNER_TIMEZONE": "UTC",
                 "RUNNER_OUTPUT": str(self.output), attendant.ORDER: json.dumps(order), **env})

    def __call__(self, argv, order=None, **env):
        process = self.start(argv, order, **env)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out.decode("utf-8", "replace")


@pytest.fixture
def attended(tmp_path):
    made = Attended(tmp_path)
    made.secrets("api: canary-4711\n")
    return made


def bash(text):
    return ["bash", "-c", text]


def test_the_value_reaches_the_command_and_not_the_log(attended):
    assert attended(ECHO) == (0, "***\nerr\n")
    assert attended(bash('[ "$TOKEN" = canary-4711 ] && [ -z "${RUNNER_ATTENDANT+x}" ] && echo well')) == (0, "well\n")
    order = {"env": {"AUTH": ["Bearer ", "api", "!"]}, "secrets": ["api"]}
    assert attended(bash('[ "$AUTH" = "Bearer canary-4711!" ]; echo "$? $AUTH"'), order) == (0, "0 Bearer ***!\n")


@pytest.mark.parametrize("command, code", [("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("true", 0)])
def test_it_ends_as_the_command_does(attended, command, code):
    assert attended(bash(command)) == (code, "")


def test_a_command_that_is_not_there_or_may_not_be_run(attended, tmp_path):
    assert attended(["/no/such/command"]) == (127, "error: /no/such/command: No such file or directory\n")
    (tmp_path / "plain").write_text("x")
    assert attended([str(tmp_path / "plain")])[0] == 126


def test_a_value_written_in_two_halves(attended):
    text = "import os, sys\nv = os.environ['TOKEN']\nfor part in (v[:5], v[5:], '\\n'):\n    os.write(1, part.encode())\n"
    assert attended([sys.executable, "-c", text]) == (0, "***\n")


def test_term_is_for_the_command(attended, tmp_path):
    process = attended.start(bash('trap "echo $TOKEN told; exit 9" TERM; echo ready; while :; do sleep 0.05; done'))
    assert process.stdout.readline() == b"ready\n"
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(process.pid, number)  # to it alone: no matter
    os.killpg(process.pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 9 and out.endswith(b"*** told\n")  # bash may say before that its sleep was ended


def test_the_command_has_default_signals(attended):
    process = attended.start(bash("echo ready; exec sleep 60"))
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.parametrize("busy", ["sleep 300 &", "(while :; do echo noise || exit; done) &"])
def test_what_is_left_in_the_background_is_not_waited_for(attended, busy):
    """Also when it writes without end."""
    process = attended.start(bash(f"{busy} echo $TOKEN; echo $! > pid; exit 4"))
    out = []
    reader = threading.Thread(target=lambda: out.extend(process.stdout))  # the pipe here ends with the last who holds it
    reader.start()
    try:
        assert process.wait(timeout=60) == 4
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        reader.join(60)
    assert b"***\n" in out


def test_a_large_output_comes_whole(attended):
    code, out = attended([sys.executable, "-c", "import os, sys\nfor i in range(300000): print(i, os.environ['TOKEN'])"])
    assert code == 0 and out.splitlines() == [f"{i} ***" for i in range(300000)]


def test_outputs_are_masked_and_never_on_the_disk_before(attended):
    text = 'echo "token=$TOKEN" >> "$RUNNER_OUTPUT"; echo rows=3 >> "$RUNNER_OUTPUT"; cat output 2>&1; [ -f "$RUNNER_OUTPUT" ] && cat "$RUNNER_OUTPUT"'
    code, out = attended(bash(text))
    assert "cat: output: No such file" in out and out.endswith("token=***\nrows=3\n")
    assert attended.output.read_text() == "token=***\nrows=3\n" and attended.output.stat().st_mode & 0o077 in (0, 0o040)


@pytest.mark.parametrize("mode, text, said", [
    (0o644, "api: canary-4711\n", "others may read it (mode 644)\n       type: chmod 600"),
    (0o600, "other: x\n", "there is no secret api in"),
    (0o600, "api: [canary-4711]\n", "api: it is no text"),
    (0o600, "api: {canary-4711\n", "it cannot be read as YAML"),
])
def test_a_secret_that_is_not_to_be_had_is_told_and_nothing_runs(attended, tmp_path, mode, text, said):
    attended.secrets(text, mode)
    code, out = attended(bash("touch ran"))
    assert code == attendant.NOT_SET_UP and said in out and "canary" not in out and "Traceback" not in out
    assert not (tmp_path / "ran").exists()


def command(folder, text):
    path = folder / "get-secret"
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def test_a_secret_from_a_command(attended, tmp_path):
    attended.secrets("other: x\n")
    getter = command(tmp_path, 'echo "$1" >> asked; echo "value-of-$1"; echo second line\n')
    order = {"env": {"TOKEN": ["", "api", ""], "SAME": ["", "api", ""]}, "secrets": ["api"]}
    code, out = attended(bash('[ "$TOKEN" = value-of-api ] && echo "got $TOKEN"'), order, RUNNER_SECRETS_COMMAND=getter)
    assert (code, out) == (0, "got ***\n")
    assert (tmp_path / "asked").read_text() == "api\n"


@pytest.mark.parametrize("text, said", [
    ("echo canary; echo no entry >&2; exit 4", "ended with 4: no entry"),
    ("echo canary-value; echo canary-value is locked >&2; exit 4", "ended with 4\n"),
    ("exit 0", "printed nothing"),
])
def test_a_command_that_has_no_secret_is_told_without_the_value(attended, tmp_path, text, said):
    attended.secrets("other: x\n")
    code, out = attended(ECHO, RUNNER_SECRETS_COMMAND=command(tmp_path, text))
    assert code == attendant.NOT_SET_UP and said in out and "canary" not in out


def test_a_command_that_is_not_there(attended):
    attended.secrets("other: x\n")
    code, out = attended(ECHO, RUNNER_SECRETS_COMMAND="/no/getter --for me")
    assert code == attendant.NOT_SET_UP and "/no/getter cannot be started: No such file" in out


def test_a_stop_while_the_secret_is_fetched_ends_all(attended, tmp_path):
    attended.secrets("other: x\n")
    getter = command(tmp_path, "echo started > begun; exec sleep 60\n")
    process = attended.start(ECHO, RUNNER_SECRETS_COMMAND=getter)
    pause = threading.Event()
    for _ in range(3000):
        if (tmp_path / "begun").exists():
            break
        pause.wait(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_what_a_connection_hides_is_masked(attended, tmp_path):
    path = tmp_path / "connections.yaml"
    path.write_text("dw: {type: postgres, host: db1.example, password: plain-pw-77, dsn: 'x:<< secret.api >>@y', ssh_key: Kkkk-0815}\n")
    path.chmod(0o600)
    order = {"connections": ["dw"], "secrets": [], "env": {}}
    code, out = attended(bash("echo db1.example plain-pw-77 Kkkk-0815 canary-4711 x:canary-4711@y"), order)
    assert (code, out) == (0, "db1.example *** *** *** ***\n")
