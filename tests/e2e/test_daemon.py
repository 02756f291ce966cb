"""The daemon as its users meet it: real processes, real files, each promise once."""

from __future__ import annotations

import os
import re
import signal
import time
from datetime import datetime, timedelta, timezone
from textwrap import dedent

import pytest

from runner.clock import from_text
from tests.e2e.daemons import EFFECT, WAITS, House, soon

UTC = timezone.utc
ONE = f"steps:\n  - id: a\n    bash: {EFFECT}\n"
SLOW = f"steps:\n  - id: a\n    bash: {WAITS}\n    kill_grace: 1s\n"
MIDNIGHT = "2026-01-01T00:00"  # one of a minutely pipeline's dates
CHAIN = f"""
    steps:
      - id: first
        bash: {WAITS}
      - id: last
        needs: first
        bash: {EFFECT}
"""


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def known(house, *names):
    """Wait until the daemon has read these files."""
    house.wait_for(lambda: {row["name"] for row in house.rows("SELECT name FROM pipelines WHERE definition IS NOT NULL")} >= set(names))


def day(number):
    return f"2026-01-{number:02}"


# ------------------------------------------------------------------------------------------------------------ on time


def test_a_due_time_starts_a_run_and_not_before(house):
    due, text = soon(3 + int(house.patience()))
    house.pipeline("once", f"schedule: '@once'\nstart_date: '{text}'\n" + ONE)
    house.daemon()
    house.wait_lines(1)
    run = house.rows("SELECT * FROM runs")[0]
    assert run["trigger_kind"] == "schedule" and from_text(run["due_at"]) == due
    assert timedelta() <= from_text(run["started_at"]) - due < timedelta(seconds=20)
    house.wait_all_ended()
    house.check_promises()


def test_a_run_made_ahead_begins_at_its_time_though_a_schedule_is_due_in_the_same_instant(house):
    """Not at the next look, which is ten seconds away."""
    due, text = soon(4 + int(house.patience()))
    house.pipeline("once", f"schedule: '@once'\nstart_date: '{text}'\n" + ONE)
    house.pipeline("asked", ONE)
    house.daemon()
    known(house, "once", "asked")
    house("trigger", "asked", "--date", text)
    house.wait_lines(2)
    starts = {row["pipeline"]: from_text(row["started_at"]) for row in house.rows("SELECT pipeline, started_at FROM runs")}
    assert timedelta() <= starts["asked"] - due and abs(starts["asked"] - starts["once"]) < timedelta(seconds=5)
    house.wait_all_ended()
    house.check_promises()


def test_after_an_outage_the_latest_runs_and_the_others_leave_a_row_that_says_why(house):
    house.pipeline("mart", "schedule: '* * * * *'\n" + ONE)
    house.end(house.daemon())
    house.make_due("mart", back=timedelta(minutes=5, seconds=1))
    house.daemon()
    house.wait_lines(1)
    house.rest("mart")
    rows = house.rows("SELECT state, reason FROM runs ORDER BY due_at")
    states = "".join(row["state"][0] for row in rows)
    assert re.fullmatch("m{4,5}s+m*", states) and "catchup: last" in rows[0]["reason"]  # the minute may have changed meanwhile
    dues = [from_text(row["due_at"]) for row in house.rows("SELECT due_at FROM runs ORDER BY due_at")]
    house.check_dues("mart", dues[0], dues[-1])
    house.check_promises()


def test_a_daemon_that_was_stopped_for_a_while_makes_up_for_all_of_it(house):
    patience = int(house.patience())  # the daemon must be there before
    moments = [soon(patience + seconds) for seconds in (3, 4, 5)]
    for number, (_, text) in enumerate(moments):
        house.pipeline(f"p{number}", f"schedule: '@once'\nstart_date: '{text}'\n" + ONE)
    child = house.daemon()
    child.send_signal(signal.SIGSTOP)
    house.wait_for(lambda: datetime.now(UTC) > moments[-1][0] + timedelta(seconds=1))
    assert not house.runs() and house.lines() == []
    child.send_signal(signal.SIGCONT)
    house.wait_lines(3)
    house.wait_all_ended()
    assert [from_text(row["due_at"]) for row in house.rows("SELECT due_at FROM runs ORDER BY due_at")] == [due for due, _ in moments]
    house.check_promises()


# ------------------------------------------------------------------------------------------------------------ trigger


