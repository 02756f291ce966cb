"""rerun: what is only asked for is not done."""

from __future__ import annotations

from runner.cli.running import rerun
from tests.conftest import add_run, make_pipeline, make_step

PIPELINE = make_pipeline(make_step("extract"))


def test_a_dry_run_of_an_interrupted_run_says_what_would_be_done_and_does_not(call, store, clock, move):
    run = move(add_run(store, PIPELINE, clock, engine="1-dead"), "running")
    for words in (["--failed"], []):
        code, out, err = call(rerun, run.name, *words, "--dry-run")
        assert code == 0 and out == "" and "was interrupted: it is finished first" in err
    assert store.run_by_id(run.id) == run
