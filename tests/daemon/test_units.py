"""The unit says what semantics of the daemon need, systemd itself accepts it, and odd paths arrive whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from runner.daemon.units import Facts, script, unit
from runner.errors import UsageError

ODD = ["plain", "a b", "100%h", "한글 폴더", "$HOME", "it's", 'a "b"', "back\\slash", "[x]*?", "-dash", "a;b", "#x", "=", "a=b"]


def facts(folder="/opt/runner", **changes):
    return Facts(**{"program": (f"{folder}/bin/runner",), "home": f"{folder}/state", "user": "kim", "path": "/usr/bin:/bin", **changes})


def value_of(text, key):
    found = re.findall(rf"^{key}=(.*)$", text, re.M)
    return found[0] if len(found) == 1 else found


def words(line):
    """A list as systemd reads it (systemd.syntax(7), quoting; specifiers): by its words, not by our code."""
    out, pieces = [], re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    for quoted, plain in pieces:
        out.append((re.sub(r"\\(.)", r"\1", quoted) if quoted else plain).replace("%%", "%"))
    return out


def test_what_the_daemon_needs_of_systemd():
    text = unit(facts())
    for key, value in {
        "Type": "notify", "KillMode": "process", "OOMPolicy": "continue", "Restart": "always", "PrivateTmp": "no", "User": "kim",
        "ExecStart": "/opt/runner/bin/runner daemon", "EnvironmentFile": "-/opt/runner/state/environment", "UMask": "0027",
        "StandardOutput": "journal", "WantedBy": "multi-user.target", "IgnoreSIGPIPE": "no",
    }.items():
        assert value_of(text, key) == value
    assert "time-sync.target" in value_of(text, "After")
    assert float(value_of(text, "WatchdogSec")) >= 60
    assert value_of(text, "Environment") == ["RUNNER_HOME=/opt/runner/state", "PATH=/usr/bin:/bin"]
    assert "$MAINPID" in value_of(text, "ExecReload") and "HUP" in value_of(text, "ExecReload")


def test_the_users_own_unit_has_no_user_and_no_system_targets():
    text = unit(facts(per_user=True))
    assert value_of(text, "User") == [] and value_of(text, "After") == []
    assert value_of(text, "WantedBy") == "default.target"


@pytest.mark.parametrize("name", ODD)
def test_odd_paths_arrive_whole(name):
    place = f"/srv/{name}"
    text = unit(facts(place, pipelines=place + "/p", variables={"PYTHONPATH": place}))
    assert words(value_of(text, "RequiresMountsFor")) == [place + "/state", place + "/p"]
    found = [words(line) for line in value_of(text, "Environment")]
    assert found == [[f"RUNNER_HOME={place}/state"], [f"RUNNER_PIPELINES={place}/p"], ["PATH=/usr/bin:/bin"], [f"PYTHONPATH={place}"]]
    started = [word.replace("$$", "$") for word in words(value_of(text, "ExecStart"))]
    assert started[-2:] == [place + "/bin/runner", "daemon"]
    pattern = value_of(text, "EnvironmentFile")[1:].replace("%%", "%")
    assert re.sub(r"\\(.)", r"\1", pattern) == place + "/state/environment"


@pytest.mark.parametrize("name", ["line\nbreak", "tab\there", "bell\a", "ends with a blank "])
def test_what_no_unit_can_hold_is_refused(name):
    with pytest.raises(UsageError, match="no unit can hold"):
        unit(facts(home="/srv/" + name))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)")
@pytest.mark.parametrize("per_user", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_systemd_finds_no_fault(tmp_path, name, per_user):
    place = tmp_path / name
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "runner").write_text("#!/bin/sh\n")
    (place / "bin" / "runner").chmod(0o755)
    path = tmp_path / "runner-under-test.service"
    path.write_text(unit(facts(str(place), user="root", pipelines=str(place / "p"), per_user=per_user)), encoding="utf-8")
    done = analyze(path, per_user, tmp_path)
    assert done.returncode == 0 and "runner-under-test" not in done.stdout, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (package systemd)")
def test_systemd_would_find_one(tmp_path):
    path = tmp_path / "runner-under-test.service"
    path.write_text(unit(facts(str(tmp_path / "not there"), user="root")).replace("KillMode=process", "KillMode=some"), encoding="utf-8")
    done = analyze(path, False, tmp_path)
    assert "Failed to parse kill mode" in done.stdout and "not executable" in done.stdout


def analyze(path, per_user, scratch):
    return subprocess.run(
        ["systemd-analyze", *(["--user"] if per_user else []), "--man=no", "verify", str(path)], timeout=60, text=True, encoding="utf-8",
        env={**os.environ, "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": str(scratch)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox"])
def test_the_script_is_plain_shell(tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "runner"
    path.write_text(script(facts("/srv/it's a \"b\" $HOME 한글", pipelines="/p q")), encoding="utf-8")
    subprocess.run([*((shell, "sh") if shell == "busybox" else (shell,)), "-n", str(path)], check=True)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_agrees(tmp_path):
    path = tmp_path / "runner"
    path.write_text(script(facts("/srv/it's a \"b\" $HOME 한글", pipelines="/p q")), encoding="utf-8")
    # 2089, 2090: that the quotes of this odd path will not be taken for quotes, as is meant
    subprocess.run(["shellcheck", "-S", "warning", "-e", "2089,2090", str(path)], check=True)


def test_nothing_of_the_template_is_left():
    text = script(facts(name="night"))
    assert "@" not in text.replace('"$@"', "") and "# Provides:          night" in text
