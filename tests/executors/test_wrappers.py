"""One wrapper for many attempts: each has its own environment, signals and processes, and none is lost with a wrapper."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from runner.clock import Clock
from runner.executors import local as local_module
from runner.executors import process
from runner.executors.local import LocalExecutor
from runner.model import Job
from tests.executors.test_process import ENV, job, log, wait_for, wait_one


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setenv("INHERITED", "of the server")
    monkeypatch.setenv("LEFT_OUT", "of the server")
    local = LocalExecutor(Clock())
    yield local
    local.close()


def ran(executor, folder, script, **changes):
    executor.start(job(folder, script, **changes))
    return wait_one(executor)


def pid_of(folder):
    return process.read_start(str(folder)).pid


def test_the_next_attempt_gets_the_same_wrapper_and_nothing_of_the_last(tmp_path, executor):
    ran(executor, tmp_path / "a", "export X=1; cd /; umask 0; ulimit -c 0; trap '' TERM; exit 3", env={"Y": "2"})
    assert ran(executor, tmp_path / "b", 'echo "$X$Y$PWD"', cwd=str(tmp_path)).exit_code == 0
    assert pid_of(tmp_path / "a") == pid_of(tmp_path / "b") and log(tmp_path / "b") == f"{tmp_path}\n"


def test_two_at_once_have_a_wrapper_each(tmp_path, executor):
    os.mkfifo(tmp_path / "gate")
    executor.start(job(tmp_path / "a", "read x <gate", cwd=str(tmp_path)))
    executor.start(job(tmp_path / "b", "echo go >gate", cwd=str(tmp_path)))
    codes = []
    wait_for(lambda: codes.extend(report.exit_code for report in executor.wait(0.1)) or len(codes) == 2)
    assert codes == [0, 0] and pid_of(tmp_path / "a") != pid_of(tmp_path / "b")


def test_a_step_sees_its_own_environment_and_none_of_ours(tmp_path, executor):
    """What the job does not have, it does not get, and a wrapper's name is nobody else's."""
    made = job(tmp_path / "a", "env | sort | cut -d= -f1 | tr '\\n' ' '")
    executor.start(made)
    wait_one(executor)
    assert set(log(tmp_path / "a").split()) - {"PWD", "OLDPWD", "SHLVL", "_"} == set(made.env)


def test_what_the_server_has_is_inherited_as_it_is(tmp_path, executor):
    folder = tmp_path / "a"
    ran(executor, folder, 'echo "$INHERITED"', env=dict(os.environ))
    assert log(folder) == "of the server\n" and "of the server" not in (folder / "job").read_text()


def test_what_is_chosen_of_the_server_is_neither_on_the_disk_nor_among_the_words(tmp_path, executor):
    """`inherit_env: [INHERITED]`: the rest of the server's variables go, and the value of this one is told to nobody."""
    folder = tmp_path / "a"
    ran(executor, folder, 'echo "$INHERITED"; env | grep -c "^LEFT_OUT=" || true', env={"INHERITED": "of the server"})
    assert log(folder) == "of the server\n0\n" and "of the server" not in (folder / "job").read_text()


@pytest.mark.parametrize("name", ["UID", "PPID", "OPTIND", "LC_ALL", "BASH_FUNC_f%%", "with-dash", "IFS", "한글"])
def test_variables_that_a_shell_cannot_set_reach_the_command(tmp_path, executor, name):
    folder = tmp_path / "a"
    executor.start(Job(argv=("/usr/bin/env", "-0"), env={**os.environ, name: "C"}, cwd="/", folder=str(folder)))
    wait_one(executor)
    assert f"{name}=C" in log(folder).split("\0")


