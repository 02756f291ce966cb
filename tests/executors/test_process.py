"""The wrapper and the recovery table, with real processes: no result lost, nothing run twice, nothing left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.clock import Clock
from runner.executors import process
from runner.executors.local import LocalExecutor
from runner.executors.wrappers import Wrappers
from runner.model import Job

ENV = {"PATH": os.environ["PATH"], "HOME": "/tmp"}


def job(folder, script, **changes):
    folder = str(folder)
    env = {**ENV, "RUNNER_ATTEMPT": folder, **changes.pop("env", {})}
    return Job(argv=("bash", "-eo", "pipefail", folder + "/script"), env=env, cwd=changes.pop("cwd", "/tmp"), folder=folder,
               files={"script": script + "\n"}, **changes)


@pytest.fixture
def executor():
    local = LocalExecutor(Clock())
    yield local
    local.close()


def wait_one(executor, timeout=30):
    """The next report; waits for the event, not for a time."""
    until = Clock().monotonic() + timeout
    while Clock().monotonic() < until:
        reports = executor.wait(1.0)
        if reports:
            return reports[0]
    raise AssertionError("no report")


def wait_for(check, timeout=30):
    until = Clock().monotonic() + timeout
    pause = threading.Event()
    while Clock().monotonic() < until:
        value = check()
        if value:
            return value
        pause.wait(0.01)
    raise AssertionError("never came true")


def name_of(pid):
    """The program a process runs; "" when it has ended."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def log(folder):
    return (folder / "log").read_text()


def test_exit_code_log_and_record(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "echo out; echo err >&2; exit 7"))
    report = wait_one(executor)
    assert (report.how, report.exit_code, report.leftovers) == ("exited", 7, False)
    assert log(folder) == "out\nerr\n" and process.read_rc(str(folder)) == 7


def test_stdin_is_empty_and_the_session_is_its_own(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "cat; ps -o sid= -p $$"))
    wait_one(executor)
    assert int(log(folder)) == process.read_start(str(folder)).pid != os.getsid(0)


def test_a_path_with_blanks_quotes_and_hangul(tmp_path, executor):
    folder = tmp_path / "한글 폴더's \"x\""
    executor.start(job(folder, "echo '안녕'"))
    assert wait_one(executor).exit_code == 0 and log(folder) == "안녕\n"


def test_a_script_larger_than_an_argument_may_be(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "x='" + "y" * 200_000 + "'; echo ${#x}"))
    assert wait_one(executor).exit_code == 0 and log(folder) == "200000\n"


def test_a_missing_working_folder_is_refused_with_its_name(tmp_path, executor):
    executor.start(job(tmp_path / "a", "true", cwd="/nowhere/at/all"))
    report = wait_one(executor)
    assert report.how == "refused" and "/nowhere/at/all" in report.reason


@pytest.mark.parametrize("text", ["a\0b", "half \ud800"])
@pytest.mark.parametrize("place", ["env", "argv", "files"])
def test_a_text_that_no_command_can_be_given_is_refused_with_its_name(tmp_path, executor, place, text):
    """JSON that a step hands on may hold such; a file may hold a NUL."""
    from dataclasses import replace

    made = job(tmp_path / "a.1", "true")
    changed = {"env": {**made.env, "V": text}, "argv": (*made.argv, text), "files": {**made.files, "V": text}}
    executor.start(replace(made, **{place: changed[place]}))
    report = wait_one(executor)
    if place == "files" and "\0" in text:
        assert report.exit_code == 0
    else:
        assert report.how == "refused" and report.reason.endswith("which no command can be given: " + ("argument 4" if place == "argv" else "V"))


def test_outputs_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "output").write_text('{"x": "a\\ud800b"}\n')
    with pytest.raises(ValueError, match="line 1"):
        process.read_outputs(str(tmp_path))


def test_a_missing_program_ends_with_127_and_says_so_in_the_log(tmp_path, executor):
    folder = str(tmp_path / "a")
    executor.start(Job(argv=("no-such-program",), env=ENV, cwd="/tmp", folder=folder))
    assert wait_one(executor).exit_code == 127
    assert "no-such-program" in (tmp_path / "a" / "log").read_text()