def test_trigger_now_and_for_a_past_date(house):
    house.pipeline("mart", ONE.replace(EFFECT, EFFECT + "; echo $RUNNER_DS >>$ROOM/dates"))
    house.daemon()
    assert house("trigger", "mart", "--date", "2024-02-29", "--wait").stdout.splitlines()[-1].startswith("mart@2024-02-29  ")
    now = house.json("trigger", "mart", "--wait")
    assert (now["state"], now["trigger"]) == ("success", "manual")
    assert house.lines(house.folder / "dates")[0] == "2024-02-29"
    house.check_promises()


def test_trigger_waits_for_the_end_and_tells_it(house):
    house.pipeline("bad", "steps:\n  - {id: a, bash: exit 3}\n")
    house.daemon()
    done = house("trigger", "bad", "--date", day(1), "--wait", code=1)
    assert done.stdout.splitlines()[-1] == f"bad@{day(1)}  failed  (failed: a)"


def test_a_future_date_waits_until_it_is_due(house):
    house.pipeline("mart", ONE)
    house.daemon()
    far = house("trigger", "mart", "--date", "2099-12-31")
    assert "it begins 2099-12-31" in far.stderr
    assert "it is due 2099-12-31" in house.json("status", "mart@2099-12-31")["waits"]
    due, text = soon(3 + int(house.patience()))
    near = house.json("trigger", "mart", "--date", text)["name"]
    house.wait_state(near, "success")
    assert timedelta() <= from_text(house.run(near)["started_at"]) - due < timedelta(seconds=6)  # not at the next beat
    assert house.runs()["mart@2099-12-31"] == "queued"
    house("stop", "mart@2099-12-31")
    house.wait_all_ended()
    house.check_promises()


def test_the_same_date_twice_is_refused_and_says_how_it_stands(house):
    house.pipeline("mart", SLOW)
    without = house("trigger", "mart", "--date", day(1))
    assert "no daemon runs" in without.stderr
    waits = house("trigger", "mart", "--date", day(1), code=1)
    assert f"run mart@{day(1)} waits already" in waits.stderr and f"runner status mart@{day(1)}" in waits.stderr
    child = house.daemon()
    house.wait_lines(1)
    runs = house("trigger", "mart", "--date", day(1), code=1)
    assert "is running already" in runs.stderr and f"pid {child.pid}" in runs.stderr
    house.open()
    house.wait_all_ended()
    ended = house("trigger", "mart", "--date", day(1), code=1)
    assert f"run mart@{day(1)} exists (success)" in ended.stderr and "--new" in ended.stderr
    assert house.json("trigger", "mart", "--date", day(1), "--new", "--wait")["name"] == f"mart@{day(1)}#2"
    house.check_promises()


def test_twenty_at_once_make_one_run(house):
    house.pipeline("mart", ONE)
    house.daemon()
    children = [house.start("trigger", "mart", "--date", day(1)) for _ in range(20)]
    told = [child.communicate(timeout=120)[1] for child in children]
    assert sorted(child.returncode for child in children) == [0] + [1] * 19, told
    assert not [text for text in told if "Traceback" in text]
    house.wait_all_ended()
    assert house.lines() == ["mart@2026-01-01 a 1"]
    house.check_promises()


# --------------------------------------------------------------------------------------------------------- life and death


def test_a_second_daemon_is_told_the_pid_of_the_first(house):
    first = house.daemon()
    second = house.daemon(ready=False)
    assert house.ended(second) == 1
    assert f"pid {first.pid}" in second.words and "runner daemon stop" in second.words


def test_two_daemons_at_once_one_works_and_the_other_names_it(house):
    house.end(house.daemon(), signal.SIGKILL)  # whose pid is still in the lock's file
    children = [house.daemon(ready=False) for _ in range(5)]
    house.wait_for(lambda: sum(child.poll() is not None for child in children) == 4)
    living = [child for child in children if child.poll() is None]
    for child in children:
        if child not in living:
            assert house.ended(child) == 1
            assert f"pid {living[0].pid}" in child.words, child.words
    house.wait_ready(living[0])


def test_term_leaves_the_steps_and_the_next_daemon_adopts_them(house):
    house.pipeline("mart", CHAIN)
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    assert "the daemon has ended" in house("daemon", "stop").stdout
    assert house.ended(child) == 0
    assert len(house.step_processes()) > 0 and house.step(f"mart@{day(1)}", "first")["state"] == "running"
    assert "interrupted" in house("runs").stdout
    house.daemon()
    house.wait_for(lambda: house.run(f"mart@{day(1)}")["engine"])
    house.open()
    house.wait_all_ended()
    house.check_promises()


