"""run, rerun, stop, mark: the commands that change a run."""

from __future__ import annotations

import signal
from typing import List, Optional, Sequence

import click

from runner import daemonlock, model, ownership
from runner.cli.app import App, need_writable
from runner.cli.completion import complete_pipeline, complete_run, complete_step
from runner.cli.finding import find_begun, find_open
from runner.errors import Conflict, NotFound, UsageError
from runner.facts.runs import whole

_param = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be given again.")
_slots = click.option("--slots", type=click.IntRange(1, 1000), help="Steps at once (settings: slots, 8).")
_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
_logs = click.option("--logs", "show_logs", is_flag=True, help="Show what each step printed, as soon as it ends.")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; kept with who did it, and shown.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--date", metavar="DATE", help="The run's date: 2026-02-28, or 2026-02-28T03:00. Without it: now.")
@_param
@click.option("--only", multiple=True, metavar="STEP", help="Only this step, nothing it needs; may be given again.")
@click.option("--new", is_flag=True, help="A second run of a date that has one.")
@click.option("--resume", is_flag=True, help="Finish the run of this date that was interrupted, or without --date the newest such one; makes no run.")
@_slots
@_logs
@_quiet
@_json
@click.pass_obj
def run(app: App, pipeline, date, params, only, new, resume, slots, show_logs, quiet, as_json):
    """Run PIPELINE (a name, or the path of a file) for one date, here and now; exits with the run's result.

    Ctrl-C ends the run and its steps. When the terminal is lost or this process is killed the steps go on: `--resume`
    finds them again.
    """
    from runner import acts

    _check_words(params, only, new, resume)
    need_writable(app.config)
    spec = app.pipeline(pipeline)
    if resume:
        left = _interrupted(app, spec) if date is None else _of_date(app, spec, date)
        return _resume(app, left, slots, show_logs, quiet, as_json) if left else _nothing_to_resume(app, spec, quiet, as_json)
    making = acts.Trigger(pipeline, date, params, only, new).checked(app, spec)
    store = app.store(create=True)

    def make(owner: str) -> model.Run:
        return making.make(store, app.who(), act="run", engine=owner)

    try:
        return work(app, store, make, spec, slots, show_logs, quiet, as_json)
    except Conflict as conflict:
        existing = getattr(conflict, "run", None)
        if existing is None:
            raise
        raise acts.already(app, existing) from None


def _check_words(params, only, new: bool, resume: bool) -> None:
    """Raises UsageError for options that contradict each other."""
    if resume and new:
        raise UsageError("--new makes a second run, --resume finishes the one that is there: not both", "one of: --new, --resume")
    if resume and (params or only):
        raise UsageError("--resume finishes a run as it was made: --param and --only do not go with it", "leave them out")


def _interrupted(app: App, spec: model.Pipeline) -> Optional[model.Run]:
    """The newest run of a pipeline that nobody works on any more, if there is one."""
    store = app.store_if_any()
    for state in ("running", "queued"):
        for run in store.recent_runs(spec.name, state, 100) if store else ():
            if not ownership.is_alive(app.config.engines_folder, run.engine):
                return run
    return None


def _of_date(app: App, spec: model.Pipeline, date: str) -> model.Run:
    """The newest run of one date that has not ended. Raises NotFound where there was none, Conflict where all have."""
    from runner import acts

    store = app.store_if_any()
    found = acts.date_for(spec, date, app.clock.now())
    runs = store.runs_of(spec.name, found.due) if store else []
    if not runs:
        name = f"{spec.name}@{acts.label_for(spec, found)}"
        raise NotFound(f"there is no run {name}: nothing to resume", "type the same without --resume   to make it; runner runs shows those there are")
    left = [run for run in runs if run.state not in model.RUN_TERMINAL]
    if not left:
        raise acts.already(app, runs[-1], resume=True)
    return left[-1]


def _nothing_to_resume(app: App, spec: model.Pipeline, quiet: bool, as_json: bool) -> int:
    """No fault, as there is nothing to do; `-q` under cron says nothing, so that a good boot sends no mail."""
    if as_json:
        app.out_json(None)
    elif not quiet:
        app.say(f"no run of {spec.name} was interrupted: nothing to resume")
    return 0


