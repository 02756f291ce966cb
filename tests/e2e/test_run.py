"""`runner run` and what repairs a run, with real processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CHAIN = """
    params:
      region: {type: string, enum: [KR, US], default: KR}
    steps:
      - id: extract
        bash: |
          echo "<< ds >> << params.region >>"
          echo rows=3 >> "$RUNNER_OUTPUT"
      - id: load
        needs: extract
        python: |
          import os
          print(os.environ["RUNNER_DS"], os.environ["RUNNER_PARAM_REGION"])
      - id: tell
        needs: load
        bash: echo "<< outputs.extract.rows >> rows"
"""


def logs(runner, run, step, attempt=1):
    pipeline, _, label = run.partition("@")
    return (runner.home / "runs" / pipeline / label.replace(":", "").replace("#", ".") / f"{step}.{attempt}" / "log").read_text()


def test_one_date_reaches_every_step(runner):
    runner.write("mart.yaml", CHAIN)
    done = runner("run", "mart.yaml", "--date", "2026-02-28", "--param", "region=US")
    assert done.stdout.startswith("mart@2026-02-28  success")
    assert logs(runner, "mart@2026-02-28", "extract") == "2026-02-28 US\n"
    assert logs(runner, "mart@2026-02-28", "load") == "2026-02-28 US\n"
    assert logs(runner, "mart@2026-02-28", "tell") == "3 rows\n"


def test_a_script_reads_the_dates_around_it_though_the_file_never_names_them(runner):
    runner.write("near.sh", 'echo "prev=$RUNNER_PREV_DS next=$RUNNER_NEXT_DS" >> seen')
    runner.write("near.yaml", 'schedule: "0 1 * * 1-5"\nsteps:\n  - {id: a, bash: bash near.sh}\n')
    runner("run", "near.yaml", "--date", "2026-02-27")  # a Friday
    assert (runner.folder / "seen").read_text() == "prev=2026-02-26 next=2026-03-02\n"


def _typed(runner, line):
    """A line typed in bash, with PIPESTATUS: (its exit codes, stderr)"""
    words = " ".join(map(shlex.quote, runner.words()))
    done = subprocess.run(["bash", "-c", f"{line.replace('RUNNER', words)}; echo ${{PIPESTATUS[0]}} > code"], env=runner.env, cwd=runner.folder,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=180)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return int((runner.folder / "code").read_text()), done.stderr


@pytest.mark.parametrize("line", ["RUN 2>&1 | true", "RUN | true", "RUN > /dev/full", "RUN 2> /dev/full", "RUN >&-", "RUN 2>&-", "RUN <&-", "RUN <&- >&- 2>&-"])
@pytest.mark.parametrize("step, code", [("true", 0), ("false", 1)])
def test_a_run_whose_output_is_lost_exits_with_its_own_result(runner, line, step, code):
    runner.write("small.yaml", f"steps:\n  - {{id: a, bash: '{step}'}}\n")
    got, said = _typed(runner, line.replace("RUN", "RUNNER run small.yaml --date 2026-02-28"))
    assert got == code, said
    assert runner.json("status", "small@2026-02-28")["state"] == ("failed" if code else "success")
    assert ("stdout cannot be written: No space left on device" in said) == (line == "RUN > /dev/full")


def test_what_only_prints_ends_quietly_when_nobody_reads(runner):
    runner.write("loud.yaml", "steps:\n  - {id: a, bash: seq 100000}\n")
    runner("run", "loud.yaml", "--date", "2026-02-28")
    for words in ("logs loud --all", "logs loud --all --raw", "status loud", "--help"):
        read, closed = os.pipe()
        os.close(read)
        done = subprocess.run(runner.words(*words.split()), env=runner.env, cwd=runner.folder, stdout=closed, stderr=subprocess.PIPE, timeout=180)
        os.close(closed)
        assert (done.returncode, done.stderr) == (141, b""), words
    code, said = _typed(runner, "RUNNER status loud > /dev/full")
    assert code == 3 and said.startswith("runner: stdout cannot be written: No space left on device")


def test_help_is_a_word_too_and_a_guess_is_near(runner):
    assert runner("help").stdout == runner("--help").stdout
    assert runner("help", "run").stdout == runner("run", "--help").stdout
    assert "did you mean run?" in runner("rnu", code=2).stderr
    assert "did you mean" not in runner("bogus", code=2).stderr


def test_the_same_date_twice_says_what_to_type(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    again = runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "exists (success)" in again.stderr and "rerun" in again.stderr and "--new" in again.stderr
    assert runner("run", "mart.yaml", "--date", "2026-02-28", "--new").stdout.startswith("mart@2026-02-28#2")


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_the_readme_shows_what_its_example_prints(runner, page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        text = file.read()
    runner.write("mart.yaml", re.search(r"```yaml\n(# mart.yaml\n.*?)```", text, re.S).group(1))
    shown = re.search(r"^\$ runner run mart.yaml --date 2026-02-28\n(.*?)^\$", text, re.M | re.S).group(1)
    done = runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    told = [line for line in (done.stderr + done.stdout).splitlines() if not line.startswith("made ")]
    timeless = [re.sub(r"\d\d:\d\d:\d\d|\d+\.\ds", "#", line) for line in (*told, *shown.splitlines())]
    assert sorted(timeless[: len(told)]) == sorted(timeless[len(told) :])  # two streams here, one on a terminal


def test_plan_is_the_run_byte_for_byte(runner):
    runner.write("work.sh", 'echo "from a file: $1"\n')
    runner.write("mart.yaml", """
        env: {DAY: << ds_nodash >>}
        params: {n: {type: integer, default: 7}}
        steps:
          - id: a
            env: {WHO: "he said \\"<< params.n >>\\""}
            bash: |
              cat <<EOF
              << ds >> 한글 $DAY
              EOF
          - id: b
            needs: a
            bash: {script: work.sh, args: ["<< ts >>", "two words"]}
          - id: c
            needs: a
            python: "print(<< params.n >>)"
          - id: d
            python: {function: "os:getcwd"}
    """)
    planned = runner.json("plan", "mart.yaml", "--date", "2026-02-28")
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert planned["run"] == "mart@2026-02-28" and [s["id"] for s in planned["steps"]][:1] == ["a"]
    for step in planned["steps"]:
        folder = runner.home / "runs" / "mart" / "2026-02-28" / (step["id"] + ".1")
        for name, text in step["files"].items():
            assert (folder / name).read_text() == text, (step["id"], name)
        assert all(str(folder) == os.path.dirname(word) for word in step["argv"] if word.startswith(str(runner.home)))
    assert (runner.home / "runs/mart/2026-02-28/a.1/log").read_text() == "2026-02-28 한글 20260228\n"
    assert (runner.home / "runs/mart/2026-02-28/b.1/log").read_text() == "from a file: 2026-02-28T00:00:00+09:00\n"


def test_plan_shows_the_argv_and_environment_that_the_process_gets(runner):
    runner.write("mart.yaml", """
        env: {DAY: << ds >>}
        steps:
          - id: a
            bash: {run: "tr '\\\\0' '\\\\n' </proc/$$/cmdline; env -0 | tr '\\\\0' '\\\\n'", args: ["x y"]}
    """)
    step = runner.json("plan", "mart.yaml", "--date", "2026-02-28")["steps"][0]
    runner("run", "mart.yaml", "--date", "2026-02-28")
    lines = logs(runner, "mart@2026-02-28", "a").split("\n")
    assert lines[: len(step["argv"])] == step["argv"]
    for name, value in step["env"].items():
        assert f"{name}={value}" in lines, name


def test_plan_says_which_step_cannot_start_and_shows_the_others(runner):
    runner.write("mart.yaml", """
        steps:
          - {id: a, bash: "echo << ds >>"}
          - {id: b, needs: a, bash: "echo << prev_ds >>"}
          - id: c
            needs: a
            hive: {file: /nowhere/x.hql}
          - {id: d, needs: a, bash: "echo fine"}
    """)
    done = runner("plan", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "| echo 2026-02-28" in done.stdout and "| echo fine" in done.stdout
    assert done.stdout.count("  cannot start: ") == 2
    assert "runner: mart.yaml:4: step b: << prev_ds >>: there is no date before" in done.stderr and "default('x', true)" in done.stderr
    assert "runner: mart.yaml:5: step c: /nowhere/x.hql: No such file or directory\n  put the file there" in done.stderr
    found = {step["id"]: step for step in runner.json("plan", "mart.yaml", "--date", "2026-02-28", code=1)["steps"]}
    assert found["d"]["argv"] and "error" not in found["d"]
    assert found["c"]["error"].startswith("mart.yaml:5: step c: /nowhere/x.hql") and "argv" not in found["c"]
    assert runner("plan", "mart.yaml", "--step", "d").returncode == 0


def test_plan_touches_nothing(runner):
    runner.write("mart.yaml", CHAIN)
    runner("plan", "mart.yaml", "--date", "2026-02-28")
    assert not runner.home.exists()


def test_failed_then_repaired(runner):
    runner.write("mart.yaml", """
        steps:
          - {id: a, bash: "echo a >>$PWD/count"}
          - {id: b, needs: a, bash: "test -e ready"}
          - {id: c, needs: b, bash: "echo c"}
    """)
    failed = runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "failed" in failed.stdout and "rerun mart@2026-02-28 --failed" in failed.stderr
    assert runner.states("mart@2026-02-28") == {"a": "success", "b": "failed", "c": "upstream_failed"}
    (runner.folder / "ready").touch()
    repaired = runner("rerun", "mart@2026-02-28", "--failed")
    assert repaired.stderr.index("2 of 3 steps") >= 0 and "success" in repaired.stdout
    assert (runner.folder / "count").read_text() == "a\n", "what had succeeded did not run again"


def test_rerun_takes_todays_file_and_says_what_changed(runner):
    path = runner.write("mart.yaml", "steps:\n  - {id: a, bash: exit 3}\n")
    runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    path.write_text("steps:\n  - {id: a, bash: exit 0}\n  - {id: b, needs: a, bash: 'true'}\n")
    done = runner("rerun", "mart@2026-02-28", "--failed")
    assert "~ a: body changed" in done.stderr and "+ b" in done.stderr
    assert runner.states("mart@2026-02-28") == {"a": "success", "b": "success"}


def test_rerun_without_a_choice_says_which_there_are(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert "--failed, --from STEP, --all" in runner("rerun", "mart@2026-02-28", code=2).stderr


def test_rerun_keeps_earlier_attempts(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    runner("rerun", "mart@2026-02-28", "--all")
    assert logs(runner, "mart@2026-02-28", "tell", 1) == logs(runner, "mart@2026-02-28", "tell", 2) == "3 rows\n"


def test_mark_changes_the_step_and_the_run(runner):
    runner.write("mart.yaml", "steps:\n  - {id: a, bash: exit 3}\n")
    runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "the run is success" in runner("mark", "mart@2026-02-28", "a", "success").stdout
    assert runner.json("status", "mart@2026-02-28")["state"] == "success"


def test_only_runs_one_step(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28", "--only", "load")
    assert runner.states("mart@2026-02-28")["load"] == "success"
    assert "did you mean load" in runner("run", "mart.yaml", "--only", "lod", code=2).stderr


# ------------------------------------------------------------------------------------------------------------- params


@pytest.mark.parametrize("words, message", [
    (["--param", "region=JP"], "is not one of KR, US"),
    (["--param", "regoin=KR"], "did you mean region"),
    (["--param", "region"], "write name=value"),
])
def test_a_wrong_parameter_is_refused_with_words(runner, words, message):
    runner.write("mart.yaml", CHAIN)
    assert message in runner("run", "mart.yaml", *words, code=2).stderr


def test_params_come_from_the_environment_but_never_from_an_outer_run(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28", env={"RUNNER_PARAM_REGION": "US"})
    assert "US" in logs(runner, "mart@2026-02-28", "extract")
    runner("run", "mart.yaml", "--date", "2026-03-01", env={"RUNNER_PARAM_REGION": "US", "RUNNER_RUN_ID": "outer@2026-01-01"})
    assert "KR" in logs(runner, "mart@2026-03-01", "extract")


def test_korean_parameters_reach_a_step_each_by_its_own_variable(runner):
    runner.write("mart.yaml", """
        params: {지역: 서울, 부서: 영업}
        steps:
          - {id: shell, bash: env | grep ^RUNNER_PARAM | sort}
          - id: python
            needs: shell
            python: |
              import os
              print(os.environ["RUNNER_PARAM_지역"], os.environ["RUNNER_PARAM_부서"])
        """)
    runner("run", "mart.yaml", "--date", "2026-02-28", env={"RUNNER_PARAM_부서": "총무"})
    assert logs(runner, "mart@2026-02-28", "shell") == "RUNNER_PARAM_부서=총무\nRUNNER_PARAM_지역=서울\n"
    assert logs(runner, "mart@2026-02-28", "python") == "서울 총무\n"


# ---------------------------------------------------------------------------------------------------------- being killed

GATE = """
    steps:
      - id: first
        bash: echo first >>count
      - id: slow
        needs: first
        bash: |
          echo slow >>count
          touch started
          read x <gate
          exit 0
      - id: last
        needs: slow
        bash: echo last >>count