@pytest.mark.parametrize("program", ["echo", "exit", "cd", ".", "trap", "no-such-program"])
def test_no_word_is_taken_for_a_command_of_the_wrapper(tmp_path, executor, program):
    executor.start(Job(argv=(program, "7"), env=ENV, cwd="/", folder=str(tmp_path / "a")))
    report = wait_one(executor)
    assert report.exit_code == (0 if program == "echo" else 126 if program == "." else 127), log(tmp_path / "a")
    assert ran(executor, tmp_path / "b", "exit 4").exit_code == 4


def test_every_byte_reaches_the_command(tmp_path, executor):
    text = "".join(chr(i) for i in range(1, 128)) + "가나다 äöü '\"\\ \udc81\udc88\udcff $(exit) `exit` ${x} << ds >>"
    executor.start(Job(argv=("/usr/bin/printf", "%s", text), env={**os.environ, "V": text}, cwd="/", folder=str(tmp_path / "a")))
    wait_one(executor)
    assert (tmp_path / "a" / "log").read_bytes() == os.fsencode(text)


def test_a_word_that_no_command_can_be_given_is_refused_with_its_name(tmp_path, executor):
    made = job(tmp_path / "a", "true", env={"HUGE": "x" * 131072})
    executor.start(made)
    assert wait_one(executor).reason == "cannot start: longer than 128 KiB, which no command can be given: HUGE"


