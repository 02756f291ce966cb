"""check and schema: what is wrong with pipeline files, and what an editor must know about them."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

import click

from runner import model
from runner.cli import planning
from runner.cli.app import App
from runner.errors import EnvironmentFault, NotFound
from runner.spec import parts

STDIN = "-"
NEXT_RUNS = 3


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(readable=False))  # one that cannot be read is told as a fault of its own, beside the others
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--name", metavar="FILE", help="What `-` is called in messages; its files are looked for beside it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def check(app: App, paths, strict, name, as_json):
    """Say all that is wrong with the files at PATH (files, folders, names, or - for stdin), without it: all pipelines.

    Each fault comes as FILE:LINE:COLUMN: MESSAGE with the line and what to write instead. Exit code 1 when there is
    an error; warnings alone do no harm.
    """
    if STDIN in paths:
        files, problems, good = _check_stdin(app, name or "")
    else:
        files, problems = check_all(app, _places(app, paths) if paths else [_folder(app)])
        good = None
    errors = [problem for problem in problems if strict or problem.severity == "error"]
    if as_json:
        app.out_json({"files": len(files), "errors": len(errors), "warnings": len(problems) - len(errors),
                      "problems": [_problem_json(problem) for problem in problems]})
    else:
        _print(app, files, problems, errors)
        if len(files) == 1 and not errors:
            if parts.is_part(files[0]):
                app.say("  a part: what only the whole can tell is told with the pipelines that take it")
            else:
                _say_next(app, good or _load(app, files[0]))
    return 1 if errors else 0


def _places(app: App, paths: Sequence[str]) -> List[str]:
    """Each path, or the file of a pipeline's name. Raises NotFound for a folder that was named and holds no pipeline."""
    from runner.spec import folder

    places = [_place(app, path) for path in paths]
    for place in places:
        if os.path.isdir(place) and not folder.find([place], parts=True):
            raise NotFound(f"{place}: there is no pipeline file in this folder", "give a .yaml file, a folder that holds some, or the name of a pipeline")
    return places


def _place(app: App, path: str) -> str:
    if not os.path.exists(path):
        return app.pipeline_path(path)
    if os.path.isdir(path) and os.path.basename(path) == path and path in app.pipeline_names():
        place = app.pipeline_path(path)  # as `run` and `plan` take that word; a pipeline often has a folder of its name
        app.say(f"{path}: the pipeline {place}; the folder here is checked by: runner check ./{path}")
        return place
    return path


def _folder(app: App) -> str:
    folder = app.config.pipelines
    if not os.path.isdir(folder):
        raise EnvironmentFault(f"{folder}: there is no such folder of pipelines", "give a path: runner check FILE")
    return folder


def _print(app: App, files: Sequence[str], problems: Sequence[model.Problem], errors: Sequence[model.Problem]) -> None:
    from runner.spec.report import format_problem

    color = app.color(sys.stdout)
    for problem in problems:
        app.out(format_problem(problem, color=color))
    app.say(summary(files, problems, errors))


def summary(files: Sequence[str], problems: Sequence[model.Problem], errors: Sequence[model.Problem]) -> str:
    """3 faults in 2 of 40 files"""
    many = _count(len(files), "file")
    warnings = len(problems) - len(errors)
    also = f" ({_count(warnings, 'warning')})" if warnings else ""
    if not errors:
        return (f"{many} {'is' if len(files) == 1 else 'are'} good" if files else "there is no pipeline file here") + also
    bad = len({problem.file for problem in errors})
    return f"{_count(len(errors), 'fault')} in {bad} of {many}{also}" if len(files) > 1 else f"{_count(len(errors), 'fault')}{also}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _problem_json(problem: model.Problem) -> Dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "column", "severity", "message", "hint", "where", "source")}


def _say_next(app: App, spec: model.Pipeline) -> None:
    """When a good file will run, and with which date: the question behind most surprises."""
    from runner import schedule

    if spec.schedule is None:
        app.say(f"  no schedule: it runs when you say so, runner run {spec.name}")
        return
    moment, rows = app.clock.now(), []
    while len(rows) < NEXT_RUNS:
        moment = schedule.next_due(spec.schedule, moment)
        if moment is None:
            break
        date = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, moment)
        rows.append(f"  due {date.due:%Y-%m-%d %H:%M %Z}  ds={date.logical:%Y-%m-%d}  interval "
                    f"{date.interval_start:%m-%d %H:%M} .. {date.interval_end:%m-%d %H:%M}")
    app.say("\n".join(rows) or "  " + planning.without_time(spec.name, spec.schedule.text))


def _load(app: App, path: str) -> model.Pipeline:
    from runner.spec.check import load_pipeline

    return load_pipeline(path, app.site())


def check_all(app: App, paths: Sequence[str]) -> Tuple[List[str], List[model.Problem]]:
    """The files found at the paths and all that is wrong with them."""
    from runner.spec import folder

    reports = folder.check_paths(paths, app.config, app.config.check_cache, parts=True)
    problems = dict.fromkeys(problem for report in reports for problem in report.problems)  # of a part once, however many take it
    return [report.path for report in reports], list(problems)


def _check_stdin(app: App, name: str) -> Tuple[List[str], List[model.Problem], Optional[model.Pipeline]]:
    """What an editor holds and has not saved."""
    from runner.spec.check import check_text, name_of

    path = os.path.abspath(name) if name else ""
    shown = name or "<stdin>"
    result = check_text(sys.stdin.buffer.read(), path=path, name=name_of(path or "stdin"), site=app.site(), shown=shown)
    return [shown], list(result.problems), result.pipeline


# --------------------------------------------------------------------------------------------------------------- schema


@click.command()
@click.option("--write", "target", metavar="FILE", help="Into this file.")
@click.option("--openapi", is_flag=True, help="The OpenAPI document of the interface for programs.")
@click.pass_obj
def schema(app: App, target, openapi):
    """Print the JSON Schema of pipeline files, with which an editor completes and checks them."""
    if openapi:
        from runner.web.api.addresses import document  # here: it loads the page

        text = document.as_text()
    else:
        from runner.spec import schema as module

        text = module.text()
    if target is None:
        app.out(text.rstrip("\n"))
        return
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    if openapi:
        return
    app.say(f"{target}: put this line above a pipeline:  # yaml-language-server: $schema={os.path.abspath(target)}")
