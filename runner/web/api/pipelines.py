"""The pipelines: which there are, what each says, when each is due."""

from __future__ import annotations

from typing import Any, Dict

from runner import acts, model
from runner.errors import InvalidPipeline, NotFound
from runner.facts import pipelines as facts
from runner.spec.check import load_pipeline
from runner.web.api.acting import Doing
from runner.web.api.ask import Ask
from runner.web.api.operation import act, listing, read, schemas
from runner.web.api.runs import REASON
from runner.web.api.shapes import anything, many, maybe, moment, names, number, one_of, ref, table, text, thing, truth, wanted, whole

_TELL = thing("Who is told of it.", alert=names("Channels."), bash=text("A script of its own."))
_TELLS = {f"on_{event}": _TELL for event in model.EVENTS}
_LAST = thing("Its newest run that began.", name=text("Its name."), state=one_of(model.RUN_STATES, "How it stands."),
              interrupted=truth("Whether the process that worked on it died."), ended_at=maybe(moment("Its end.")))


def _with_tells(shape: Dict[str, Any]) -> Dict[str, Any]:
    """What is told is there only where the file says it."""
    return {**shape, "properties": {**shape["properties"], **_TELLS}}


_SWITCHES = dict(
    paused_by=maybe(text("Who stopped its schedule.")), pause_reason=text("Why."),
    held=table(text("Who, since when and why."), "What is held: steps by name, the whole of it by an empty one."),
)
schemas(
    Switches=thing("How the switches of a pipeline stand.", name=text("Its name."), **_SWITCHES),
    Pipeline=thing(
        "A pipeline, as `runner list` tells of it.",
        name=text("Its name: that of its file."), path=text("Its file, on the server."), problem=maybe(text("The first fault of its file.")),
        schedule=maybe(text("As the file says it; null: it runs when somebody says so.")), timezone=maybe(text("Of its dates.")),
        next_due=maybe(moment("When the daemon starts it next.")), held=maybe(text("Who holds the whole of it, since when and why.")),
        paused_by=maybe(text("Who stopped its schedule.")), pause_reason=text("Why."), broken=maybe(text("Why its schedule cannot be worked out.")),
        owner=text("Whose it is."), tags=names("Its tags."), description=text("What it is for."), last_run=maybe(_LAST), waiting=whole("Runs that wait to begin."),
    ),
    PipelineWhole=_with_tells(thing(
        "A pipeline with its steps, as `runner show` tells of it.",
        name=text("Its name."), path=text("Its file, on the server."), description=text("What it is for."), doc_md=text("What its file says about it, in Markdown."),
        owner=text("Whose it is."), tags=names("Its tags."), schedule=maybe(text("As the file says it.")), timezone=text("Of its dates."),
        logical_date=one_of(("due", "interval_start"), "What its date is."), catchup=one_of(("last", "all", "none"), "What happens to dates that passed unrun."),
        max_active_runs=whole("Runs at once."), max_active_steps=maybe(whole("Steps of a run at once.")), depends_on_past=truth("Whether a run waits for the one before."),
        timeout=maybe(number("Seconds that a run may take.")), deadline=maybe(text("When a run must be done.")),
        params=table(thing("A parameter.", type=one_of(("string", "integer", "number", "boolean", "date", "list", "object"), "What it is."), default=anything("What it is unless told."),
                           required=truth("Whether it must be given."), enum=maybe(many(anything("A value."), "What it may be.")), description=text("What it is for.")), "By name."),
        steps=many(ref("PipelineStep"), "Each behind what it needs."),
        **_SWITCHES,
        problem=maybe(text("The first fault of the file as it is now; what is told here is its last good text.")),
    )),
    PipelineStep=_with_tells(thing(
        "A step as the file says it.",
        id=text("Its name."), kind=text("What it is: bash, python, ..."), needs=names("The steps before it."), trigger_rule=one_of(model.TRIGGER_RULES, "When it begins."),
        when=maybe(text("Its condition.")), retries=whole("Further tries after the first."), retry_delay=number("Seconds between them."), timeout=maybe(number("Seconds of a try.")),
        allow_failure=truth("Whether the run may succeed without it."), description=text("What it does."), line=whole("Where it stands in the file."),
        deadline=maybe(text("When it must be done.")),
    )),
    DueTime=thing("A time at which it is due.", due_at=moment("When."), timezone=text("Of these moments."), ds=text("Its date."), logical_date=moment("The moment behind ds."),
                  data_interval_start=moment("Of the data it is about."), data_interval_end=moment("The end of these.")),
    DueTimes=thing("The next times.", items=many(ref("DueTime"), "The nearest first.")),
    Text=thing("A file as it is.", name=text("The pipeline."), path=text("Its file, on the server."), hash=text("Of what a run of it would keep."), text=text("What stands in it.")),
)