def test_kill_9_with_running_steps_they_are_adopted_within_five_seconds(house):
    house.settings("slots: 30\n")
    for number in range(30):
        house.pipeline(f"p{number}", CHAIN)
    child = house.daemon()
    for number in range(30):
        house.start("trigger", f"p{number}", "--date", day(1)).communicate(timeout=60)
    house.wait_lines(30)
    house.end(child, signal.SIGKILL)
    begin = time.monotonic()
    house.daemon()
    house.wait_for(lambda: len(house.rows("SELECT 1 FROM runs WHERE engine LIKE ?", f"{house.children[-1].pid}-%")) == 30)
    assert time.monotonic() - begin < 5 + house.patience()
    house.open()
    house.wait_all_ended()
    house.check_promises()


def test_what_ended_while_no_daemon_lived_is_taken_as_it_was(house):
    house.pipeline("good", CHAIN)
    house.pipeline("bad", f"steps:\n  - id: a\n    bash: {WAITS}; exit 7\n")
    child = house.daemon()
    house("trigger", "good", "--date", day(1))
    house("trigger", "bad", "--date", day(1))
    house.wait_lines(2)
    house.end(child, signal.SIGKILL)
    house.open()
    house.wait_for(lambda: not house.step_processes())
    house.daemon()
    house.wait_all_ended()
    assert house.runs() == {f"good@{day(1)}": "success", f"bad@{day(1)}": "failed"}
    assert house.rows("SELECT exit_code FROM attempts WHERE step = 'a'")[0]["exit_code"] == 7
    house.check_promises()


LONG_AGO = "2026-01-01T00:00:00.000000Z"


def test_what_ended_by_itself_while_no_daemon_lived_is_no_timeout(house):
    """Its limits are over when it is found; it was there before anybody could end it."""
    house.pipeline("mart", "defaults: {timeout: 1h, retries: 1, retry_delay: 1s}\n" + dedent(CHAIN))
    house.pipeline("one", f"timeout: 1h\nsteps:\n  - id: a\n    bash: {WAITS}\n")
    child = house.daemon()
    for name in ("mart", "one"):
        house("trigger", name, "--date", day(1))
    house.wait_lines(2)
    house.end(child, signal.SIGKILL)
    house.open()
    files = {row["step"]: house.home / row["folder"] / "rc" for row in house.rows("SELECT step, folder FROM attempts")}
    house.wait_for(lambda: all(file.exists() and file.read_text() for file in files.values()))
    ended = {step: file.stat().st_mtime for step, file in files.items()}
    house.change("UPDATE attempts SET deadline_at = ?", LONG_AGO)
    house.change("UPDATE runs SET started_at = ? WHERE pipeline = 'one'", LONG_AGO)
    house.daemon()
    house.wait_all_ended()
    assert house.runs() == {f"mart@{day(1)}": "success", f"one@{day(1)}": "success"}
    for row in house.rows("SELECT step, ended_at FROM attempts WHERE step IN ('first', 'a')"):
        assert abs(from_text(row["ended_at"]).timestamp() - ended[row["step"]]) < 0.001
    assert {row["number"] for row in house.rows("SELECT number FROM attempts")} == {1}
    house.check_promises()


def test_a_run_that_is_over_its_time_when_it_is_found_begins_nothing_more(house):
    house.pipeline("mart", "timeout: 1h\n" + dedent(CHAIN))
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    house.end(child, signal.SIGKILL)
    house.open()
    file = house.home / house.rows("SELECT folder FROM attempts")[0]["folder"] / "rc"
    house.wait_for(lambda: file.exists() and file.read_text())
    house.change("UPDATE runs SET started_at = ?", LONG_AGO)
    house.daemon()
    house.wait_all_ended()
    assert house.run(f"mart@{day(1)}")["reason"] == "the run's timeout of 3600 s is over"
    assert [house.step(f"mart@{day(1)}", step)["state"] for step in ("first", "last")] == ["success", "killed"]


def test_drain_begins_nothing_and_leaves_when_the_steps_have_ended(house):
    house.pipeline("mart", CHAIN)
    house.pipeline("other", ONE)
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    asked = house.start("daemon", "stop", "--drain")
    house.wait_for(lambda: "asked to drain" in house.log())
    house("trigger", "other", "--date", day(1))
    assert child.poll() is None and house.runs()[f"other@{day(1)}"] == "queued"
    house.open()
    assert house.ended(child) == 0 and "has ended" in asked.communicate(timeout=60)[0]
    assert house.step(f"mart@{day(1)}", "first")["state"] == "success" and house.step(f"mart@{day(1)}", "last")["state"] == "pending"
    house.daemon()
    house.wait_all_ended()
    house.check_promises()


