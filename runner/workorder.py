"""What an attempt will execute, byte for byte: the one place where a step and a run's row become a Job.

`runner run` and `runner plan` both come here, which is why a preview equals the run.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Callable, Dict, List, Mapping, Optional

from runner import config, model, schedule, sitevalues, steps, template
from runner.planning import foreach
from runner.site import kerberos
from runner.sitevalues import SiteValues


@dataclass(frozen=True)
class Site:
    """What a job takes from the server it runs on."""

    environ: Mapping[str, str]  # the environment of the process that starts steps
    python: str = "python3"
    home: str = ""
    principal: str = ""  # and keytab: of steps that do not say kerberos: themselves
    keytab: str = ""

    @classmethod
    def of(cls, settings: config.Config, environ: Mapping[str, str]) -> "Site":
        """`environ` as it is now: os.environ itself would be decoded anew for each step."""
        return cls(dict(environ), settings.step_python, settings.home, settings.kerberos_principal, settings.kerberos_keytab)

    @cached_property
    def inherited(self) -> Mapping[str, str]:
        """What a step gets that says nothing, and the settings."""
        return {**config.inherited(self.environ), **config.handed_on(self.environ)}


def read_file(path: str) -> str:
    """A file of the pipeline as text; bytes that are no UTF-8 survive."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def run_folder(runs_folder: str, run: model.Run) -> str:
    """The folder of a run; without the characters `:` and `#`, which class paths and addresses cannot carry."""
    label = run.name.partition("@")[2].replace(":", "").replace("#", ".")
    return f"{runs_folder}/{run.pipeline}/{label}"


def attempt_folder(runs_folder: str, run: model.Run, step: str, number: int) -> str:
    """The folder of an attempt: load.1, for a mapped step load.3.1; a glob must not see brackets."""
    return f"{run_folder(runs_folder, run)}/{step.replace('[', '.').replace(']', '')}.{number}"


def make_job(
    pipeline: model.Pipeline,
    run: model.Run,
    step: model.Step,
    number: int,
    folder: str,
    site: Site,
    *,
    outputs: Mapping[str, Mapping[str, Any]],
    prev_success: Optional[model.LogicalDate] = None,
    preview: bool = False,
) -> model.Job:
    """Render and build. Raises template.TemplateError, or OSError for a file that cannot be read.

    `preview` leaves `<< outputs.x.y >>` as it stands, since no step has run yet.
    """
    taken = SiteValues(site.home)
    context = context_of(pipeline, run, step, number, outputs, prev_success, taken.makers())
    render = _renderer(context, preview)
    strict: Callable[[str], str] = lambda text: taken.no_secret(render(text))
    kind = steps.get(step.kind)
    cwd = _cwd(pipeline, step, strict)
    build = steps.BuildContext(
        folder=folder, cwd=cwd, pipeline_folder=step.folder or pipeline.folder, python=site.python, read=read_file,
        render=strict, template=step.template, date=run.date, pipeline_path=pipeline.path, names=context,
    )
    body = steps.render_body(kind, step.body, strict, lambda text: taken.in_body(render(text))) if step.template else dict(step.body)
    command = kind.build(step, body, build)
    taken.check_command({**{f"argument {i}": word for i, word in enumerate(command.argv)}, **command.env,
                         **{name: text for name, text in command.files.items() if name != steps.REQUEST}} if taken.secrets else {})
    environ = _environment(pipeline, step, context, lambda name, text: taken.in_env(name, render(text)), site, command, folder)
    order = taken.order(body, steps.by_client(kind)) if command.argv else {}
    ticket = sitevalues.kerberos(step.kerberos, site.principal, site.keytab, strict, pipeline.folder) if command.argv or command.probe else {}
    if ticket and not command.argv:  # the prober looks in now and then, with a ticket that all who wait share
        environ["KRB5CCNAME"] = "FILE:" + kerberos.shared(ticket["principal"], ticket["keytab"], site.home)
        environ["RUNNER_TICKET"] = json.dumps(ticket, ensure_ascii=False)
    elif ticket:
        order["kerberos"] = ticket
        environ["KRB5CCNAME"] = "FILE:" + os.path.join(folder, kerberos.CCACHE)
    return model.Job(
        argv=tuple(command.argv), env=environ, cwd=cwd, folder=folder, attendant=order, files=dict(command.files), probe=command.probe,
        gate=command.gate,
    )