"""


@pytest.fixture
def gated(runner):
    runner.write("mart.yaml", GATE)
    os.mkfifo(runner.folder / "gate")
    return runner


def in_the_middle(runner, **options):
    """A run whose second step waits at the gate."""
    child = runner.start("run", "mart.yaml", "--date", "2026-02-28", **options)
    runner.wait_for((runner.folder / "started").exists)
    return child


def open_gate(runner):
    fd = os.open(runner.folder / "gate", os.O_WRONLY)
    os.write(fd, b"go\n")
    os.close(fd)


@pytest.mark.parametrize("how", [["run", "mart.yaml", "--resume"], ["run", "mart.yaml", "--date", "2026-02-28", "--resume"],
                                 ["rerun", "mart@2026-02-28", "--resume"], ["rerun", "mart@2026-02-28", "--failed"]])
def test_killed_with_9_the_next_call_adopts_what_lives_and_runs_nothing_twice(gated, how):
    child = in_the_middle(gated)
    child.kill()
    child.wait()
    refused = gated("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "was interrupted" in refused.stderr and "--resume" in refused.stderr
    heir = gated.start(*how)
    open_gate(gated)
    out, err = heir.communicate(timeout=60)
    assert heir.returncode == 0, err
    assert (gated.folder / "count").read_text() == "first\nslow\nlast\n"


def test_a_list_of_good_files_needs_no_checker(runner):
    """What they say is in the cache; reading the checker's code would be half of the call."""
    path = runner.write("home/pipelines/mart.yaml", "schedule: '0 1 * * *'\nsteps: [{id: a, bash: ':'}]\n")
    runner("run", str(path), "--date", "2026-02-28")
    runner("list")
    code = "import sys; from runner.cli import _main; _main(['list']); print([m for m in ('yaml', 'jinja2', 'runner.spec.check') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=runner.env, cwd=runner.folder, stdout=subprocess.PIPE, text=True)
    assert "mart" in done.stdout and done.stdout.splitlines()[-1] == "[]", done.stdout


