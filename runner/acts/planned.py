"""What a run would execute, step by step in the order of its start: for `runner plan` and for every preview."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from runner import model
from runner.errors import RunnerError
from runner.shown import duration

Planned = Tuple[model.Step, Any]  # a step with its job, or with what keeps it from starting


def order(spec: model.Pipeline) -> List[str]:
    """The order in which steps would start if each succeeded."""
    from runner.planning.plan import RunPlan

    view, never = RunPlan(spec, {}), datetime(1970, 1, 1, tzinfo=timezone.utc)
    out: List[str] = []
    while True:
        decisions = view.settle()
        for decision in decisions:
            if hasattr(decision, "step"):  # a rule that cannot come true when all succeeds
                view.learn(decision.step, decision.state)
                out.append(decision.step)
        if decisions:
            continue
        ready = view.free()
        if not ready:
            step = view.best(never)
            if step is None:
                return out
            view.begin(step)
            ready = [step]
        for step in ready:
            out.append(step)
            view.learn(step, "running")
            view.learn(step, "success")


def previous_success(store: Any, spec: model.Pipeline, run: model.Run) -> Optional[model.LogicalDate]:
    """The date that `<< prev_success >>` means; not asked for where the file does not."""
    from runner import workorder

    found = store.last_success_before(spec.name, run.date.due) if store and workorder.wants(spec, "prev_success") else None
    return found.date if found else None


def jobs(
    app: Any, store: Any, spec: model.Pipeline, run: model.Run, names: Sequence[str], outputs: Optional[Mapping[str, Mapping[str, Any]]] = None
) -> List[Planned]:
    """The steps of `names` with what each would execute. What a step hands on is not known before it ran, and stays as it is written;
    `outputs` are of those that have run."""
    from runner import workorder

    site, previous = workorder.Site.of(app.config, app.environ), previous_success(store, spec, run)
    out: List[Planned] = []
    for step in (each for name in names for each in _mapped(spec, run, spec.step(name), outputs or {}, previous)):
        folder = workorder.attempt_folder(app.config.runs_folder, run, step.id, 1)
        try:
            job: Any = workorder.make_job(spec, run, step, 1, folder, site, outputs=outputs or {}, prev_success=previous, preview=True)
        except (RunnerError, OSError) as error:  # the other steps are shown all the same
            job = _cannot_start(spec, step, error)
        out.append((step, job))
    return out


def as_dicts(app: Any, planned: Sequence[Planned]) -> List[Dict[str, Any]]:
    """For people and programs: each step with its words, files and variables, or with why it cannot start."""
    from runner import workorder

    site = workorder.Site.of(app.config, app.environ)
    return [{"id": step.id, "kind": step.kind, "needs": list(step.needs), "when": step.when,
             **({"error": job.message} if isinstance(job, RunnerError) else workorder.as_dict(job, site))} for step, job in planned]


def conditions(step: model.Step) -> str:
    """When and how often it starts: `after extract; retries 2 every 5m00s`."""
    parts = []
    if step.needs:
        parts.append("after " + ", ".join(step.needs))
    if step.foreach is not None:
        parts.append(f"for each of {step.foreach}, known in the run")
    if step.teardown:
        parts.append("teardown of " + ", ".join(step.teardown))
    if step.trigger_rule != "all_success":
        parts.append(step.trigger_rule)
    if step.when is not None:
        parts.append(f"when {step.when}")
    if step.retry.limit:
        parts.append(f"retries {step.retry.limit} every {duration(step.retry.delay)}")
    if step.timeout:
        parts.append(f"timeout {duration(step.timeout)}")
    return "; ".join(parts)


def _mapped(spec: model.Pipeline, run: model.Run, step: model.Step, outputs: Mapping[str, Mapping[str, Any]], previous: Any) -> List[model.Step]:
    """The steps that `foreach` would make of one; itself where the items are not known before the run."""
    from runner import workorder

    if step.foreach is None:
        return [step]
    try:
        items = workorder.items(spec, run, step, outputs, previous)
    except RunnerError:
        return [step]
    return [model.mapped(step, i, item) for i, item in enumerate(items)] or [step]


def _cannot_start(spec: model.Pipeline, step: model.Step, error: Exception) -> RunnerError:
    """What would keep a step from starting, with the place of the step."""
    from runner.spec.check import shown_path

    if isinstance(error, RunnerError):
        what, hint = error.message, error.hint
    else:
        what, hint = f"{getattr(error, 'filename', '')}: {getattr(error, 'strerror', error)}", "put the file there, or correct the path"
    file = shown_path(step.file or spec.path)
    return RunnerError(f"{file}:{step.line}: step {step.id}: {what}", hint or f"type: runner check {file}")