def test_term_reaches_the_step_and_its_own_exit_code_counts(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "trap 'exit 3' TERM; touch ready; sleep 1000 & wait", cwd=str(tmp_path)))
    wait_for(lambda: (tmp_path / "ready").exists())
    executor.terminate(str(folder))
    assert wait_one(executor).exit_code == 3


def test_kill_ends_what_ignores_term_and_its_children_and_still_records(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "trap '' TERM; (setsid sleep 1000 & echo $! >far); sleep 1000 & echo ready >near; wait", cwd=str(tmp_path)))
    wait_for(lambda: (tmp_path / "near").exists() and (tmp_path / "far").read_text())
    executor.terminate(str(folder))
    executor.kill(str(folder))
    assert wait_one(executor).exit_code == 137
    assert list(process.members(str(folder), process.read_start(str(folder)))) == []


def test_a_kill_lets_no_shell_go_on_to_its_next_line(tmp_path, executor, monkeypatch):
    """All are stopped before the first is killed, in whatever order they are met."""
    sent, send = [], process._send
    monkeypatch.setattr(process, "_send", lambda pid, number: (sent.append(number), send(pid, number)))
    folder = tmp_path / "a"
    executor.start(job(folder, "trap '' TERM; touch ready; sleep 1000 || true; touch damage", cwd=str(tmp_path)))
    start = wait_for(lambda: process.read_start(str(folder)))
    wait_for(lambda: any(name_of(pid) == "sleep" for pid in process.members(str(folder), start)))  # so touch has gone
    executor.kill(str(folder))
    assert wait_one(executor).exit_code == 137
    assert sent[:4] == [signal.SIGSTOP] * 2 + [signal.SIGKILL] * 2
    assert not (tmp_path / "damage").exists()


def test_what_a_step_leaves_in_the_background_is_ended_and_reported(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "sleep 1000 & echo $!"))
    report = wait_one(executor)
    assert (report.exit_code, report.leftovers) == (0, True)
    assert list(process.members(str(folder), process.read_start(str(folder)))) == []


def test_a_gigabyte_of_output_costs_us_nothing(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "head -c 1073741824 /dev/zero"))
    assert wait_one(executor, 120).exit_code == 0
    assert os.stat(folder / "log").st_size == 1 << 30
    os.unlink(folder / "log")


# ------------------------------------------------------------------------------------------------------ recovery table

ORPHANED = """
import json, os, sys
from runner.clock import Clock
from runner.executors.local import LocalExecutor
from runner.model import Job
LocalExecutor(Clock()).start(Job(**json.loads(sys.argv[1])))
os.kill(os.getpid(), 9)
"""


