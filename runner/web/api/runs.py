"""The runs: lists of them, one with its steps, what changes them."""

from __future__ import annotations

import re
from datetime import date as Day
from datetime import datetime, timedelta
from typing import Any, Dict, Optional
from urllib.parse import quote
from zoneinfo import ZoneInfo

from runner import acts, model
from runner.acts.marking import STATES
from runner.errors import Conflict, UsageError
from runner.facts import runs as facts
from runner.web.api.acting import Doing, words_of
from runner.web.api.ask import Ask
from runner.web.api.operation import Made, act, listing, read, schemas
from runner.web.api.shapes import anything, chosen, many, maybe, moment, names, one_of, ref, table, text, thing, truth, wanted, whole

NEWEST = 2**62
REASON = text("Why: it stands in the audit trail.", 1000, default="")
_BRIEF = dict(
    name=text("Its name: pipeline@date."), pipeline=text("Whose run it is."), state=one_of(model.RUN_STATES, "How it stands."), reason=text("Why."),
    ds=text("Its date."), logical_date=moment("The moment behind ds."), due_at=moment("When it is due: with the pipeline it is its identity."),
    data_interval_start=moment("Of the data it is about."), data_interval_end=moment("The end of these."), timezone=text("Of all its moments."),
    trigger=text("What made it: schedule, manual, catchup, backfill, or a step of another run."), params=table(anything("A value."), "Its parameters."),
    only=maybe(names("Only these steps.")), backfill=maybe(whole("The backfill it belongs to.")), created_at=moment("When it was made."),
    started_at=maybe(moment("When it began.")), ended_at=maybe(moment("When it ended.")), interrupted=truth("Whether the process that worked on it died."),
)
schemas(
    Run=thing("A run in short.", **_BRIEF),
    RunWhole=thing(
        "A run with its steps.", **_BRIEF, steps=many(ref("Step"), "In the order of the file."), waits=maybe(text("Why it does not begin, or what of it is held.")),
        owner=truth("Whether a process took it."), worked_on_by=maybe(text("The process that works on it.")), stop_requested=maybe(text("Who asked for its end.")),
    ),
    Step=thing(
        "A step of a run.", id=text("Its name; load[3]: the fourth of a foreach."), state=one_of(model.STEP_STATES, "How it stands."), reason=text("Why."),
        tries=whole("Tries since it was last reset."), started_at=maybe(moment("When it began.")), ended_at=maybe(moment("When it ended.")),
        retry_at=maybe(moment("When it is tried again.")), outputs=table(anything("A value."), "What it handed on."), item=anything("Of a foreach: its item."),
        allow_failure=truth("Of a failed one: whether the run may succeed without it."), waits=maybe(text("Why it does not begin although all before it has ended.")),
        note=maybe(text("What it says of itself, such as its application on a cluster.")),
    ),
)


def moment_of(ask: Ask, name: str) -> Optional[datetime]:
    """A day, in the zone of the site, or a moment."""
    word = ask.query.get(name)
    if word is None:
        return None
    zone = ZoneInfo(ask.desk.config.timezone)
    try:
        if len(word) == 10:
            day = Day.fromisoformat(word)
            return datetime(day.year, day.month, day.day, tzinfo=zone)
        found = datetime.fromisoformat(re.sub(r"Z$", "+00:00", word).replace(" ", "+"))  # a + that nobody wrote as %2B
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        found.astimezone(ZoneInfo("UTC")) + timedelta(days=1)  # what lies outside of the calendar
        return found
    except (ValueError, OverflowError):
        raise UsageError(f"{name}: {word} is no date", "write it as 2026-02-28 or 2026-02-28T01:00:00+09:00") from None


def number_of(ask: Ask) -> int:
    """The cursor of a list that goes back by numbers."""
    word = ask.query.get("cursor", str(NEWEST))
    if not re.fullmatch(r"\d{1,19}", word, re.ASCII) or int(word) > NEWEST:
        raise UsageError(f"cursor: {word} is none that was given", "take it from `next` of the answer before")
    return int(word)


@listing("/runs", "Run", pipeline=text("Only of this one.", 300), state=one_of(model.RUN_STATES, "Only in this state."), due_from=text("Only due from this day or moment on.", 60),
         due_to=text("Only due before this day or moment.", 60))
