"""How a run stands, for whoever looks from outside: whether anybody works on it, and why something of it does not begin.

`app` is what a command line or a page has: `config`, `clock`, and `site()`, what the meaning of a text depends on.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from runner import daemonlock, model, mounts, ownership
from runner.errors import InvalidPipeline


def is_worked_on(app: Any, run: model.Run) -> bool:
    """Whether a living process works on the run."""
    return ownership.is_alive(app.config.engines_folder, run.engine)


def shown_state(app: Any, run: model.Run) -> str:
    """The run's state; `interrupted` where the process that worked on it died."""
    if run.state in model.RUN_TERMINAL or is_worked_on(app, run):
        return run.state
    return "interrupted" if run.state == "running" or run.engine else run.state


def waits(app: Any, store, run: model.Run) -> str:
    """Why a queued run does not begin, or what is held of one that runs; "" when there is nothing to say."""
    if run.state == "running":
        held = {step: words for step, words in store.pipelines.holds().get(run.pipeline, {}).items() if step}
        return "; ".join(f"step {step} is {words}; runner release {run.pipeline} {step}" for step, words in held.items())
    if run.state != "queued" or is_worked_on(app, run):
        return ""
    daemon = daemonlock.look(app.config.home)
    if daemon is None:
        return "no daemon runs; type: runner daemon"
    if app.clock.now().timestamp() - daemon.beat > daemonlock.HUNG_SECONDS:
        return f"the daemon (pid {daemon.pid}) hangs; type: runner health"
    from runner.definitions import Definitions
    from runner.engine import queue_facts
    from runner.planning.queue import why_waits

    now, spec = app.clock.now(), Definitions(store, app.site()).of(run)
    site = daemon.blocked or mounts.disk_reason(app.config.home, app.config.min_free)
    return why_waits(run, spec, queue_facts(store, run, spec, now, site=site, shown=True)) or "it is about to begin"


def steps_wait(app: Any, store, run: model.Run, rows: Sequence[model.StepRun]) -> Dict[str, str]:
    """Step -> why it is pending although all that it needs has ended; only those."""
    if run.state != "running" or not any(row.state in ("pending", "retry_wait") for row in rows):
        return {}
    from runner.definitions import Definitions
    from runner.planning.plan import RunPlan
    from runner.store.store import items_of

    definitions = Definitions(store, app.site())
    try:
        spec = definitions.of(run)
    except InvalidPipeline:  # a text of an older version
        return {}
    view = RunPlan(spec, {row.step: (row.state, row.tries, row.retry_at) for row in rows}, run.only, items=items_of(rows))
    view.hold({step for step in store.pipelines.holds().get(run.pipeline, ()) if step})
    view.settle()
    ready = view.ready()
    if not ready:
        return {}
    room = _Room(app, store, definitions)
    return {step: _of_step(view, step, room) for step in ready}


def notes(store, run: model.Run, rows: Sequence[model.StepRun]) -> Dict[str, str]:
    """Running step -> what its client says of it, such as the application that it has started on a cluster."""
    running = {row.step for row in rows if row.state == "running"}
    if not running:
        return {}
    from runner.executors import process

    said = ((attempt.step, process.read_note(attempt.folder)) for attempt in store.live_attempts(run.id) if attempt.step in running)
    return {step: note for step, note in said if note}


class _Room:
    """Who takes the slots and the pools."""

    def __init__(self, app: Any, store, definitions):
        self.slots, self.pools = app.config.slots, app.config.pools
        self.taken: List[str] = []  # steps that run, as run/step
        self.of_pool: Dict[str, List[str]] = {}
        self.used: Dict[str, int] = {}
        for row in store.running_steps():
            try:
                step = definitions.get(row["definition"]).step(row["step"])
            except (InvalidPipeline, KeyError):
                continue
            if step.slotless or (step.foreach is not None and step.id == row["step"]):
                continue
            self.taken.append(f"{row['name']}/{row['step']}")
            if step.pool:
                self.of_pool.setdefault(step.pool, []).append(self.taken[-1])
                self.used[step.pool] = self.used.get(step.pool, 0) + step.pool_slots


def _of_step(view: Any, step_id: str, room: _Room) -> str:
    step = view.spec_of(step_id)
    size = room.pools.get(step.pool)
    limit = view.pipeline.max_active_steps
    if step_id in view.held or model.parent_of(step_id) in view.held:
        return "held"
    if view.is_crowded(step_id):
        return f"waits for its siblings (max_parallel: {view.spec_of(model.parent_of(step_id)).max_parallel})"
    if limit is not None and len(view.running) >= limit:
        return f"waits for {_some(sorted(view.running))} (max_active_steps: {limit})"
    if size is not None and room.used.get(step.pool, 0) + min(step.pool_slots, size) > size:
        return f"waits for pool {step.pool} ({room.used[step.pool]} of {size}): {_some(room.of_pool[step.pool])}"
    if len(room.taken) >= room.slots:
        return f"waits for a slot ({len(room.taken)} of {room.slots}): {_some(room.taken)}"
    return ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