def test_stop_kill_ends_the_steps(house):
    house.pipeline("mart", SLOW)
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    house("daemon", "stop", "--kill")
    assert house.ended(child) == 0
    assert house.runs() == {f"mart@{day(1)}": "killed"} and not house.step_processes()
    assert "daemon stop --kill" in house.run(f"mart@{day(1)}")["reason"]


def test_stop_kill_takes_away_what_the_steps_had_set_up(house):
    house.pipeline("mart", f"steps:\n  - id: a\n    bash: {WAITS}\n    kill_grace: 1s\n  - {{id: away, teardown: a, bash: '{EFFECT}'}}\n  - {{id: b, needs: a, bash: '{EFFECT}'}}\n")
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    house("daemon", "stop", "--kill")
    assert house.ended(child) == 0
    assert {row["step"]: row["state"] for row in house.rows("SELECT step, state FROM step_runs")} == {"a": "killed", "away": "success", "b": "killed"}
    assert house.run(f"mart@{day(1)}")["state"] == "killed"


def test_a_daemon_killed_while_it_ends_all_leaves_that_to_the_next(house):
    house.pipeline("mart", f"steps:\n  - id: a\n    bash: trap '' TERM; {WAITS}\n    kill_grace: 1h\n  - {{id: b, needs: a, bash: '{EFFECT}'}}\n")
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    asked = house.start("daemon", "stop", "--kill")
    house.wait_for(lambda: house.rows("SELECT 1 FROM attempts WHERE kill_at IS NOT NULL"))
    house.end(child, signal.SIGKILL)
    asked.communicate(timeout=60)
    house.open()
    house.daemon()
    house.wait_all_ended()
    assert house.run(f"mart@{day(1)}")["state"] == "killed" and house.step(f"mart@{day(1)}", "b")["state"] == "killed"


def test_who_stops_a_run_ends_it_also_when_the_daemon_dies_meanwhile(house):
    house.pipeline("mart", f"steps:\n  - id: a\n    bash: trap '' TERM; {WAITS}\n    kill_grace: 1h\n")
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    asked = house.start("stop", f"mart@{day(1)}")
    house.wait_for(lambda: house.rows("SELECT 1 FROM attempts WHERE kill_at IS NOT NULL"))
    house.end(child, signal.SIGKILL)
    house.wait_for(lambda: (house.run(f"mart@{day(1)}")["engine"] or "").startswith(f"{asked.pid}-"))
    house.open()
    out, err = asked.communicate(timeout=60)
    assert asked.returncode == 0 and house.runs() == {f"mart@{day(1)}": "killed"}, (out, err)


def test_without_a_daemon_stop_and_reload_say_how_to_start_one(house):
    for word in ("stop", "reload"):
        told = house("daemon", word, code=2)
        assert "no daemon works on" in told.stderr and "runner daemon" in told.stderr


# ------------------------------------------------------------------------------------------------------- what people ask


def test_a_held_pipeline_begins_nothing_and_a_held_step_lets_the_others_pass(house):
    house.pipeline("mart", ONE)
    house.pipeline("chain", f"steps:\n  - id: a\n    bash: {EFFECT}\n  - id: b\n    needs: a\n    bash: {EFFECT}\n")
    house.daemon()
    house("hold", "mart", "--reason", "month end")
    house("hold", "chain", "b")
    house("trigger", "mart", "--date", day(1))
    house("trigger", "chain", "--date", day(1))
    house.wait_for(lambda: house.step(f"chain@{day(1)}", "a")["state"] == "success")
    assert "month end" in house.json("status", f"mart@{day(1)}")["waits"] and "month end" in house("runs", "mart").stdout
    assert "runner release chain b" in house.json("status", f"chain@{day(1)}")["waits"]
    assert [entry["name"] for entry in house.json("list") if entry["held"]] == ["mart"]
    assert house.step(f"chain@{day(1)}", "b")["state"] == "pending" and house.runs()[f"mart@{day(1)}"] == "queued"
    assert "is held by" in house("hold", "mart", code=1).stderr
    house("release", "mart")
    house("release", "chain", "b")
    house.wait_all_ended()
    assert "is not held" in house("release", "mart", code=1).stderr
    house.check_promises()


