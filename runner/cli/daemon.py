"""daemon, health: the process that starts runs on time, and whether it does."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from typing import Any, Dict, List, Optional, Tuple

import click

from runner import daemonlock, model, mounts
from runner.cli.app import App
from runner.config import DEFAULT_LISTEN
from runner.errors import Conflict, EnvironmentFault, NotFound

WAIT_SECONDS = 0.1
STATES = ("OK", "WARNING", "CRITICAL")  # the exit codes of Nagios' plugins: 0, 1, 2
RECENT = timedelta(days=1)  # failures within it count


@click.group(invoke_without_command=True)
@click.option("--listen", metavar="[HOST:PORT]", is_flag=False, flag_value=DEFAULT_LISTEN, help=f"Serve the page there; {DEFAULT_LISTEN} unless it is said.")
@click.pass_context
def daemon(ctx, listen):
    """Start runs when they are due, retry, catch up; until told to leave. Stays in the foreground.

    TERM leaves the steps running: the next daemon finds them. `runner service` makes a systemd unit or a start script.
    """
    if ctx.invoked_subcommand is not None:
        return
    app = ctx.obj
    if listen:
        app.environ = {**app.environ, "RUNNER_LISTEN": listen}
    from runner.config import ensure_home
    from runner.daemon.loop import Daemon

    ensure_home(app.config)
    ctx.exit(Daemon(app.load_config, dict(app.environ), app.clock).serve())


@daemon.command()
@click.option("--drain", "how", flag_value="drain", help="Start nothing new, leave when the steps that run have ended.")
@click.option("--kill", "how", flag_value="kill", help="End the steps that run, then leave.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has left.")
@click.pass_obj
def stop(app: App, how, no_wait):
    """End the daemon. Without an option its steps go on, and the next daemon finds them."""
    found = _living(app)
    number = {"drain": signal.SIGUSR1, "kill": signal.SIGUSR2, None: signal.SIGTERM}[how]
    _send(found, number)
    app.say(f"asked the daemon (pid {found.pid}) to leave" + {"drain": " when its steps have ended", "kill": " and to end its steps", None: ""}[how])
    while not no_wait:
        other = daemonlock.look(app.config.home)
        if other is None or other.pid != found.pid:
            app.out("the daemon has ended")
            return
        app.clock.sleep(WAIT_SECONDS)


@daemon.command()
@click.pass_obj
def reload(app: App):
    """Read settings and pipelines again; also says that a clock which jumped is right."""
    found = _living(app)
    _send(found, signal.SIGHUP)
    app.out(f"asked the daemon (pid {found.pid}) to read its settings again")


def _living(app: App) -> daemonlock.Daemon:
    found = daemonlock.look(app.config.home)
    if found is None:
        raise NotFound(f"no daemon works on {app.config.home}", "start it: runner daemon   or: runner service install")
    return found


def _send(found: daemonlock.Daemon, number: int) -> None:
    try:
        os.kill(found.pid, number)
    except PermissionError:
        raise Conflict(f"the daemon (pid {found.pid}) belongs to another user", f"type: sudo kill -{signal.Signals(number).name[3:]} {found.pid}") from None
    except ProcessLookupError:
        pass  # it left in between


# --------------------------------------------------------------------------------------------------------------- health


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def health(app: App, as_json):
    """One line and an exit code for a monitor such as Nagios: 0 good, 1 look at it, 2 broken.

    Broken: no daemon, one that hangs, a disk too full to begin anything. To look at: files with faults, schedules that
    cannot be worked out, runs that failed within a day and were not repaired, alerts that do not arrive.
    """
    facts = _facts(app)
    found = _findings(facts)
    worst = max((level for level, _ in found), default=0)
    if as_json:
        app.out_json({"state": STATES[worst], "findings": [{"level": STATES[level], "text": text} for level, text in found], **facts})
        return worst
    words = "; ".join(text for _, text in sorted(found, key=lambda each: -each[0])) or _all_well(facts)
    app.out(f"RUNNER {STATES[worst]} - {words} | running={facts['running']} queued={facts['queued']} failed={len(facts['failed'])} free={facts['free']}B")
    return worst


def _facts(app: App) -> Dict[str, Any]:
    now = app.clock.now()
    alive = daemonlock.look(app.config.home)
    store = app.store_if_any()
    rows = store.pipelines.all() if store else []
    counts = store.open_counts() if store else {}
    return {
        "daemon": {"pid": alive.pid, "since": alive.since, "version": alive.version, "beat_age": round(now.timestamp() - alive.beat, 1)} if alive else None,
        "running": counts.get("running", 0), "queued": counts.get("queued", 0),
        "failed": [run.name for run in _failed(store, now)] if store else [],
        "faulty": [row.name for row in rows if row.problem and not row.gone_at],
        "broken": [row.name for row in rows if row.broken and not row.gone_at],
        "free": mounts.free_bytes(app.config.home) if os.path.isdir(app.config.home) else 0,
        "blocked": (alive.blocked if alive else "") or (mounts.disk_reason(app.config.home, app.config.min_free) if os.path.isdir(app.config.home) else ""),
        "alerts": _alerts(app, store, now),
        "next_due": min((row.next_due for row in rows if row.next_due), default=None),
    }


def _alerts(app: App, store, now: datetime) -> List[str]:
    """Channels that do not deliver, or a fault of their file."""
    from runner.alerts import channels, summary

    try:
        channels.load(app.config.home)
    except EnvironmentFault as error:
        return [error.message]
    return summary.troubles(store, now) if store else []


def _failed(store, now: datetime) -> List[model.Run]:
    """Failed within a day, and still the last word of their pipeline's date."""
    return [run for run in store.recent_runs(None, "failed", 200) if run.ended_at and now - run.ended_at < RECENT]


def _findings(facts: Dict[str, Any]) -> List[Tuple[int, str]]:
    """(level, words) of whatever is not as it should be."""
    out: List[Tuple[int, str]] = []
    alive: Optional[Dict[str, Any]] = facts["daemon"]
    if alive is None:
        out.append((2, "no daemon runs: nothing starts by itself; type: runner daemon"))
    elif alive["beat_age"] > daemonlock.HUNG_SECONDS:
        out.append((2, f"the daemon (pid {alive['pid']}) has not turned for {alive['beat_age']:.0f} s"))
    if facts["blocked"]:
        out.append((2, facts["blocked"]))
    for level, key, words in ((1, "broken", "schedule broken"), (1, "faulty", "file with faults"), (1, "failed", "failed")):
        names = facts[key]
        if names:
            out.append((level, f"{words}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")))
    out += [(1, text) for text in facts["alerts"]]
    return out


def _all_well(facts: Dict[str, Any]) -> str:
    due = facts["next_due"]
    return f"daemon pid {facts['daemon']['pid']} since {facts['daemon']['since']}" + (f", next due {due:%Y-%m-%d %H:%M} UTC" if due else "")
