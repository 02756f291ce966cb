"""The catalogue and the files that pipelines take: seen wherever they lie, read when they are whole, no pipelines themselves."""

from __future__ import annotations

import os

import pytest

from runner.daemon import catalogue as module
from tests.daemon.stage import STEPS, Stage, moment

TAKES = "extends: ../elsewhere/_base.yaml\n"


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    yield made
    made.close()


def part(stage, hour, name="../elsewhere/_base"):
    return stage.write(name, f'schedule: "0 {hour} * * *"\n' + STEPS)


def scan(stage):
    """What it said of this scan."""
    del stage.said[:]
    assert stage.catalogue.scan()
    return list(stage.said)


def test_a_changed_part_changes_the_pipelines_that_take_it_and_no_other(stage, monkeypatch):
    part(stage, 1)
    stage.write("mart", TAKES)
    stage.write("other", STEPS)
    assert scan(stage) == ["pipeline mart: new", "pipeline other: new"] and scan(stage) == []
    first = stage.row("mart")
    assert first.next_due == moment("2026-03-01 01:00")
    read, real = [], module.load_text
    monkeypatch.setattr(module, "load_text", lambda text, path, *more: read.append(os.path.basename(path)) or real(text, path, *more))
    part(stage, 2)
    assert scan(stage) == ["pipeline mart: changed"] and read == ["mart.yaml"]
    assert stage.row("mart").next_due == moment("2026-03-01 02:00") and stage.row("mart").definition != first.definition


def test_a_new_daemon_does_not_check_again_what_it_knows(stage, monkeypatch):
    part(stage, 1)
    stage.write("mart", TAKES)
    scan(stage)
    stage.restart()
    monkeypatch.setattr(module, "load_text", lambda *more: pytest.fail("parsed"))
    assert scan(stage) == []


def test_a_part_that_changed_while_no_daemon_ran_counts(stage):
    part(stage, 1)
    stage.write("mart", TAKES)
    scan(stage)
    part(stage, 2)
    stage.restart()
    assert scan(stage) == ["pipeline mart: changed"] and stage.row("mart").next_due == moment("2026-03-01 02:00")


def test_a_part_that_is_missing_is_told_and_waited_for(stage):
    stage.write("mart", TAKES)
    (said,) = scan(stage)
    assert said.startswith("pipeline mart: line 1: the file ../elsewhere/_base.yaml does not exist") and scan(stage) == []
    path = part(stage, 1)
    assert scan(stage) == ["pipeline mart: changed"]
    assert not stage.row("mart").problem
    good = stage.row("mart").definition
    path.unlink()
    (said,) = scan(stage)
    assert said.endswith("; its last good version stays scheduled") and stage.row("mart").definition == good


def test_a_part_that_was_just_written_is_looked_at_again(stage):
    path = part(stage, 1)
    stage.write("mart", TAKES)
    scan(stage)
    part(stage, 2)
    just = stage.clock.now().timestamp()
    os.utime(path, (just, just))
    assert not stage.catalogue.scan() and stage.row("mart").next_due == moment("2026-03-01 01:00")
    stage.clock.advance(5)
    assert stage.catalogue.scan() and stage.row("mart").next_due == moment("2026-03-01 02:00")


def test_a_part_taken_for_the_first_time_in_the_middle_of_a_change_is_read_again(stage):
    path = part(stage, 1)
    just = stage.clock.now().timestamp()
    os.utime(path, (just, just))
    stage.write("mart", TAKES)
    assert not stage.catalogue.scan(), "it may be half of a file"
    text = path.read_text().replace("0 1", "0 2")
    path.write_text(text)
    os.utime(path, (just, just))  # what changed within the same tick has the same time and size
    stage.clock.advance(5)
    assert stage.catalogue.scan() and stage.row("mart").next_due == moment("2026-03-01 02:00")


def test_a_part_in_the_folder_is_no_pipeline(stage):
    stage.write("_base", STEPS)
    stage.write("common/_more", "env: {A: a}\n")
    stage.write("mart", "extends: _base.yaml\ninclude: common/_more.yaml\n")
    assert scan(stage) == ["pipeline mart: new"]
    assert [row.name for row in stage.store.pipelines.all()] == ["mart"]