def _renderer(context: Mapping[str, Any], preview: bool) -> Callable[[str], str]:
    if preview:
        return lambda text: template.render(text, context, keep_unknown_outputs=True)
    return lambda text: template.render(text, context)


def _cwd(pipeline: model.Pipeline, step: model.Step, render: Callable[[str], str]) -> str:
    """Where the step works: its cwd, a relative one starting at the pipeline's folder."""
    if not step.cwd:
        return step.folder or pipeline.folder
    return os.path.normpath(os.path.join(pipeline.folder, os.path.expanduser(render(step.cwd))))


def _environment(pipeline, step, context, render, site: Site, command: model.Command, folder: str) -> Dict[str, str]:
    """The server's, the kind's, the pipeline's, the step's, and last ours: a later one wins."""
    env = dict(site.inherited) if step.inherit_env is True else {**_chosen(step.inherit_env, site.environ), **config.handed_on(site.environ)}
    env.update({name: value.replace("$PATH", env.get("PATH", "")) if name == "PATH" else value for name, value in command.env.items()})
    for texts in (pipeline.env, step.env):
        env.update({name: render(name, str(value)) for name, value in texts.items()})
    env.update(template.environment(context))
    env["RUNNER_OUTPUT"] = folder + "/output"
    env["RUNNER_ATTEMPT"] = folder
    if site.home:
        env["RUNNER_HOME"] = site.home
    return env


def _chosen(rule: Any, environ: Mapping[str, str]) -> Dict[str, str]:
    """Of the server's variables the little that every program wants, and those that a list names."""
    names = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", *(rule or ()))
    return {name: environ[name] for name in names if name in environ}


def wants(pipeline: model.Pipeline, name: str) -> bool:
    """Whether any text of the pipeline mentions a template name: lets the engine skip a query nobody needs."""
    return name in pipeline.text


def context_of(pipeline: model.Pipeline, run: model.Run, step: model.Step, number: int, outputs, prev_success=None, makers=None):
    """The names of one attempt. `makers`: see `template.context`."""
    previous = following = None
    if pipeline.schedule:  # also when the file is silent: a script it calls may read $RUNNER_PREV_DS
        previous, following = _around(pipeline.schedule, pipeline.logical_date, pipeline.timezone, run.date.due)
    return template.context(
        run, step=step.id, try_number=number, outputs=outputs, prev_success=prev_success, previous=previous, following=following,
        item=(step.item, step.index) if step.index is not None else None, site=makers,
    )


MOST_ITEMS = 10_000


def items(pipeline: model.Pipeline, run: model.Run, step: model.Step, outputs, prev_success=None, home: str = "") -> List[Any]:
    """What `foreach` says, for this run. Raises TemplateError, UsageError for what is no list."""
    context = context_of(pipeline, run, step, 1, outputs, prev_success, SiteValues(home).makers())
    said = step.foreach
    if isinstance(said, str):
        found = template.evaluate(said, context)
    elif isinstance(said, Mapping):
        texts = {key: template.render(str(value), context) for key, value in said.items()}
        found = foreach.dates(texts["from"], texts["to"], texts.get("every", "1d"))
    else:
        found = [_deep(item, context) for item in said]
    return foreach.items_of(found, MOST_ITEMS)


def _deep(value: Any, context: Mapping[str, Any]) -> Any:
    """Every text in an item rendered, however deep."""
    if isinstance(value, str):
        return template.render(value, context)
    if isinstance(value, Mapping):
        return {key: _deep(each, context) for key, each in value.items()}
    return [_deep(each, context) for each in value] if isinstance(value, (list, tuple)) else value


@lru_cache(maxsize=1024)
def _around(wanted: model.Schedule, mode: str, timezone: str, due: datetime):
    """The dates before and after a run's, by the schedule of its definition: pure, from the run's own due instant."""
    dues = (schedule.previous_due(wanted, due), schedule.next_due(wanted, due))
    return [found and schedule.date_of(wanted, mode, timezone, found) for found in dues]


def as_dict(job: model.Job, site: Site) -> Dict[str, Any]:
    """A job for people and programs: what differs from the server's environment, not the whole of it."""
    added = {name: value for name, value in job.env.items() if site.environ.get(name) != value}
    out = {"argv": list(job.argv), "cwd": job.cwd, "env": added, "files": dict(job.files)}
    if job.attendant.get("kerberos"):
        out["kerberos"] = dict(job.attendant["kerberos"])
    return out if job.probe is None else {**out, "waits_for": dict(job.probe)}
