"""list, show, runs, status: what there is and how it went. None of them changes anything."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

import click

from runner import __version__, logtail, model, standing
from runner.cli import table
from runner.cli.app import App
from runner.cli.completion import complete_pipeline, complete_run
from runner.cli.duecache import DueCache
from runner.cli.finding import find_run, pipeline_of
from runner.cli.planning import is_once
from runner.spec import folder
from runner.standing import shown_state

_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
LOG_LINES = 10  # of each failed step
FAILED_SHOWN = 5  # failed steps whose logs a status shows
WIDE, MINUTE = 100, len("2026-02-28T01:00")  # cells of a terminal that has room for whole dates; the label of a minute
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


@click.command(name="list")
@_json
@click.pass_obj
def list_(app: App, as_json):
    """The pipelines of the folder: schedule, next time, last run; files with faults too."""
    from runner.facts import health, pipelines

    entries = [pipelines.as_entry(entry) for entry in _entries(app)]
    show_list(app, entries, health.daemon(app), as_json)
    if not entries and not os.path.isdir(app.config.home):
        app.say(f"there is no folder {app.config.home}: is RUNNER_HOME right?")


def show_list(app: App, entries: Sequence[Mapping[str, Any]], daemon: Optional[Dict[str, Any]], as_json: bool) -> None:
    """The pipelines, as `facts` tells of them; `daemon`: the one that starts them."""
    if as_json:
        app.out_json(entries)
        return
    if not entries:
        app.say(f"there is no pipeline in {app.config.pipelines}; put a .yaml file there, or give a path: runner run FILE")
        return
    app.out("\n".join(_list_lines(entries)))
    for line in _list_remarks(entries, daemon):
        app.say("  " + line)


def _list_remarks(entries: Sequence[Mapping[str, Any]], daemon: Optional[Dict[str, Any]]) -> Iterator[str]:
    """What a person should know below the table."""
    from runner.facts import health

    broken = [entry for entry in entries if entry["problem"]]
    if broken:
        yield f"{len(broken)} with faults: runner check   says all of them"
    for name in dict.fromkeys(entry["name"] for entry in broken if entry["next_due"]):
        yield f"{name}: its last good version stays scheduled"
    for entry in entries:
        if entry["broken"]:
            yield f"{entry['name']}: {entry['broken']}"
    words = health.words_of(daemon)
    if words and any(entry["schedule"] for entry in entries):
        yield words


def _list_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """All that can be due, ran or stands still as a table; below it the files with faults, each with its first."""
    limit, broken = _limit(), [entry for entry in entries if entry["problem"]]
    narrow, rows = bool(limit and limit < WIDE), {}
    for entry in entries:
        if entry["name"] not in rows and (not entry["problem"] or _is_known(entry)):  # two files of one name are one pipeline
            rows[entry["name"]] = _entry_row(entry, narrow)
    yield from table.columns(("pipeline", "schedule", "next due", "last run", "owner", "tags"), list(rows.values()), limit, lesser=("tags", "owner"))
    if rows and broken:
        yield ""
    cells = [(entry["name"], f"{click.style('x', fg='red')} {table.one_line(entry['problem'])}") for entry in broken]
    yield from table.columns(("with faults", "the first"), cells, limit)


def _is_known(entry: Mapping[str, Any]) -> bool:
    """Whether there is something of a file with faults besides them: a version that was good, a run, a switch."""
    return any(entry[key] for key in ("schedule", "next_due", "last_run", "held", "paused_by"))


def _entries(app: App) -> Iterator[Any]:
    """From the folder's cache, the cache of due times and one query: no file is read that has not changed."""
    from runner.definitions import Definitions
    from runner.facts.pipelines import Entry, in_its_zone, last_good

    config = app.config
    if not os.path.isdir(config.pipelines):
        return
    cache = DueCache(os.path.join(os.path.dirname(config.check_cache), "due.json"))
    store = app.store_if_any()
    now = app.clock.now()
    known = {row.name: row for row in store.pipelines.all()} if store else {}
    holds, waiting = (store.pipelines.holds(), store.waiting_counts()) if store else ({}, {})
    for file in sorted(folder.check_paths([config.pipelines], config, config.check_cache), key=lambda file: file.name):
        last, row = store.last_run_of(file.name) if store else None, known.get(file.name)
        good = last_good(Definitions(store, app.site()), file, row) if store and not file.good else None  # only these need the checker
        due = _due(app, file, cache, now) if file.good else in_its_zone(app, row, good)
        state, held = shown_state(app, last) if last else "", holds.get(file.name, {}).get("", "")
        yield Entry(file, due, last, state, row, held, good, waiting.get(file.name, 0))
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


