"""run, rerun, stop, mark: the commands that change a run."""

from __future__ import annotations

import os
import signal
from typing import Any, List, Optional, Sequence

import click

from runner import daemonlock, model, ownership
from runner.cli.app import App, need_writable
from runner.cli.completion import complete_pipeline, complete_run, complete_step
from runner.cli.asjson import run_json
from runner.cli.finding import find_run
from runner.errors import Conflict, NotFound, UsageError
from runner.planning import plan

_param = click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter; may be given again.")
_slots = click.option("--slots", type=click.IntRange(1, 1000), help="Steps at once (settings: slots, 8).")
_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")
_logs = click.option("--logs", "show_logs", is_flag=True, help="Show what each step printed, as soon as it ends.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--date", metavar="DATE", help="The run's date: 2026-02-28, or 2026-02-28T03:00. Without it: now.")
@_param
@click.option("--only", multiple=True, metavar="STEP", help="Only this step, nothing it needs; may be given again.")
@click.option("--new", is_flag=True, help="A second run of a date that has one.")
@click.option("--resume", is_flag=True, help="Finish the run of this date that was interrupted.")
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
    from runner import params as params_module

    need_writable(app.config)
    spec = app.pipeline(pipeline)
    if resume and date is None:
        return _resume(app, _interrupted(app, spec), slots, show_logs, quiet, as_json)
    values = params_module.resolve(spec, params, app.environ)
    when = acts.date_for(spec, date, app.clock.now())
    store = app.store(create=True)

    def make(owner: str) -> model.Run:
        return acts.create_run(store, spec, when, params=values, at=app.clock.now(), only=only or None, new=new, engine=owner)

    try:
        return work(app, store, make, spec, slots, show_logs, quiet, as_json)
    except Conflict as conflict:
        existing = getattr(conflict, "run", None)
        if existing is None:
            raise
        if resume and existing.state not in model.RUN_TERMINAL:
            return _resume(app, existing, slots, show_logs, quiet, as_json)
        raise already(app, existing, resume) from None


def already(app: App, run: model.Run, resume: bool) -> Conflict:
    """The refusal for a date that has a run: what there is, and what to type."""
    if run.state in model.RUN_TERMINAL:
        if resume:
            return Conflict(f"run {run.name} has ended ({run.state}): nothing to resume", f"type: runner rerun {run.name} --failed | --all")
        return Conflict(
            f"run {run.name} exists ({run.state})",
            f"runner rerun {run.name} --failed | --all   repeats it and keeps its history; --new makes a second run of this date",
        )
    if ownership.is_alive(app.config.engines_folder, run.engine):
        who = ownership.about(app.config.engines_folder, run.engine)
        return Conflict(f"run {run.name} is running already: {who}", f"watch it: runner logs {run.name} -f   end it: runner stop {run.name}")
    if run.state == "queued" and not run.engine:
        return Conflict(f"run {run.name} waits already", f"what for: runner status {run.name}   take it out: runner stop {run.name}")
    return Conflict(f"run {run.name} was interrupted", f"finish it: runner rerun {run.name} --resume   end it: runner stop {run.name}")


def _interrupted(app: App, spec: model.Pipeline) -> model.Run:
    """The newest run of a pipeline that nobody works on any more."""
    store = app.store_if_any()
    for state in ("running", "queued"):
        for run in store.recent_runs(spec.name, state, 100) if store else ():
            if not ownership.is_alive(app.config.engines_folder, run.engine):
                return run
    raise NotFound(f"pipeline {spec.name} has no interrupted run", f"type: runner runs {spec.name}")


def _resume(app: App, run: model.Run, slots, show_logs, quiet, as_json) -> int:
    """Finish a run with the definition it began with."""
    store = app.store()
    return work(app, store, run, stored_pipeline(app, store, run), slots, show_logs, quiet, as_json)


def stored_pipeline(app: App, store, run: model.Run) -> model.Pipeline:
    """The pipeline as the run has it."""
    from runner.spec.check import load_text

    row = store.definition(run.definition)
    return load_text(row["text"], row["path"], row["pipeline"], app.site())


# -------------------------------------------------------------------------------------------------------------- working


