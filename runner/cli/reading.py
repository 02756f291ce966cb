"""list, show, runs, status: what there is and how it went. None of them changes anything."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from datetime import datetime
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Union
from zoneinfo import ZoneInfo

import click

from runner import __version__, daemonlock, logtail, model, ownership, standing
from runner.asjson import run_json
from runner.cli import table
from runner.cli.app import SUFFIXES, App
from runner.cli.completion import complete_pipeline, complete_run
from runner.cli.duecache import DueCache
from runner.cli.finding import find_run, zone_of
from runner.clock import from_text
from runner.errors import InvalidPipeline
from runner.spec import folder
from runner.spec.report import brief_place
from runner.standing import is_worked_on, shown_state

_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
LOG_LINES = 10  # of each failed step
FAILED_SHOWN = 5  # failed steps whose logs a status shows
DEEPEST = 12  # levels of indentation: a chain of thousands must not run out of the screen


def _limit() -> Optional[int]:
    """Cells of a line on a terminal; None where lines may be as long as they are."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 80


# ----------------------------------------------------------------------------------------------------------------- list


class Entry(NamedTuple):
    """One pipeline file, good or not."""

    file: folder.FileReport
    due: Optional[datetime]  # the next time, in the pipeline's zone
    last: Optional[sqlite3.Row]  # its newest run
    last_state: str
    row: Optional[model.PipelineRow] = None  # what the daemon knows of it
    held: str = ""  # by whom, when the whole of it is held


@click.command(name="list")
@_json
@click.pass_obj
def list_(app: App, as_json):
    """The pipelines of the folder: schedule, next time, last run; files with faults too."""
    entries = list(_entries(app))
    if as_json:
        app.out_json([_entry_json(entry) for entry in entries])
        return
    if not entries:
        app.say(f"there is no pipeline in {app.config.pipelines}; put a .yaml file there, or give a path: runner run FILE")
        return
    app.out("\n".join(_list_lines(entries)))
    for line in _list_remarks(app, entries):
        app.say("  " + line)


def _list_remarks(app: App, entries: Sequence[Entry]) -> Iterator[str]:
    """What a person should know below the table."""
    broken = sum(not entry.file.good for entry in entries)
    if broken:
        yield f"{broken} with faults: runner check   says all of them" + (
            "; their last good versions stay scheduled" if any(entry.row and entry.row.next_due for entry in entries if not entry.file.good) else "")
    for entry in entries:
        if entry.row and entry.row.broken:
            yield f"{entry.file.name}: {entry.row.broken}"
    if not any(entry.file.summary and entry.file.summary["schedule"] for entry in entries):
        return
    daemon = daemonlock.look(app.config.home)
    if daemon is None:
        yield "no daemon runs: nothing starts by itself; type: runner daemon"
    elif app.clock.now().timestamp() - daemon.beat > daemonlock.HUNG_SECONDS:
        yield f"the daemon (pid {daemon.pid}) hangs: it has not turned for {app.clock.now().timestamp() - daemon.beat:.0f} s"
    elif daemon.blocked:
        yield f"the daemon lets nothing begin: {daemon.blocked}"


def _list_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """The good ones as a table, below it the others, each with its first fault."""
    limit, broken = _limit(), [entry.file for entry in entries if not entry.file.good]
    rows = [_entry_row(entry) for entry in entries if entry.file.good]
    yield from table.columns(("pipeline", "schedule", "next due", "last run", "owner", "tags"), rows, limit)
    if rows and broken:
        yield ""
    cells = [(file.name, f"{click.style('x', fg='red')} {table.one_line(_first_fault(file))}") for file in broken]
    yield from table.columns(("with faults", "the first"), cells, limit)


def _first_fault(file: folder.FileReport) -> Optional[str]:
    errors = [problem for problem in file.problems if problem.severity == "error"]
    return f"{brief_place(errors[0], file.path)}: {errors[0].message}" if errors else None


