"""clean: remove what is older than the settings keep, compress old logs, copy the database, give room back."""

from __future__ import annotations

import os
from typing import Iterator, List

import click

from runner import retention
from runner.cli import table
from runner.cli.app import App, need_writable
from runner.config import shown
from runner.executors import process

NICE = 10  # steps go first
FAULTS_SHOWN, NAMES_SHOWN = 10, 3


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; nothing is changed.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.pass_obj
def clean(app: App, dry_run, as_json, quiet):
    """Remove old runs and logs, as the settings keep_days, keep_bytes and compress_days say.

    May be called at any time, also while runs are active; the daemon does once a day. A run that has not ended, the last run
    and the last success of each pipeline are never removed. Once a day the database is copied first, to RUNNER_HOME/backups.
    Exit code 1: something could not be removed, and was left.
    """
    need_writable(app.config)
    store = app.store_if_any()
    if store is None:
        if not quiet:
            app.say("nothing ran here yet: there is nothing to clean")
        return 0
    os.nice(NICE)
    with retention.alone(app.config):
        result = retention.Cleaning(store, app.config, app.clock, process.folders_in_use(), dry_run).go()
    store.close()
    if as_json:
        app.out_json({"dry_run": dry_run, **vars(result), "freed_bytes": result.freed_bytes})
    elif not quiet:
        for line in _lines(app, result, dry_run):
            app.out(line)
    for fault in result.faults[:FAULTS_SHOWN]:
        app.say(fault)
    if len(result.faults) > FAULTS_SHOWN:
        app.say(f"... and {len(result.faults) - FAULTS_SHOWN} more of the kind")
    return 1 if result.faults else 0


def _lines(app: App, result: retention.Result, dry: bool) -> Iterator[str]:
    """What was done, or would be, one line a matter."""
    limit, will = shown(app.config, "keep_bytes"), "would be " if dry else ""
    if result.backup:
        yield f"database copied to {result.backup} ({table.size(os.path.getsize(result.backup))})"
    if result.removed_runs:
        yield f"{_runs(result.removed_runs)} {will}removed, ended more than {app.config.keep_days} days ago: {table.size(result.removed_runs_bytes)}"
    if result.removed_logs:
        most = "at most " if dry and result.compressed_logs else ""  # how small those will be nobody knows yet
        yield f"logs of {most}{_runs(result.removed_logs)} {will}removed, beyond {limit}: {table.size(result.removed_logs_bytes)}"
    if result.compressed_logs:
        amount = f"{table.size(result.compressed_bytes)} {'now' if dry else 'saved'}"
        yield f"{result.compressed_logs} logs {will}compressed, of runs that ended more than {app.config.compress_days} days ago: {amount}"
    if result.dropped_definitions:
        yield f"{result.dropped_definitions} texts of pipelines dropped, of which no run is left"
    if result.database_bytes:
        yield f"the database is smaller by {table.size(result.database_bytes)}"
    if not (result.removed_runs or result.removed_logs or result.compressed_logs or result.freed_bytes):
        yield "nothing to remove"
    elif not dry:
        yield f"freed: {table.size(result.freed_bytes)}"
    yield f"the run folders {'would take' if dry else 'take'} {table.size(result.left_bytes)} (keep_bytes: {limit})"
    if app.config.keep_bytes and result.left_bytes > app.config.keep_bytes and not dry:
        yield "  what is left: runs that have not ended, each pipeline's last run and last success, folders of no run"


def _runs(names: List[str]) -> str:
    """`3 runs (mart@2026-01-01, mart@2026-01-02, ...)`."""
    some = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
    return f"{len(names)} run{'' if len(names) == 1 else 's'} ({some})"