def work(app: App, store, run, spec: model.Pipeline, slots, show_logs, quiet, as_json, stop_by: Optional[str] = None) -> int:
    """Run an engine over one run until it ends; the exit code says how.

    `run`: a Run, or what makes one when it is told the engine's id, so that a run is owned from its first moment.
    """
    from runner.cli.live import Progress
    from runner.cli.telling import Telling
    from runner.definitions import Definitions
    from runner.engine import Engine
    from runner.executors.local import LocalExecutor
    from runner.workorder import Site

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
    return _result(app, store, run, as_json, received, quiet)


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
        app.out_json(run_json(run, rows))
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
@_slots
@_logs
@_quiet
@_json
@click.pass_obj
def rerun(app: App, run_name, failed, start, everything, resume, keep_definition, dry_run, here, wait, slots, show_logs, quiet, as_json):
    """Repeat steps of RUN with its own date; shows first what will run. Earlier attempts stay in its history.

    When a daemon runs it does the work; without one this process does.
    """
    from runner import acts

    need_writable(app.config)
    store = app.store()
    run = find_run(app, store, run_name)
    daemon = None if here else daemonlock.look(app.config.home)
    if run.state == "queued" and not run.engine and daemon:
        raise Conflict(f"run {run.name} waits for the daemon already", f"type: runner status {run.name}   to see what for")
    if run.state not in model.RUN_TERMINAL:
        if ownership.is_alive(app.config.engines_folder, run.engine):
            raise already(app, run, False)
        if failed or start or everything or dry_run:
            app.say(f"run {run.name} was interrupted: it is finished first, as --resume would")
        if dry_run:
            return 0
        return _resume(app, run, slots, show_logs, quiet, as_json)
    if resume:
        raise already(app, run, True)
    if sum((failed, bool(start), everything)) != 1:
        raise UsageError(f"run {run.name} ({run.state}): say what to run again", "one of: --failed, --from STEP, --all")
    before = stored_pipeline(app, store, run)
    spec = before if keep_definition else _todays(app, before)
    states = {row.step: row.state for row in store.step_runs(run.id)}
    acts.check_steps(spec, start)
    chosen = plan.rerun_set(spec, states, failed=failed, start=start, everything=everything)
    _show_rerun(app, run, before, spec, chosen, states)
    if dry_run:
        return 0
    run = acts.reset(store, run, spec, chosen, at=app.clock.now(), who=acts.actor(), repair=failed)
    if daemon is None:
        return work(app, store, run, spec, slots, show_logs, quiet, as_json)
    from runner.cli import waiting

    waiting.ring(app)
    if wait:
        return waiting.wait_for(app, store, [run.id], as_json)
    if as_json:
        app.out_json(run_json(run, store.step_runs(run.id)))
    else:
        app.out(f"{run.name}  queued")
        app.say(f"  the daemon (pid {daemon.pid}) runs it: runner logs {run.name} -f")
    return 0


def _todays(app: App, before: model.Pipeline) -> model.Pipeline:
    """The file as it is now; the stored one when the file is gone."""
    if not os.path.isfile(before.path):
        app.say(f"{before.path} is gone: the run's own definition is used")
        return before
    return app.pipeline(before.path)


def _show_rerun(app: App, run, before, spec, chosen, states) -> None:
    from runner import acts

    if before.text != spec.text:
        for line in acts.definition_changes(before, spec) or ["~ the file changed, but none of its steps"]:
            app.say(f"  since this run: {line}")
    app.say(f"runs again for {run.name} ({run.date.logical:%Y-%m-%d}): {len(chosen)} of {len(spec.steps)} steps")
    for name in chosen[:30]:
        app.say(f"  {name}  (was {states.get(name, 'not there')})")
    if len(chosen) > 30:
        app.say(f"  ... and {len(chosen) - 30} more")


# ----------------------------------------------------------------------------------------------------------- stop, mark


