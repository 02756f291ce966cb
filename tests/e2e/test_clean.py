"""`runner clean` and `runner db backup` as they are typed: on real runs, beside running ones, killed in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from datetime import timedelta

import pytest
from conftest import Shell

from runner import config, retention
from runner.clock import Clock, to_text
from runner.store import Store

MART = """
    steps:
      - id: extract
        retries: 1
        retry_delay: 0s
        bash: |
          for i in $(seq 2000); do echo "<< ds >> line $i"; done
          echo rows=3 >> "$RUNNER_OUTPUT"
          test "$RUNNER_TRY_NUMBER" -ge 2 || exit 1
      - id: load
        needs: extract
        bash: echo "loaded << outputs.extract.rows >>"
"""
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")
GONE, KEPT = ["mart@2026-01-01", "mart@2026-01-02", "mart@2026-01-03"], ["mart@2026-01-04"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with four real runs, made once."""
    shell = Shell(tmp_path_factory.mktemp("made"))
    shell.write("mart.yaml", MART)
    for day in DAYS:
        shell("run", "mart.yaml", "--date", day, "-q")
    return shell


@pytest.fixture
def mart(made, runner):
    """A copy of it; its runs ended 104, 103, 102 and 101 days ago."""
    runner.write("mart.yaml", MART)
    shutil.copytree(made.home, runner.home)
    change(runner, "UPDATE attempts SET folder = replace(folder, ?, ?)", str(made.home), str(runner.home))
    change(runner, "UPDATE definitions SET path = replace(path, ?, ?)", str(made.folder), str(runner.folder))
    for number, day in enumerate(DAYS):
        age(runner, f"mart@{day}", 104 - number)
    return runner


def age(runner, run, days):
    """Let a run have ended that many days ago."""
    change(runner, "UPDATE runs SET ended_at = ? WHERE name = ?", to_text(Clock().now() - timedelta(days=days)), run)


def change(runner, text, *values):
    with sqlite3.connect(runner.home / "runner.db", timeout=30) as connection:
        connection.execute(text, values)
    connection.close()


def look(runner, text):
    connection = sqlite3.connect(runner.home / "runner.db", timeout=30)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def names(runner):
    return sorted(run["name"] for run in runner.json("runs", "-n", "1000"))


def folders(runner):
    return sorted(f"{path.parent.name}@{path.name}" for path in (runner.home / "runs").glob("*/*"))


def waste(runner):
    """What a finished clean leaves nothing of."""
    places = [*(runner.home / "runs").rglob("*"), *(runner.home / "backups").glob("*")]
    return [path.name for path in places if ".removed." in path.name or path.name.endswith(".new") or ".part" in path.name]


# ------------------------------------------------------------------------------------------------------------ what goes


def test_old_runs_go_with_rows_and_folders_the_last_stays(mart):
    before = folders(mart)
    planned = mart.json("clean", "--dry-run")
    assert planned["removed_runs"] == GONE and planned["dry_run"] and names(mart) == sorted(GONE + KEPT)
    assert folders(mart) == before and not (mart.home / "backups").exists()
    done = mart.json("clean")
    assert done["removed_runs"] == GONE and done["removed_runs_bytes"] == planned["removed_runs_bytes"] > 0 and done["faults"] == []
    assert names(mart) == KEPT and folders(mart) == KEPT and waste(mart) == []
    assert look(mart, "SELECT DISTINCT run_id FROM transitions UNION SELECT run_id FROM attempts UNION SELECT run_id FROM step_runs") == [(4,)]
    assert "good" in mart("db", "check").stdout
    assert mart.json("clean")["freed_bytes"] == 0
    for days in (399, 401):  # the trail outlives the runs, by a year and a month
        change(mart, "INSERT INTO audit (at, actor, source, act) VALUES (?, 'kim', 'cli', ?)", to_text(Clock().now() - timedelta(days=days)), f"ago {days}")
    mart("clean")
    assert look(mart, "SELECT act FROM audit WHERE act LIKE 'ago%'") == [("ago 399",)]
    mart("run", "mart.yaml", "--date", DAYS[0], "-q")  # the date can run again, from its first attempt
    assert mart("logs", "mart@2026-01-01", "extract", "--attempt", "1", "-n", "1").stdout == "2026-01-01 line 2000\n"