@listing("/pipelines", "Pipeline", tag=text("Only those with this tag.", 200), owner=text("Only those of this owner.", 200), q=text("Only those whose name holds this.", 200))
def list_pipelines(ask: Ask):
    """The pipelines, by name; those whose file has faults too."""
    query, after = ask.query, ask.query.get("cursor", "")
    files = []
    for file in sorted(ask.desk.files(), key=lambda each: each.name):
        about = file.summary or {}
        if file.name > after and query.get("q", "") in file.name and query.get("tag") in (None, *about.get("tags", ())) and query.get("owner") in (None, about.get("owner", "")):
            files.append(file)
    part = files[: query["limit"]]
    rows = [facts.as_entry(entry) for entry in facts.entries_of_rows(ask.desk, ask.store, part)]
    return rows, part[-1].name if len(files) > len(part) else None


def spec_of(ask: Ask, name: str) -> model.Pipeline:
    """The last good text that the daemon took in. Raises NotFound, InvalidPipeline with the faults of one that never was good."""
    row = ask.store.pipelines.get(name)
    if row is not None and row.definition and not row.gone_at:
        return ask.desk.definitions().get(row.definition)
    file = next((each for each in ask.desk.files() if each.name == ask.known(name)), None)
    if file is None:
        raise NotFound(f"the file of pipeline {name} is gone", f"GET /api/v1/runs?pipeline={name} says what it did")
    if not file.good:
        raise InvalidPipeline(file.problems)
    return load_pipeline(file.path, ask.desk.site())


def standing_of(ask: Ask, name: str) -> Dict[str, Any]:
    """How its switches stand."""
    row = ask.store.pipelines.get(name)
    return {"name": name, "paused_by": row.paused_by if row else None, "pause_reason": row.pause_reason if row else "", "held": ask.store.pipelines.holds().get(name, {})}


@read("/pipelines/{pipeline}", ref("PipelineWhole"))
def get_pipeline(ask: Ask, pipeline: str) -> Dict[str, Any]:
    """One pipeline with its steps, from its last good text."""
    row = ask.store.pipelines.get(pipeline)
    return {**facts.as_shown(spec_of(ask, pipeline)), **standing_of(ask, pipeline), "problem": (row.problem or None) if row else None}


@read("/pipelines/{pipeline}/next", ref("DueTimes"), count=whole("How many.", 1, 1000, default=5), after=text("Those after this date or moment.", 60))
def next_times(ask: Ask, pipeline: str) -> Dict[str, Any]:
    """The next times it is due, with their dates."""
    spec = spec_of(ask, pipeline)
    moment_ = acts.date_for(spec, ask.query["after"], ask.now).due if ask.query.get("after") else ask.now
    return {"items": [facts.as_date(date) for date in facts.times(spec, moment_, ask.query["count"])]}


@read("/pipelines/{pipeline}/definition", ref("Text"), hash=text("A text that a run kept; else the last good one.", 64))
def get_definition(ask: Ask, pipeline: str) -> Dict[str, Any]:
    """The file's text: as it is, or as a run had it."""
    row = ask.store.pipelines.get(pipeline)
    digest = ask.query.get("hash") or (row.definition if row else None)
    kept = ask.store.definition(digest) if digest else None
    if kept is None or kept["pipeline"] != pipeline:
        raise NotFound(f"pipeline {pipeline} has no text {ask.query.get('hash') or 'without faults yet'}", f"GET /api/v1/pipelines/{pipeline} says how it stands")
    return {"name": pipeline, "path": kept["path"], "hash": kept["hash"], "text": kept["text"]}


# ------------------------------------------------------------------------------------------------------------- switches

_WHOLE = wanted("Why.", reason=REASON)
_STEP = wanted("What of it, and why.", step=text("Only this step.", 300, default=""), reason=REASON)


def _switch(ask: Ask, asked: Any) -> Doing:
    return Doing(asked, lambda ready, outcome: standing_of(ask, asked.pipeline))


@act("/pipelines/{pipeline}/pause", "pause", ref("Switches"), _WHOLE, guarded=True)
def pause(ask: Ask, pipeline: str) -> Doing:
    """Stop its schedule. What runs goes on; due times leave a row `missed`; runs made by hand are not stopped."""
    return _switch(ask, acts.Pause(ask.known(pipeline)))


@act("/pipelines/{pipeline}/unpause", "unpause", ref("Switches"), _WHOLE, guarded=True)
def unpause(ask: Ask, pipeline: str) -> Doing:
    """Let its schedule go on from now. Times that passed meanwhile stay `missed`; a backfill runs them."""
    return _switch(ask, acts.Unpause(ask.known(pipeline)))


@act("/pipelines/{pipeline}/hold", "hold", ref("Switches"), _STEP, guarded=True)
def hold(ask: Ask, pipeline: str) -> Doing:
    """Let nothing new of it begin, or of one of its steps: what runs goes on, what would follow waits."""
    return _switch(ask, acts.Hold(ask.known(pipeline), ask.body.get("step", "")))


@act("/pipelines/{pipeline}/release", "release", ref("Switches"), _STEP, guarded=True)
def release(ask: Ask, pipeline: str) -> Doing:
    """Let what is held go on."""
    return _switch(ask, acts.Release(ask.known(pipeline), ask.body.get("step", "")))
