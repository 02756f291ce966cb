"""How the server stands: the daemon, slots and pools, what waits and why, alerts, disk, database, faulty files, and who did what."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Optional
from zoneinfo import ZoneInfo

from runner import __version__, model, mounts, standing
from runner.alerts import summary
from runner.config import shown
from runner.errors import RunnerError
from runner.facts import slots
from runner.spec.report import brief_place
from runner.web.desk import Desk
from runner.web.views import common, trail

MOST_WAITING, MOST_RUNNING, TRAIL, DELIVERIES, BACKFILLS = 60, 200, 12, 15, 8


def view(desk: Desk, store, now: datetime, args: Mapping[str, str]) -> Dict[str, Any]:
    zone = ZoneInfo(desk.config.timezone)
    running = _running(desk, store, now, zone)
    counts, daemon = store.open_counts(), desk.daemon()
    return {
        "place": "operations", "counts": counts, "since": _moment(daemon.get("since"), zone), "slots": {"used": sum(each["slot"] for each in running), "of": desk.config.slots}, "pools": _pools(desk, running), "running": running,
        "waiting": _waiting(desk, store, zone), "held": _held(store), "paused": [{"name": row.name, "by": row.paused_by, "since": common.local(row.paused_at, zone), "reason": row.pause_reason}
                                                                              for row in store.pipelines.all() if row.paused_by and not row.gone_at],
        "backfills": _backfills(desk, store, zone), "alerts": _alerts(store, now, zone), "disk": _disk(desk), "database": _database(desk),
        "clock": {"utc": now, "local": now.astimezone(zone), "timezone": desk.config.timezone},
        "versions": {"runner": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "host": platform.node(), "home": desk.config.home},
        "faulty": _faulty(desk, store), "trail": trail.rows(desk, store, TRAIL),
        "settings": {name: shown(desk.config, name) for name in ("pipelines", "slots", "durability", "min_free", "keep_days", "keep_bytes", "compress_days")}, "every": 5,
    }


def _moment(text: Optional[str], zone) -> Optional[datetime]:
    """2026-11-21T11:40:45Z as a moment of that zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(zone) if text else None


def _running(desk: Desk, store, now: datetime, zone) -> List[Dict[str, Any]]:
    """Each step that goes on: what it holds, and what it says of itself. A wait holds no slot."""
    out = []
    for each in slots.running(store, desk.definitions(), MOST_RUNNING):
        run = store.run(each["run"])
        found = next((attempt for attempt in store.live_attempts(run.id) if attempt.step == each["step"]), None)
        out.append({**each, "reason": found.reason if found else "", "started_at": common.local(found.started_at, zone) if found else None})
    return out


def _pools(desk: Desk, running) -> List[Dict[str, Any]]:
    used = slots.used(running, desk.config.pools)
    return [{"name": name, "used": used[name], "of": size} for name, size in sorted(desk.config.pools.items())]


def _waiting(desk: Desk, store, zone) -> List[Dict[str, Any]]:
    """Runs that have not begun, and steps that could but do not, each with its reason."""
    out = []
    for run in store.recent_runs(None, "queued", MOST_WAITING):
        try:
            why = standing.waits(desk, store, run)
        except RunnerError as error:  # a text of an older version
            why = error.message
        out.append({"run": run.name, "step": "", "why": why, "since": common.local(run.created_at, zone)})
    for run in store.recent_runs(None, "running", MOST_WAITING):
        rows = store.step_runs(run.id)
        for step, why in standing.steps_wait(desk, store, run, rows).items():
            if why:
                out.append({"run": run.name, "step": step, "why": why, "since": None})
    return out[:MOST_WAITING]


def _held(store) -> List[Dict[str, str]]:
    return [{"pipeline": pipeline, "step": step, "words": words} for pipeline, steps in store.pipelines.holds().items() for step, words in steps.items()]


def _backfills(desk: Desk, store, zone) -> List[Dict[str, Any]]:
    out = []
    for each in store.pipelines.backfills(BACKFILLS):
        counts = store.pipelines.backfill_counts(each.id)
        out.append({"id": each.id, "pipeline": each.pipeline, "from": each.from_ds, "to": each.to_ds, "parallel": each.parallel, "by": each.actor,
                    "at": common.local(each.created_at, zone), "tags": list(common.tags_of(desk, store, each.pipeline)), "counts": {state: counts[state] for state in model.RUN_STATES if state in counts}})
    return out


def _alerts(store, now: datetime, zone) -> Dict[str, Any]:
    deliveries = [{**each._asdict(), "at": common.local(each.at, zone)} for each in store.alerts.deliveries(DELIVERIES)]
    return {
        "troubles": summary.troubles(store, now), "deliveries": deliveries, "given_up": store.alerts.given_up(now - timedelta(days=1)),
        "waiting": [{"channel": name, "count": count, "since": common.local(since, zone)} for name, (count, since) in sorted(store.alerts.waiting().items())],
    }


def _disk(desk: Desk) -> Dict[str, Any]:
    found = shutil.disk_usage(desk.config.home)
    return {"folder": desk.config.home, "mount": mounts.mount_of(desk.config.home), "free": mounts.free_bytes(desk.config.home), "size": found.total,
            "reason": mounts.disk_reason(desk.config.home, desk.config.min_free)}


def _database(desk: Desk) -> Dict[str, Any]:
    size = {suffix: os.path.getsize(desk.config.database + suffix) if os.path.exists(desk.config.database + suffix) else 0 for suffix in ("", "-wal")}
    return {"path": desk.config.database, "size": size[""], "wal": size["-wal"]}


def _faulty(desk: Desk, store) -> List[Dict[str, Any]]:
    """Files with faults, each with its first; and schedules that cannot be worked out."""
    rows = {row.name: row for row in store.pipelines.all() if not row.gone_at}
    out = []
    for file in desk.files():
        errors = [problem for problem in file.problems if problem.severity == "error"]
        if errors:
            known = rows.get(file.name)
            out.append({"name": file.name, "path": file.path, "words": f"{brief_place(errors[0], file.path)}: {errors[0].message}", "count": len(errors),
                        "scheduled": bool(known and known.definition and known.next_due)})
    return out + [{"name": row.name, "path": row.path, "words": row.broken, "count": 1, "scheduled": False} for row in rows.values() if row.broken]