def _no_due(entry: Mapping[str, Any]) -> str:
    if not entry["schedule"]:
        return ""
    return "when first seen" if is_once(entry["schedule"]) and not entry["last_run"] else "never again"


def _entry_row(entry: Mapping[str, Any], narrow: bool) -> Sequence[str]:
    """`narrow`: a due time without its year, the label of a run without its seconds."""
    run = entry["last_run"]
    label = run["name"].partition("@")[2] if run else ""
    last = f"{table.signed('interrupted' if run['interrupted'] else run['state'])} {label[:MINUTE] if narrow else label}" if run else ""
    waiting = entry.get("waiting", 0)  # a server of an older version does not say it
    if waiting:
        last += f"{', ' if last else ''}{waiting} {'waits' if waiting == 1 else 'wait'}"
    due = entry["next_due"].strftime("%m-%d %H:%M %Z" if narrow else "%Y-%m-%d %H:%M %Z") if entry["next_due"] else _no_due(entry)
    if entry["held"]:
        due = "held"
    elif entry["paused_by"]:
        due = f"paused by {entry['paused_by']}"
    return (entry["name"], entry["schedule"] or "", due, last, table.one_line(entry["owner"]), ", ".join(entry["tags"]))


# ----------------------------------------------------------------------------------------------------------------- runs


@click.command()
@click.argument("pipeline", required=False, shell_complete=complete_pipeline)
@click.option("--state", type=click.Choice(model.RUN_STATES), help="Only runs in this state.")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1, 1000000), help="How many.")
@_json
@click.pass_obj
def runs(app: App, pipeline, state, count, as_json):
    """The latest runs, newest first; of PIPELINE when one is named."""
    from runner.facts import runs as facts

    store = app.store_if_any()
    pipeline = pipeline and pipeline_of(pipeline)
    found = store.recent_runs(pipeline, state, count) if store else []
    if not found and not as_json:
        _say_no_runs(app, pipeline, state)
        return
    told = [facts.brief(app, run) for run in found]
    show_runs(app, told, {} if as_json else {run.name: standing.waits(app, store, run) for run in found}, as_json)


def show_runs(app: App, found: Sequence[Mapping[str, Any]], waits: Mapping[str, str], as_json: bool) -> None:
    """Runs, as `facts` tells of them; `waits`: why those do not begin that do not."""
    if as_json:
        app.out_json(found)
        return
    now = app.clock.now()
    rows = [
        (run["name"], table.signed(state_of(run)), table.moment(run["started_at"], ZoneInfo(run["timezone"])),
         table.elapsed(run["started_at"], run["ended_at"], now), run["trigger"], table.one_line(run["reason"] or waits.get(run["name"], "")))
        for run in found
    ]
    app.out("\n".join(table.columns(("run", "state", "started", "took", "trigger", "reason"), rows, _limit())))
    app.say(f"  runner status {found[0]['name']}   shows a run step by step")


def state_of(run: Mapping[str, Any]) -> str:
    return "interrupted" if run["interrupted"] else run["state"]


def _say_no_runs(app: App, pipeline: Optional[str], state: Optional[str]) -> None:
    what = f"{pipeline} has no" if pipeline else "there is no"
    app.say(f"{what} {state + ' ' if state else ''}run" + ("" if state else f"; type: runner run {pipeline or 'PIPELINE'}"))
    if pipeline and pipeline not in app.pipeline_names():
        import difflib

        near = difflib.get_close_matches(pipeline, app.pipeline_names(), 1, 0.5)
        app.say(f"  nor is there a pipeline of that name{': did you mean ' + near[0] + '?' if near else ''}")