def test_a_paused_schedule_leaves_missed_rows_and_goes_on_from_then(house):
    house.pipeline("mart", "schedule: '* * * * *'\n" + ONE)
    house.daemon()
    house("pause", "mart", "--reason", "migration")
    assert "paused by" in house("list").stdout
    house.make_due("mart", back=timedelta(minutes=2, seconds=1))
    house.wait_for(lambda: len(house.runs(state="missed")) >= 2)
    assert "migration" in house.rows("SELECT reason FROM runs")[0]["reason"] and house.lines() == []
    assert house.json("trigger", "mart", "--date", MIDNIGHT, "--wait")["state"] == "success"  # by hand it runs
    house("unpause", "mart")
    house.make_due("mart")
    house.wait_for(lambda: house.rows("SELECT 1 FROM runs WHERE trigger_kind = 'schedule' AND state = 'success'"))
    house.rest("mart")
    house.check_promises()


def test_a_waiting_run_says_for_which_it_waits(house):
    house.pipeline("mart", SLOW)
    house.daemon()
    for number in (1, 2, 3):
        house("trigger", "mart", "--date", day(number))
    house.wait_lines(1)
    assert house.json("status", f"mart@{day(2)}")["waits"] == f"waits for mart@{day(1)} (max_active_runs: 1)"
    assert house("runs", "mart").stdout.count("waits for mart@2026-01-01") == 2
    assert house("stop", f"mart@{day(2)}").stdout == f"mart@{day(2)}  killed\n"  # one that waits leaves the queue
    house.open()
    house.wait_all_ended()
    assert house.runs() == {f"mart@{day(1)}": "success", f"mart@{day(2)}": "killed", f"mart@{day(3)}": "success"}
    house.check_promises()


def test_a_date_waits_for_the_success_of_the_one_before(house):
    house.pipeline("mart", "depends_on_past: true\nsteps:\n  - id: a\n    bash: " + EFFECT + "; [ $RUNNER_DS != 2026-01-01 ] || [ -e $ROOM/mended ]\n")
    house.daemon()
    house("trigger", "mart", "--date", day(1), "--wait", code=1)
    house("trigger", "mart", "--date", day(2))
    assert f"depends_on_past: mart@{day(1)} is failed" in house.json("status", f"mart@{day(2)}")["waits"]
    house("trigger", "mart", "--date", day(3))
    assert f"mart@{day(2)} is queued, behind mart@{day(1)}, which is failed" in house("runs", "mart").stdout
    (house.folder / "mended").touch()
    house("rerun", f"mart@{day(1)}", "--failed")
    house.wait_state(f"mart@{day(3)}", "success")
    house.check_promises(once=False)


def overlaps(rows):
    """The most of these (start, end) that were open at one moment."""
    moments = sorted([(row["started_at"], 1) for row in rows] + [(row["ended_at"], -1) for row in rows])
    most = count = 0
    for _, change in moments:
        count += change
        most = max(most, count)
    return most


def test_a_pool_is_never_overfull_over_all_pipelines(house):
    house.settings("slots: 8\npools: hive=2\n")
    for number in range(4):
        house.pipeline(f"p{number}", "steps:\n" + "".join(f"  - id: s{n}\n    pool: hive\n    bash: {EFFECT}; sleep 0.1\n" for n in range(3)))
    house.daemon()
    children = [house.start("trigger", f"p{number}", "--date", day(1)) for number in range(4)]
    assert [child.communicate(timeout=60) and child.returncode for child in children] == [0] * 4
    house.wait_lines(12)
    house.wait_all_ended()
    assert overlaps(house.rows("SELECT started_at, ended_at FROM attempts")) == 2
    house.check_promises()


def test_stop_of_a_run_ends_its_steps_and_nothing_behind_them(house):
    house.pipeline("mart", CHAIN)
    house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    assert "killed" in house("stop", f"mart@{day(1)}").stdout
    assert house.states(f"mart@{day(1)}") == {"first": "killed", "last": "killed"} and not house.step_processes()
    house.check_promises()


def test_rerun_is_handed_to_the_daemon(house):
    house.pipeline("mart", "steps:\n  - id: a\n    bash: " + EFFECT + "; [ -e $ROOM/mended ]\n  - id: b\n    needs: a\n    bash: " + EFFECT + "\n")
    child = house.daemon()
    house("trigger", "mart", "--date", day(1), "--wait", code=1)
    (house.folder / "mended").touch()
    told = house("rerun", f"mart@{day(1)}", "--failed", "--wait")
    assert "runs again" in told.stderr and f"mart@{day(1)}  " in told.stdout
    house("rerun", f"mart@{day(1)}", "--all")
    house.wait_lines(5)
    house.wait_all_ended()
    assert house.lines() == [f"mart@{day(1)} {word}" for word in ("a 1", "a 2", "b 1", "a 3", "b 2")]
    assert f"pid {child.pid}" in house("rerun", f"mart@{day(1)}", "--from", "b").stderr
    house.wait_lines(6)


