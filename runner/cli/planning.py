"""plan and next: what would happen, and when."""

from __future__ import annotations

import shlex
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import click

from runner.cli import table
from runner.cli.app import App
from runner.cli.completion import complete_pipeline
from runner.errors import RunnerError


@click.command()
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("--date", metavar="DATE", help="As for `runner run`.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="As for `runner run`.")
@click.option("--step", "chosen", multiple=True, metavar="STEP", help="Only this step; may be given again.")
@click.option("--env", "whole_env", is_flag=True, help="Every variable a step gets, not only those the pipeline adds.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def plan(app: App, pipeline, date, params, chosen, whole_env, as_json):
    """Print every command that `runner run` with the same words would execute; touches nothing.

    What a step hands on (<< outputs.step.key >>) is not known before it ran and stays as it is written.
    A step that could not start says why; the exit code is then 1.
    """
    from runner import acts, workorder
    from runner.acts import planned

    making = acts.Trigger(pipeline, date, params, chosen).ready(app)
    spec, when, run = making.spec, making.date, making.run()
    site = workorder.Site.of(app.config, app.environ)
    order = [name for name in planned.order(spec) if not chosen or name in chosen]
    store = app.store_if_any() if workorder.wants(spec, "prev_success") else None
    jobs = planned.jobs(app, store, spec, run, order)
    faults = [job for _, job in jobs if isinstance(job, RunnerError)]
    if as_json:
        app.out_json({"run": run.name, "ds": f"{when.logical:%Y-%m-%d}", "logical_date": when.logical, "due_at": when.due,
                      "data_interval_start": when.interval_start, "data_interval_end": when.interval_end, "params": making.params,
                      "steps": planned.as_dicts(app, jobs)})
    else:
        _print_plan(app, spec, run, jobs, site, whole_env)
    for fault in faults:
        app.say(f"{click.style('runner: ', fg='red', bold=True)}{fault.message}\n  {fault.hint}")
    return 1 if faults else 0


def _print_plan(app: App, spec, run, jobs, site, whole_env: bool) -> None:
    from runner.acts.planned import conditions

    app.out(f"{run.name}  ds {run.date.logical:%Y-%m-%d}  ({run.date.logical.isoformat()})")
    app.out(f"interval  {run.date.interval_start.isoformat()} .. {run.date.interval_end.isoformat()}")
    for name, value in run.params.items():
        app.out(f"param     {name} = {value}")
    for number, (step, job) in enumerate(jobs, 1):
        said = conditions(step)
        app.out()
        app.out(click.style(f"[{number}/{len(jobs)}] {step.id}", bold=True) + f"  ({step.kind})" + ("  " + said if said else ""))
        if isinstance(job, RunnerError):
            app.out(f"  cannot start: {job.message}")
            continue
        if job.probe is not None:
            app.out("\n".join(f"  waits: {key} {value}" for key, value in _told(job.probe)))
            continue
        if not job.argv:
            app.out("  nothing to run")
            continue
        app.out(f"  cd {shlex.quote(job.cwd)}")
        for name, value in sorted(job.env.items()):
            if whole_env or (site.environ.get(name) != value and not name.startswith("RUNNER_")):
                app.out(f"  export {name}={shlex.quote(value)}")
        app.out("  " + " ".join(shlex.quote(word) for word in job.argv))
        for name, text in job.files.items():
            app.out(f"  --- {name}")
            app.out("\n".join("  | " + line for line in text.rstrip("\n").split("\n")))


def _told(probe) -> List[Tuple[str, str]]:
    """What a wait looks at, in the words of its YAML."""
    hidden = ("for", "beside", "until")
    return [(key, table.duration(value) if key in ("every", "stable", "age") else str(value)) for key, value in probe.items() if key not in hidden]


@click.command(name="next")
@click.argument("pipeline", shell_complete=complete_pipeline)
@click.option("-n", "count", default=5, show_default=True, type=click.IntRange(1, 10000), help="How many.")
@click.option("--after", metavar="DATETIME", help="Later than this moment, not now.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def next_(app: App, pipeline, count, after, as_json):
    """The next times PIPELINE is due, each with its date (ds) and data interval."""
    from runner import acts
    from runner.facts import pipelines

    spec = app.pipeline_in_force(pipeline)
    moment = acts.date_for(spec, after, app.clock.now()).due if after else app.clock.now()
    dates, store = pipelines.times(spec, moment, count), app.store_if_any()
    show_times(app, spec.name, spec.schedule.text if spec.schedule else None, [pipelines.as_date(date) for date in dates], as_json)
    for line in acts.not_by_itself(app, store, spec, dates) if store else ():
        app.say(f"  {line}")
    return 0


def without_time(name: str, schedule: Optional[str]) -> str:
    """Of a pipeline for which no due time is known."""
    if schedule is None:
        return f"{name} has no schedule: it runs when you say so"
    return f"{name} is due once, when the daemon first sees it" if is_once(schedule) else f"{name} is never due again"


def is_once(schedule: str) -> bool:
    """Whether it is @once: without a start_date to come its time is when a daemon first sees it, which is known there only."""
    return schedule.strip().lower() == "@once"


def show_times(app: App, name: str, schedule: Optional[str], found: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Times at which a pipeline is due, as `facts` tells of them; `schedule`: as its file writes it."""
    if as_json:
        app.out_json(found)
        return
    if not found:
        app.say(without_time(name, schedule))
    rows = [(f"{each['due_at']:%Y-%m-%d %H:%M %Z}", each["ds"], f"{each['data_interval_start']:%Y-%m-%d %H:%M} .. {each['data_interval_end']:%Y-%m-%d %H:%M}") for each in found]
    for line in table.columns(("due", "ds", "interval"), rows):
        app.out(line)