# --------------------------------------------------------------------------------------------------------------- status


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@_json
@click.pass_obj
def status(app: App, run_name, as_json):
    """One run, step by step; of a failed one also the end of each failed step's log.

    RUN is a run's name, a pipeline's name for its newest run, or `latest`.
    """
    from runner.facts import runs as facts

    store = app.store()
    run = find_run(app, store, run_name)

    def last_lines(step: str) -> Tuple[Optional[Mapping[str, Any]], List[str]]:
        attempts = facts.attempts(store, run, step)
        return (attempts[-1], logtail.last_lines(os.path.join(store.attempts(run.id, step)[-1].folder, "log"), LOG_LINES)) if attempts else (None, [])

    show_status(app, facts.whole(app, store, run), last_lines, as_json)


def show_status(app: App, run: Mapping[str, Any], last_lines: Callable[[str], Tuple[Optional[Mapping[str, Any]], List[str]]], as_json: bool) -> None:
    """A run, as `facts` tells of it; `last_lines`: of a step, its last attempt and how its log ends."""
    if as_json:
        app.out_json(run)
        return
    failed = sorted((step for step in run["steps"] if step["state"] == "failed"), key=lambda step: step["allow_failure"])
    names = [step["id"] for step in failed]
    app.out("\n".join([*_header(app, run), "", *_steps(app, run), *_failed_logs(names, last_lines)]))
    for line in _what_next(run, names):
        app.say("  " + line)


def _header(app: App, run: Mapping[str, Any]) -> Iterator[str]:
    zone, shown = ZoneInfo(run["timezone"]), state_of(run)
    begin, end = run["data_interval_start"], run["data_interval_end"]
    yield f"{click.style(run['name'], bold=True)}  {table.signed(shown)}" + (f"  {table.one_line(run['reason'])}" if run["reason"] else "")
    yield f"  date      {run['ds']}  (ts {run['logical_date'].isoformat()})"
    yield f"  interval  {begin:%Y-%m-%d %H:%M} .. {end:%Y-%m-%d %H:%M} {end:%Z}"
    yield f"  trigger   {run['trigger']}"
    if run["waits"]:
        yield f"  waits     {run['waits']}"
    if run["params"]:
        yield "  params    " + "  ".join(f"{name}={table.one_line(_as_typed(value))}" for name, value in run["params"].items())
    if run["only"]:
        yield f"  only      {', '.join(run['only'])}"
    began = f"{table.moment(run['started_at'], zone)} {run['started_at'].astimezone(zone):%Z}" if run["started_at"] else "not yet"
    took = table.elapsed(run["started_at"], run["ended_at"], app.clock.now())
    yield f"  started   {began}" + (f", {'took' if run['ended_at'] else 'since'} {took}" if took else "")
    if run["state"] not in model.RUN_TERMINAL and (run["state"] == "running" or run["owner"]):
        yield "  process   " + _worker(run, shown)


