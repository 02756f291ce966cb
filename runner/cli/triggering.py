"""trigger, backfill, pause, unpause, hold, release: what a person asks of the daemon."""

from __future__ import annotations

import click

from runner import model
from runner.cli.app import App, need_writable
from runner.cli.asking import need_yes
from runner.cli.completion import complete_pipeline, complete_step
from runner.cli.waiting import WAIT_SECONDS, ring, say_given_up, say_who_runs_it, wait_for
from runner.facts.runs import whole

SHOWN = 40  # dates of a preview
_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
_param = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be given again.")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; kept with who did it.")


# -------------------------------------------------------------------------------------------------------------- trigger


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--date", metavar="DATE", help="The run's date, as for `runner run`. A future one waits until it is due.")
@_param
@click.option("--only", multiple=True, metavar="STEP", help="Only this step, nothing it needs; may be given again.")
@click.option("--new", is_flag=True, help="A second run of a date that has one.")
@click.option("--wait", is_flag=True, help="Wait for its end; exits with its result.")
@_reason
@_json
@click.pass_obj
def trigger(app: App, pipeline, date, params, only, new, wait, reason, as_json):
    """Let the daemon run PIPELINE for one date. A date has one run: whoever is second is told so."""
    from runner import acts

    need_writable(app.config)
    making = acts.Trigger(pipeline, date, params, only, new).ready(app)
    store = app.store(create=True)
    run = making.do(store, app.who(reason))
    if not as_json:
        app.out(f"{run.name}  queued")
        later = f"; it begins {run.date.due:%Y-%m-%d %H:%M %Z}" if run.date.due > app.clock.now() else ""
        app.say(f"  runner logs {run.name} -f   watch it{later}")
    say_given_up(app, acts.narrowed(app, making.spec, run))
    say_who_runs_it(app, "it waits")
    if wait:
        return wait_for(app, store, [run.id], as_json)
    if as_json:
        app.out_json(whole(app, store, run))
    return 0


# ------------------------------------------------------------------------------------------------------------- backfill


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
@_reason
@_json
@click.pass_obj
def backfill(app: App, pipeline, first, last, params, parallel, newest_first, failed, everything, dry_run, yes, wait, reason, as_json):
    """Let the daemon run PIPELINE for every date of a span: the dates its schedule has, or one a day without one.

    Dates that have a run are left alone, missed ones are run. Tonight's runs go before a backfill's.
    """
    from runner import acts

    need_writable(app.config)
    filling = acts.Backfill(pipeline, first, last, params, parallel, newest_first, failed, everything).ready(app)
    store, name = app.store(create=True), filling.spec.name
    wanted, left = filling.dates(store)
    show_dates(app, name, wanted, left, acts.further(failed, everything), dry_run, as_json)
    if dry_run or not wanted:
        return 0
    if not yes and not as_json:
        need_yes(f"run {name} for {'this date' if len(wanted) == 1 else f'these {len(wanted)} dates'}?")
    number, ids = filling.do(store, app.who(reason), wanted)
    if not as_json:
        app.out(f"backfill {number}: {'1 run waits' if len(ids) == 1 else f'{len(ids)} runs wait'}, {parallel} at a time")
        app.say(f"  runner runs {name}   how far it is     runner stop --backfill {number}   ends it")
    say_who_runs_it(app, "they wait")
    if wait:
        return _progress(app, store, number, ids) if not as_json else wait_for(app, store, ids, True)
    if as_json:
        app.out_json({"backfill": number, "runs": [store.run_by_id(run_id).name for run_id in ids]})
    return 0


def show_dates(app: App, pipeline: str, wanted, left: int, further: str, dry_run: bool, as_json: bool) -> None:
    """The dates of a backfill: a result when only they are asked for. `further`: how those are repeated that are left alone."""
    if as_json and dry_run:
        app.out_json([{"run": f"{pipeline}@{each.label}", "ds": f"{each.date.logical:%Y-%m-%d}", "due_at": each.date.due,
                       "was": each.existing.state if each.existing else None} for each in wanted])
        return
    if left:
        alone = "1 date has a run already and is" if left == 1 else f"{left} dates have a run already and are"
        app.say(f"{alone} left alone ({further})")
    if not wanted:
        app.say("nothing to run")
    show = app.out if dry_run else app.say
    for each in wanted[:SHOWN]:
        about = [f"was {each.existing.state}"] if each.existing else []
        about += ["waits until it is due"] if each.date.due > app.clock.now() else []
        show(f"  {pipeline}@{each.label}" + (f"  ({', '.join(about)})" if about else ""))
    if len(wanted) > SHOWN:
        show(f"  ... and {len(wanted) - SHOWN} more, until {wanted[-1].label}")


def _progress(app: App, store, number: int, ids) -> int:
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

    name = _set(app, acts.Pause(pipeline), reason)
    ring(app)
    app.out(f"{name}  paused")
    app.say(f"  runner unpause {name}   lets its schedule go on")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@_reason
@click.pass_obj
def unpause(app: App, pipeline, reason):
    """Let PIPELINE's schedule go on from now. Times that passed meanwhile stay `missed`; `runner backfill` runs them."""
    from runner import acts

    app.out(f"{_set(app, acts.Unpause(pipeline), reason)}  goes on")
    say_who_runs_it(app, "nothing starts by itself")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.argument("step", required=False, default="", shell_complete=complete_step)
@_reason
@click.pass_obj
def hold(app: App, pipeline, step, reason):
    """Let nothing new of PIPELINE begin, or of its STEP: what runs goes on, what would follow waits."""
    from runner import acts

    what = _set(app, acts.Hold(pipeline, step), reason)
    ring(app)
    app.out(f"{what}  held")
    app.say(f"  runner release {what}   lets it go")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.argument("step", required=False, default="", shell_complete=complete_step)
@_reason
@click.pass_obj
def release(app: App, pipeline, step, reason):
    """Let a held PIPELINE, or its held STEP, go on."""
    from runner import acts

    app.out(f"{_set(app, acts.Release(pipeline, step), reason)}  goes on")
    say_who_runs_it(app, "nothing begins")


def _set(app: App, asked, reason: str) -> str:
    """Set a switch; returns what was set."""
    switching = asked.ready(app)
    return switching.do(app.store(create=True), app.who(reason))
