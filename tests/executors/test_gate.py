"""A shell that is started before its attempt is committed: it does nothing of the step's until it is let, and then what it
would have done without a gate."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from runner.clock import Clock
from runner.executors import process
from runner.executors.local import LocalExecutor
from tests.executors.test_process import job as plain_job
from tests.executors.test_process import log, wait_for, wait_one


@pytest.fixture
def executor():
    local = LocalExecutor(Clock())
    yield local
    local.close()


def job(folder, script, **changes):
    return replace(plain_job(folder, script, **changes), gate=True)


def held(executor, made):
    """Its shell waits; returns the pid of that."""
    executor.prepare(made)
    executor.ready(made)
    return waiting(made.folder)


def waiting(folder):
    """The pid of a bash that has come to its gate: it sleeps in a read."""
    def found():
        for pid in process.members(folder, None):
            fields = process.stat_of(pid)
            if fields and fields[0] == "S" and os.readlink(f"/proc/{pid}/exe").endswith("bash") and os.path.exists(f"/proc/{pid}/fd/8"):
                return pid
        return None
    return wait_for(found)


def gone(pid):
    fields = process.stat_of(pid)
    return not fields or fields[0] in "ZX"


def test_nothing_of_the_step_happens_before_it_is_let(tmp_path, executor):
    made = job(tmp_path / "a", "touch effect; exit 3", cwd=str(tmp_path))
    pid = held(executor, made)
    assert executor.wait(0) == [] and not (tmp_path / "effect").exists()
    assert sorted(os.listdir(made.folder)) == ["job", "log", "script.held"] and log(tmp_path / "a") == ""
    executor.start(made)
    report = wait_one(executor)
    assert report.exit_code == 3 and (tmp_path / "effect").exists() and gone(pid)
    assert process.read_rc(made.folder) == 3 and sorted(os.listdir(made.folder)) == ["job", "log", "rc", "script", "start"]


STATE = r"""
printf '%s\n' "$0" "${BASH_SOURCE[0]}" "$-" "$#" "$@" "$LINENO" "$PWD" "$BASHOPTS" "$SHELLOPTS" "$(set -o)" "$(ulimit -a)"
trap; alias; declare -F
[ "$SECONDS" -lt 5 ] && echo young
env | grep -v '^_=' | sort
compgen -v | grep -vxE '_|REPLY' | sort
ls /proc/$$/fd
[ -z "${REPLY+x}" ] && cat </dev/stdin && echo no input
"""


def test_a_step_cannot_tell_that_there_was_a_gate(tmp_path, executor):
    """Its variables, options, descriptors, name, signals and age are those of a step that was started in its turn."""
    seen = []
    for gate in (False, True):
        folder = tmp_path / "a"
        made = job(folder, STATE + "grep ^SigIgn /proc/self/status", env={"X": "1"}, cwd=str(tmp_path))
        made = replace(made, argv=(*made.argv, "one", "two words"))
        if gate:
            pid = held(executor, made)
            wait_for(lambda: int(process.stat_of(pid)[19]) + 5.1 * os.sysconf("SC_CLK_TCK") < _uptime())  # field 22: when it was born
        executor.start(made)
        assert wait_one(executor).exit_code == 0, log(folder)
        seen.append(log(folder))
        assert "young\n" in seen[-1] and "BASH_ENV" not in seen[-1] and "RUNNER_GATE" not in seen[-1]
        os.rename(folder, tmp_path / f"done{gate}")
    assert seen[0] == seen[1]


def _uptime():
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) * os.sysconf("SC_CLK_TCK")


def test_what_is_not_wanted_goes_without_a_trace(tmp_path, executor):
    made = job(tmp_path / "a", "touch effect", cwd=str(tmp_path))
    pid = held(executor, made)
    executor.discard(made)
    wait_for(lambda: gone(pid))
    assert executor.wait(0.05) == [] and os.listdir(tmp_path) == []
    again = job(tmp_path / "a", "exit 4", cwd=str(tmp_path))  # the same attempt after all, in the same folder
    executor.start(again)
    assert wait_one(executor).exit_code == 4


def test_a_dropped_shell_that_lingers_does_not_write_into_the_attempt_that_takes_its_place(tmp_path, executor):
    made = job(tmp_path / "a", "touch effect", cwd=str(tmp_path))
    pid = held(executor, made)
    os.kill(pid, signal.SIGSTOP)
    executor.discard(made)
    again = job(tmp_path / "a", "read x <go; exit 5", cwd=str(tmp_path))
    os.mkfifo(tmp_path / "go")
    executor.start(again)
    wait_for(lambda: process.read_start(again.folder))
    os.kill(pid, signal.SIGKILL)  # 137, which its wrapper must keep for itself
    wait_for(lambda: gone(pid))
    assert executor.wait(0.1) == [] and process.read_rc(again.folder) is None
    (tmp_path / "go").write_text("x\n")
    assert wait_one(executor).exit_code == 5 and process.read_rc(again.folder) == 5 and not (tmp_path / "effect").exists()


def test_when_the_engine_dies_a_shell_that_waits_goes_and_has_not_begun(tmp_path):
    executor = LocalExecutor(Clock())
    made = job(tmp_path / "a", "touch effect", cwd=str(tmp_path))
    pid = held(executor, made)
    executor.close()  # as when it dies: the pipe ends
    wait_for(lambda: gone(pid))
    assert not (tmp_path / "effect").exists() and process.examine(made.folder).kind == "never"


@pytest.mark.parametrize("whom", ["the shell", "its wrapper"])
def test_what_is_killed_at_its_gate_begins_once_all_the_same(tmp_path, executor, whom):
    made = job(tmp_path / "a", "echo once; exit 6", cwd=str(tmp_path))
    pid = held(executor, made)
    victim = pid if whom == "the shell" else int(process.stat_of(pid)[1])  # its parent
    os.kill(pid, signal.SIGSTOP)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: gone(victim))
    executor.start(made)
    report = wait_one(executor)
    assert log(tmp_path / "a").count("once") == 1 and report.exit_code == 6  # the wrapper has written "Killed" there, as it does
    if victim != pid:
        os.kill(pid, signal.SIGCONT)  # the orphan is let, too late: the lock is taken
        wait_for(lambda: gone(pid))
        assert log(tmp_path / "a").count("once") == 1


def test_another_who_has_the_folder_wins(tmp_path, executor):
    made = job(tmp_path / "a", "echo once; exit 7", cwd=str(tmp_path))
    held(executor, made)
    other = LocalExecutor(Clock())
    try:
        other.start(plain_job(tmp_path / "a", "echo once; exit 7", cwd=str(tmp_path)))
        assert wait_one(other).exit_code == 7
    finally:
        other.close()
    executor.start(made)
    assert wait_one(executor).exit_code == 7 and log(tmp_path / "a") == "once\n"


def test_a_bash_that_knows_no_gates_finds_no_script_and_is_started_again(tmp_path, executor):
    """What stands in PATH as bash may be another shell."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bash").write_text('#!/bin/sh\nunset BASH_ENV\nexec /bin/bash "$@"\n')
    (tmp_path / "bin" / "bash").chmod(0o755)
    made = job(tmp_path / "a", "echo once >>effects; exit 8", cwd=str(tmp_path), env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    executor.prepare(made)
    executor.ready(made)
    wait_for(lambda: (tmp_path / "a" / "log").exists() and "No such file" in log(tmp_path / "a"))
    assert not (tmp_path / "effects").exists()
    executor.start(made)
    assert wait_one(executor).exit_code == 8 and (tmp_path / "effects").read_text() == "once\n"


def test_who_is_asked_to_end_at_the_gate_is_not_started_again(tmp_path, executor):
    made = job(tmp_path / "a", "touch effect", cwd=str(tmp_path))
    pid = held(executor, made)
    os.kill(pid, signal.SIGSTOP)
    executor.start(made)
    executor.terminate(made.folder)
    process.signal_all([pid], signal.SIGCONT)
    report = wait_one(executor)
    assert report.exit_code == 143 and executor.wait(0.05) == [] and not (tmp_path / "effect").exists()


@pytest.mark.parametrize("change", [{"BASH_ENV": "/etc/own"}, {"POSIXLY_CORRECT": "1"}, {"SHELLOPTS": "xtrace"}])
def test_a_bash_that_would_read_something_else_has_no_gate(tmp_path, change):
    assert process.has_gate(job(tmp_path / "a", "true"), {})
    assert not process.has_gate(job(tmp_path / "a", "true", env=change), {})
    assert not process.has_gate(job(tmp_path / "a", "true"), change)


def test_nothing_but_plain_bash_has_a_gate(tmp_path):
    assert not process.has_gate(plain_job(tmp_path / "a", "true"), {})
    assert not process.has_gate(replace(job(tmp_path / "a", "true"), attendant={"secrets": {"X": "x"}}), {})


def test_half_a_word_for_a_gate_is_no_order(tmp_path, executor):
    """A shell that is killed while it reads leaves the rest of the line to its wrapper."""
    made = job(tmp_path / "a", "touch effect", cwd=str(tmp_path))
    pid = held(executor, made)
    wrapper = executor._wrappers._all[int(process.stat_of(pid)[1])]
    for word in (b"+%d", b"-%d"):
        line = word % wrapper.gate
        os.write(wrapper.orders, b"".join(line[cut:] + b"\n" for cut in range(1, len(line) + 1)))
    os.kill(pid, signal.SIGKILL)
    executor.discard(made)
    assert executor.wait(0.2) == [] and not (tmp_path / "effect").exists() and not os.path.exists(made.folder)


def test_where_it_works_may_not_be_there_yet(tmp_path, executor):
    """The step before makes it, or not: then the refusal is the same as without a gate."""
    made = job(tmp_path / "a", "pwd", cwd=str(tmp_path / "later"))
    executor.prepare(made)
    executor.ready(made)
    executor.start(made)
    assert "does not exist" in wait_one(executor).reason
    (tmp_path / "later").mkdir()
    other = job(tmp_path / "b", "pwd", cwd=str(tmp_path / "later"))
    held(executor, other)
    (tmp_path / "later").rmdir()
    executor.start(other)
    assert "does not exist" in wait_one(executor).reason