def test_the_last_success_stays_though_later_runs_failed(mart):
    change(mart, "UPDATE runs SET state = 'failed' WHERE id > 2")
    assert mart.json("clean")["removed_runs"] == ["mart@2026-01-01", "mart@2026-01-03"]
    assert names(mart) == ["mart@2026-01-02", "mart@2026-01-04"]


def test_quiet_says_nothing_and_a_person_is_told(mart):
    assert "3 runs (mart@2026-01-01" in mart("clean", "--dry-run").stdout
    done = mart("clean", "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    assert "nothing to remove" in mart("clean").stdout


def test_an_empty_home_is_clean(runner):
    assert "nothing ran here yet" in runner("clean").stderr
    assert not runner.home.exists()


def test_switched_off_nothing_goes(mart):
    off = {"RUNNER_KEEP_DAYS": "never", "RUNNER_KEEP_BYTES": "0", "RUNNER_COMPRESS_DAYS": "never"}
    assert mart.json("clean", env=off)["freed_bytes"] == 0
    assert names(mart) == sorted(GONE + KEPT)


def test_beyond_keep_bytes_the_oldest_lose_their_logs_and_keep_their_history(mart):
    whole = mart.json("clean", "--dry-run", env={"RUNNER_KEEP_DAYS": "0", "RUNNER_COMPRESS_DAYS": "0"})["left_bytes"]
    limit = {"RUNNER_KEEP_DAYS": "0", "RUNNER_COMPRESS_DAYS": "0", "RUNNER_KEEP_BYTES": f"{whole * 6 // 10 / 1000:.3f}K"}
    done = mart.json("clean", env=limit)
    assert done["removed_logs"] == GONE[:2] and done["removed_runs"] == [] and done["left_bytes"] <= whole * 6 // 10
    assert names(mart) == sorted(GONE + KEPT) and folders(mart) == [GONE[2]] + KEPT
    told = mart("logs", GONE[0])
    assert "load" not in told.stdout.replace("==> load", "") and "were removed" in told.stderr
    assert [step.get("removed") for step in mart.json("logs", GONE[0])["steps"]] == [True, True]
    assert mart.states(GONE[0]) == {"extract": "success", "load": "success"}
    mart("rerun", GONE[0], "--from", "load", "-q")
    assert mart("logs", GONE[0], "load").stdout == "loaded 3\n"
    limit["RUNNER_KEEP_BYTES"] = f"{done['left_bytes'] / 1000:.3f}K"
    assert mart.json("clean", env=limit)["removed_logs"] == GONE[2:], "what was run again is the newest now"


def test_texts_that_no_run_has_any_more_go(mart):
    mart.write("mart.yaml", MART.replace("loaded", "now loaded"))
    mart("run", "mart.yaml", "--date", "2026-01-05", "-q")
    age(mart, "mart@2026-01-05", 1)
    assert mart.json("clean")["dropped_definitions"] == 0, "not on the day it came"
    change(mart, "UPDATE definitions SET created_at = '2026-01-01T00:00:00.000000Z'")
    done = mart.json("clean")
    assert done["dropped_definitions"] == 1 and len(look(mart, "SELECT hash FROM definitions")) == 1
    mart("rerun", "mart@2026-01-05", "--all", "--keep-definition", "-q")


def test_what_cannot_be_removed_is_told_and_the_rest_is_done(mart):
    locked = mart.home / "runs" / "mart" / ".removed.2.2026-01-02"
    (locked / "inside").mkdir(parents=True)  # in the way of the second run's folder
    os.chmod(locked, 0o500)
    if os.geteuid() == 0:
        subprocess.run(["chattr", "+i", str(locked)], stderr=subprocess.DEVNULL)
    try:
        (locked / "probe").mkdir()
        pytest.skip("this user may write everywhere")
    except OSError:
        done = mart("clean", "--json", code=1)
        assert "cannot be removed" in done.stderr and names(mart) == ["mart@2026-01-02"] + KEPT
    finally:
        subprocess.run(["chattr", "-i", str(locked)], stderr=subprocess.DEVNULL)
        os.chmod(locked, 0o700)


# ----------------------------------------------------------------------------------------------------- compressed logs


WAYS = [("logs", "RUN"), ("logs", "RUN", "extract"), ("logs", "RUN", "extract", "-n", "3"), ("logs", "RUN", "extract", "--all"),
        ("logs", "RUN", "extract", "--attempt", "1", "-n", "1"), ("logs", "RUN", "-f"), ("logs", "RUN", "extract", "-f"),
        ("logs", "RUN", "extract", "--raw"), ("logs", "RUN", "extract", "--all", "--raw"), ("logs", "RUN", "load"), ("logs", "RUN", "--all", "-f")]


def test_compressed_logs_are_read_as_before(mart):
    run = KEPT[0]
    said = [mart(*[word.replace("RUN", run) for word in way]) for way in WAYS]
    plain = mart.json("logs", run)
    change(mart, "UPDATE runs SET state = 'failed' WHERE id = 4")
    change(mart, "UPDATE step_runs SET state = 'failed', reason = 'exit 1' WHERE run_id = 4 AND step = 'extract'")
    status = mart("status", run).stdout
    assert "line 2000" in status
    done = mart.json("clean", env={"RUNNER_KEEP_DAYS": "never"})
    assert done["compressed_logs"] == 8 and done["compressed_bytes"] > 100_000
    place = mart.home / "runs" / "mart" / "2026-01-04"
    assert sorted(path.name for path in place.rglob("log*")) == ["log", "log.gz", "log.gz"], "a log of one block stays as it is"
    assert mart("status", run).stdout == status
    change(mart, "UPDATE runs SET state = 'success' WHERE id = 4")
    change(mart, "UPDATE step_runs SET state = 'success', reason = '' WHERE run_id = 4 AND step = 'extract'")
    for way, old in zip(WAYS, said):
        new = mart(*[word.replace("RUN", run) for word in way])
        assert (new.stdout, new.stderr.replace("log.gz", "log")) == (old.stdout, old.stderr), way
    zipped = mart.json("logs", run)
    assert zipped["steps"][0].pop("path") == plain["steps"][0].pop("path") + ".gz" and zipped == plain
    assert mart("logs", run, "extract", "--path").stdout.strip().endswith("extract.2/log.gz")
    assert mart.json("clean", env={"RUNNER_KEEP_DAYS": "never"})["compressed_logs"] == 0


def test_what_has_no_room_is_not_compressed_first(mart):
    done = mart.json("clean", env={"RUNNER_KEEP_DAYS": "never", "RUNNER_KEEP_BYTES": "1K"})
    assert done["removed_logs"] == GONE and done["compressed_logs"] == 2


# ------------------------------------------------------------------------------------------------------ beside running ones


def test_a_run_that_works_is_never_touched(mart):
    """Run again long after its time; made long ago; ended long ago, but a process of it lives on."""
    mart.write("slow.yaml", """
        steps:
          - id: wait
            bash: |
              seq 2000; touch "$HOME/begun.<< ds >>"
              while [ ! -e "$HOME/go" ]; do sleep 0.02; done
    """)
    process = mart.start("run", "slow.yaml", "--date", DAYS[0], "-q", env={"HOME": str(mart.folder)})
    mart.wait_for(lambda: (mart.folder / f"begun.{DAYS[0]}").exists())
    survivor = subprocess.Popen(
        ["sleep", "600"], start_new_session=True, env={**os.environ, "RUNNER_ATTEMPT": str(mart.home / "runs" / "mart" / DAYS[1] / "load.1")})
    change(mart, "UPDATE runs SET created_at = '2026-01-01T00:00:00.000000Z', started_at = '2026-01-01T00:00:00.000000Z' WHERE pipeline = 'slow'")
    try:
        strict = {"RUNNER_KEEP_BYTES": "1K", "RUNNER_COMPRESS_DAYS": "1"}
        done = mart.json("clean", env=strict)
        assert done["removed_runs"] == [GONE[0], GONE[2]] and done["faults"] == []
        assert sorted(path.name for path in (mart.home / "runs" / "mart" / DAYS[1]).rglob("log*")) == ["log"] * 3
        assert (mart.home / "runs" / "slow" / DAYS[0] / "wait.1" / "log").exists()
    finally:
        survivor.kill()
        survivor.wait()
        mart.write("go", "")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    assert mart("logs", f"slow@{DAYS[0]}", "-n", "1").stdout == "2000\n"
    assert mart.json("clean")["removed_runs"] == [GONE[1]]


def test_an_old_run_that_is_run_again_stays(mart):
    mart.write("mart.yaml", MART.replace("echo \"loaded", "touch \"$HOME/again\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; echo \"loaded"))
    process = mart.start("rerun", GONE[0], "--from", "load", "-q", env={"HOME": str(mart.folder)})
    mart.wait_for(lambda: (mart.folder / "again").exists())
    try:
        assert mart.json("clean")["removed_runs"] == GONE[1:]
    finally:
        mart.write("go", "")
        process.communicate(timeout=60)
    assert process.returncode == 0 and mart("logs", GONE[0], "load").stdout == "loaded 3\n"
    assert mart("logs", GONE[0], "extract", "-n", "1").stdout == "2026-01-01 line 2000\n"


@pytest.mark.parametrize("with_rows", [True, False])
def test_a_run_that_is_run_again_between_the_look_and_the_act_stays(mart, monkeypatch, with_rows):
    settings = config.load({**mart.env, "RUNNER_KEEP_DAYS": "90" if with_rows else "0", "RUNNER_KEEP_BYTES": "1K", "RUNNER_COMPRESS_DAYS": "0"})
    store = Store(settings.database)
    seen = store.housekeeping.runs()
    with store.transaction():
        store.move("run", 1, "success", "queued", Clock().now(), reason="rerun")
    change(mart, "UPDATE attempts SET ended_at = NULL, state = 'running' WHERE run_id = 2 AND step = 'load'")
    monkeypatch.setattr(store.housekeeping, "runs", lambda: seen)
    done = retention.Cleaning(store, settings, Clock(), ()).go()
    store.close()
    assert (done.removed_runs if with_rows else done.removed_logs) == GONE[2:] and folders(mart) == sorted(GONE[:2] + KEPT)


def test_many_runs_while_it_cleans_all_end_well(mart):
    """Six dates run one after another; a clean begins whenever the one before has ended."""
    stop, cleaned, faults = threading.Event(), [], []

    def clean_on():
        while not stop.is_set():
            done = mart("clean", "--quiet", env={"RUNNER_KEEP_BYTES": "1K"}, code=None)
            cleaned.append(done.returncode)
            faults.extend([done.stderr] if done.stderr else [])

    cleaner = threading.Thread(target=clean_on)
    cleaner.start()
    try:
        for day in range(1, 7):
            mart("run", "mart.yaml", "--date", f"2026-02-0{day}", "-q")
    finally:
        stop.set()
        cleaner.join()
    assert set(cleaned) == {0} and faults == []
    assert mart.states("mart@2026-02-06") == {"extract": "success", "load": "success"} and "good" in mart("db", "check").stdout


def test_only_one_at_a_time(mart):
    import fcntl

    mart("clean", "-q")
    with open(mart.home / "clean.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "at work" in mart("clean", code=1).stderr
    mart("clean", "-q")


# ------------------------------------------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize("fault", [
    "clean.moved:kill", "clean.moved:kill@3", "clean.committed:kill", "clean.packed:kill", "clean.packed:kill@2", "clean.named:kill",
    "backup.written:kill",
])
def test_killed_anywhere_nothing_is_wrong_and_the_next_one_finishes(mart, fault):
    strict = {"RUNNER_COMPRESS_DAYS": "1", "RUNNER_KEEP_BYTES": "1T"}
    killed = mart("clean", env={"RUNNER_FAULT": fault, **strict}, code=None)
    assert killed.returncode == -signal.SIGKILL, "the point was never passed"
    assert "good" in mart("db", "check").stdout
    for run in names(mart):  # each run is whole: its history, and its logs or the word that they were removed
        assert mart.states(run) == {"extract": "success", "load": "success"}
        told = mart("logs", run, "extract", "-n", "1")
        assert told.stdout == f"{run[5:]} line 2000\n" or "were removed" in told.stderr
    again = [run for run in GONE if run not in names(mart)]
    for run in again:  # a date that is gone can run at once, whatever the killed one left
        mart("run", "mart.yaml", "--date", run[5:], "-q")
        assert mart("logs", run, "load").stdout == "loaded 3\n"
        age(mart, run, 102)
    mart("clean", env=strict)
    assert names(mart) == again[-1:] + KEPT == folders(mart) and waste(mart) == []  # the one made last stays
    assert mart("logs", KEPT[0], "extract", "-n", "1").stdout == "2026-01-04 line 2000\n"
    assert [path.name for path in (mart.home / "runs" / "mart" / "2026-01-04").rglob("log.gz")] == ["log.gz"] * 2