def _resume(app: App, run: model.Run, slots, show_logs, quiet, as_json) -> int:
    """Finish a run with the definition it began with."""
    from runner import acts

    store = app.store()
    with store.transaction():
        acts.record(store, app.who(), "resume", app.clock.now(), pipeline=run.pipeline, run=run.name, before={"state": run.state})
    return work(app, store, run, acts.as_run_has_it(app, store, run), slots, show_logs, quiet, as_json)


# -------------------------------------------------------------------------------------------------------------- working


def work(app: App, store, run, spec: model.Pipeline, slots, show_logs, quiet, as_json, stop_by: Optional[str] = None, told: bool = True) -> int:
    """Run an engine over one run until it ends; the exit code says how. `told`: whether the result is printed.

    `run`: a Run, or what makes one when it is told the engine's id, so that a run is owned from its first moment.
    """
    from runner.cli import streams
    from runner.cli.live import Progress
    from runner.cli.telling import Telling
    from runner.definitions import Definitions
    from runner.engine import Engine
    from runner.executors.local import LocalExecutor
    from runner.workorder import Site

    streams.keep_calm()
    executor = LocalExecutor(app.clock)
    telling = Telling(app, spec)
    engine = Engine(
        store, executor, app.clock, app.config, Site.of(app.config, app.environ),
        about_me=f"runner run {spec.name}", slots=slots, alerts=telling.recorder, definitions=Definitions(store, app.site(), app.config.pipelines),
    )
    received: List[int] = []
    restore = _stop_on_signals(engine, received)
    progress = None
    try:
        made = callable(run)
        run = run(engine.owner.id) if made else run
        progress = engine.listener = Progress(app, run.name, spec, logs=show_logs, quiet=quiet or as_json)
        engine.adopt(run, spec)
        telling.start()
        progress.start()
        if stop_by:
            engine.request_stop(stop_by)
        try:
            engine.run_until_done()
        except Conflict:
            if made:  # refused before it began: the date stays free for the next try
                store.unmake(run.id, engine.owner.id)
            raise
    finally:
        if progress:
            progress.stop()
        engine.close()
        executor.close()
        restore()
    telling.end()
    return _result(app, store, run, as_json, received, quiet) if told else 0


def _stop_on_signals(engine, received: List[int]):
    """Ctrl-C and TERM end the run; a lost terminal (HUP) ends only this process, its steps go on."""
    from runner import acts

    def stop(number, _frame):
        received.append(number)
        engine.request_stop(f"{acts.actor()} ({signal.Signals(number).name})", force=len(received) > 1)

    def leave(number, _frame):
        raise SystemExit(128 + number)

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    old[signal.SIGHUP] = signal.signal(signal.SIGHUP, leave) if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else signal.SIG_IGN
    return lambda: [signal.signal(number, handler) for number, handler in old.items()]