def _entries(app: App) -> Iterator[Entry]:
    """From the folder's cache, the cache of due times and one query: no file is read that has not changed."""
    config = app.config
    if not os.path.isdir(config.pipelines):
        return
    cache = DueCache(os.path.join(os.path.dirname(config.check_cache), "due.json"))
    store = app.store_if_any()
    now = app.clock.now()
    known = {row.name: row for row in store.pipelines.all()} if store else {}
    holds = store.pipelines.holds() if store else {}
    for file in folder.check_paths([config.pipelines], config, config.check_cache):
        row = store.db.one("last_run_of", pipeline=file.name) if store else None
        yield Entry(file, _due(app, file, cache, now), row, _last_state(app, row), known.get(file.name), holds.get(file.name, {}).get("", ""))
    cache.save()


def _due(app: App, file: folder.FileReport, cache: DueCache, now: datetime) -> Optional[datetime]:
    if not file.summary or not file.summary["schedule"]:
        return None
    key = f"{__version__}|{file.summary['timezone']}|{file.hash}|{file.path}"
    due = cache.get(key, now, lambda: _find_due(app, file.path, now))
    return due.astimezone(ZoneInfo(file.summary["timezone"])) if due else None


def _find_due(app: App, path: str, now: datetime) -> Optional[datetime]:
    from runner import schedule
    from runner.spec.check import load_pipeline

    spec = load_pipeline(path, app.site())
    return schedule.next_due(spec.schedule, now) if spec.schedule else None


def _last_state(app: App, row: Optional[sqlite3.Row]) -> str:
    if row is None:
        return ""
    if row["state"] == "running" and not ownership.is_alive(app.config.engines_folder, row["engine"]):
        return "interrupted"
    return row["state"]


def _entry_row(entry: Entry) -> Sequence[str]:
    about: Mapping[str, Any] = entry.file.summary or {}
    last = f"{table.signed(entry.last_state)} {entry.last['name'].partition('@')[2]}" if entry.last else ""
    due = f"{entry.due:%Y-%m-%d %H:%M %Z}" if entry.due else ("never again" if about.get("schedule") else "")
    if entry.held:
        due = "held"
    elif entry.row and entry.row.paused_by:
        due = f"paused by {entry.row.paused_by}"
    return (entry.file.name, about.get("schedule") or "", due, last, table.one_line(about.get("owner", "")), ", ".join(about.get("tags", ())))


def _entry_json(entry: Entry) -> Dict[str, Any]:
    file, last = entry.file, entry.last
    about: Mapping[str, Any] = file.summary or {}
    return {
        "name": file.name, "path": file.path, "problem": _first_fault(file), "schedule": about.get("schedule"),
        "timezone": about.get("timezone"), "next_due": entry.due, "held": entry.held or None,
        "paused_by": entry.row.paused_by if entry.row else None, "pause_reason": entry.row.pause_reason if entry.row else "",
        "broken": entry.row.broken or None if entry.row else None, "owner": about.get("owner", ""), "tags": list(about.get("tags", ())),
        "description": about.get("description", ""),
        "last_run": {"name": last["name"], "state": last["state"], "interrupted": entry.last_state == "interrupted",
                     "ended_at": _own_time(last["ended_at"], last["timezone"])} if last else None,
    }


def _own_time(text: Optional[str], zone: str) -> Optional[datetime]:
    return from_text(text).astimezone(ZoneInfo(zone)) if text else None


# ----------------------------------------------------------------------------------------------------------------- runs