def test_a_disk_that_is_full_in_the_middle_loses_nothing(mart):
    done = mart("clean", env={"RUNNER_FAULT": "clean.packed:error@2", "RUNNER_KEEP_DAYS": "never"}, code=1)
    assert "No space left" in done.stderr and waste(mart) == []
    for run in names(mart):
        assert mart("logs", run, "extract", "-n", "1").stdout == f"{run[5:]} line 2000\n"


# -------------------------------------------------------------------------------------------------------------- copies


def test_a_copy_while_another_writes_is_of_one_moment(mart):
    """A writer's transactions each add a row to two tables; a copy that mixed moments would hold unequal numbers."""
    change(mart, "CREATE TABLE left_side (filler TEXT)")
    change(mart, "CREATE TABLE right_side (filler TEXT)")
    change(mart, "INSERT INTO left_side WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT hex(randomblob(200)) FROM n")
    change(mart, "INSERT INTO right_side SELECT filler FROM left_side")
    copies, begun, ended = [], threading.Event(), threading.Event()

    def copy():
        begun.wait()
        while not ended.is_set():
            copies.append(mart.folder / f"copy{len(copies)}.db")
            mart("db", "backup", copies[-1])

    copier = threading.Thread(target=copy)
    copier.start()
    writer = sqlite3.connect(mart.home / "runner.db", timeout=0, isolation_level=None)  # it waits for no lock: it would be refused
    pause = threading.Event()
    try:
        for number in range(200):
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO left_side VALUES ('x')")
            writer.execute("INSERT INTO right_side VALUES ('x')")
            writer.execute("COMMIT")
            begun.set()
            pause.wait(0.005)
    finally:
        begun.set()
        ended.set()
        copier.join()
        writer.close()
    for path in copies:
        with sqlite3.connect(path) as connection:
            counts = connection.execute("SELECT (SELECT count(*) FROM left_side), (SELECT count(*) FROM right_side), (SELECT count(*) FROM runs)").fetchone()
        connection.close()
        assert counts[0] == counts[1] > 20000 and counts[2] == 4
    assert not [path for path in mart.folder.iterdir() if path.name.endswith((".part", "-wal", "-shm", "-journal"))]


