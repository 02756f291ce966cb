"""backfill: what it would run, and the question before it."""

from __future__ import annotations

import io

import click
import pytest

from runner.cli.triggering import backfill
from runner.errors import RunnerError, UsageError

TWO = ("night", "--from", "2026-02-26", "--to", "2026-02-27")


@pytest.fixture
def night(tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "night.yaml").write_text('schedule: "0 1 * * *"\nsteps:\n  - {id: a, bash: "true"}\n')


@pytest.fixture
def answer(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_yes_makes_the_runs(call, app, night, answer):
    answer("y\n")
    code, out, err = call(backfill, *TWO)
    assert (code, out.strip()) == (0, "backfill 1: 2 runs wait, 1 at a time") and "run night for these 2 dates?" in err
    assert len(app.store().recent_runs()) == 2


def test_a_no_makes_none_and_says_so(call, app, night, answer):
    answer("n\n")
    with pytest.raises(RunnerError, match="nothing was done") as told:
        call(backfill, *TWO)
    assert told.value.exit_code == 1 and "--yes" in told.value.hint
    assert app.store().recent_runs() == []


def test_where_nobody_can_answer_it_says_what_to_type(call, app, night, answer):
    answer("")
    with pytest.raises(UsageError, match="nobody is here to answer") as told:
        call(backfill, *TWO)
    assert "--yes" in told.value.hint and app.store().recent_runs() == []


def test_ctrl_c_at_the_question_is_ctrl_c(call, night, monkeypatch):
    def interrupted(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    with pytest.raises(click.Abort):
        call(backfill, *TWO)


def test_one_is_one(call, night, answer):
    call(backfill, "night", "--from", "2026-02-26", "--to", "2026-02-26", "--yes")
    answer("y\n")
    code, out, err = call(backfill, *TWO)
    assert "1 date has a run already and is left alone (--failed repeats what failed, --all what succeeded too)\n" in err and "run night for this date?" in err
    assert out == "backfill 2: 1 run waits, 1 at a time\n"
