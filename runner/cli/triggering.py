"""trigger, backfill, pause, unpause, hold, release: what a person asks of the daemon."""

from __future__ import annotations

from datetime import date as Day
from datetime import timedelta
from typing import List, NamedTuple, Optional, Tuple

import click

from runner import model
from runner.cli.app import SUFFIXES, App, need_writable
from runner.cli.asjson import run_json
from runner.cli.completion import complete_pipeline, complete_step
from runner.cli.waiting import WAIT_SECONDS, ring, say_who_runs_it, wait_for
from runner.errors import Conflict, NotFound, UsageError

SHOWN = 40  # dates of a preview
_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
_param = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be given again.")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; shown wherever it matters.")


# -------------------------------------------------------------------------------------------------------------- trigger


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--date", metavar="DATE", help="The run's date, as for `runner run`. A future one waits until it is due.")
@_param
@click.option("--only", multiple=True, metavar="STEP", help="Only this step, nothing it needs; may be given again.")
@click.option("--new", is_flag=True, help="A second run of a date that has one.")
@click.option("--wait", is_flag=True, help="Wait for its end; exits with its result.")
@_json
@click.pass_obj
def trigger(app: App, pipeline, date, params, only, new, wait, as_json):
    """Let the daemon run PIPELINE for one date. A date has one run: whoever is second is told so."""
    from runner import acts
    from runner import params as params_module
    from runner.cli.running import already

    need_writable(app.config)
    spec = app.pipeline(pipeline)
    values = params_module.resolve(spec, params, app.environ)
    when = acts.date_for(spec, date, app.clock.now())
    store = app.store(create=True)
    try:
        run = acts.create_run(store, spec, when, params=values, at=app.clock.now(), only=only or None, new=new)
    except Conflict as conflict:
        if conflict.run.state != "missed":
            raise already(app, conflict.run, False) from None
        run = acts.revive(store, conflict.run, spec, at=app.clock.now(), who=acts.actor())
    if not as_json:
        app.out(f"{run.name}  queued")
        later = f"; it begins {run.date.due:%Y-%m-%d %H:%M %Z}" if run.date.due > app.clock.now() else ""
        app.say(f"  runner logs {run.name} -f   watch it{later}")
    say_who_runs_it(app, "it waits")
    if wait:
        return wait_for(app, store, [run.id], as_json)
    if as_json:
        app.out_json(run_json(run, store.step_runs(run.id)))
    return 0


# ------------------------------------------------------------------------------------------------------------- backfill


class Wanted(NamedTuple):
    """One date of a backfill."""

    date: model.LogicalDate
    label: str
    existing: Optional[model.Run]  # the run that will be repeated


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--from", "first", metavar="DAY", required=True, help="The first ds, included.")
@click.option("--to", "last", metavar="DAY", required=True, help="The last ds, included.")
@_param
@click.option("--parallel", type=click.IntRange(1, 1000), default=1, show_default=True, help="Runs at once, within max_active_runs.")
@click.option("--newest-first", is_flag=True, help="Not the oldest first.")
@click.option("--failed", is_flag=True, help="Also repeat what failed or was killed on dates that have a run.")
@click.option("--all", "everything", is_flag=True, help="Also repeat dates that succeeded.")
@click.option("--dry-run", is_flag=True, help="Only show the dates.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait for all of them; exits with 1 when one failed.")
@_json
@click.pass_obj
def backfill(app: App, pipeline, first, last, params, parallel, newest_first, failed, everything, dry_run, yes, wait, as_json):
    """Let the daemon run PIPELINE for every date of a span: the dates its schedule has, or one a day without one.

    Dates that have a run are left alone, missed ones are run. Tonight's runs go before a backfill's.
    """
    from runner import params as params_module

    need_writable(app.config)
    spec = app.pipeline(pipeline)
    if parallel > spec.max_active_runs:
        raise UsageError(f"--parallel {parallel}: {spec.name} allows {spec.max_active_runs} run at once", f"write max_active_runs: {parallel} in {spec.path}, if its runs may overlap")
    values = params_module.resolve(spec, params, app.environ)
    store = app.store(create=True)
    wanted, left = _dates(store, spec, _day(first, "--from"), _day(last, "--to"), failed, everything)
    _show_dates(app, spec, wanted, left, as_json and dry_run)
    if dry_run or not wanted:
        return 0
    if not yes and not as_json and not click.confirm(f"run {spec.name} for these {len(wanted)} dates?", err=True):
        raise click.Abort()
    number, ids = _make(app, store, spec, wanted, values, parallel, newest_first, first, last)
    if not as_json:
        app.out(f"backfill {number}: {len(ids)} runs wait, {parallel} at a time")
        app.say(f"  runner runs {spec.name}   how far it is     runner stop --backfill {number}   ends it")
    say_who_runs_it(app, "they wait")
    if wait:
        return _progress(app, store, number, ids) if not as_json else wait_for(app, store, ids, True)
    if as_json:
        app.out_json({"backfill": number, "runs": [store.run_by_id(run_id).name for run_id in ids]})
    return 0


