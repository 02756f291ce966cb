"""db upgrade and db check."""

from __future__ import annotations

import json
import sqlite3

import pytest

from runner.cli.database import db
from runner.errors import EnvironmentFault
from tests.conftest import add_run, make_pipeline, make_step


def test_a_good_database(call, store, tmp_path):
    code, out, _ = call(db, "check")
    assert code == 0 and ": good (version " in out
    assert json.loads(call(db, "check", "--json")[1])["faults"] == []
    assert "nothing to do" in call(db, "upgrade")[1]


def test_a_row_without_its_run_is_found(call, store, clock, tmp_path):
    add_run(store, make_pipeline(make_step("a")), clock)
    with sqlite3.connect(str(tmp_path / "runner.db")) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute("DELETE FROM runs")
    other.close()
    code, out, err = call(db, "check")
    assert code == 1 and "its runs is missing" in out and "bring back a copy" in err


def test_no_database_yet(call):
    with pytest.raises(EnvironmentFault, match="no database yet"):
        call(db, "upgrade")


def test_a_newer_database_is_left_alone(call, store, tmp_path):
    store.close()
    with sqlite3.connect(str(tmp_path / "runner.db")) as other:
        other.execute("PRAGMA user_version = 999")
    other.close()
    with pytest.raises(EnvironmentFault, match="newer runner"):
        call(db, "upgrade")
