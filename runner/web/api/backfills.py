"""The backfills: runs of a span of dates, made at once."""

from __future__ import annotations

from typing import Any, Dict

from runner import acts, model
from runner.errors import NotFound
from runner.web.api.acting import Doing, words_of
from runner.web.api.ask import Ask
from runner.web.api.operation import Made, act, listing, read, schemas
from runner.web.api.runs import REASON, number_of
from runner.web.api.shapes import anything, moment, names, ref, table, text, thing, truth, wanted, whole

schemas(
    Backfill=thing(
        "A backfill.", id=whole("Its number."), pipeline=text("Whose runs they are."), first=text("The first date."), last=text("The last date."), parallel=whole("Runs at once."),
        by=text("Who asked for it."), created_at=moment("When."), counts=table(whole("How many."), "Its runs by their state."), over=truth("Whether all have ended."),
    ),
    BackfillMade=thing("A backfill that was made.", backfill=ref("Backfill"), runs=names("Its runs, in the order in which they begin.")),
    BackfillStopped=thing("A backfill that was stopped.", backfill=ref("Backfill"), stopped=names("The runs that were taken out, or asked to end.")),
)


def _shown(ask: Ask, found: model.Backfill) -> Dict[str, Any]:
    counts = ask.store.pipelines.backfill_counts(found.id)
    return {
        "id": found.id, "pipeline": found.pipeline, "first": str(found.from_ds), "last": str(found.to_ds), "parallel": found.parallel, "by": found.actor,
        "created_at": found.created_at, "counts": {state: counts[state] for state in model.RUN_STATES if state in counts},
        "over": not set(counts) - model.RUN_TERMINAL,
    }


@listing("/backfills", "Backfill", pipeline=text("Only of this one.", 300))
def list_backfills(ask: Ask):
    """Backfills, the newest first."""
    found = ask.store.pipelines.backfills_page(number_of(ask), ask.query["limit"] + 1, ask.query.get("pipeline"))
    part = found[: ask.query["limit"]]
    return [_shown(ask, each) for each in part], str(part[-1].id) if len(found) > len(part) else None


@read("/backfills/{number}", ref("Backfill"))
def get_backfill(ask: Ask, number: int) -> Dict[str, Any]:
    """One backfill: how far it is."""
    found = ask.store.pipelines.backfill(number) if number < 2**62 else None
    if found is None:
        raise NotFound(f"there is no backfill {number}", "GET /api/v1/backfills says which there are")
    return _shown(ask, found)


@act("/backfills", "backfill", ref("BackfillMade"), made=True, body=wanted(
    "The dates: both days belong to it.", need=("pipeline", "first", "last"),
    pipeline=text("Whose runs.", 300, minLength=1), first=text("The first ds, as 2026-02-28.", 10), last=text("The last ds.", 10),
    params=table(anything("A value."), "Its parameters, else what the file says."), parallel=whole("Runs at once, within max_active_runs.", 1, 1000, default=1),
    newest_first=truth("Not the oldest first.", default=False), failed=truth("Also repeat what failed or was killed.", default=False),
    all=truth("Also repeat dates that succeeded.", default=False), reason=REASON))
def make_backfill(ask: Ask) -> Doing:
    """Run every date of a span: those the schedule has, or one a day without one. Dates that have a run are left alone, missed ones are run."""
    body = ask.body

    def told(ready: Any, outcome: Any) -> Made:
        number, ids = outcome
        runs = [ask.store.run_by_id(run_id).name for run_id in (reversed(ids) if body.get("newest_first") else ids)]
        return Made({"backfill": _shown(ask, ask.store.pipelines.backfill(number)), "runs": runs}, True, f"/backfills/{number}")

    asked = acts.Backfill(ask.known(body["pipeline"]), body["first"], body["last"], words_of(body.get("params", {})), body.get("parallel", 1),
                          body.get("newest_first", False), body.get("failed", False), body.get("all", False))
    return Doing(asked, told)


@act("/backfills/{number}/stop", "stop", ref("BackfillStopped"), body=wanted("How it is stopped.", force=truth("End teardown steps too.", default=False), reason=REASON))
def stop_backfill(ask: Ask, number: int) -> Doing:
    """End all runs of a backfill that have not ended."""
    get_backfill(ask, number)
    return Doing(acts.Stop(backfill=number, force=ask.body.get("force", False)),
                 lambda ready, outcome: {"backfill": get_backfill(ask, number), "stopped": [run.name for run, _ in outcome]})
