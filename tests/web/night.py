"""A home as it is after months of nights: so many pipelines with so many days behind them, written straight into the tables."""

from __future__ import annotations

import json
import os
import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runner import config
from runner.clock import UTC, to_text
from runner.spec.check import Site, load_text
from runner.store import Store

SEOUL = ZoneInfo("Asia/Seoul")
TEAMS = ("customer-mart", "risk", "billing", "campaign", "network-ops", "finance", "정산팀", "data-platform")
NAMES = ("orders", "clicks", "ledger", "churn", "usage", "credit", "fraud", "invoice", "segment", "roaming", "call_detail", "balance")
SHAPES = (
    ("extract", "clean:extract", "load:clean", "publish:load"),
    ("get_a", "get_b", "join:get_a,get_b", "check:join", "load:check", "report:load", "export:load", "tidy:report,export"),
    ("wait_source", "extract:wait_source", "stage:extract", "dim:stage", "fact:stage", "mart:dim,fact", "quality:mart", "publish:quality", "notify:publish"),
)


def fill(home: str, pipelines: int, days: int, now: datetime, seed: int = 7) -> Store:
    """The files and the rows; every run has ended before `now`. Returns the open store."""
    environ = {"RUNNER_HOME": home, "RUNNER_TIMEZONE": "Asia/Seoul"}
    settings = config.load(environ)
    config.ensure_home(settings)
    os.makedirs(settings.pipelines, exist_ok=True)
    store, dice = Store(settings.database, "normal"), random.Random(seed)
    rows = {"definitions": [], "runs": [], "steps": [], "attempts": [], "journal": [], "pipelines": [], "deadlines": []}
    for number in range(pipelines):
        name = f"{NAMES[number % len(NAMES)]}_{number:03d}"
        _pipeline(name, number, settings, days, now.astimezone(SEOUL), dice, rows)
    put = store.db.connection.executemany
    with store.transaction():
        put("INSERT INTO definitions (hash, pipeline, path, text, created_at) VALUES (?,?,?,?,?)", rows["definitions"])
        put("INSERT INTO pipelines (name, path, definition, schedule_key, first_seen, cursor_at, next_due) VALUES (?,?,?,?,?,?,?)", rows["pipelines"])
        put("INSERT INTO runs (id, name, pipeline, due_at, number, logical_at, interval_start, interval_end, timezone, definition, trigger_kind, params, state, reason, "
            "created_at, started_at, ended_at) VALUES (?,?,?,?,0,?,?,?,'Asia/Seoul',?,'schedule','{}',?,?,?,?,?)", rows["runs"])
        put("INSERT INTO step_runs (run_id, step, position, state, reason, tries, outputs, started_at, ended_at) VALUES (?,?,?,?,?,?,?,?,?)", rows["steps"])
        put("INSERT INTO attempts (run_id, step, number, state, reason, exit_code, folder, started_at, ended_at) VALUES (?,?,1,?,?,?,?,?,?)", rows["attempts"])
        put("INSERT INTO deadlines (run_id, step, at, outcome) VALUES (?,'',?,?)", rows["deadlines"])
        put("INSERT INTO transitions (at, kind, run_id, from_state, to_state, reason, actor) VALUES (?,'run',?,?,?,?,?)", rows["journal"])
    return store


def _pipeline(name, number, settings, days, now, dice, rows) -> None:
    shape, hour, minute = SHAPES[number % len(SHAPES)], (number * 7) % 24, (number * 13) % 60
    steps = [(each.partition(":")[0], [need for need in each.partition(":")[2].split(",") if need]) for each in shape]
    lines = [f"  - {{id: {step}, {f'needs: [{chr(44).join(needs)}], ' if needs else ''}bash: 'echo {step} << ds >>'}}" for step, needs in steps]
    text = "\n".join([
        f"description: {name.partition('_')[0]} of {TEAMS[number % len(TEAMS)]}, one day at a time", f"owner: {TEAMS[number % len(TEAMS)]}",
        f"tags: [{'night' if hour < 7 else 'day'}, {SHAPES.index(shape) and 'mart' or 'source'}]", "timezone: Asia/Seoul", f'schedule: "{minute} {hour} * * *"', "steps:", *lines, ""])
    path = os.path.join(settings.pipelines, name + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.utime(path, (1e9, 1e9))
    spec = load_text(text, path, name, Site("Asia/Seoul"))
    from runner.store.store import definition_hash

    digest = definition_hash(spec.name, spec.path, spec.text)
    usual = dice.uniform(60, 5400)
    first = (now - timedelta(days=days - 1)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    rows["definitions"].append((digest, name, path, text, to_text(first)))
    last = None
    for day in range(days):
        due = first + timedelta(days=day)
        length = timedelta(seconds=usual * dice.uniform(0.8, 1.3))
        if due + length >= now:
            continue
        last = due
        _run(name, digest, due, length, steps, settings, dice, rows)
        if number % 3 == 0:  # these have a deadline, and now and then miss it
            bound = timedelta(seconds=usual * 1.2)
            rows["deadlines"].append((len(rows["runs"]), to_text(due + bound), "met" if length < bound else "late"))
    after = (last or first - timedelta(days=1)) + timedelta(days=1)
    while after <= now:
        after += timedelta(days=1)
    key = f"Asia/Seoul|due|{spec.schedule.text}|Asia/Seoul|||since={to_text(first)}"
    rows["pipelines"].append((name, path, digest, key, to_text(first), to_text(now), to_text(after)))


def _run(name, digest, due, length, steps, settings, dice, rows) -> None:
    number, label = len(rows["runs"]) + 1, f"{due:%Y-%m-%d}"
    begin, failed = due.astimezone(UTC) + timedelta(seconds=2), dice.random() < 0.03
    bad = dice.randrange(len(steps)) if failed else None
    each, ended = length / len(steps), begin
    states = {}
    for position, (step, needs) in enumerate(steps):
        broken = any(states[need] != "success" for need in needs)
        states[step] = "upstream_failed" if broken else "failed" if position == bad else "success"
        if broken:
            rows["steps"].append((number, step, position, "upstream_failed", "a step it needs failed", 0, None, None, to_text(ended)))
            continue
        start, ended = begin + each * position, begin + each * (position + 1)
        reason = "exit 1" if position == bad else ""
        rows["steps"].append((number, step, position, states[step], reason, 1, json.dumps({"rows": dice.randrange(10**6)}) if not reason else None, to_text(start), to_text(ended)))
        rows["attempts"].append((number, step, states[step], reason, int(position == bad), f"runs/{name}/{label}/{step}.1", to_text(start), to_text(ended)))
    state = "failed" if failed else "success"
    due_text, day_before = to_text(due), to_text(due - timedelta(days=1))
    rows["runs"].append((number, f"{name}@{label}", name, due_text, due_text, day_before, due_text, digest, state, f"failed: {steps[bad][0]}" if failed else "",
                         due_text, to_text(begin), to_text(ended)))
    rows["journal"].append((to_text(begin), number, "queued", "running", "", "engine"))
    rows["journal"].append((to_text(ended), number, "running", state, "", "engine"))
