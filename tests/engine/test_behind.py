"""Why a run waits for the date before: who asks is led to the cause, not to the neighbour."""

from __future__ import annotations

import pytest

from runner.engine import queue_facts
from runner.planning.queue import why_waits
from runner.spec.check import Site, load_text
from tests.conftest import add_run, make_date

TEXT = "{key}: true\nsteps: [{{id: a, bash: 'true'}}]\n"


def spec_with(key):
    return load_text(TEXT.format(key=key), "/pipelines/dp.yaml", "dp", Site("Asia/Seoul"))


@pytest.fixture
def days(store, clock):
    """days(states...): a run for each, from the first of March on."""

    def made(*states, spec=spec_with("depends_on_past")):
        runs = []
        for number, state in enumerate(states, 1):
            run = add_run(store, spec, clock, make_date(f"2026-03-{number:02}"), **({"state": "missed"} if state == "missed" else {}))
            with store.transaction():
                for frm, to in {"queued": [], "missed": []}.get(state, [("queued", "running")] + [("running", state)] * (state != "running")):
                    store.move("run", run.id, frm, to, clock.now())
            runs.append(store.run_by_id(run.id))
        return runs

    return made


def why(store, clock, run, spec=spec_with("depends_on_past"), shown=True):
    clock.moment = max(clock.moment, run.date.due)
    return why_waits(run, spec, queue_facts(store, run, spec, clock.now(), active=(), shown=shown))


@pytest.mark.parametrize("states, words", [
    (["failed", "queued"], "dp@2026-03-01 is failed"),
    (["success", "failed", "queued", "queued", "queued"], "dp@2026-03-04 is queued, behind dp@2026-03-02, which is failed"),
    (["success", "running", "queued", "queued"], "dp@2026-03-03 is queued, behind dp@2026-03-02, which is running"),
    (["killed", "missed", "queued", "missed", "queued"], "dp@2026-03-03 is queued, behind dp@2026-03-01, which is killed"),
    (["failed", "success", "queued", "queued", "queued"], "dp@2026-03-04 is queued, behind dp@2026-03-03, which is queued"),
    (["queued", "queued", "queued"], "dp@2026-03-02 is queued, behind dp@2026-03-01, which is queued"),
    (["success", "queued", "queued"], "dp@2026-03-02 is queued"),
])
def test_the_first_of_those_that_wait_is_named_with_what_it_waits_for(store, clock, days, states, words):
    assert why(store, clock, days(*states)[-1]) == "depends_on_past: " + words


def test_of_a_date_the_last_run_counts(store, clock, days):
    spec = spec_with("depends_on_past")
    first, _, last = days("failed", "queued", "queued")
    again = add_run(store, spec, clock, make_date("2026-03-01"), new=True)
    assert why(store, clock, last) == f"depends_on_past: dp@2026-03-02 is queued, behind {again.name}, which is queued"


def test_the_key_is_the_one_that_the_file_has(store, clock, days):
    spec = spec_with("wait_for_downstream")
    assert why(store, clock, days("failed", "queued", spec=spec)[-1], spec) == "wait_for_downstream: dp@2026-03-01 is failed"


def test_the_loop_does_not_look_for_the_cause(store, clock, days, monkeypatch):
    monkeypatch.setattr(store, "cause_before", lambda run: pytest.fail("asked in the loop"))
    assert why(store, clock, days("failed", "queued", "queued")[-1], shown=False) == "depends_on_past: dp@2026-03-02 is queued"
