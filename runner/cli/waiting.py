"""The daemon, as a command meets it: ring it, and wait for what it does."""

from __future__ import annotations

from typing import Any, List, Sequence

from runner import model
from runner.acts.bell import ring
from runner.cli.app import App
from runner.facts.runs import whole

WAIT_SECONDS = 0.2  # between looks at a run that the daemon works on


def say_who_runs_it(app: App, what: str) -> None:
    """Ring, and tell a person when nobody listens."""
    if ring(app) is None:
        app.say(f"  no daemon runs: {what} until one does; type: runner daemon")


def say_given_up(app: App, lines: Sequence[str]) -> None:
    """What no schedule will make up for, as `acts.coming` words it."""
    for line in lines:
        app.say(f"  {line}")


def wait_for(app: App, store, run_ids: Sequence[int], as_json: bool) -> int:
    """Wait until these runs have ended; 0 when all succeeded."""
    from runner.cli import streams, table

    streams.keep_calm()
    left, bad = list(run_ids), 0
    results: List[Any] = []
    while left:
        for run_id in list(left):
            run = store.run_by_id(run_id)
            if run.state not in model.RUN_TERMINAL:
                continue
            left.remove(run_id)
            bad += run.state != "success"
            if as_json:
                results.append(whole(app, store, run))
            else:
                app.out(f"{run.name}  {table.state(run.state)}" + (f"  ({run.reason})" if run.reason else "") + (f"  {len(left)} left" if len(run_ids) > 1 else ""))
        if left:
            app.clock.sleep(WAIT_SECONDS)
    if as_json:
        app.out_json(results[0] if len(run_ids) == 1 else results)
    return 1 if bad else 0
