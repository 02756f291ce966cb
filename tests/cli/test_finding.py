"""What a pipeline's name means where a run is acted on: never one of several, never one that only waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.cli import finding
from runner.cli.running import mark, rerun, stop
from runner.errors import Conflict, UsageError
from tests.conftest import add_run, make_date, make_pipeline, make_step

DAILY = replace(make_pipeline(make_step("a")), text="steps: [{id: a, bash: 'true'}]\n")
OTHER = make_pipeline(make_step("a"), name="other")


@pytest.fixture
def day(store, clock, move):
    """day(number, *states): the run of that day of March, made now."""

    def made(number, *states, pipeline=DAILY):
        run = add_run(store, pipeline, clock, make_date(f"2026-03-{number:02}"))
        return move(run, *states) if states else run

    return made


def test_stop_takes_no_run_of_several_and_says_what_to_type(call, day, store):
    runs, waits = day(2, "running"), day(4)
    for text in (DAILY.name, f"{DAILY.name}.yaml", "latest"):
        with pytest.raises(UsageError) as caught:
            call(stop, text)
        assert caught.value.message.endswith("more than one run has not ended: say which")
        assert caught.value.hint.split("\n  ") == [f"runner stop {runs.name}   interrupted", f"runner stop {waits.name}   queued"]
    assert [store.run_by_id(run.id).state for run in (runs, waits)] == ["running", "queued"]


def test_stop_takes_the_only_one_that_has_not_ended_whatever_was_made_after_it(call, day, store):
    waits = day(2)
    day(4, "killed")
    assert call(stop, DAILY.name)[:2] == (0, f"{waits.name}  killed\n")
    with pytest.raises(Conflict, match="has ended already"):
        call(stop, DAILY.name)


def test_a_long_list_of_candidates_is_cut(app, day, store):
    for number in range(1, finding.SHOWN + 3):
        day(number)
    with pytest.raises(UsageError) as caught:
        finding.find_open(app, store, DAILY.name)
    lines = caught.value.hint.split("\n  ")
    assert len(lines) == finding.SHOWN + 1 and lines[-1] == f"and more: runner runs {DAILY.name} --state queued"


def test_repair_means_the_newest_that_has_begun(app, call, day, store):
    failed = day(2, "running", "failed")
    ahead = day(4)
    latest = day(1, "running", "failed", pipeline=OTHER)
    assert finding.find_run(app, store, DAILY.name) == ahead, "for reading it is the newest"
    assert finding.find_begun(app, store, DAILY.name).id == failed.id
    assert finding.find_begun(app, store, "latest").id == latest.id
    assert f"runs again for {failed.name}" in call(rerun, DAILY.name, "--all", "--dry-run")[1]
    assert call(mark, DAILY.name, "a", "success")[1].startswith(f"{failed.name}  a: ")


def test_without_one_that_has_begun_it_is_the_newest_as_for_reading(app, day, store):
    waits = day(2)
    assert finding.find_begun(app, store, DAILY.name) == finding.find_open(app, store, DAILY.name) == waits


def test_a_pipeline_may_be_called_latest(app, day, store):
    day(2, "running")
    named = day(4, pipeline=make_pipeline(make_step("a"), name="latest"))
    assert finding.find_open(app, store, "latest") == named