def orphan(work):
    """Start a job from a process that is killed with -9 at once; returns when that process is gone."""
    import json

    text = json.dumps({"argv": list(work.argv), "env": dict(work.env), "cwd": work.cwd, "folder": work.folder, "files": dict(work.files)})
    subprocess.run([sys.executable, "-c", ORPHANED, text], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    wait_for(lambda: process.read_start(work.folder))


def test_a_step_outlives_its_parent_and_is_adopted_with_its_result(tmp_path, executor):
    folder = tmp_path / "a"
    os.mkfifo(tmp_path / "gate")
    orphan(job(folder, "echo once >>count; read x <gate; exit 7", cwd=str(tmp_path)))
    assert executor.recover(str(folder)) == "alive"
    (tmp_path / "gate").write_text("go\n")
    report = wait_one(executor)
    assert (report.how, report.exit_code) == ("exited", 7) and (tmp_path / "count").read_text() == "once\n"


def test_adoption_works_on_a_kernel_without_pidfd(tmp_path, executor, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    folder = tmp_path / "a"
    os.mkfifo(tmp_path / "gate")
    orphan(job(folder, "read x <gate; exit 6", cwd=str(tmp_path)))
    assert executor.recover(str(folder)) == "alive"
    (tmp_path / "gate").write_text("go\n")
    assert wait_one(executor).exit_code == 6


def test_a_result_of_the_time_between_is_read_from_disk(tmp_path, executor):
    folder = tmp_path / "a"
    orphan(job(folder, "exit 5"))
    wait_for(lambda: process.read_rc(str(folder)) is not None)
    assert executor.recover(str(folder)) == "ended"
    assert wait_one(executor).exit_code == 5


def test_what_never_began_is_said_to_have_never_begun(tmp_path, executor):
    (tmp_path / "a").mkdir()
    assert executor.recover(str(tmp_path / "a")) == "never"


def test_a_killed_wrapper_loses_the_result_and_its_orphans_are_ended(tmp_path, executor):
    folder = tmp_path / "a"
    orphan(job(folder, "sleep 1000"))
    start = process.read_start(str(folder))
    wait_for(lambda: any(name_of(pid) == "sleep" for pid in process.members(str(folder), start)))
    os.kill(start.pid, signal.SIGKILL)
    wait_for(lambda: not process.is_alive(start))
    assert executor.recover(str(folder)) == "orphans"
    assert wait_one(executor).how == "lost"
    wait_for(lambda: not list(process.members(str(folder), start)))


def test_a_wrapper_killed_under_us_is_lost_not_137(tmp_path, executor):
    folder = tmp_path / "a"
    executor.start(job(folder, "sleep 1000"))
    start = wait_for(lambda: process.read_start(str(folder)))
    os.kill(start.pid, signal.SIGKILL)
    assert wait_one(executor).how == "lost"
    wait_for(lambda: not list(process.members(str(folder), start)))


@pytest.mark.parametrize("change", ["pid", "boot"])
def test_a_reused_pid_or_another_boot_is_never_adopted(tmp_path, executor, change):
    """Another process got the wrapper's pid; or the machine was started anew and a wrapper-like one runs there."""
    folder = tmp_path / "a"
    folder.mkdir()
    env = {**ENV, "RUNNER_WRAPPER": "b"}
    other = subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True)
    wait_for(lambda: process._environment(other.pid))  # Popen returns a moment before there is one
    boot = process.boot_id() if change == "pid" else "00000000-0000-0000-0000-000000000000"
    (folder / "start").write_text(f"{other.pid} {boot} {'a' if change == 'pid' else 'b'} .\n")
    assert executor.recover(str(folder)) in ("gone", "orphans")
    assert wait_one(executor).how == "lost"
    if change == "pid":
        assert other.poll() is None, "a stranger was killed"
    other.kill()
    other.wait()


def test_half_written_records_count_as_absent(tmp_path):
    (tmp_path / "start").write_text("4711 some-boot")
    (tmp_path / "rc").write_text("0")
    assert process.read_start(str(tmp_path)) is None and process.read_rc(str(tmp_path)) is None


def spawn(work):
    """What one executor does with a job, and what its wrapper says of it."""
    own = Wrappers()
    try:
        process.prepare(work, own.base)
        own.begin(work.folder, 0.0)
        select.select([own.ends], [], [], 60)
        [(_, _, code)], _ = own.news(False)
        return code
    finally:
        own.close()


def test_twelve_spawns_of_one_attempt_run_it_once(tmp_path):
    for race in range(15):
        folder = tmp_path / f"r{race}"
        work = job(folder, f"echo x >>{tmp_path}/count{race}")
        with ThreadPoolExecutor(12) as pool:
            assert sorted(pool.map(lambda _: spawn(work), range(12))) == [0] + [125] * 11
        assert (tmp_path / f"count{race}").read_text() == "x\n"


def test_the_loser_of_such_a_race_adopts_the_winner(tmp_path, executor):
    folder = tmp_path / "a"
    os.mkfifo(tmp_path / "gate")
    work = job(folder, "read x <gate; exit 4", cwd=str(tmp_path))
    orphan(work)
    executor.start(work)
    wait_for(lambda: executor.wait(0.05) == [] and str(folder) in executor._adopted)
    (tmp_path / "gate").write_text("go\n")
    assert wait_one(executor).exit_code == 4


# -------------------------------------------------------------------------------------------------------------- outputs


def test_outputs_are_lines_or_json(tmp_path):
    (tmp_path / "output").write_text('rows=12\npath=/a=b\n{"n": 3, "이름": "서울"}\n\n')
    assert process.read_outputs(str(tmp_path)) == {"rows": "12", "path": "/a=b", "n": 3, "이름": "서울"}


def test_a_bad_output_line_is_named(tmp_path):
    (tmp_path / "output").write_text("rows=1\nnonsense\n")
    with pytest.raises(ValueError, match="line 2"):
        process.read_outputs(str(tmp_path))


def test_too_much_output_is_refused(tmp_path):
    (tmp_path / "output").write_text("k=" + "x" * 300_000)
    with pytest.raises(ValueError, match="KiB"):
        process.read_outputs(str(tmp_path))