def _result(app: App, store, run: model.Run, as_json: bool, received: Sequence[int], quiet: bool = False) -> int:
    run = store.run_by_id(run.id)
    rows = store.step_runs(run.id)
    took = (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None
    if as_json:
        app.out_json(whole(app, store, run))
    else:
        from runner.cli import table

        counts = ", ".join(f"{n} {state}" for state, n in _counts(rows))
        app.out(f"{run.name}  {table.state(run.state)}  {counts}  {table.duration(took)}" + (f"  ({run.reason})" if run.reason else ""))
        if run.state == "failed":
            app.say(f"  runner logs {run.name}             what the steps printed\n  runner rerun {run.name} --failed   again, only what failed")
        elif run.state == "success" and not quiet:  # `-q` under cron: a good night sends no mail
            app.say(f"  runner logs {run.name}    runner status {run.name}")
    if received:
        return 128 + received[0]
    return 0 if run.state == "success" else 1


def _counts(rows: Sequence[model.StepRun]):
    counts: dict = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    return sorted(counts.items(), key=lambda item: model.STEP_STATES.index(item[0]), reverse=False)


# ---------------------------------------------------------------------------------------------------------------- rerun


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@click.option("--failed", is_flag=True, help="What failed or never ran, and all behind it.")
@click.option("--from", "start", multiple=True, metavar="STEP", shell_complete=complete_step, help="This step and all behind it.")
@click.option("--all", "everything", is_flag=True, help="Every step.")
@click.option("--resume", is_flag=True, help="Finish an interrupted run: adopt what still runs, keep what ended.")
@click.option("--keep-definition", is_flag=True, help="The file as the run had it, not as it is today.")
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
@click.option("--here", is_flag=True, help="In this process, also when a daemon runs.")
@click.option("--wait", is_flag=True, help="Wait for the daemon to end it; exits with the run's result.")
@_reason
@_slots
@_logs
@_quiet
@_json
@click.pass_obj
def rerun(app: App, run_name, failed, start, everything, resume, keep_definition, dry_run, here, wait, reason, slots, show_logs, quiet, as_json):
    """Repeat steps of RUN with its own date; shows first what will run. Earlier attempts stay in its history.

    When a daemon runs it does the work; without one this process does. RUN is a run's name, or a pipeline's for its newest run
    that has begun; `latest` is the newest of all.
    """
    from runner import acts

    if resume and (failed or start or everything or keep_definition):
        raise UsageError("--resume finishes the run as it is: --failed, --from, --all and --keep-definition do not go with it", f"type: runner rerun {run_name} --resume")
    need_writable(app.config)
    store = app.store()
    run = find_begun(app, store, run_name)
    daemon = None if here else daemonlock.look(app.config.home)
    if run.state == "queued" and not run.engine and daemon:
        raise Conflict(f"run {run.name} waits for the daemon already", f"type: runner status {run.name}   to see what for")
    if run.state not in model.RUN_TERMINAL:
        if ownership.is_alive(app.config.engines_folder, run.engine):
            raise acts.already(app, run)
        if failed or start or everything or dry_run:
            app.say(f"run {run.name} was interrupted: it is finished first, as --resume would")
        if dry_run:
            return 0
        return _resume(app, run, slots, show_logs, quiet, as_json)
    if resume:
        raise acts.already(app, run, True)
    repeating = acts.Rerun(run.name, failed, start, everything, keep_definition).ready(app, store)
    show_rerun(app, repeating.preview(store), dry_run, as_json)
    if dry_run:
        return 0
    run = repeating.do(store, app.who(reason))
    if daemon is None:
        return work(app, store, run, repeating.spec, slots, show_logs, quiet, as_json)
    from runner.cli import waiting

    waiting.ring(app)
    if wait:
        return waiting.wait_for(app, store, [run.id], as_json)
    if as_json:
        app.out_json(whole(app, store, run))
    else:
        app.out(f"{run.name}  queued")
        app.say(f"  the daemon (pid {daemon.pid}) runs it: runner logs {run.name} -f")
    return 0


def show_rerun(app: App, preview, dry_run: bool, as_json: bool) -> None:
    """What a rerun would do: a result when only that is asked for."""
    run = preview.runs[0]
    for line in preview.warnings:
        app.say(line)
    if as_json and dry_run:
        app.out_json({"run": run.name, "ds": run.ds, "of": run.of, "steps": [{"id": step.id, "was": step.was} for step in run.steps], "changes": list(preview.changes)})
        return
    show = app.out if dry_run else app.say
    for line in preview.changes:
        show(f"  since this run: {line}")
    show(f"runs again for {run.name} ({run.ds}): {len(run.steps)} of {run.of} steps")
    for step in run.steps[:30]:
        show(f"  {step.id}  (was {step.was})")
    if len(run.steps) > 30:
        show(f"  ... and {len(run.steps) - 30} more")


# ----------------------------------------------------------------------------------------------------------- stop, mark


@click.command()
@click.argument("run_name", metavar="RUN", required=False, shell_complete=complete_run)
@click.option("--backfill", type=int, metavar="NUMBER", help="All runs of a backfill that have not ended.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@click.option("--force", is_flag=True, help="End its teardown steps too, and start none.")
@_reason
@_json
@click.pass_obj
def stop(app: App, run_name, backfill, no_wait, force, reason, as_json):
    """End RUN: TERM to its steps, KILL after each one's kill_grace; nothing new starts but teardown. One that waits leaves the queue.

    RUN is a run's name, or a pipeline's when only one of its runs has not ended; `latest` the same of all pipelines.
    """
    from runner import acts
    from runner.acts.stopping import LEFT
    from runner.cli.waiting import say_given_up

    need_writable(app.config)
    store = app.store()
    acts.Stop(run_name, backfill).check()
    name = find_open(app, store, run_name).name if run_name is not None else None
    stopping, who = acts.Stop(name, backfill, force).ready(app, store), app.who(reason)
    given_up = stopping.given_up(store)
    came = stopping.do(store, who, asking=False)
    stopping.ring(store)
    if backfill is None:
        _see_it_stop(app, store, *came[0], who, no_wait, force, as_json)
        say_given_up(app, given_up)
        return 0
    for run in (run for run, what in came if what == LEFT):
        work(app, store, run, acts.as_run_has_it(app, store, run), None, False, True, True, stop_by=who.told, told=False)
    names = [run.name for run, _ in came]
    app.out_json({"backfill": backfill, "stopped": names}) if as_json else app.out(f"backfill {backfill}: {len(names)} runs stopped")
    say_given_up(app, given_up)
    return 0


def _see_it_stop(app: App, store, run: model.Run, came: str, who, no_wait: bool, force: bool, as_json: bool) -> None:
    """What came of it, and its end; one that its process left is taken over, to end it."""
    from runner import acts
    from runner.acts.stopping import ASKED, LEFT

    if came == LEFT:
        work(app, store, run, acts.as_run_has_it(app, store, run), None, False, as_json, as_json, stop_by=who.told)
        return
    if came == ASKED:
        if run.stop_requested and not force:
            app.say(f"{run.name} is being stopped already, by {run.stop_requested}; to end its teardown steps too: runner stop {run.name} --force")
        owner = run.engine or store.run_by_id(run.id).engine
        app.say(f"asked {ownership.about(app.config.engines_folder, owner)} to stop {run.name}" if owner else f"{run.name} has ended")
        while not no_wait and (now := store.run_by_id(run.id)).state not in model.RUN_TERMINAL:
            if not (now.engine and ownership.is_alive(app.config.engines_folder, now.engine)):  # who was asked is dead
                work(app, store, now, acts.as_run_has_it(app, store, now), None, False, as_json, as_json, stop_by=who.told)
                return
            app.clock.sleep(0.1)
    _print_stopped(app, store, run, as_json)


def _print_stopped(app: App, store, run: model.Run, as_json: bool) -> None:
    run = store.run_by_id(run.id)
    if as_json:
        app.out_json(whole(app, store, run))
    else:
        app.out(f"{run.name}  {run.state}")


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@click.argument("step", shell_complete=complete_step)
@click.argument("state", type=click.Choice(["success", "failed", "skipped"]))
@_reason
@_json
@click.pass_obj
def mark(app: App, run_name, step, state, reason, as_json):
    """Set the result of STEP of RUN by hand; who did it and when is kept.

    RUN is a run's name, or a pipeline's for its newest run that has begun; `latest` is the newest of all.
    """
    from runner import acts

    need_writable(app.config)
    store = app.store()
    run = find_begun(app, store, run_name)
    result = acts.Mark(run.name, step, state).ready(app, store).do(store, app.who(reason))
    if as_json:
        app.out_json(whole(app, store, store.run_by_id(run.id)))
    else:
        say_marked(app, run.name, step, result["step"], state, result["run"])
    return 0


def say_marked(app: App, run: str, step: str, was: str, state: str, run_state: str) -> None:
    app.out(f"{run}  {step}: {was} -> {state}; the run is {run_state}")
    if run_state == "failed":
        app.say(f"  runner rerun {run} --failed   runs what is left")
