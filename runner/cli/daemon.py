"""daemon, health: the process that starts runs on time, and whether it does."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from typing import Any, Mapping
from zoneinfo import ZoneInfo

import click

from runner import daemonlock
from runner.cli.app import App
from runner.config import DEFAULT_LISTEN, OFF, address_of
from runner.errors import Conflict, EnvironmentFault, NotFound, UsageError
from runner.shown import minute

WAIT_SECONDS = 0.1


class _Daemon(click.Group):
    """Knows the words of other programs for what is done in another way here."""

    ELSEWHERE = {
        "start": "runner daemon   in the foreground; or as a service: runner service install", "status": "runner health",
        "restart": "runner daemon stop, then runner daemon; the steps go on meanwhile. A service: systemctl restart runner",
    }

    def resolve_command(self, ctx, args):
        if args[0] not in self.commands:
            hint = "type: " + self.ELSEWHERE.get(args[0], " or ".join(f"runner daemon {name}" for name in self.list_commands(ctx)))
            raise click.UsageError(f"there is no command daemon {args[0]}: {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Daemon, invoke_without_command=True)
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
        _check_address(listen)
        app.environ = {**app.environ, "RUNNER_LISTEN": listen}
    from runner.config import ensure_home
    from runner.daemon.loop import Daemon

    ensure_home(app.config)
    ctx.exit(Daemon(app.load_config, dict(app.environ), app.clock).serve())


def _check_address(text: str) -> None:
    """Here, not with the settings: their message would name a variable that nobody set."""
    try:
        if text.lower() not in OFF:
            address_of(text)
    except EnvironmentFault:
        raise UsageError(f"--listen: {text!r} is no HOST:PORT", f"type: runner daemon --listen {DEFAULT_LISTEN}") from None


@daemon.command()
@click.option("--drain", is_flag=True, help="Start nothing new, leave when the steps that run have ended.")
@click.option("--kill", is_flag=True, help="End the steps that run, then leave.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has left.")
@click.pass_obj
def stop(app: App, drain, kill, no_wait):
    """End the daemon. Without an option its steps go on, and the next daemon finds them."""
    from runner import acts

    if drain and kill:
        raise UsageError("--drain lets the steps end, --kill ends them: not both", "one of: runner daemon stop --drain | --kill")
    found = _living(app)
    acts.tell(found, signal.SIGUSR1 if drain else signal.SIGUSR2 if kill else signal.SIGTERM)
    app.say(f"asked the daemon (pid {found.pid}) to leave" + (" when its steps have ended" if drain else " and to end its steps" if kill else ""))
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
    from runner import acts

    store = app.store(create=True)
    ready = acts.Reload().ready(app, store)
    found = ready.do(store, acts.Who(acts.actor(), "cli"))
    ready.ring(store)
    app.out(f"asked the daemon (pid {found.pid}) to read its settings again")


def _living(app: App) -> daemonlock.Daemon:
    found = daemonlock.look(app.config.home)
    if found is None:
        raise NotFound(f"no daemon works on {app.config.home}", "start it: runner daemon   or: runner service install")
    return found


# --------------------------------------------------------------------------------------------------------------- health


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def health(app: App, as_json):
    """One line and an exit code for a monitor such as Nagios: 0 good, 1 look at it, 2 broken.

    Broken: no daemon, one that hangs, a disk too full to begin anything. To look at: files with faults, schedules that
    cannot be worked out, runs that failed within a day and were not repaired, alerts that do not arrive, a page that is not served.
    """
    from runner.facts import health as facts

    return show_health(app, facts.judged(facts.facts(app, app.store_if_any())), as_json)


def show_health(app: App, found: Mapping[str, Any], as_json: bool) -> int:
    """How a site is, as `facts` tells of it, and its exit code."""
    from runner.facts.health import STATES

    worst = STATES.index(found["state"])
    if as_json:
        app.out_json(found)
        return worst
    words = "; ".join(each["text"] for each in sorted(found["findings"], key=lambda each: -STATES.index(each["level"]))) or _all_well(app, found)
    app.out(f"RUNNER {found['state']} - {words} | running={found['running']} queued={found['queued']} failed={len(found['failed'])} free={found['free']}B")
    return worst


def _all_well(app: App, found: Mapping[str, Any]) -> str:
    zone, due = ZoneInfo(app.config.timezone), found["next_due"]
    since = minute(datetime.fromisoformat(found["daemon"]["since"].replace("Z", "+00:00")), zone)
    return f"daemon pid {found['daemon']['pid']} since {since}" + (f", next due {minute(due, zone)}" if due else "")