def _day(text: str, option: str) -> Day:
    try:
        return Day.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: not a date", f"write it as 2026-02-28: {option} 2026-02-28") from None


def _dates(store, spec: model.Pipeline, first: Day, last: Day, failed: bool, everything: bool) -> Tuple[List[Wanted], int]:
    """The dates to run, and how many are left out because they have a run."""
    from runner import acts, schedule

    if last < first:
        raise UsageError(f"--to {last} is before --from {first}", "give the earlier day to --from")
    if (last - first).days > 36600:
        raise UsageError("the span is longer than a hundred years", "give --from and --to as 2026-02-28")
    wanted: List[Wanted] = []
    left = 0
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        if spec.schedule:
            dues = list(schedule.dues_on(spec.schedule, spec.logical_date, spec.timezone, day))
        else:
            dues = [schedule.due_for(None, spec.logical_date, spec.timezone, day.isoformat(), None)]
        for due in dues:
            date = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, due)
            runs = store.runs_of(spec.name, due)
            state = runs[-1].state if runs else "missed"
            if state == "missed" or (failed and state in ("failed", "killed")) or (everything and state in model.RUN_TERMINAL):
                wanted.append(Wanted(date, acts.label_for(spec, date), runs[-1] if runs else None))
            else:
                left += 1
    return wanted, left


def _show_dates(app: App, spec: model.Pipeline, wanted: List[Wanted], left: int, as_json: bool) -> None:
    if as_json:
        app.out_json([{"run": f"{spec.name}@{each.label}", "ds": f"{each.date.logical:%Y-%m-%d}", "due_at": each.date.due,
                       "was": each.existing.state if each.existing else None} for each in wanted])
        return
    if left:
        app.say(f"{left} dates have a run already and are left alone (--failed, --all repeat them)")
    if not wanted:
        app.say("nothing to run")
    for each in wanted[:SHOWN]:
        app.say(f"  {spec.name}@{each.label}" + (f"  (was {each.existing.state})" if each.existing else ""))
    if len(wanted) > SHOWN:
        app.say(f"  ... and {len(wanted) - SHOWN} more, until {wanted[-1].label}")


def _make(app: App, store, spec, wanted, values, parallel, newest_first, first, last) -> Tuple[int, List[int]]:
    """All rows in one transaction: a backfill is there whole or not at all."""
    from runner import acts

    now, who = app.clock.now(), acts.actor()
    ids: List[int] = []
    with store.transaction():
        number = store.pipelines.add_backfill(spec.name, first, last, parallel, who, now)
        for n, each in enumerate(wanted):
            place = -n if newest_first else n
            if each.existing is None:
                run = acts.create_run(store, spec, each.date, params=values, at=now, trigger="backfill", backfill=number, place=place)
            else:
                run = each.existing
                if run.state == "missed":
                    run = acts.revive(store, run, spec, at=now, who=who)
                else:
                    run = acts.reset(store, run, spec, [step.id for step in spec.steps], at=now, who=who)
                store.join_backfill(run.id, number, place)
            ids.append(run.id)
    return number, ids