# ------------------------------------------------------------------------------------------------------------ backfill

OVERLAPPING = "max_active_runs: 3\nsteps:\n  - id: a\n    bash: " + EFFECT + "; sleep 0.2\n"


def test_a_backfill_shows_its_dates_and_runs_them_in_order_so_many_at_once(house):
    house.pipeline("mart", OVERLAPPING)
    house.daemon()
    house("trigger", "mart", "--date", day(3), "--wait")
    words = ["backfill", "mart", "--from", day(1), "--to", day(7), "--parallel", "2"]
    preview = house(*words, "--dry-run")
    assert [line.strip() for line in preview.stdout.splitlines()] == [f"mart@{day(n)}" for n in (1, 2, 4, 5, 6, 7)]
    assert "1 date has a run already and is left alone (--failed repeats what failed" in preview.stderr and len(house.runs()) == 1
    told = house(*words, "--yes", "--wait").stdout
    assert told.count("success") == 6
    rows = house.rows("SELECT name, started_at, ended_at FROM runs WHERE backfill = 1 ORDER BY started_at, id")
    assert [row["name"] for row in rows] == [f"mart@{day(n)}" for n in (1, 2, 4, 5, 6, 7)] and overlaps(rows) == 2
    assert "nothing to run" in house(*words, "--yes").stderr
    house.check_promises()


def test_a_backfill_goes_on_after_kill_9_and_a_new_start(house):
    house.pipeline("mart", OVERLAPPING)
    child = house.daemon()
    house("backfill", "mart", "--from", day(1), "--to", day(30), "--parallel", "3", "--yes")
    for _ in range(3):
        count = len(house.lines())
        house.wait_lines(min(count + 1, 30))
        house.end(child, signal.SIGKILL)
        child = house.daemon()
    house.wait_all_ended()
    assert sorted(house.runs()) == [f"mart@{day(n)}" for n in range(1, 31)] and set(house.runs().values()) == {"success"}
    house.check_promises()


def test_a_backfill_that_was_stopped_can_be_taken_up_with_failed(house):
    house.pipeline("mart", SLOW)
    house.daemon()
    house("backfill", "mart", "--from", day(1), "--to", day(4), "--yes")
    house.wait_lines(1)
    assert "4 runs stopped" in house("stop", "--backfill", "1").stdout
    house.wait_all_ended()
    assert set(house.runs().values()) == {"killed"} and len(house.lines()) == 1
    house.open()
    assert "nothing to run" in house("backfill", "mart", "--from", day(1), "--to", day(4), "--yes").stderr
    house("backfill", "mart", "--from", day(1), "--to", day(5), "--failed", "--yes", "--wait")
    assert set(house.runs().values()) == {"success"} and len(house.runs()) == 5
    assert "no backfill 9" in house("stop", "--backfill", "9", code=2).stderr
    house.check_promises(once=False)


def test_tonights_run_does_not_wait_for_a_backfill(house):
    house.settings("slots: 4\n")
    house.pipeline("old", "max_active_runs: 20\n" + SLOW)
    house.pipeline("tonight", ONE)
    house.daemon()
    house("backfill", "old", "--from", day(1), "--to", day(20), "--parallel", "20", "--yes")
    house.wait_lines(3)
    assert house.json("trigger", "tonight", "--date", day(1), "--wait")["state"] == "success"
    assert len(house.lines()) == 4  # three of the backfill, one slot stays free
    house.open()
    house.wait_all_ended()
    house.check_promises()


# --------------------------------------------------------------------------------------------------------------- files


def renamed_over(path, text):
    """As vim saves: a new file beside it takes its name."""
    beside = path.with_name("4913.tmp")
    beside.write_text(text)
    os.replace(beside, path)


def steps_that_say(word):
    return f"schedule: '* * * * *'\nsteps:\n  - id: a\n    bash: {EFFECT}; echo {word} >>\"$ROOM/said\"\n"


def problem_of(house, name):
    return house.rows("SELECT problem FROM pipelines WHERE name = ?", name)[0]["problem"]