def test_a_copy_does_not_begin_anew_at_each_commit_of_another(tmp_path):
    from runner.store import backup

    store = Store(str(tmp_path / "runner.db"), "normal")
    connection = store.db.connection
    connection.execute("CREATE TABLE filler (text)")
    connection.execute("INSERT INTO filler WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT zeroblob(4000) FROM n")
    steps = []

    def write():
        steps.append(1)
        assert len(steps) < 1000, "it never ends while another writes"
        connection.execute("INSERT INTO filler VALUES ('x')")

    backup.copy(str(tmp_path / "runner.db"), str(tmp_path / "copy.db"), write)
    assert 10 < len(steps) < 20
    store.close()


def test_a_copy_brings_everything_back(mart):
    copy = mart.folder / "copy.db"
    told = mart("db", "backup", copy)
    assert str(copy) in told.stdout and "mv " in told.stderr
    mart("run", "mart.yaml", "--date", "2026-03-01", "-q")
    for line in told.stderr.splitlines()[1].split(";")[:3]:  # as it says
        subprocess.run(line, shell=True, check=True)
    assert names(mart) == sorted(GONE + KEPT) and "good" in mart("db", "check").stdout
    assert mart("db", "backup", copy, code=1).stderr.count("nothing is overwritten") == 1


def test_clean_makes_a_copy_a_day_and_keeps_seven_of_its_own(mart):
    place = mart.home / "backups"
    place.mkdir()
    for name in [f"runner-202601{day:02d}-043000.db" for day in range(1, 10)] + ["runner-mine.db", "note.txt"]:
        (place / name).write_text("")
    made = mart.json("clean")["backup"]
    left = sorted(path.name for path in place.iterdir())
    assert left == ["note.txt", *[f"runner-202601{day:02d}-043000.db" for day in range(4, 10)], os.path.basename(made), "runner-mine.db"]
    assert mart.json("clean")["backup"] == ""
    with sqlite3.connect(made) as connection:  # made before anything was removed
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (4,)
    connection.close()
    os.rename(made, place / "runner-20260110-000000.db")
    assert mart.json("clean")["backup"] != "", "the newest is older than a day"


