"""How the site is, for a monitor: what is broken, what is to be looked at, and the figures. For `runner health`, `/api/v1/health`, `/metrics`."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any, Dict, List, Optional, Tuple

from runner import daemonlock, mounts
from runner.errors import EnvironmentFault

STATES = ("OK", "WARNING", "CRITICAL")  # the exit codes of Nagios' plugins: 0, 1, 2
RECENT = timedelta(days=1)  # failures within it count


def facts(app: Any, store: Any) -> Dict[str, Any]:
    """`store` None: nothing ever ran here."""
    now, home = app.clock.now(), app.config.home
    alive = daemonlock.look(home)
    rows = store.pipelines.all() if store else []
    counts = store.open_counts() if store else {}
    there = os.path.isdir(home)
    return {
        "daemon": daemon(app),
        "running": counts.get("running", 0), "queued": counts.get("queued", 0), "failed": _failed(store, now) if store else [],
        "faulty": [row.name for row in rows if row.problem and not row.gone_at],
        "broken": [row.name for row in rows if row.broken and not row.gone_at],
        "free": mounts.free_bytes(home) if there else 0,
        "blocked": (alive.blocked if alive else "") or (mounts.disk_reason(home, app.config.min_free) if there else f"there is no folder {home}: is RUNNER_HOME right?"),
        "alerts": _alerts(app, store, now), "next_due": min((row.next_due for row in rows if row.next_due), default=None),
    }


def daemon(app: Any) -> Optional[Dict[str, Any]]:
    """The one that lives, and how long ago it turned."""
    alive = daemonlock.look(app.config.home)
    if alive is None:
        return None
    return {"pid": alive.pid, "since": alive.since, "version": alive.version, "beat_age": round(app.clock.now().timestamp() - alive.beat, 1),
            "blocked": alive.blocked, "page": alive.page}


def _alerts(app: Any, store: Any, now: datetime) -> List[str]:
    """Channels that do not deliver, or a fault of their file."""
    from runner.alerts import channels, summary

    try:
        channels.load(app.config.home)
    except EnvironmentFault as error:
        return [error.message]
    return summary.troubles(store, now) if store else []


def _failed(store: Any, now: datetime) -> List[str]:
    """Failed within a day, and still the last word of their pipeline's date."""
    return [run.name for run in store.recent_runs(None, "failed", 200) if run.ended_at and now - run.ended_at < RECENT]


def findings(found: Dict[str, Any]) -> List[Tuple[int, str]]:
    """(level, words) of whatever is not as it should be."""
    out: List[Tuple[int, str]] = []
    alive: Optional[Dict[str, Any]] = found["daemon"]
    if alive is None:
        out.append((2, "no daemon runs: nothing starts by itself; type: runner daemon"))
    elif alive["beat_age"] > daemonlock.HUNG_SECONDS:
        out.append((2, f"the daemon (pid {alive['pid']}) has not turned for {alive['beat_age']:.0f} s"))
    if found["blocked"]:
        out.append((2, found["blocked"]))
    if alive and alive["page"]:
        out.append((1, alive["page"]))
    for level, key, words in ((1, "broken", "schedule broken"), (1, "faulty", "file with faults"), (1, "failed", "failed")):
        names = found[key]
        if names:
            out.append((level, f"{words}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")))
    out += [(1, text) for text in found["alerts"]]
    return out


def words_of(found: Optional[Dict[str, Any]]) -> str:
    """What a person should know of the daemon; "" when it is well."""
    if found is None:
        return "no daemon runs: nothing starts by itself; type: runner daemon"
    if found["beat_age"] > daemonlock.HUNG_SECONDS:
        return f"the daemon (pid {found['pid']}) hangs: it has not turned for {found['beat_age']:.0f} s"
    return f"the daemon lets nothing begin: {found['blocked']}" if found["blocked"] else ""


def judged(found: Dict[str, Any]) -> Dict[str, Any]:
    """As `runner health --json` gives it."""
    said = findings(found)
    worst = max((level for level, _ in said), default=0)
    return {"state": STATES[worst], "findings": [{"level": STATES[level], "text": text} for level, text in said], **found}