def test_a_broken_edit_keeps_the_last_good_version_and_is_told(house):
    path = house.pipeline("mart", steps_that_say("good"))
    house.daemon()
    renamed_over(path, "schedule: '* * * * *'\nsteps:\n  - id: a\n    bahs: x\n")
    house.wait_for(lambda: "bahs" in problem_of(house, "mart"))
    assert re.search("WARNING pipeline mart: .*last good version stays scheduled", house.log())
    assert "bahs" in house("list").stdout and "mart: its last good version stays scheduled" in house("list").stderr
    assert re.match("mart +[*] [*] [*] [*] [*] +20", house("list").stdout.splitlines()[1]) and house("next", "mart").stdout
    assert house("health", code=1).stdout.startswith("RUNNER WARNING - file with faults: mart")
    house.make_due("mart")
    house.wait_lines(1, house.folder / "said")
    house.wait_all_ended()
    assert house.lines(house.folder / "said")[0] == "good"
    renamed_over(path, steps_that_say("mended"))
    house.wait_for(lambda: not problem_of(house, "mart"))
    house.json("trigger", "mart", "--date", MIDNIGHT, "--wait")
    assert house.lines(house.folder / "said")[-1] == "mended"
    assert house("health").stdout.startswith("RUNNER OK")
    house.rest("mart")
    house.check_promises()


def test_a_half_written_file_is_not_taken(house):
    house.pipeline("other", ONE)
    house.daemon(patch="import runner.daemon.watch as w; w.settled.__defaults__ = (5.0,)")  # longer than any gap between two words below
    path = house.pipelines / "mart.yaml"
    with open(path, "w") as file:  # a whole pipeline by itself, but not what its writer means
        file.write("steps:\n  - {id: a, bash: echo half}\n")
        file.flush()
        for word in ("b", "c", "d"):
            file.write(f"  - {{id: {word}, bash: echo whole}}\n")
            file.flush()
            time.sleep(0.1)
    known(house, "mart")
    assert house.log().count("pipeline mart: new") == 1 and "pipeline mart: changed" not in house.log()
    house("trigger", "mart", "--date", day(1), "--wait")
    assert list(house.states(f"mart@{day(1)}")) == ["a", "b", "c", "d"]


def test_a_pull_that_changes_many_files_at_once(house):
    for number in range(20):
        house.pipeline(f"p{number}", ONE)
    house.daemon()
    known(house, *(f"p{number}" for number in range(20)))
    for number in range(10):
        renamed_over(house.pipelines / f"p{number}.yaml", "schedule: '@daily'\n" + ONE)
    for number in range(10, 15):
        (house.pipelines / f"p{number}.yaml").unlink()
    (house.pipelines / "sub").mkdir()
    for number in range(15, 20):
        os.replace(house.pipelines / f"p{number}.yaml", house.pipelines / "sub" / f"p{number}.yaml")
    (house.pipelines / "sub" / "fresh.yaml").write_text("schedule: '@daily'\n" + ONE)
    house.wait_for(lambda: len(house.rows("SELECT 1 FROM pipelines WHERE next_due IS NOT NULL AND gone_at IS NULL")) == 11)
    gone = house.rows("SELECT name FROM pipelines WHERE gone_at IS NOT NULL ORDER BY name")
    assert [row["name"] for row in gone] == [f"p{number}" for number in range(10, 15)]
    assert {row["path"].split("/")[-2] for row in house.rows("SELECT path FROM pipelines WHERE name IN ('p15', 'p19', 'fresh')")} == {"sub"}


def test_a_removed_and_a_renamed_pipeline_keep_their_history(house):
    path = house.pipeline("mart", "schedule: '@yearly'\n" + ONE)
    house.daemon()
    house("trigger", "mart", "--date", day(1), "--wait")
    os.replace(path, house.pipelines / "shop.yaml")
    known(house, "shop")
    house.wait_for(lambda: house.rows("SELECT 1 FROM pipelines WHERE name = 'mart' AND gone_at IS NOT NULL AND next_due IS NULL"))
    assert f"mart@{day(1)}" in house("runs", "mart").stdout
    house("rerun", f"mart@{day(1)}", "--all", "--wait")
    house("trigger", "shop", "--date", day(1), "--wait")
    os.replace(house.pipelines / "shop.yaml", path)
    house.wait_for(lambda: house.rows("SELECT 1 FROM pipelines WHERE name = 'mart' AND gone_at IS NULL AND next_due IS NOT NULL"))
    assert house.lines() == [f"{run} a {number}" for run, number in ((f"mart@{day(1)}", 1), (f"mart@{day(1)}", 2), (f"shop@{day(1)}", 1))]