def test_copies_that_cannot_be_made_say_why(mart):
    assert "mkdir -p" in mart("db", "backup", "nowhere/copy.db", code=3).stderr
    assert "is there already" in mart("db", "backup", mart.folder, code=1).stderr


# --------------------------------------------------------------------------------------------------------- a large one


RUNS, STEPS = 3000, 100


def test_300_000_step_rows_go_without_a_writer_waiting(runner):
    """One run of 10,000 steps among them, whose rows go by bites."""
    runner.home.mkdir()
    path = str(runner.home / "runner.db")
    fill(Store(path, "normal"))
    before = os.path.getsize(path)
    writer = sqlite3.connect(path, timeout=30, isolation_level=None)
    waits, pause = [], threading.Event()

    def write():
        at = time.perf_counter()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO holds (pipeline, step, actor, at) VALUES ('p', ?, 'me', '')", (str(len(waits)),))
        writer.execute("COMMIT")
        waits.append(time.perf_counter() - at)
        pause.wait(0.003)

    for _ in range(100):
        write()
    alone = max(waits)  # what the disk itself takes here
    process = runner.start("clean", "--json", env={"RUNNER_TIMEZONE": "UTC"})
    while process.poll() is None:
        write()
    out, err = process.communicate()
    assert process.returncode == 0, err
    counts = writer.execute("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM step_runs)").fetchone()
    writer.close()
    print(f"{len(waits)} writes, the slowest {max(waits) * 1000:.0f} ms, {alone * 1000:.0f} ms alone; {before / 1e6:.0f} MB became {os.path.getsize(path) / 1e6:.0f} MB")
    assert counts == (1, STEPS) and max(waits) < 0.2 + 5 * alone and len(waits) > 200
    assert os.path.getsize(path) < before / 2


