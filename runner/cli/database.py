"""db: look after the database."""

from __future__ import annotations

import os

import click

from runner.cli import table
from runner.cli.app import App, need_writable
from runner.errors import EnvironmentFault


@click.group()
def db():
    """Look after the database of RUNNER_HOME."""


@db.command()
@click.pass_obj
def upgrade(app: App):
    """Bring the database to the version this runner needs; a copy of it is kept beside it."""
    from runner.store import db as database

    need_writable(app.config)
    path = app.config.database
    if not os.path.exists(path):
        raise EnvironmentFault(f"{path}: there is no database yet", "it is made by the first `runner run`")
    before, after, copy = database.upgrade_file(path)
    newest = database.migrations()[-1][0]
    if after > newest:
        raise EnvironmentFault(
            f"{path}: written by a newer runner (database version {after}, this one knows {newest})",
            "install that newer version again",
        )
    if before == after:
        app.out(f"{path}: version {after}, nothing to do")
        return
    app.out(f"{path}: upgraded from version {before} to {after}")
    if copy:
        app.say(f"  the one before: {copy}   (remove it when all is well)")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def check(app: App, as_json):
    """Read every page of the database and say what is wrong with it; exit 1 when something is."""
    store = app.store()
    faults = find_faults(store)
    path, version = app.config.database, store.db.version()
    if as_json:
        app.out_json({"path": path, "version": version, "size": os.path.getsize(path), "faults": faults})
        return 1 if faults else 0
    for fault in faults:
        app.out(fault)
    if faults:
        app.say(f"{path} is damaged: stop every runner, then bring back a copy, or save what can be read:\n"
                f"  sqlite3 {path} .recover | sqlite3 {path}.recovered")
        return 1
    app.out(f"{path}: good (version {version}, {table.size(os.path.getsize(path))})")
    return 0


@db.command()
@click.argument("file", required=False, type=click.Path())
@click.pass_obj
def backup(app: App, file):
    """Copy the database to FILE while everything goes on; without FILE to RUNNER_HOME/backups, of which the newest 7 are kept.

    The copy is of one moment, a single file, read again before it gets its name. `runner clean` makes one each day.
    """
    from runner import retention
    from runner.store import backup as copies

    path = app.config.database
    if not os.path.exists(path):
        raise EnvironmentFault(f"{path}: there is no database yet", "it is made by the first `runner run`")

    def pause():
        app.clock.sleep(retention.SHORTEST_REST)

    if file is None:
        need_writable(app.config)
        now = app.clock.now().astimezone(retention.zone_of(app.config))
        target, size = copies.make(path, app.config.backups_folder, now, pause)
    else:
        target = os.path.abspath(os.path.expanduser(file))
        size = copies.copy(path, target, pause)
    app.out(f"{target}: {table.size(size)}, read again and good")
    app.say(f"to bring it back: stop every runner, then\n"
            f"  mv {path} {path}.before; rm -f {path}-wal {path}-shm; cp {target} {path}; runner db check")


def find_faults(store, quick: bool = False) -> list:
    """What SQLite finds wrong with its file: pages, indexes, references."""
    import sqlite3

    try:
        rows = store.db.connection.execute("PRAGMA quick_check" if quick else "PRAGMA integrity_check").fetchall()
        faults = [row[0] for row in rows if row[0] != "ok"]
        if not quick:
            faults += [f"{row[0]} row {row[1]}: its {row[2]} is missing" for row in store.db.connection.execute("PRAGMA foreign_key_check")]
        return faults
    except sqlite3.Error as error:
        return [str(error)]