def test_a_run_keeps_the_definition_it_began_with_also_in_the_next_daemon(house):
    text = "steps:\n  - id: a\n    bash: " + WAITS + "\n  - id: b\n    needs: a\n    bash: " + EFFECT + "; echo %s >>$ROOM/said\n"
    path = house.pipeline("mart", text % "old")
    child = house.daemon()
    house("trigger", "mart", "--date", day(1))
    house.wait_lines(1)
    renamed_over(path, text % "new")
    house.wait_for(lambda: "pipeline mart: changed" in house.log())
    house.end(child, signal.SIGKILL)
    house.daemon()
    house.open()
    house.wait_all_ended()
    told = house("rerun", f"mart@{day(1)}", "--from", "b", "--wait").stderr
    assert "since this run: ~ b: body changed" in told
    assert house.lines(house.folder / "said") == ["old", "new"]


# -------------------------------------------------------------------------------------------------------------- health


def test_health_says_whether_all_is_well(house):
    house.pipeline("mart", "schedule: '@daily'\n" + ONE)
    house.pipeline("bad", "steps:\n  - {id: a, bash: exit 3}\n")
    child = house.daemon()
    well = house("health")
    assert well.stdout.startswith(f"RUNNER OK - daemon pid {child.pid} since 20") and well.stdout.count("\n") == 1
    house("trigger", "bad", "--date", day(1), "--wait", code=1)
    assert house("health", code=1).stdout.startswith(f"RUNNER WARNING - failed: bad@{day(1)}")
    house("mark", f"bad@{day(1)}", "a", "success")
    assert house.json("health")["state"] == "OK"
    child.send_signal(signal.SIGSTOP)
    os.utime(house.home / "daemon.lock", (time.time() - 300,) * 2)
    hung = house("health", code=2).stdout
    assert hung.startswith(f"RUNNER CRITICAL - the daemon (pid {child.pid}) has not turned for")
    assert f"the daemon (pid {child.pid}) hangs" in house("list").stderr
    house.end(child, signal.SIGKILL)
    assert "RUNNER CRITICAL - no daemon runs" in house("health", code=2).stdout
    assert "no daemon runs" in house("list").stderr


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("how", ["reload", "HUP"])
def test_settings_are_read_again_while_steps_run_and_wrong_ones_are_told(house, how):
    def reload(code=0):
        count = house.log().count("settings")
        if how == "HUP":
            child.send_signal(signal.SIGHUP)
        elif "is not a number" in house("daemon", "reload", code=code).stderr:
            return  # the command has read them too
        house.wait_for(lambda: house.log().count("settings") > count)

    house.settings("slots: 1\n")
    house.pipeline("mart", "max_active_runs: 9\n" + SLOW)
    child = house.daemon()
    for number in (1, 2, 3):
        house("trigger", "mart", "--date", day(number))
    house.wait_for(lambda: len(house.runs(state="running")) == 3)
    assert len(house.lines()) == 1
    house.settings("slots: many\n")
    reload(code=3)
    assert child.poll() is None
    if how == "HUP":
        assert "settings not read again, the old ones stay" in house.log() and "'many' is not a number" in house.log()
    house.settings("slots: 2\n")
    reload()
    house.wait_lines(2)
    assert len(house.rows("SELECT 1 FROM attempts")) == 2
    house.open()
    house.wait_all_ended()
    assert child.poll() is None
    house.check_promises()


# --------------------------------------------------------------------------------------------------------- a long queue


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def test_five_thousand_waiting_runs_do_not_slow_the_others_down(house):
    house.pipeline("long", SLOW)
    house.pipeline("quick", ONE)
    child = house.daemon()
    before = memory_mb(child.pid)
    house("backfill", "long", "--from", "2010-01-01", "--to", "2023-09-09", "--json")
    house.wait_lines(1)
    assert len(house.runs(state="queued")) == 4999
    begin = time.monotonic()
    run = house.json("trigger", "quick", "--date", day(1), "--wait")
    assert run["state"] == "success" and time.monotonic() - begin < 10 + house.patience()
    assert from_text(run["started_at"]) - from_text(run["created_at"]) < timedelta(seconds=3 + house.patience())
    assert "max_active_runs" in house.json("status", "long@2023-09-09")["waits"]
    house.open()
    house.wait_lines(60)  # one after the other, each as soon as the one before ended
    assert memory_mb(child.pid) - before < 40
    house.end(child, signal.SIGKILL)
    begin = time.monotonic()
    child = house.daemon()
    assert time.monotonic() - begin < 10 + house.patience()
    count = len(house.lines())
    house.wait_lines(count + 10)
    house("stop", "--backfill", "1", "--json")
    house.wait_all_ended()
    house.check_promises(once=False)