def fill(store):
    at = "2026-01-01T00:00:00.000000Z"
    run = lambda db, n: db.execute(  # noqa: E731
        "INSERT INTO runs (id, name, pipeline, due_at, number, logical_at, interval_start, interval_end, timezone, definition, trigger_kind, params,"
        " state, created_at, ended_at) VALUES (?, ?, 'p', ?, 0, ?, ?, ?, 'UTC', 'h', 'manual', '{}', 'success', ?, ?)",
        (n, f"p@{n}", f"{n:027d}", at, at, at, at, at))
    db = store.db.connection
    with store.transaction():
        db.execute("INSERT INTO definitions VALUES ('h', 'p', '/p', 'steps: []', ?)", (at,))
        for n in range(RUNS):
            run(db, n + 1)
            steps = 10_000 if n == 0 else STEPS if n < RUNS - 100 or n == RUNS - 1 else 0
            db.executemany("INSERT INTO step_runs (run_id, step, position, state, ended_at) VALUES (?, ?, ?, 'success', ?)",
                           [(n + 1, f"step{i}", i, at) for i in range(steps)])
        db.execute("INSERT INTO transitions (at, kind, run_id, step, to_state, actor) SELECT ended_at, 'step', run_id, step, state, 'engine'"
                   " FROM step_runs WHERE run_id < 500")
        db.execute("INSERT INTO attempts (run_id, step, number, state, folder, started_at, ended_at) SELECT run_id, step, 1, 'success', '/f', ended_at,"
                   " ended_at FROM step_runs WHERE run_id < 500")
    assert db.execute("SELECT count(*) FROM step_runs").fetchone()[0] == 300_000
    store.close()