def _as_typed(value: Any) -> str:
    """A parameter as a person would type it: true, not True."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _worker(run: Mapping[str, Any], shown: str) -> str:
    if run["worked_on_by"]:
        return run["worked_on_by"] + (", asked to stop" if run["stop_requested"] else "")
    return "the one that worked on it died; its steps may still run" if shown == "interrupted" else "nobody works on it"


def _steps(app: App, run: Mapping[str, Any]) -> List[str]:
    zone, now = ZoneInfo(run["timezone"]), app.clock.now()
    cells = []
    for step in run["steps"]:
        note = table.one_line(step["reason"] or step["note"] or step["waits"] or "")
        if step["retry_at"]:
            note += f"{'; ' if note else ''}next try {step['retry_at'].astimezone(zone):%H:%M:%S}"
        cells.append((
            step["id"], table.signed(step["state"]), table.elapsed(step["started_at"], step["ended_at"], now), str(step["tries"]) if step["tries"] else "", note,
        ))
    return table.columns(("step", "state", "took", "tries", "reason"), cells, _limit())


def _failed_logs(failed: Sequence[str], last_lines: Callable[[str], Tuple[Optional[Mapping[str, Any]], List[str]]]) -> Iterator[str]:
    for step in failed[:FAILED_SHOWN]:
        attempt, lines = last_lines(step)
        if attempt and lines:
            yield ""
            yield click.style(f"==> {step} (attempt {attempt['number']}, {attempt['reason'] or 'failed'}) <==", fg="red", bold=True)
            yield from (table.brief(line, table.LINE) for line in lines)
    if len(failed) > FAILED_SHOWN:
        yield ""
        yield f"... and {len(failed) - FAILED_SHOWN} more failed steps"


def _what_next(run: Mapping[str, Any], failed: Sequence[str]) -> Iterator[str]:
    name = run["name"]
    if run["state"] in model.RUN_TERMINAL:
        if failed:
            yield f"runner logs {name} {failed[0]}   what it printed"
        if run["state"] != "success":
            yield f"runner rerun {name} --failed   again, what failed or never ran"
        else:
            yield f"runner logs {name}   what the steps printed"
    elif run["worked_on_by"]:
        yield f"runner logs {name} -f   watch it"
        yield f"runner stop {name}   end it"
    elif run["state"] == "queued" and not run["owner"]:
        yield f"runner stop {name}   takes it out of the queue"
    else:
        yield f"runner rerun {name} --resume   finish it: what still runs is adopted, what ended stays"
        yield f"runner stop {name}   end it"


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
    from runner.facts import pipelines

    show_pipeline(app, pipeline, pipelines.as_shown(app.pipeline_in_force(pipeline)), as_json)


def show_pipeline(app: App, pipeline: str, found: Mapping[str, Any], as_json: bool) -> None:
    """A pipeline, as `facts` tells of it."""
    if as_json:
        app.out_json(found)
        return
    app.out("\n".join([*_about(found), "", *_step_table(found["steps"])]))
    if found["doc_md"]:
        app.out("\n" + found["doc_md"].rstrip())
    app.say(f"  runner plan {pipeline}   every command   runner next {pipeline}   when it is due")


def _show_merged(app: App, path: str, as_json: bool) -> None:
    """Of a file with faults in its text too: what was merged may show where they come from."""
    from runner.spec import check, flat

    loaded, taken = check.load_file(path)
    if as_json:
        app.out_json({"path": path, "takes": list(taken), "merged": loaded.data, "places": flat.places(loaded, path)})
        return
    app.out(flat.text(loaded, path).rstrip("\n"))


def _about(found: Mapping[str, Any]) -> Iterator[str]:
    yield click.style(found["name"], bold=True) + (f"  {table.one_line(found['description'])}" if found["description"] else "")
    yield f"  file      {found['path']}"
    yield f"  schedule  {found['schedule'] or 'none: it runs when you say so'}  ({found['timezone']})"
    for name, value in (("owner", found["owner"]), ("tags", ", ".join(found["tags"]))):
        if value:
            yield f"  {name:<9} {value}"
    limits = [f"max_active_runs {found['max_active_runs']}", f"catchup {found['catchup']}"]
    if found["timeout"]:
        limits.append(f"timeout {table.duration(found['timeout'])}")
    if found["deadline"]:
        limits.append(f"deadline {found['deadline']}")
    yield f"  limits    {', '.join(limits)}"
    tells = [(event, found[f"on_{event}"]) for event in model.EVENTS if f"on_{event}" in found]
    if tells:
        yield "  tells     " + "; ".join(f"{event}: {', '.join((*tell['alert'], *(['a hook'] if tell['bash'] else []))) or 'nobody'}" for event, tell in tells)
    for number, (name, param) in enumerate(found["params"].items()):
        yield f"  {'params' if not number else '':<9} {_param_line(name, param)}"


def _param_line(name: str, param: Mapping[str, Any]) -> str:
    line = f"{name}: {param['type']}" + (", required" if param["required"] else f" = {param['default']}")
    if param["enum"]:
        line += f"  (one of {', '.join(map(str, param['enum']))})"
    return line + (f"  {table.one_line(param['description'])}" if param["description"] else "")


def _step_table(steps: Sequence[Mapping[str, Any]]) -> List[str]:
    """`steps`: each behind what it needs."""
    depth: Dict[str, int] = {}  # how many steps come before one, on its longest way
    rows = []
    for step in steps:
        depth[step["id"]] = max((depth[need] + 1 for need in step["needs"]), default=0)
        rule = "" if step["trigger_rule"] == "all_success" else step["trigger_rule"]
        retries = f"{step['retries']} x {table.duration(step['retry_delay'])}" if step["retries"] else ""
        when = f"when {step['when']}" if step["when"] else ""
        rows.append(("  " * min(depth[step["id"]], DEEPEST) + step["id"], step["kind"], ", ".join(step["needs"]), retries, "  ".join(filter(None, (rule, when)))))
    return table.columns(("step", "kind", "needs", "retries", "rule"), rows, _limit(), long=("needs", "step"))
