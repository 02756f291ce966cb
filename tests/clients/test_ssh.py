"""The ssh client against a real sshd: what runs there, what becomes of it when links, jobs and runners die."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from runner import model, steps
from tests.clients.sshserver import link, sshd  # noqa: F401


def prepared(body, step_env=(), kill_grace=30.0, folder="/etl"):
    """The request as the kind makes it."""
    kind = steps.get("ssh")
    assert kind.check(body) == []
    ctx = steps.BuildContext(folder="/x", cwd="/", pipeline_folder=str(folder), python="python3", read=lambda path: open(path).read(), render=str)
    step = model.Step(id="a", kind="ssh", body=body, env=dict.fromkeys(step_env, ""), kill_grace=kill_grace)
    return json.loads(kind.build(step, body, ctx).files["request.json"])["body"]


def processes(word):
    """Living processes with this word in their command line or environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as one, open(f"/proc/{pid}/environ", "rb") as two:
                if word.encode() in one.read() + two.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def wait_for(check, seconds=60):
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if check():
            return
        pause.wait(0.02)
    raise AssertionError("never came true")


@pytest.fixture
def there(tmp_path):
    """The other host's folder for jobs."""
    return tmp_path / "there"


@pytest.fixture
def run(launch, sshd, there):  # noqa: F811
    def go(text, code=0, env=None, step_env=(), **body):
        return launch("ssh", prepared({**sshd.body, "scratch": str(there), "run": text, **body}, step_env), code, **(env or {}))

    go.launch = launch
    return go


@pytest.fixture
def begin(launch, sshd, there):  # noqa: F811
    """A client that is not waited for; what still runs at the end of the test is killed."""
    started = []

    def go(text, attempt=None, kill_grace=30.0, **body):
        request = prepared({**sshd.body, "scratch": str(there), "run": text, **body}, kill_grace=kill_grace)
        started.append(launch.begin("ssh", request, attempt=attempt))
        return started[-1]

    yield go
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    for pid in processes(f"RUNNER_REMOTE={there}"):
        os.kill(pid, signal.SIGKILL)


def left(there):
    return sorted(os.listdir(there)) if there.exists() else []


def test_the_text_runs_there_with_the_dates_of_the_run(run, there):
    text = """
        [[ -z $TMPDIR_OF_HERE ]] || exit 9
        echo "$RUNNER_DS|$RUNNER_PIPELINE|$OF_STEP|$OF_BODY|$1|$2"
        echo "가 나" >&2
        pwd
        printf 'rows=3\\n{"name": "고객"}' >> "$RUNNER_OUTPUT"
        env | grep -c '^RUNNER_HOME\\|^RUNNER_ATTEMPT\\|^RUNNER_SLOTS' || true
    """
    log = run(text, args=["가 '나\"", 2], env={"OF_STEP": "it's\nmine", "TMPDIR_OF_HERE": "x", "RUNNER_SLOTS": "9"}, step_env=["OF_STEP"],
              cwd=str(there.parent))
    assert log == f"2026-11-20|mart|it's\nmine||가 '나\"|2\n가 나\n{there.parent}\n0\n"
    assert (run.launch.attempt / "output").read_text(encoding="utf-8") == 'rows=3\n{"name": "고객"}\n'
    assert left(there) == []


def test_a_secret_in_env_is_in_no_file_and_no_command_line(launch, sshd, there):  # noqa: F811
    launch.site(secrets="db: geheim'1\n")
    text = 'echo "$N $T ${#PW}"; grep -rlF "$PW" "$(dirname "$0")" || echo nowhere; ps -eo args | grep -F "$PW" | grep -v grep || echo nobody'
    request = prepared({**sshd.body, "scratch": str(there), "run": text, "env": {"PW": "<< secret.db >>", "N": 1, "T": True}})
    assert launch("ssh", request) == "1 true 8\nnowhere\nnobody\n"
    assert not [path for path in launch.attempt.iterdir() if b"geheim" in path.read_bytes()]


@pytest.mark.parametrize("text, code", [("exit 7", 7), ("false | true", 1), ("nonesuch", 127), ("kill -9 $$", 137), ("exit 255", 255)])
def test_the_exit_code_is_passed_on(run, there, text, code):
    assert "error:" not in run(text, code)
    assert left(there) == []


def test_a_script_of_this_server_is_sent_over(launch, sshd, there):  # noqa: F811
    (launch.folder / "close.sh").write_text('echo "$1 of $(hostname)"')
    body = {**sshd.body, "scratch": str(there), "script": "close.sh", "args": ["day"], "shell": "sh -e"}
    assert launch("ssh", prepared(body, folder=launch.folder)).startswith("day of ")


def test_a_text_of_any_size_and_a_log_of_any_size(run):
    text = "# " + "가" * 200000 + "\nfor i in $(seq 40000); do echo line-$i-of-a-long-log-that-does-not-fit-into-one-pipe; done\nprintf 'no end'"
    log = run(text)
    assert log.count("\n") == 40000 and log.startswith("line-1-") and log.endswith("line-40000-of-a-long-log-that-does-not-fit-into-one-pipe\nno end")