def list_runs(ask: Ask):
    """Runs, the newest first."""
    query = ask.query
    found = ask.store.runs_page(number_of(ask), query["limit"] + 1, query.get("pipeline"), query.get("state"), moment_of(ask, "due_from"), moment_of(ask, "due_to"))
    part = found[: query["limit"]]
    return [facts.brief(ask.desk, run) for run in part], str(part[-1].id) if len(found) > len(part) else None


@read("/runs/{run}", ref("RunWhole"))
def get_run(ask: Ask, run: str) -> Dict[str, Any]:
    """One run, step by step."""
    return facts.whole(ask.desk, ask.store, ask.store.run(run))


# ----------------------------------------------------------------------------------------------------------------- acts


@act("/pipelines/{pipeline}/runs", "trigger", ref("RunWhole"), made=True, body=wanted(
    "The run that is wanted.", date=text("Its date, as `runner trigger --date` takes it: 2026-02-28. Without it: the last one that was due; without a schedule, now.", 60),
    params=table(anything("A value."), "Its parameters, else what the file says."), only=chosen("Only these steps, nothing they need."),
    new=truth("A second run of a date that has one.", default=False), reason=REASON))
def trigger(ask: Ask, pipeline: str) -> Doing:
    """Let the daemon run a pipeline for one date. The same pipeline and date are the same run: 201 makes it, 200 gives the one that is there."""
    body = ask.body

    def told(ready: Any, run: model.Run) -> Made:
        return Made(facts.whole(ask.desk, ask.store, run), True, f"/runs/{quote(run.name, safe='@')}")

    def otherwise(ready: Any, conflict: Conflict) -> Made:
        run = getattr(conflict, "run", None)
        if run is None:
            raise conflict
        others = [name for name in body.get("params", {}) if run.params.get(name) != ready.params.get(name)]
        others += ["only"] if "only" in body and tuple(body["only"]) != (run.only or ()) else []
        if others:
            known = Conflict(f"run {run.name} exists ({run.state}), with another value of {', '.join(others)}", conflict.hint)
            known.run = run
            raise known
        return Made(facts.whole(ask.desk, ask.store, run), False, f"/runs/{quote(run.name, safe='@')}")

    asked = acts.Trigger(ask.known(pipeline), body.get("date"), words_of(body.get("params", {})), tuple(body.get("only", ())), body.get("new", False))
    return Doing(asked, told, otherwise)


def _as_it_stands(ask: Ask, run: str) -> Dict[str, Any]:
    return facts.whole(ask.desk, ask.store, ask.store.run(run))


@act("/runs/{run}/rerun", "rerun", ref("RunWhole"), guarded=True, body=wanted(
    "One of failed, from, all.", **{
        "failed": truth("What failed or never ran, and all behind it.", default=False), "from": chosen("These steps and all behind them."), "all": truth("Every step.", default=False),
        "keep_definition": truth("The file as the run had it, not as it is today.", default=False), "reason": REASON}))
def rerun(ask: Ask, run: str) -> Doing:
    """Repeat steps of a run with its own date; earlier attempts stay in its history."""
    body = ask.body
    asked = acts.Rerun(run, body.get("failed", False), tuple(body.get("from", ())), body.get("all", False), body.get("keep_definition", False))
    return Doing(asked, lambda ready, outcome: _as_it_stands(ask, run))


@act("/runs/{run}/stop", "stop", ref("RunWhole"), guarded=True, body=wanted("How it is stopped.", force=truth("End its teardown steps too, and start none.", default=False), reason=REASON))
def stop(ask: Ask, run: str) -> Doing:
    """End a run: one that waits is taken out at once, one that runs is asked to end; `stop_requested` says so until it has."""
    return Doing(acts.Stop(run=run, force=ask.body.get("force", False)), lambda ready, outcome: _as_it_stands(ask, run))


@act("/runs/{run}/mark", "mark", ref("RunWhole"), guarded=True, body=wanted(
    "The step and its result.", need=("step", "state"), step=text("The step.", 300), state=one_of(STATES, "Its result."), reason=REASON))
def mark(ask: Ask, run: str) -> Doing:
    """Set the result of a step of a run that has ended; the run's own is worked out again."""
    return Doing(acts.Mark(run, ask.body["step"], ask.body["state"]), lambda ready, outcome: _as_it_stands(ask, run))
