"""Rows: guarded moves, one run per date, constraints, versions of the database."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from datetime import datetime, timezone

import pytest

from runner.errors import Conflict, EnvironmentFault, NotFound, StaleState
from runner.store import Store, db
from tests.conftest import FakeClock, add_run, make_date, make_pipeline, make_step

PIPELINE = make_pipeline(make_step("a"), make_step("b", ["a"]))


def test_a_run_keeps_its_date_to_the_microsecond_and_its_zone(store, clock):
    made = add_run(store, PIPELINE, clock)
    again = store.run(made.name)
    assert again.date == make_date() and again.date.logical.isoformat() == "2026-02-28T00:00:00+09:00"


def test_the_same_date_twice_is_a_conflict_that_carries_the_run(store, clock):
    made = add_run(store, PIPELINE, clock)
    with pytest.raises(Conflict) as caught:
        add_run(store, PIPELINE, clock)
    assert caught.value.run.name == made.name == "mart@2026-02-28"
    assert add_run(store, PIPELINE, clock, new=True).name == "mart@2026-02-28#2"
    assert add_run(store, PIPELINE, clock, new=True).name == "mart@2026-02-28#3"


def test_another_instant_with_the_same_label_gets_the_wide_one(store, clock):
    add_run(store, PIPELINE, clock)
    other = store.create_run(PIPELINE, make_date("2026-02-28T02:00"), "2026-02-28", trigger="manual", params={}, at=clock.now(),
                             wide_label="2026-02-28T02:00")
    assert other.name == "mart@2026-02-28T02:00"


def _trigger(path, barrier, results):
    store = Store(path)
    barrier.wait()
    try:
        add_run(store, PIPELINE, FakeClock())
        results.put("made")
    except Conflict:
        results.put("conflict")


def test_twenty_processes_at_once_make_one_run(tmp_path):
    path = str(tmp_path / "runner.db")
    Store(path).close()
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(20), context.Queue()
    workers = [context.Process(target=_trigger, args=(path, barrier, results)) for _ in range(20)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(answers) == ["conflict"] * 19 + ["made"]


@pytest.mark.parametrize("changes", [
    {}, {"params": {"region": "서울", "days": (1, 2), "none": None}}, {"only": ["a"]}, {"state": "missed", "reason": "why"}, {"engine": "1-me"},
    {"backfill": 1, "place": 3},
])
def test_a_run_that_was_just_made_is_the_run_that_is_read(store, clock, changes):
    if "backfill" in changes:
        with store.transaction():
            changes = {**changes, "backfill": store.pipelines.add_backfill("mart", "2026-02-28", "2026-02-28", 1, "kim", clock.now())}
    date = make_date()
    made = store.create_run(PIPELINE, date, "2026-02-28", **{"trigger": "manual", "params": {}, "at": clock.now(), **changes})
    assert made == store.run_by_id(made.id)
    again = store.create_run(PIPELINE, date, "2026-02-28", trigger="manual", params={}, at=clock.now(), new=True, parent=made.id)
    assert again == store.run_by_id(again.id) and again.number == 1


def test_a_move_expects_a_state_and_writes_the_journal(store, clock):
    run = add_run(store, PIPELINE, clock)
    with store.transaction():
        store.move("run", run.id, "queued", "running", clock.now(), started_at=clock.now())
    with pytest.raises(StaleState):
        with store.transaction():
            store.move("run", run.id, "queued", "running", clock.now())
    assert [(row["kind"], row["from_state"], row["to_state"]) for row in store.transitions(run.id)] == [
        ("run", None, "queued"), ("run", "queued", "running")]


def test_what_ended_keeps_its_time_when_it_is_marked(store, clock):
    run = add_run(store, PIPELINE, clock)
    began = clock.now()
    with store.transaction():
        store.move("run", run.id, "queued", "running", began, started_at=began)
        store.move("step", run.id, "pending", "running", began, step="a", started_at=began)
    clock.advance(5)
    ended = clock.now()
    with store.transaction():
        store.move("step", run.id, "running", "failed", ended, step="a")
        store.move("run", run.id, "running", "failed", ended)
    clock.advance(3600)
    with store.transaction():
        store.move("step", run.id, "failed", "success", clock.now(), step="a")
        store.move("step", run.id, "pending", "skipped", clock.now(), step="b")
        store.move("run", run.id, "failed", "success", clock.now())
    assert [row.ended_at for row in store.step_runs(run.id)] == [ended, clock.now()]
    assert store.run_by_id(run.id).ended_at == ended
    with store.transaction():
        store.move("run", run.id, "success", "queued", clock.now())
    assert store.run_by_id(run.id).ended_at is None


def test_a_move_that_no_table_allows_is_refused(store, clock):
    run = add_run(store, PIPELINE, clock)
    with pytest.raises(StaleState):
        with store.transaction():
            store.move("step", run.id, "pending", "retry_wait", clock.now(), step="a")


def test_a_failed_transaction_leaves_nothing(store, clock):
    run = add_run(store, PIPELINE, clock)
    with pytest.raises(StaleState):
        with store.transaction():
            store.move("step", run.id, "pending", "running", clock.now(), step="a", tries=1)
            store.move("step", run.id, "success", "pending", clock.now(), step="b")
    assert [row.state for row in store.step_runs(run.id)] == ["pending", "pending"]
    assert len(store.transitions(run.id)) == 1


def test_the_database_itself_refuses_an_end_without_a_time(store, clock):
    run = add_run(store, PIPELINE, clock)
    with pytest.raises(sqlite3.IntegrityError):
        store.db.connection.execute("UPDATE runs SET state = 'success' WHERE id = ?", (run.id,))
    with pytest.raises(sqlite3.IntegrityError):
        store.db.connection.execute("UPDATE step_runs SET state = 'resting' WHERE run_id = ?", (run.id,))


def test_only_one_engine_gets_a_run(store, clock):
    run = add_run(store, PIPELINE, clock)
    assert store.claim(run.id, "one", None) and not store.claim(run.id, "two", None)
    assert store.claim(run.id, "two", "one"), "a dead owner is named and replaced"
    store.release(run.id, "one")
    assert store.run_by_id(run.id).engine == "two"


def test_an_unknown_run_names_near_ones(store, clock):
    add_run(store, PIPELINE, clock)
    with pytest.raises(NotFound) as caught:
        store.run("mart@2026-02-27")
    assert "mart@2026-02-28" in caught.value.hint


def test_hangul_and_outputs_survive(store, clock):
    pipeline = make_pipeline(make_step("추출"), name="고객_마트")
    run = store.create_run(pipeline, make_date(), "2026-02-28", trigger="manual", params={"지역": "서울"}, at=clock.now())
    with store.transaction():
        store.move("step", run.id, "pending", "success", clock.now(), step="추출", outputs={"행": "12"})
    again = store.run("고객_마트@2026-02-28")
    assert again.params == {"지역": "서울"} and store.step_runs(run.id)[0].outputs == {"행": "12"}


# ----------------------------------------------------------------------------------------------------------- versions


def test_a_database_of_a_newer_runner_is_refused_with_words(tmp_path):
    path = str(tmp_path / "runner.db")
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(EnvironmentFault, match="newer runner") as caught:
        Store(path)
    assert caught.value.exit_code == 3 and caught.value.hint


V1_RUN = """INSERT INTO definitions VALUES ('h', 'mart', '/p/mart.yaml', 'steps: []', '2026-02-28T00:00:00.000000Z');
INSERT INTO runs (id, name, pipeline, due_at, number, logical_at, interval_start, interval_end, timezone, definition, trigger_kind,
  params, state, created_at, ended_at) VALUES (7, 'mart@2026-02-28', 'mart', '2026-02-27T16:00:00.000000Z', 0,
  '2026-02-27T16:00:00.000000Z', '2026-02-27T16:00:00.000000Z', '2026-02-27T16:00:00.000000Z', 'Asia/Seoul', 'h', 'manual',
  '{"region": "서울"}', 'success', '2026-02-27T16:00:00.000000Z', '2026-02-27T16:05:00.000000Z');