def test_the_log_comes_as_it_is_written(begin, launch, tmp_path):
    process = begin(f"echo begun; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo over")
    wait_for(lambda: launch.log() == "begun\n")
    (tmp_path / "go").touch()
    assert process.wait(60) == 0 and launch.log() == "begun\nover\n"


def test_what_stays_in_the_background_is_ended(run, there):
    assert "left running in the background was ended" in run("sleep 1234 & echo $!")
    assert not processes(f"RUNNER_REMOTE={there}")


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_any_shell_may_be_sh_there(launch, there, tmp_path, shell):
    """A stand-in for ssh runs each shell that is here as the other host's sh."""
    program = shutil.which(shell.split()[0])
    if not program:
        pytest.skip(f"no {shell.split()[0]} here")
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nexec {program} {' '.join(shell.split()[1:])}\n")
    fake.chmod(0o755)
    where = {"host": "h", "scratch": str(there), "shell": "sh -e"}
    path = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    log = launch("ssh", prepared({**where, "run": 'echo "$1"; sleep 99 & echo a=b >> "$RUNNER_OUTPUT"; exit 3', "args": ["가 '\"$HOME"]}), 3, **path)
    assert log == "가 '\"$HOME\nrunner: what the command left running in the background was ended\n"
    assert (launch.attempt / "output").read_text() == "a=b\n" and left(there) == []
    process = launch.begin("ssh", prepared({**where, "run": "trap '' TERM; echo begun; while :; do sleep 1; done"}, kill_grace=2.0), **path)
    wait_for(lambda: launch.log() == "begun\n")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143 and processes(f"RUNNER_REMOTE={there}") == [] and left(there) == []


# --------------------------------------------------------------------------------------------------------------- stopping


def test_term_ends_the_whole_tree_there(begin, launch, there, tmp_path):
    process = begin(f"trap 'touch {tmp_path}/told; exit 5' TERM\nsetsid sleep 2345 & (sleep 2346; true) & echo begun; sleep 2347 & wait")
    wait_for(lambda: "begun" in launch.log() and len(processes(f"RUNNER_REMOTE={there}")) >= 5)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143 and (tmp_path / "told").exists()
    assert processes(f"RUNNER_REMOTE={there}") == [] and left(there) == []
    assert "was ended, nothing of it is left" in launch.log()


def test_who_ignores_term_is_killed(begin, launch, there):
    process = begin("trap '' TERM; echo begun; while :; do sleep 1; done", kill_grace=2.0)
    wait_for(lambda: "begun" in launch.log())
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143 and processes(f"RUNNER_REMOTE={there}") == [] and left(there) == []


def test_a_stop_goes_on_though_the_attempt_is_killed(begin, launch, there):
    process = begin("trap '' TERM; echo begun; while :; do sleep 1; done", kill_grace=4.0)
    wait_for(lambda: "begun" in launch.log())
    os.killpg(process.pid, signal.SIGTERM)
    answer = launch.attempt / "remote.kill.log"
    wait_for(lambda: answer.exists() and answer.stat().st_size)  # the other host has answered: from here on it goes by itself
    os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not processes(f"RUNNER_REMOTE={there}") and not left(there))


def test_an_attempt_that_was_killed_is_ended_by_the_next(begin, launch, there, tmp_path):
    first = begin(f"echo x >> {tmp_path}/ran; sleep 3456", attempt=1)
    wait_for(lambda: processes("sleep\x003456"))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert len(left(there)) == 1 and processes("sleep\x003456")
    second = begin(f"echo y >> {tmp_path}/ran; pgrep -cf 'sleep 345[6]' || true", attempt=2)
    assert second.wait(60) == 0
    assert (tmp_path / "ran").read_text() == "x\ny\n" and left(there) == []
    assert re.fullmatch(r"runner: what an earlier attempt left on \S+ is ended\n0\n", launch.log())


# ------------------------------------------------------------------------------------------------------------ broken links


def test_a_broken_link_is_made_anew_and_nothing_is_doubled_or_lost(begin, launch, link, there, tmp_path):  # noqa: F811
    text = f"echo x >> {tmp_path}/ran; for i in 1 2 3; do echo $i; until [ -e {tmp_path}/go$i ]; do sleep 0.1; done; done; echo rows=3 >> $RUNNER_OUTPUT; exit 4"
    process = begin(text, port=link.port)
    wait_for(lambda: launch.log() == "1\n")
    link.cut()
    (tmp_path / "go1").touch()
    wait_for(lambda: "broke; its job goes on" in launch.log())
    link.mend()
    wait_for(lambda: launch.log().endswith("\n2\n"))
    link.cut()
    for name in ("go2", "go3"):
        (tmp_path / name).touch()
    wait_for(lambda: launch.log().count("broke; its job goes on") == 2)
    link.mend()
    assert process.wait(60) == 4
    assert [line for line in launch.log().splitlines() if not line.startswith("runner: ")] == ["1", "2", "3"]
    assert (tmp_path / "ran").read_text() == "x\n" and (launch.attempt / "output").read_text() == "rows=3\n" and left(there) == []