def test_a_step_that_ended_in_between_keeps_its_result(gated):
    child = in_the_middle(gated)
    child.kill()
    child.wait()
    open_gate(gated)
    gated.wait_for((gated.home / "runs/mart/2026-02-28/slow.1/rc").exists)
    gated("rerun", "mart@2026-02-28", "--resume")
    assert (gated.folder / "count").read_text() == "first\nslow\nlast\n"


def test_two_at_once_one_runs_the_other_says_so(gated):
    child = in_the_middle(gated)
    other = gated("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "is running already" in other.stderr and f"pid {child.pid}" in other.stderr
    open_gate(gated)
    assert child.wait(60) == 0


def test_twenty_at_once_make_one_run(runner):
    runner.write("mart.yaml", "steps:\n  - {id: a, bash: 'echo x >>count'}\n")
    children = [runner.start("run", "mart.yaml", "--date", "2026-02-28") for _ in range(20)]
    codes = sorted(child.wait(120) for child in children)
    assert codes == [0] + [1] * 19
    assert (runner.folder / "count").read_text() == "x\n"


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_term_end_the_run_and_its_steps(gated, number, code):
    child = in_the_middle(gated)
    child.send_signal(number)
    assert child.wait(60) == code
    assert gated.states("mart@2026-02-28") == {"first": "success", "slow": "killed", "last": "killed"}


def test_a_lost_terminal_leaves_the_steps_running(gated):
    child = in_the_middle(gated)
    child.send_signal(signal.SIGHUP)
    child.wait(60)
    heir = gated.start("run", "mart.yaml", "--resume")
    open_gate(gated)
    assert heir.wait(60) == 0
    assert (gated.folder / "count").read_text() == "first\nslow\nlast\n"


def test_stop_from_another_terminal(gated):
    child = in_the_middle(gated)
    assert "killed" in gated("stop", "mart@2026-02-28").stdout
    assert child.wait(60) == 1


def test_stop_of_an_interrupted_run_ends_what_it_left(gated):
    child = in_the_middle(gated)
    child.kill()
    child.wait()
    gated("stop", "mart@2026-02-28")
    assert gated.json("status", "mart@2026-02-28")["state"] == "killed"
    assert gated.states("mart@2026-02-28")["slow"] == "killed"


FAULT_POINTS = ["engine.committed:kill@1", "engine.committed:kill@2", "engine.committed:kill@3", "process.before_spawn:kill@1",
                "process.after_spawn:kill@1", "process.before_spawn:kill@3", "engine.readied:kill@1", "engine.readied:kill@2", "engine.decided:kill@2", "process.after_spawn:kill@2", "process.after_spawn:kill@3"]


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_killed_at_a_named_point_nothing_is_lost_or_doubled(runner, point):
    runner.write("mart.yaml", """
        steps:
          - {id: a, bash: echo a >>count}
          - {id: b, needs: a, bash: echo b >>count}
          - {id: c, needs: b, bash: echo c >>count}
    """)
    child = runner.start("run", "mart.yaml", "--date", "2026-02-28", env={"RUNNER_FAULT": point})
    assert child.wait(60) == -signal.SIGKILL, "the point was never passed"
    runner("run", "mart.yaml", "--date", "2026-02-28", "--resume")
    assert (runner.folder / "count").read_text() == "a\nb\nc\n"
    with sqlite3.connect(runner.home / "runner.db") as db:
        assert db.execute("SELECT count(*), max(number) FROM attempts").fetchone() == (3, 1)


@pytest.mark.parametrize("retries, state, effects", [(0, "failed", ""), (1, "success", "once\n")])
def test_after_a_power_cut_what_may_have_begun_is_lost_not_begun_again(runner, retries, state, effects):
    """The row was on the disk, the file `start` not yet: whoever looks cannot know. Under the same boot there is no doubt."""
    runner.write("mart.yaml", f"steps:\n  - {{id: a, bash: echo once >>count, retries: {retries}, retry_delay: 0s}}\n")
    child = runner.start("run", "mart.yaml", "--date", "2026-02-28", env={"RUNNER_FAULT": "engine.committed:kill@1"})
    assert child.wait(60) == -signal.SIGKILL
    with sqlite3.connect(runner.home / "runner.db") as db:
        assert db.execute("UPDATE attempts SET boot = '00000000' WHERE state = 'running' AND boot <> ''").rowcount == 1
    runner("run", "mart.yaml", "--date", "2026-02-28", "--resume", code=None)
    status = runner.json("status", "mart@2026-02-28")
    assert status["state"] == state
    count = runner.folder / "count"
    assert (count.read_text() if count.exists() else "") == effects
    with sqlite3.connect(runner.home / "runner.db") as db:
        [(lost, reason)] = db.execute("SELECT state, reason FROM attempts WHERE number = 1")
    assert lost == "lost" and "may have begun" in reason


# -------------------------------------------------------------------------------------------------------- bad weather


def test_what_cannot_start_says_why(runner):
    runner.write("mart.yaml", """
        steps:
          - {id: a, cwd: /nowhere/at/all, bash: "true"}
          - {id: b, bash: no-such-command-here}
          - {id: c, python: {code: "print(1)", interpreter: /no/such/python}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    reasons = {s["id"]: s["reason"] for s in runner.json("status", "mart@2026-02-28")["steps"]}
    assert "/nowhere/at/all" in reasons["a"]
    assert "127" in reasons["b"] and "127" in reasons["c"]
    assert "/no/such/python" in logs(runner, "mart@2026-02-28", "c")


def test_a_read_only_home_is_named_with_a_remedy(runner):
    runner.write("mart.yaml", CHAIN)
    blocked = runner.write("file", "")
    done = runner("run", "mart.yaml", code=3, env={"RUNNER_HOME": str(blocked / "home")})
    assert str(blocked) in done.stderr and "RUNNER_HOME" in done.stderr


def test_a_newer_database_is_refused_by_every_command(runner):
    runner.write("mart.yaml", CHAIN)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    with sqlite3.connect(runner.home / "runner.db") as db:
        db.execute("PRAGMA user_version = 99")
    for words in (["run", "mart.yaml"], ["runs"], ["status", "mart@2026-02-28"], ["logs", "mart@2026-02-28"]):
        assert "newer runner" in runner(*words, code=3).stderr


def test_a_full_disk_ends_with_words_and_loses_nothing(tmp_path, runner):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=400k tmpfs '{small}' 2>/dev/null"):
        pytest.skip("this machine allows no mount")
    try:
        runner.write("mart.yaml", "steps:\n" + "".join(f"  - {{id: s{i}, bash: 'head -c 30000 /dev/zero'}}\n" for i in range(40)))
        env = {"RUNNER_HOME": str(small / "home")}
        done = runner("run", "mart.yaml", "--date", "2026-02-28", env=env, code=None)
        assert done.returncode in (1, 3)
        assert "space" in done.stderr + done.stdout or "full" in done.stderr + done.stdout
        os.system(f"mount -o remount,size=40m '{small}'")
        if runner.json("status", "mart@2026-02-28", env=env)["state"] == "running":
            runner("rerun", "mart@2026-02-28", "--resume", env=env, code=None)
        runner("rerun", "mart@2026-02-28", "--failed", env=env, code=None)
        assert runner.json("status", "mart@2026-02-28", env=env)["state"] == "success"
    finally:
        os.system(f"umount '{small}'")


def test_five_thousand_steps(runner):
    runner.write("wide.yaml", "steps:\n" + "".join(f"  - {{id: s{i}, noop: {{}}{', needs: s' + str(i - 1) if i else ''}}}\n" for i in range(5000)))
    assert "5000 success" in runner("run", "wide.yaml", "--date", "2026-02-28").stdout


def test_wrong_dates_are_explained(runner):
    runner.write("mart.yaml", CHAIN)
    for text in ("2026-02-30", "yesterday", "28.02.2026"):
        done = runner("run", "mart.yaml", "--date", text, code=2)
        assert text in done.stderr


def test_runner_works_inside_a_step_with_the_settings_of_the_runner_outside(runner):
    words = " ".join(map(shlex.quote, runner.words()))
    runner.write("elsewhere/inner.yaml", 'schedule: "@daily"\nsteps:\n  - {id: a, bash: "echo << ds >>"}\n')
    runner.write("outer.yaml", f"""
        schedule: "@daily"
        steps:
          - id: look
            bash: {words} status "$RUNNER_RUN_ID" --json
          - id: go
            needs: look
            bash: {words} run inner --quiet --date "$RUNNER_DS"
    """)
    elsewhere = {"RUNNER_LOGICAL_DATE": "interval_start", "RUNNER_SLOTS": "3"}
    runner("--pipelines", "elsewhere", "run", "outer.yaml", "--date", "2026-02-27", env=elsewhere)
    assert json.loads(logs(runner, "outer@2026-02-27", "look"))["state"] == "running"
    assert logs(runner, "inner@2026-02-27", "a") == "2026-02-27\n"
    assert runner.json("status", "inner@2026-02-27", env={"RUNNER_TIMEZONE": "UTC"})["due_at"].startswith("2026-02-28T00:00:00+09:00")