@click.command()
@click.argument("pipeline", required=False, shell_complete=complete_pipeline)
@click.option("--state", type=click.Choice(model.RUN_STATES), help="Only runs in this state.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1, 1000000), help="How many.")
@_json
@click.pass_obj
def runs(app: App, pipeline, state, count, as_json):
    """The latest runs, newest first; of PIPELINE when one is named."""
    store = app.store_if_any()
    if pipeline and pipeline.endswith(SUFFIXES):
        pipeline = os.path.splitext(os.path.basename(pipeline))[0]
    found = store.recent_runs(pipeline, state, count) if store else []
    if as_json:
        app.out_json([_run_json(app, run) for run in found])
        return
    if not found:
        _say_no_runs(app, pipeline, state)
        return
    now = app.clock.now()
    rows = [
        (run.name, table.signed(shown_state(app, run)), table.moment(run.started_at or run.created_at, zone_of(run)),
         table.elapsed(run.started_at, run.ended_at, now), run.trigger, table.one_line(run.reason or standing.waits(app, store, run)))
        for run in found
    ]
    app.out("\n".join(table.columns(("run", "state", "started", "took", "trigger", "reason"), rows, _limit())))
    app.say(f"  runner status {found[0].name}   shows a run step by step")


def _say_no_runs(app: App, pipeline: Optional[str], state: Optional[str]) -> None:
    what = f"{pipeline} has no" if pipeline else "there is no"
    app.say(f"{what} {state + ' ' if state else ''}run" + ("" if state else f"; type: runner run {pipeline or 'PIPELINE'}"))
    if pipeline and pipeline not in app.pipeline_names():
        import difflib

        near = difflib.get_close_matches(pipeline, app.pipeline_names(), 1, 0.5)
        app.say(f"  nor is there a pipeline of that name{': did you mean ' + near[0] + '?' if near else ''}")


def _run_json(app: App, run: model.Run, rows: Sequence[model.StepRun] = ()) -> Dict[str, Any]:
    """A run for programs; its moments in its own zone."""
    out = run_json(run, rows)
    if not rows:
        del out["steps"]
    out["interrupted"] = shown_state(app, run) == "interrupted"
    zone = zone_of(run)
    for part in [out] + out.get("steps", []):
        part.update({key: value.astimezone(zone) for key, value in part.items() if hasattr(value, "astimezone")})
    return out


# --------------------------------------------------------------------------------------------------------------- status


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@_json
@click.pass_obj
def status(app: App, run_name, as_json):
    """One run, step by step; of a failed one also the end of each failed step's log.

    RUN is a run's name, a pipeline's name for its newest run, or `latest`.
    """
    store = app.store()
    run = find_run(app, store, run_name)
    rows = store.step_runs(run.id)
    waits = standing.waits(app, store, run)
    if as_json:
        out = _run_json(app, run, rows)
        out["waits"] = waits or None
        reasons = standing.steps_wait(app, store, run, rows)
        for step in out["steps"]:
            step["waits"] = reasons.get(step["id"]) or None
        notes = standing.notes(store, run, rows)
        for step in out["steps"]:
            step["note"] = notes.get(step["id"])
        out["worked_on_by"] = ownership.about(app.config.engines_folder, run.engine) if is_worked_on(app, run) else None
        app.out_json(out)
        return
    failed = _failed(app, store, run, rows)
    notes = {**standing.steps_wait(app, store, run, rows), **standing.notes(store, run, rows)}
    app.out("\n".join([*_header(app, store, run, waits), "", *_steps(app, run, rows, notes), *_failed_logs(store, run, failed)]))
    for line in _what_next(app, run, failed):
        app.say("  " + line)


def _header(app: App, store, run: model.Run, waits: str) -> Iterator[str]:
    zone, shown, date = zone_of(run), shown_state(app, run), run.date
    yield f"{click.style(run.name, bold=True)}  {table.signed(shown)}" + (f"  {table.one_line(run.reason)}" if run.reason else "")
    yield f"  date      {date.logical:%Y-%m-%d}  (ts {date.logical.isoformat()})"
    yield f"  interval  {date.interval_start:%Y-%m-%d %H:%M} .. {date.interval_end:%Y-%m-%d %H:%M} {date.interval_end:%Z}"
    yield f"  trigger   {run.trigger}"
    if waits:
        yield f"  waits     {waits}"
    if run.params:
        yield "  params    " + "  ".join(f"{name}={table.one_line(_as_typed(value))}" for name, value in run.params.items())
    if run.only:
        yield f"  only      {', '.join(run.only)}"
    began = f"{table.moment(run.started_at, zone)} {run.started_at.astimezone(zone):%Z}" if run.started_at else "not yet"
    took = table.elapsed(run.started_at, run.ended_at, app.clock.now())
    yield f"  started   {began}" + (f", {'took' if run.ended_at else 'since'} {took}" if took else "")
    if run.state not in model.RUN_TERMINAL and (run.state == "running" or run.engine):
        yield "  process   " + _worker(app, run, shown)


def _as_typed(value: Any) -> str:
    """A parameter as a person would type it: true, not True."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _worker(app: App, run: model.Run, shown: str) -> str:
    if is_worked_on(app, run):
        return ownership.about(app.config.engines_folder, run.engine) + (", asked to stop" if run.stop_requested else "")
    return "the one that worked on it died; its steps may still run" if shown == "interrupted" else "nobody works on it"


def _steps(app: App, run: model.Run, rows: Sequence[model.StepRun], notes: Mapping[str, str]) -> List[str]:
    zone, now = zone_of(run), app.clock.now()
    cells = []
    for row in rows:
        note = table.one_line(row.reason or notes.get(row.step, ""))
        if row.retry_at:
            note += f"{'; ' if note else ''}next try {row.retry_at.astimezone(zone):%H:%M:%S}"
        cells.append((
            row.step, table.signed(row.state), table.elapsed(row.started_at, row.ended_at, now),
            str(row.tries) if row.tries else "", note,
        ))
    return table.columns(("step", "state", "took", "tries", "reason"), cells, _limit())


def _failed(app: App, store, run: model.Run, rows: Sequence[model.StepRun]) -> List[str]:
    """The failed steps; those that made the run fail first, before those that are allowed to."""
    failed = [row.step for row in rows if row.state == "failed"]
    if len(failed) < 2:
        return failed
    from runner.definitions import Definitions

    try:
        allowed = {step.id for step in Definitions(store, app.site()).of(run).steps if step.allow_failure}
    except InvalidPipeline:  # a text of an older version
        return failed
    return sorted(failed, key=lambda step: step in allowed)


def _failed_logs(store, run: model.Run, failed: Sequence[str]) -> Iterator[str]:
    for step in failed[:FAILED_SHOWN]:
        attempts = store.attempts(run.id, step)
        lines = logtail.last_lines(os.path.join(attempts[-1].folder, "log"), LOG_LINES) if attempts else []
        if lines:
            yield ""
            yield click.style(f"==> {step} (attempt {attempts[-1].number}, {attempts[-1].reason or 'failed'}) <==", fg="red", bold=True)
            yield from (table.brief(line, table.LINE) for line in lines)
    if len(failed) > FAILED_SHOWN:
        yield ""
        yield f"... and {len(failed) - FAILED_SHOWN} more failed steps"


def _what_next(app: App, run: model.Run, failed: Sequence[str]) -> Iterator[str]:
    if run.state in model.RUN_TERMINAL:
        if failed:
            yield f"runner logs {run.name} {failed[0]}   what it printed"
        if run.state != "success":
            yield f"runner rerun {run.name} --failed   again, what failed or never ran"
        else:
            yield f"runner logs {run.name}   what the steps printed"
    elif is_worked_on(app, run):
        yield f"runner logs {run.name} -f   watch it"
        yield f"runner stop {run.name}   end it"
    elif run.state == "queued" and not run.engine:
        yield f"runner stop {run.name}   takes it out of the queue"
    else:
        yield f"runner rerun {run.name} --resume   finish it: what still runs is adopted, what ended stays"
        yield f"runner stop {run.name}   end it"


# ----------------------------------------------------------------------------------------------------------------- show


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--merged", is_flag=True, help="The YAML with all that it takes of other files, and where each value was written.")
@_json
@click.pass_obj
def show(app: App, pipeline, merged, as_json):
    """One pipeline: schedule, parameters, and its steps in the order they run, indented below what they need."""
    if merged:
        _show_merged(app, app.pipeline_path(pipeline), as_json)
        return
    spec = app.pipeline(pipeline)
    if as_json:
        app.out_json(_pipeline_json(spec))
        return
    app.out("\n".join([*_about(spec), "", *_step_table(spec)]))
    if spec.doc_md:
        app.out("\n" + spec.doc_md.rstrip())
    app.say(f"  runner plan {pipeline}   every command   runner next {pipeline}   when it is due")


def _show_merged(app: App, path: str, as_json: bool) -> None:
    """Of a file with faults in its text too: what was merged may show where they come from."""
    from runner.spec import check, flat

    loaded, taken = check.load_file(path)
    if as_json:
        app.out_json({"path": path, "takes": list(taken), "merged": loaded.data, "places": flat.places(loaded, path)})
        return
    app.out(flat.text(loaded, path).rstrip("\n"))


def _about(spec: model.Pipeline) -> Iterator[str]:
    yield click.style(spec.name, bold=True) + (f"  {table.one_line(spec.description)}" if spec.description else "")
    yield f"  file      {spec.path}"
    yield f"  schedule  {spec.schedule.text if spec.schedule else 'none: it runs when you say so'}  ({spec.timezone})"
    for name, value in (("owner", spec.owner), ("tags", ", ".join(spec.tags))):
        if value:
            yield f"  {name:<9} {value}"
    limits = [f"max_active_runs {spec.max_active_runs}", f"catchup {spec.catchup}"]
    if spec.timeout:
        limits.append(f"timeout {table.duration(spec.timeout)}")
    if spec.deadline:
        limits.append(f"deadline {spec.deadline.text}")
    yield f"  limits    {', '.join(limits)}"
    if spec.tell:
        yield "  tells     " + "; ".join(f"{event}: {', '.join((*tell.channels, *(['a hook'] if tell.bash else []))) or 'nobody'}" for event, tell in spec.tell.items())
    for number, param in enumerate(spec.params.values()):
        yield f"  {'params' if not number else '':<9} {_param_line(param)}"


def _param_line(param: model.Param) -> str:
    line = f"{param.name}: {param.type}" + (", required" if param.required else f" = {param.default}")
    if param.enum:
        line += f"  (one of {', '.join(map(str, param.enum))})"
    return line + (f"  {table.one_line(param.description)}" if param.description else "")


def _step_table(spec: model.Pipeline) -> List[str]:
    depth = _depths(spec)
    rows = []
    for step in _in_order(spec):
        rule = "" if step.trigger_rule == "all_success" else step.trigger_rule
        retries = f"{step.retry.limit} x {table.duration(step.retry.delay)}" if step.retry.limit else ""
        when = f"when {step.when}" if step.when else ""
        rows.append(("  " * min(depth[step.id], DEEPEST) + step.id, step.kind, ", ".join(step.needs), retries, "  ".join(filter(None, (rule, when)))))
    return table.columns(("step", "kind", "needs", "retries", "rule"), rows, _limit())


def _depths(spec: model.Pipeline) -> Dict[str, int]:
    """How many steps come before a step, on its longest way; without recursion, as a chain may hold thousands."""
    depth: Dict[str, int] = {}
    for step in _in_order(spec):
        depth[step.id] = max((depth[need] + 1 for need in step.needs), default=0)
    return depth


def _in_order(spec: model.Pipeline) -> List[model.Step]:
    """Each step behind what it needs, and otherwise as in the file: a branch is followed before the next begins."""
    waits = {step.id: len(step.needs) for step in spec.steps}
    behind: Dict[str, List[model.Step]] = {step.id: [] for step in spec.steps}
    for step in spec.steps:
        for need in step.needs:
            behind[need].append(step)
    ready = [step for step in reversed(spec.steps) if not step.needs]
    out = []
    while ready:
        step = ready.pop()
        out.append(step)
        for follower in reversed(behind[step.id]):
            waits[follower.id] -= 1
            if not waits[follower.id]:
                ready.append(follower)
    return out


def _telling(said: Union[model.Pipeline, model.Step]) -> Dict[str, Any]:
    tells = {f"on_{event}": {"alert": list(tell.channels), "bash": tell.bash} for event, tell in said.tell.items()}
    return {"deadline": said.deadline.text if said.deadline else None, **tells}


def _pipeline_json(spec: model.Pipeline) -> Dict[str, Any]:
    return {
        "name": spec.name, "path": spec.path, "description": spec.description, "owner": spec.owner, "tags": list(spec.tags),
        "schedule": spec.schedule.text if spec.schedule else None, "timezone": spec.timezone, "logical_date": spec.logical_date,
        "catchup": spec.catchup, "max_active_runs": spec.max_active_runs, "max_active_steps": spec.max_active_steps,
        "depends_on_past": spec.depends_on_past, "timeout": spec.timeout, **_telling(spec),
        "params": {name: {"type": p.type, "default": p.default, "required": p.required, "enum": list(p.enum) if p.enum else None,
                          "description": p.description} for name, p in spec.params.items()},
        "steps": [
            {"id": s.id, "kind": s.kind, "needs": list(s.needs), "trigger_rule": s.trigger_rule, "when": s.when,
             "retries": s.retry.limit, "retry_delay": s.retry.delay, "timeout": s.timeout, "allow_failure": s.allow_failure,
             "description": s.description, "line": s.line, **_telling(s)}
            for s in _in_order(spec)
        ],
    }