def test_a_link_that_is_silent_counts_as_broken(begin, launch, link, tmp_path):  # noqa: F811
    process = begin(f"echo 1; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo 2", port=link.port, keepalive=1)
    wait_for(lambda: launch.log() == "1\n")
    link.frozen.set()
    (tmp_path / "go").touch()
    wait_for(lambda: "broke; its job goes on" in launch.log())
    link.frozen.clear()
    assert process.wait(60) == 0 and launch.log().endswith("\n2\n")


def test_a_link_that_does_not_come_back_is_given_up_and_the_next_attempt_clears_up(begin, launch, link, there):  # noqa: F811
    process = begin("echo 1; sleep 4567", attempt=1, port=link.port, reconnect="1s")
    wait_for(lambda: launch.log() == "1\n")
    link.cut()
    assert process.wait(60) == 255
    assert "did not come back: " in launch.log()
    assert "the next attempt ends it before it begins" in launch.log() and processes("sleep\x004567")
    link.mend()
    assert begin("echo 2", attempt=2, port=link.port).wait(60) == 0
    assert launch.log().endswith("is ended\n2\n") and not processes("sleep\x004567") and left(there) == []


def test_a_job_that_dies_with_its_machine_is_told(begin, launch, there):
    process = begin("echo 1; sleep 5678")
    wait_for(lambda: launch.log() == "1\n")
    for pid in processes(f"RUNNER_REMOTE={there}"):
        os.kill(pid, signal.SIGKILL)
    assert process.wait(60) == 1 and "is gone without an exit status" in launch.log()


# ----------------------------------------------------------------------------------------------------------- no way there


def test_who_is_not_known_is_not_trusted(run, tmp_path):
    (tmp_path / "empty").touch()
    log = run("true", 255, known_hosts="empty")
    assert "error: the key of 127.0.0.1 is not known here, so it is not trusted\n" in log and "ssh-keyscan -p" in log


def test_a_host_whose_key_changed(run, sshd, tmp_path):  # noqa: F811
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} " + (tmp_path / "other.pub").read_text())
    log = run("true", 255, known_hosts="known")
    assert "is not the one that is known" in log and f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in log


def test_a_key_that_is_refused_or_open(run, sshd, tmp_path):  # noqa: F811
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger"], check=True)
    assert "error: 127.0.0.1 does not let " in run("true", 255, key_file="stranger")
    (tmp_path / "open").write_bytes((sshd.folder / "id").read_bytes())
    (tmp_path / "open").chmod(0o644)
    assert f"type: chmod 600 {tmp_path}/open" in run("true", 255, key_file="open")


def test_nobody_there(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "refuses the connection: no sshd listens there" in run("true", 255, port=free.getsockname()[1])
    assert "the name nonesuch.invalid is not known" in run("true", 255, host="nonesuch.invalid")


def test_a_server_that_says_nothing(run, link):  # noqa: F811
    link.frozen.set()
    assert "did not answer" in run("true", 255, port=link.port, connect_timeout=1)


def test_what_cannot_be_carried_out(run, there):
    assert "key_file: %s/nonesuch: No such file" % there.parent in run("true", 2, key_file="nonesuch")
    (there.parent / "file").touch()
    assert "nothing can be written to" in run("true", 2, scratch=str(there.parent / "file"))
    assert "ssh is not installed on this server" in run("true", 127, env={"PATH": str(there.parent)})


def test_a_folder_that_is_not_there(run):
    assert "/nonesuch" in run("true", 1, cwd="/nonesuch")


def test_over_a_jump_host(run, sshd):  # noqa: F811
    before = (sshd.folder / "log").read_text().count("Accepted publickey")
    assert run("echo there", jump=f"{sshd.body['user']}@127.0.0.1:{sshd.port}") == "there\n"
    assert (sshd.folder / "log").read_text().count("Accepted publickey") == before + 2


# ----------------------------------------------------------------------------------------------------------- before a run


@pytest.mark.parametrize("body, place, said", [
    ({"run": "x"}, (), "`host:` is missing"),
    ({"host": "h"}, (), "nothing to run"),
    ({"host": "-oProxyCommand=x", "run": "x"}, ("host",), "is no host name"),
    ({"host": "etl@h", "run": "x"}, ("host",), "is no host name"),
    ({"host": "h", "run": "x", "env": {"a b": 1}}, ("env", "a b"), "no name for a variable"),
    ({"host": "h", "run": "x", "reconnect": "soon"}, ("reconnect",), "is not a length of time"),
    ({"host": "h", "run": "x", "shell": "bash '"}, ("shell",), "cannot be read"),
])
def test_faults_of_the_file(body, place, said):
    found = steps.get("ssh").check(body)
    assert [fault[0] for fault in found] == [place] and said in found[0][1]