def _progress(app: App, store, number: int, ids: List[int]) -> int:
    """A bar on a terminal, a line a run elsewhere."""
    import sys

    if not sys.stderr.isatty():
        return wait_for(app, store, ids, False)
    done = 0
    with click.progressbar(length=len(ids), label=f"backfill {number}", file=sys.stderr, show_pos=True) as bar:
        while done < len(ids):
            counts = store.pipelines.backfill_counts(number)
            ended = sum(n for state, n in counts.items() if state in model.RUN_TERMINAL)
            bar.update(ended - done)
            done = ended
            if done < len(ids):
                app.clock.sleep(WAIT_SECONDS)
    counts = store.pipelines.backfill_counts(number)
    app.out(f"backfill {number}: " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
    return 0 if set(counts) == {"success"} else 1


# ------------------------------------------------------------------------------------------------------- pause and hold


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@_reason
@click.pass_obj
def pause(app: App, pipeline, reason):
    """Stop PIPELINE's schedule. What runs goes on; due times leave a row `missed`; runs made by hand are not stopped."""
    from runner import acts

    name, path = _name(app, pipeline)
    store = app.store(create=True)
    row = store.pipelines.get(name)
    if row and row.paused_by:
        raise Conflict(f"{name} is paused by {row.paused_by} since {row.paused_at:%Y-%m-%d %H:%M} UTC" + (f": {row.pause_reason}" if row.pause_reason else ""), f"type: runner unpause {name}")
    with store.transaction():
        store.pipelines.pause(name, path, acts.actor(), app.clock.now(), reason)
    ring(app)
    app.out(f"{name}  paused")
    app.say(f"  runner unpause {name}   lets its schedule go on")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.pass_obj
def unpause(app: App, pipeline):
    """Let PIPELINE's schedule go on from now. Times that passed meanwhile stay `missed`; `runner backfill` runs them."""
    name, path = _name(app, pipeline)
    store = app.store(create=True)
    row = store.pipelines.get(name)
    if not (row and row.paused_by):
        raise Conflict(f"{name} is not paused", f"type: runner next {name}")
    with store.transaction():
        store.pipelines.pause(name, path, None, app.clock.now())
    app.out(f"{name}  goes on")
    say_who_runs_it(app, "nothing starts by itself")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.argument("step", required=False, default="", shell_complete=complete_step)
@_reason
@click.pass_obj
def hold(app: App, pipeline, step, reason):
    """Let nothing new of PIPELINE begin, or of its STEP: what runs goes on, what would follow waits."""
    from runner import acts

    name, _ = _name(app, pipeline)
    if step:
        acts.check_steps(app.pipeline(pipeline), [step])
    store = app.store(create=True)
    with store.transaction():
        fresh = store.pipelines.hold(name, step, acts.actor(), app.clock.now(), reason)
    what = f"{name} {step}".strip()
    if not fresh:
        raise Conflict(f"{what} is {store.pipelines.holds()[name][step]}", f"type: runner release {what}")
    ring(app)
    app.out(f"{what}  held")
    app.say(f"  runner release {what}   lets it go")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.argument("step", required=False, default="", shell_complete=complete_step)
@click.pass_obj
def release(app: App, pipeline, step):
    """Let a held PIPELINE, or its held STEP, go on."""
    name, _ = _name(app, pipeline)
    store = app.store(create=True)
    with store.transaction():
        found = store.pipelines.let_go(name, step)
    what = f"{name} {step}".strip()
    if not found:
        held = [f"{name} {each}".strip() for each in store.pipelines.holds().get(name, {})]
        raise Conflict(f"{what} is not held", "held: " + ", ".join(held) if held else "")
    app.out(f"{what}  goes on")
    say_who_runs_it(app, "nothing begins")


def _name(app: App, reference: str) -> Tuple[str, str]:
    """A pipeline's name and file; one whose file is gone or has faults is known by its row."""
    import os

    try:
        path = app.pipeline_path(reference)
        return os.path.splitext(os.path.basename(path))[0], path
    except NotFound:
        store = app.store_if_any()
        row = store.pipelines.get(reference) if store and not reference.endswith(SUFFIXES) else None
        if row is None:
            raise
        return row.name, row.path
