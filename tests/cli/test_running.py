"""run and rerun: what is only asked for is not done, and what is to be finished is not begun."""

from __future__ import annotations

import pytest

from runner.cli.running import rerun, run
from runner.errors import Conflict, NotFound, UsageError
from tests.conftest import add_run, make_pipeline, make_step

PIPELINE = make_pipeline(make_step("extract"))


def test_a_dry_run_of_an_interrupted_run_says_what_would_be_done_and_does_not(call, store, clock, move):
    left = move(add_run(store, PIPELINE, clock, engine="1-dead"), "running")
    for words in (["--failed"], []):
        code, out, err = call(rerun, left.name, *words, "--dry-run")
        assert code == 0 and out == "" and "was interrupted: it is finished first" in err
    assert store.run_by_id(left.id) == left


@pytest.fixture
def night(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text("steps:\n  - {id: extract, bash: 'true'}\n")
    return str(path)


@pytest.mark.parametrize("before", [False, True])
def test_resume_makes_no_run_of_a_date_that_has_none(call, app, night, before):
    if before:
        call(run, night, "--date", "2026-02-27", "-q")
    with pytest.raises(NotFound, match="there is no run night@2026-02-28: nothing to resume") as told:
        call(run, night, "--resume", "--date", "2026-02-28")
    assert "without --resume" in told.value.hint
    assert [each.name for each in app.store().recent_runs()] == ["night@2026-02-27"] if before else app.store_if_any() is None


def test_resume_of_a_date_that_has_ended_is_refused(call, night):
    call(run, night, "--date", "2026-02-28", "-q")
    with pytest.raises(Conflict, match=r"night@2026-02-28 has ended \(success\): nothing to resume"):
        call(run, night, "--resume", "--date", "2026-02-28")


def test_resume_with_nothing_interrupted_is_no_fault(call, night):
    assert call(run, night, "--resume") == (0, "", "no run of night was interrupted: nothing to resume\n")
    assert call(run, night, "--resume", "--quiet") == (0, "", "")  # as cron calls it at each boot
    assert call(run, night, "--resume", "--json") == (0, "null\n", "")


def test_resume_and_a_new_run_exclude_each_other(call, night):
    with pytest.raises(UsageError, match="--resume"):
        call(run, night, "--resume", "--new", "--date", "2026-02-28")