@click.command()
@click.argument("run_name", metavar="RUN", required=False, shell_complete=complete_run)
@click.option("--backfill", type=int, metavar="NUMBER", help="All runs of a backfill that have not ended.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@click.option("--force", is_flag=True, help="End its teardown steps too, and start none.")
@_json
@click.pass_obj
def stop(app: App, run_name, backfill, no_wait, force, as_json):
    """End RUN: TERM to its steps, KILL after each one's kill_grace; nothing new starts but teardown. One that waits leaves the queue."""
    need_writable(app.config)
    store = app.store()
    if (run_name is None) == (backfill is None):
        raise UsageError("say which run", "type: runner stop RUN   or: runner stop --backfill NUMBER")
    if backfill is not None:
        return _stop_backfill(app, store, backfill, as_json)
    run = find_run(app, store, run_name)
    if run.state in model.RUN_TERMINAL:
        raise Conflict(f"run {run.name} has ended already ({run.state})", f"type: runner status {run.name}")
    return _stop_one(app, store, run, no_wait, as_json, force=force)


def _stop_backfill(app: App, store, number: int, as_json: bool) -> int:
    from runner import acts

    if store.pipelines.backfill(number) is None:
        known = ", ".join(str(each.id) for each in store.pipelines.backfills(5))
        raise NotFound(f"there is no backfill {number}", f"there are: {known}" if known else "type: runner backfill --help")
    names = []
    for run_id in store.pipelines.open_runs_of_backfill(number):
        run = store.run_by_id(run_id)
        if not acts.take_out(store, run, at=app.clock.now(), who=acts.actor()):
            _stop_one(app, store, run, True, True, quiet=True)
        names.append(run.name)
    app.out_json({"backfill": number, "stopped": names}) if as_json else app.out(f"backfill {number}: {len(names)} runs stopped")
    return 0


def _stop_one(app: App, store, run: model.Run, no_wait: bool, as_json: bool, quiet: bool = False, force: bool = False) -> int:
    from runner import acts, engine

    if acts.take_out(store, run, at=app.clock.now(), who=acts.actor()):
        _print_stopped(app, store, run, as_json, quiet)
        return 0
    run = store.run_by_id(run.id)
    if run.state in model.RUN_TERMINAL:  # it ended by itself in between
        _print_stopped(app, store, run, as_json, quiet)
        return 0
    if not ownership.is_alive(app.config.engines_folder, run.engine):
        work(app, store, run, stored_pipeline(app, store, run), None, False, as_json, as_json, stop_by=acts.actor())
        return 0
    if run.stop_requested and not force and not quiet:
        app.say(f"{run.name} is being stopped already, by {run.stop_requested}; to end its teardown steps too: runner stop {run.name} --force")
    with store.transaction():
        store.request_stop(run.id, engine.FORCE + acts.actor() if force else acts.actor())
    ownership.ring(app.config.engines_folder, run.engine)
    if not quiet:
        app.say(f"asked {ownership.about(app.config.engines_folder, run.engine)} to stop {run.name}")
    while not no_wait and store.run_by_id(run.id).state not in model.RUN_TERMINAL:
        app.clock.sleep(0.1)
        if not ownership.is_alive(app.config.engines_folder, run.engine):
            break
    _print_stopped(app, store, run, as_json, quiet)
    return 0


def _print_stopped(app: App, store, run: model.Run, as_json: bool, quiet: bool) -> None:
    run = store.run_by_id(run.id)
    if quiet:
        return
    if as_json:
        app.out_json(run_json(run, store.step_runs(run.id)))
    else:
        app.out(f"{run.name}  {run.state}")


@click.command()
@click.argument("run_name", metavar="RUN", shell_complete=complete_run)
@click.argument("step", shell_complete=complete_step)
@click.argument("state", type=click.Choice(["success", "failed", "skipped"]))
@_json
@click.pass_obj
def mark(app: App, run_name, step, state, as_json):
    """Set the result of STEP of RUN by hand; who did it and when is kept."""
    from runner import acts

    need_writable(app.config)
    store = app.store()
    run = find_run(app, store, run_name)
    spec = stored_pipeline(app, store, run)
    result: Any = acts.mark(store, run, spec, step, state, at=app.clock.now(), who=acts.actor())
    if as_json:
        app.out_json(run_json(store.run_by_id(run.id), store.step_runs(run.id)))
    else:
        app.out(f"{run.name}  {step}: {result['step']} -> {state}; the run is {result['run']}")
        if result["run"] == "failed":
            app.say(f"  runner rerun {run.name} --failed   runs what is left")
    return 0