def test_signals_are_as_a_login_shell_has_them(tmp_path, executor):
    """Python ignores SIGPIPE, and what is ignored is inherited: `yes | head` would then complain, or go on for ever."""
    assert ran(executor, tmp_path / "a", "yes | head -n 1 || echo $?; grep -i sigign /proc/self/status").exit_code == 0
    *words, ignored = log(tmp_path / "a").split()
    assert words == ["y", "141", "SigIgn:"] and not int(ignored, 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


def test_a_wrapper_killed_while_it_rests_is_replaced(tmp_path, executor):
    ran(executor, tmp_path / "a", "true")
    os.kill(pid_of(tmp_path / "a"), signal.SIGKILL)
    assert ran(executor, tmp_path / "b", "exit 5").exit_code == 5 and pid_of(tmp_path / "b") != pid_of(tmp_path / "a")


def test_a_wrapper_killed_before_it_begins_costs_nothing(tmp_path, executor):
    ran(executor, tmp_path / "a", "true")
    pid = pid_of(tmp_path / "a")
    os.kill(pid, signal.SIGSTOP)
    executor.start(job(tmp_path / "b", "echo once; exit 6"))
    os.kill(pid, signal.SIGKILL)
    assert wait_one(executor).exit_code == 6 and log(tmp_path / "b") == "once\n" and pid_of(tmp_path / "b") != pid


def test_a_step_asked_to_end_before_it_began_hears_it_when_it_has(tmp_path, executor):
    ran(executor, tmp_path / "a", "true")
    os.kill(pid_of(tmp_path / "a"), signal.SIGSTOP)
    executor.start(job(tmp_path / "b", "sleep 1000"))
    executor.terminate(str(tmp_path / "b"))
    os.kill(pid_of(tmp_path / "a"), signal.SIGCONT)
    assert wait_one(executor).exit_code == 143


def test_a_shell_that_cannot_work_is_told_of_and_not_tried_for_ever(tmp_path, executor, monkeypatch):
    monkeypatch.setattr("runner.executors.wrappers.SHELL", "/bin/false")
    executor.start(job(tmp_path / "a", "true"))
    assert wait_one(executor).how in ("lost", "refused")


def test_what_went_its_own_way_survives_the_kill_of_a_later_attempt(tmp_path, executor):
    """In a group of its own, in the session of the wrapper that both had."""
    ran(executor, tmp_path / "a", "set -m; sleep 1000 & echo $! >pid", cwd=str(tmp_path))
    far = int((tmp_path / "pid").read_text())
    executor.start(job(tmp_path / "b", "trap '' TERM; touch ready; sleep 1000", cwd=str(tmp_path)))
    wait_for(lambda: (tmp_path / "ready").exists())
    executor.kill(str(tmp_path / "b"))
    assert wait_one(executor).exit_code == 137 and pid_of(tmp_path / "a") == pid_of(tmp_path / "b")
    os.kill(far, signal.SIGKILL)  # raises when it is gone


def test_a_step_that_forked_when_its_wrapper_died_is_found(tmp_path):
    """Between fork and exec it has the environment of its wrapper, and must not run on beside its own retry."""
    other = subprocess.Popen(["sleep", "1000"], env={**ENV, process.WRAPPER: "n1"}, start_new_session=True)
    dead = process.Wrapper(2 ** 22 - 1, process.boot_id(), "n1", str(tmp_path))
    try:
        wait_for(lambda: list(process.members(str(tmp_path), dead)) == [other.pid])
    finally:
        other.kill()
        other.wait()


def test_a_fork_that_is_not_yet_the_command_is_asked_again(tmp_path):
    """It has the handlers of its wrapper: a TERM would be lost there, and the step run on until the KILL."""
    os.mkfifo(tmp_path / "gate")
    text = f'trap : TERM; echo "$$ {process.boot_id()} n1 ." >start; unset RUNNER_WRAPPER; (read x <gate; exec env RUNNER_ATTEMPT="$PWD" sleep 1000) & wait; wait; echo over'
    wrapper = subprocess.Popen(["/bin/sh", "-c", text], env={**ENV, process.WRAPPER: "n1"}, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE)
    try:
        start = wait_for(lambda: process.read_start(str(tmp_path)))
        wait_for(lambda: list(process.members(str(tmp_path), start)))
        assert process.terminate(str(tmp_path)) is False
        (tmp_path / "gate").write_text("go\n")
        wait_for(lambda: process.terminate(str(tmp_path)))
        assert wrapper.communicate(timeout=60)[0] == b"over\n"
    finally:
        if wrapper.poll() is None:
            os.killpg(wrapper.pid, signal.SIGKILL)


def test_the_folder_of_an_attempt_is_in_use_whatever_its_processes_carry(tmp_path, executor):
    folder = tmp_path / "a"
    os.mkfifo(tmp_path / "gate")
    executor.start(Job(argv=("env", "-i", "/bin/sh", "-c", "read x <gate"), env={**ENV, "RUNNER_ATTEMPT": str(folder)}, cwd=str(tmp_path), folder=str(folder)))
    start = wait_for(lambda: process.read_start(str(folder)))
    wait_for(lambda: [pid for pid in process.members(str(folder), start) if str(folder).encode() not in process._environment(pid)])
    assert str(folder) in process.folders_in_use()
    (tmp_path / "gate").write_text("go\n")
    wait_one(executor)
    assert str(folder) not in process.folders_in_use()


def test_who_has_nothing_to_do_is_let_go_and_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(local_module, "REST_SECONDS", 0.05)
    executor = LocalExecutor(Clock())
    try:
        ran(executor, tmp_path / "a", "true")
        start = process.read_start(str(tmp_path / "a"))
        wait_for(lambda: executor.wait(0.1) == [] and not process.is_alive(start))
    finally:
        executor.close()


def test_one_that_has_just_become_another_program_is_found_by_its_session(tmp_path, monkeypatch):
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    monkeypatch.setattr(process, "_environment", lambda pid: b"")
    try:
        assert list(process.members(str(tmp_path), process.Wrapper(other.pid, "another boot", "n2", str(tmp_path)))) == []
        assert list(process.members(str(tmp_path), process.Wrapper(other.pid, process.boot_id(), "n2", str(tmp_path)))) == [other.pid]
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("since", [0, 1])
def test_leftovers_are_found_by_the_pids_after_a_moment_and_by_all(since):
    last = process.last_pid()
    left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        assert last > 0 and process.group_left(left.pid, since=last if since else 0) == [left.pid]
        assert process.group_left(left.pid, spare=left.pid, since=last if since else 0) == []
    finally:
        left.kill()
        left.wait()