INSERT INTO step_runs (run_id, step, position, state, ended_at) VALUES (7, 'a', 0, 'success', '2026-02-27T16:05:00.000000Z');
INSERT INTO attempts (run_id, step, number, state, folder, started_at, ended_at)
  VALUES (7, 'a', 1, 'success', 'runs/mart/2026-02-28/a.1', '2026-02-27T16:00:00.000000Z', '2026-02-27T16:05:00.000000Z');"""


def test_an_older_database_is_upgraded_by_command_with_a_copy_and_its_data(tmp_path):
    path, newest = str(tmp_path / "runner.db"), db.migrations()[-1][0]
    with sqlite3.connect(path) as connection:
        with open(db.migrations()[0][1], encoding="utf-8") as file:
            connection.executescript(file.read() + V1_RUN + "PRAGMA user_version = 1;")
    with pytest.raises(EnvironmentFault, match="version 1, this runner needs"):
        Store(path)
    before, after, copy = db.upgrade_file(path)
    assert (before, after) == (1, newest) and os.path.exists(copy)
    store = Store(path)
    run = store.run("mart@2026-02-28")
    assert (run.id, run.params, run.lane, run.backfill) == (7, {"region": "서울"}, 0, None)
    assert [row.state for row in store.step_runs(7)] == ["success"] and store.last_run_of("mart").id == 7
    assert [attempt.boot for attempt in store.attempts(7)] == [""]
    assert not store.accounts.any() and store.audit.rows(9) == []
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_a_file_that_is_no_database_is_named_with_a_remedy(tmp_path):
    path = tmp_path / "runner.db"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(EnvironmentFault) as caught:
        Store(str(path))
    assert str(path) in str(caught.value) and "damaged" in caught.value.hint


@pytest.mark.parametrize("mask, mode", [(0o000, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_a_new_database_is_not_for_everybody(tmp_path, mask, mode):
    old = os.umask(mask)
    try:
        store = Store(str(tmp_path / "runner.db"))
        store.pipelines.hold("mart", "", "kim", datetime(2026, 2, 28, tzinfo=timezone.utc), "")
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(old)
    assert modes == {"runner.db": mode, "runner.db-wal": mode, "runner.db-shm": mode}


def test_a_database_that_is_there_keeps_its_mode(tmp_path):
    Store(str(tmp_path / "runner.db")).close()
    os.chmod(tmp_path / "runner.db", 0o644)
    Store(str(tmp_path / "runner.db")).close()
    assert (tmp_path / "runner.db").stat().st_mode & 0o777 == 0o644


def test_a_missing_database_is_not_made_by_a_reader(tmp_path):
    with pytest.raises(EnvironmentFault):
        Store(str(tmp_path / "runner.db"), create=False)
    assert not (tmp_path / "runner.db").exists()
