"""alert: who is told of what, whether it arrived, and a message to see that it does."""

from __future__ import annotations

import os
from typing import Any, Dict
from zoneinfo import ZoneInfo

import click

from runner.cli import table
from runner.cli.app import App
from runner.errors import NotFound, RunnerError

PATIENCE = 5.0  # seconds for another sender to end
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def alert():
    """Who is told of what (RUNNER_HOME/alerts.yaml), and whether it arrived."""


@alert.command("list")
@_json
@click.pass_obj
def list_(app: App, as_json):
    """The channels, how the last message to each went, and what waits."""
    from runner.alerts import channels

    book = channels.load(app.config.home)
    store = app.store_if_any()
    last = store.alerts.last_deliveries() if store else {}
    waiting = store.alerts.waiting() if store else {}
    unknown = [name for name in waiting if name not in book.channels and name not in (channels.BASH, channels.DEFAULT)]
    if as_json:
        app.out_json({
            "file": channels.path_of(app.config.home),
            "channels": [{
                "name": name, "kind": each.kind, "target": each.target, "waiting": waiting.get(name, (0,))[0],
                "last": last[name]._asdict() if name in last else None,
            } for name, each in book.channels.items()],
            "default": {f"on_{event}": list(names) for event, names in book.default.items()},
            "summary": {"at": "{:02}:{:02}".format(*book.summary_at), "to": list(book.summary_to)} if book.summary_at else None,
            "unknown": unknown,
        })
        return
    if not book.channels:
        app.say(f"no channels: write {channels.path_of(app.config.home)} (mode 600); docs/alerts.md shows how")
        return
    rows = [[name, each.kind, each.target, _last(last.get(name), ZoneInfo(app.config.timezone)), str(waiting.get(name, (0,))[0])] for name, each in book.channels.items()]
    for line in table.columns(["CHANNEL", "KIND", "TO", "LAST", "WAITING"], rows):
        app.out(line)
    for event, names in book.default.items():
        app.out(f"on_{event}, unless a pipeline says otherwise: {', '.join(names) or 'nobody'}")
    if book.summary_at:
        app.out("summary: {:02}:{:02} to ".format(*book.summary_at) + ", ".join(book.summary_to))
    for name in unknown:
        app.out(f"{waiting[name][0]} wait for {name}, which is no channel: add it, or they are given up after a day")


def _last(delivery, zone) -> str:
    return f"{delivery.outcome} {table.minute(delivery.at, zone)}" if delivery else "never"


@alert.command()
@click.argument("channel")
@_json
@click.pass_obj
def test(app: App, channel, as_json):
    """Send a test message to CHANNEL now, and tell exactly what happened. Exits with 1 when it did not arrive."""
    import difflib

    from runner.alerts import channels, deliver, sender
    from runner.alerts.message import of_alert
    from runner.store.alerts import Alert, Delivery

    book = channels.load(app.config.home)
    if channel not in book.channels:
        near = difflib.get_close_matches(channel, list(book.channels), 1)
        hint = f"did you mean {near[0]}?" if near else f"channels: {', '.join(book.channels) or 'none'}"
        raise NotFound(f"there is no channel {channel} in {channels.path_of(app.config.home)}", hint)
    found, now = book.channels[channel], app.clock.now()
    made = Alert(0, f"test/{now:%Y-%m-%dT%H:%M:%S.%fZ}", channel, "test", now, "", "", "", {}, 0)
    message = of_alert(made, sender.place_of(app.config), sender.last_lines)
    if not as_json:
        app.say(f"sending to {channel}: {found.kind} {found.target}")
    began, fault = app.clock.monotonic(), None
    try:
        detail = deliver.send(found, message, app.config.home, app.environ)
    except RunnerError as error:
        detail, fault = error.message, error
    took = round(app.clock.monotonic() - began, 3)
    outcome, hint = ("failed", fault.hint) if fault else ("sent", "")
    store = app.store(create=True)
    with store.transaction():
        store.alerts.log(Delivery(now, channel, message.subject, message.key, 1, outcome, detail + (f"; {hint}" if hint else ""), took))
    if as_json:
        app.out_json({"channel": channel, "outcome": outcome, "detail": detail, "hint": hint, "seconds": took, "key": message.key})
    else:
        app.out(f"{outcome} in {took:.1f} s: {detail}")
        if hint:
            app.say(f"  {hint}")
    return 1 if fault else 0


@alert.command()
@click.argument("channel", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
@_json
@click.pass_obj
def log(app: App, channel, limit, as_json):
    """The delivery log, newest first: each try of each message, to all channels or to CHANNEL."""
    store = app.store_if_any()
    found = store.alerts.deliveries(limit, channel) if store else []
    waiting = store.alerts.waiting() if store else {}
    if as_json:
        left = {name: {"alerts": count, "since": since} for name, (count, since) in waiting.items()}
        app.out_json({"deliveries": [each._asdict() for each in found], "waiting": left})
        return
    zone = ZoneInfo(app.config.timezone)
    rows = [[table.moment(each.at, zone), each.channel, each.outcome, str(each.alerts), each.subject, each.detail] for each in found]
    for line in table.columns(["AT", "CHANNEL", "OUTCOME", "ALERTS", "SUBJECT", "WHAT HAPPENED"], rows):
        app.out(line)
    if not found:
        app.say("nothing was sent yet")
    for name, (count, since) in waiting.items():
        app.say(f"{count} wait for {name} since {table.minute(since, zone)}")


@alert.command()
@_json
@click.pass_obj
def summary(app: App, as_json):
    """The daily summary as it would be sent now: done, failed, late, not started, unusual, paused, broken, disk."""
    from dataclasses import asdict

    from runner.alerts import sender
    from runner.alerts import summary as page

    facts = page.gather(app.store(), app.config, app.clock.now())
    if as_json:
        value: Dict[str, Any] = asdict(facts)
        app.out_json(value)
    else:
        app.out(page.message("summary", facts, sender.place_of(app.config)).text)


@alert.command()
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@click.pass_obj
def send(app: App, quiet):
    """Send what waits now; the daemon does it by itself. Exits with 1 when a channel failed."""
    from runner.alerts import sender
    from runner.definitions import Definitions

    if not os.path.exists(app.config.database):
        return 0
    from runner import daemonlock

    may_hold = daemonlock.look(app.config.home) is not None
    with sender.only_one(app.config.home, app.clock, 0.0 if may_hold else PATIENCE) as mine:
        if not mine:
            if not quiet:
                app.say("another process is sending")
            return 0
        store = app.store()
        say = (lambda line: None) if quiet else app.say
        work = sender.Sender(store, Definitions(store, app.site()), app.config, app.environ, app.clock, say, may_hold)
        work.work()
        store.close()
    return 1 if work.failed else 0
