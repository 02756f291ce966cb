"""The start script on a host without systemd, against a stand-in and against the real daemon."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from runner.daemon.units import Facts, script

# Does what the script counts on: lives until told, `health` tells of it, reload and stop reach it.
STANDIN = """\
#!{python}
import json, os, signal, sys
home = os.environ["RUNNER_HOME"]
place = os.path.join(home, "pid")
def living():
    try:
        pid = int(open(place).read())
        os.kill(pid, 0)
        return pid
    except (OSError, ValueError):
        return None
def log(text):
    with open(os.path.join(home, "said"), "a") as file:
        file.write(text + "\\n")
words = sys.argv[1:]
if words == ["daemon"]:
    if os.environ.get("BROKEN"):
        sys.exit("it is broken")
    log(f"session {{os.getsid(0) == os.getpid()}} umask {{os.umask(0o27):o}} extra {{os.environ.get('EXTRA')}} cwd {{os.getcwd()}}")
    print("to the terminal", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM, signal.SIGHUP}})
    with open(place + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(place + ".part", place)
    while signal.sigwait({{signal.SIGTERM, signal.SIGHUP}}) == signal.SIGHUP:
        log("reloaded")
    os.unlink(place)
elif words[:2] == ["daemon", "stop"]:
    log(" ".join(words))
    os.kill(living(), signal.SIGTERM)
    while living():
        pass
elif words == ["daemon", "reload"]:
    os.kill(living(), signal.SIGHUP)
elif words[0] == "health":
    print(json.dumps({{"daemon": {{"pid": living()}} if living() else None}}, indent=2) if "--json" in words else "all well")
    sys.exit(0 if living() else 2)
"""


class Service:
    """The script in a folder of an odd name."""

    def __init__(self, folder, facts):
        self.home = facts.home
        self.path = folder / "init script"
        self.path.write_text(script(facts), encoding="utf-8")
        self.path.chmod(0o755)

    def __call__(self, *words, code=0, **environ):
        done = subprocess.run([str(self.path), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, encoding="utf-8", timeout=120, env={**os.environ, **environ})
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def place(tmp_path):
    made = tmp_path / "it's 100% \"odd\" $HOME 한글"
    made.mkdir()
    return made


def whoami():
    return subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture
def standin(place):
    program = place / "runner"
    program.write_text(STANDIN.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    made = Service(place, Facts((str(program),), str(place / "home"), whoami(), os.environ["PATH"], name="night"))
    yield made
    try:
        with open(os.path.join(made.home, "pid"), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
    except OSError:
        pass


def said(service):
    with open(os.path.join(service.home, "said"), encoding="utf-8") as file:
        return file.read().splitlines()


def test_a_whole_life_through_the_script(standin):
    assert "does not run" in standin("status", code=3)
    assert "does not run" in standin("stop")
    os.makedirs(standin.home)
    with open(os.path.join(standin.home, "environment"), "w", encoding="utf-8") as file:
        file.write('# for the steps\nEXTRA="two words"\n')
    assert standin("start") == "night: started\n"
    assert said(standin) == ["session True umask 27 extra two words cwd /"]
    assert "runs already" in standin("start")
    assert "all well" in standin("status")
    standin("reload")
    standin("restart")
    assert said(standin)[1:] == ["reloaded", "daemon stop", said(standin)[0]] or said(standin)[1:3] == ["daemon stop", said(standin)[0]]
    standin("drain")
    assert said(standin)[-1] == "daemon stop --drain"
    standin("try-restart")
    assert "does not run" in standin("status", code=3)
    standin("start")
    standin("stop", "--kill")
    assert said(standin)[-1] == "daemon stop --kill"
    assert "does not run" in standin("reload", code=7)


def test_a_daemon_that_cannot_start_is_told_with_its_own_words(standin):
    assert "it is broken" in standin("start", code=1, BROKEN="1")


def test_unknown_words_are_told_how(standin):
    assert "usage:" in standin("begin", code=2)
    assert "usage:" in standin(code=2)


def test_it_becomes_its_own_user(place, standin):
    if os.getuid() != 0 or not shutil.which("su"):
        pytest.skip("needs root and su")
    program = place / "runner"
    program.write_text("#!/bin/sh\necho \"$(id -un) $*\"\n", encoding="utf-8")
    for folder in [place, *place.parents]:
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/pytest"):
            folder.chmod(0o755)
    service = Service(place, Facts((str(program),), str(place), "nobody", os.environ["PATH"]))
    assert "does not run" in service("status", code=3)
    service.path.write_text(service.path.read_text(encoding="utf-8").replace("    status) status ;;", "    status) runner is \"it's\" ;;"), encoding="utf-8")
    assert service("status") == "nobody is it's\n"


def test_the_real_daemon_through_the_real_script(runner):
    """Start, status, reload, a restart over the head of a running step, stop."""
    path, go = runner.folder / "start me", runner.folder / "go"
    runner.write("home/pipelines/long.yaml", f"""\
        steps:
          - id: wait
            bash: |
              echo begin >>{runner.folder}/effects
              until [ -e {go} ]; do sleep 0.1; done
              echo end >>{runner.folder}/effects
          - id: last
            needs: wait
            bash: echo last >>{runner.folder}/effects
        """)
    runner("service", "script", path)
    environ = {**runner.env, "RUNNER_HOME": "", "RUNNER_TIMEZONE": "Asia/Seoul"}

    def typed(word, code=0):
        done = subprocess.run([str(path), word], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, env=environ, cwd="/")
        assert done.returncode == code, done.stdout
        return done.stdout

    try:
        assert "started" in typed("start")
        assert re.search("RUNNER (OK|WARNING)", typed("status"))
        typed("reload")
        first = runner.json("health")["daemon"]["pid"]
        runner("trigger", "long", "--date", "2026-02-28")
        runner.wait_for(lambda: runner.states("long").get("wait") == "running" and (runner.folder / "effects").exists(), seconds=10)
        typed("restart")
        assert runner.json("health")["daemon"]["pid"] != first
        go.touch()
        runner.wait_for(lambda: runner.json("status", "long")["state"] == "success", seconds=10)
        assert (runner.folder / "effects").read_text().split() == ["begin", "end", "last"]
    finally:
        go.touch()
        typed("stop")
    assert "does not run" in typed("status", code=3)
