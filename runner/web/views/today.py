"""Half a day back and half a day on: what failed and what is late on top, then all runs by team."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from zoneinfo import ZoneInfo

from runner import shown
from runner.clock import from_text
from runner.store.pages import Tick
from runner.web.desk import Desk
from runner.web.draw import timeline
from runner.web.views import common

HOURS, MOST_RUNS, SAMPLES = 12, 3000, 10
LONG = 1.5  # times as long as usual: worth a word


def view(desk: Desk, store, now: datetime, args: Mapping[str, str], address, pipeline_address) -> Dict[str, Any]:
    """`team`: only pipelines of this owner. `address(run)`, `pipeline_address(name)`: where they are shown."""
    about = {file.name: file.summary or {} for file in desk.files()}
    owners = {name: summary.get("owner") or "" for name, summary in about.items()}
    chosen, zone = args.get("team"), ZoneInfo(desk.config.timezone)
    last = store.pages.last_of_each(SAMPLES)
    usual = {name: _usual(ticks) for name, ticks in last.items()}
    mine = lambda name: chosen is None or owners.get(name, "") == chosen  # noqa: E731
    begin, end = now - timedelta(hours=HOURS), now + timedelta(hours=HOURS)
    ticks = [tick for tick in store.pages.within(begin, MOST_RUNS) if mine(tick.pipeline) and from_text(tick.due) < end]
    deadlines = [each for each in store.pages.deadlines(begin, end) if mine(each["pipeline"])]
    coming = [(row.name, row.next_due) for row in store.pipelines.all() if row.next_due and now < row.next_due < end and not row.paused_by and not row.gone_at and mine(row.name)]
    runs = [common.tick_facts(desk, tick) for tick in ticks]
    facts: Dict[str, Any] = {
        "place": "today", "known": len(about), "folder": desk.config.pipelines, "team": chosen, "teams": sorted(set(owners.values())), "begin": begin.astimezone(zone), "end": end.astimezone(zone),
        "counts": {state: sum(run["state"] == state for run in runs) for state in ("success", "running", "queued", "failed", "interrupted", "killed", "missed")},
        "coming": len(coming), "failed": _failed(runs, last), "late": _late(runs, deadlines, usual, now, zone), "long": _long(runs, usual, now), "every": 10,
    }
    items = _items(runs, deadlines, coming, usual, owners, now, zone, address, pipeline_address)
    facts["pictures"] = {"timeline": timeline.timeline([(team or "-", items[team]) for team in sorted(items, key=lambda team: (not team, team))], now, zone, HOURS)} if items else {"timeline": ""}
    return facts


def _usual(ticks: Sequence[Tick]) -> Optional[float]:
    """Seconds that most of the last good runs took."""
    good = [tick.seconds for tick in ticks if tick.state == "success" and tick.seconds is not None]
    return median(good) if good else None


def _failed(runs: Sequence[Mapping[str, Any]], last: Mapping[str, Sequence[Tick]]) -> List[Dict[str, Any]]:
    """Those that nobody has repaired: no later run of the same date went well. The newest first."""
    repaired = {(tick.pipeline, tick.due) for ticks in last.values() for tick in ticks if tick.state in ("success", "running", "queued")}
    return [dict(run) for run in reversed(runs) if run["state"] in ("failed", "killed", "interrupted", "missed") and (run["pipeline"], common.kept(run["due_at"])) not in repaired]


def _late(runs, deadlines, usual: Mapping[str, Optional[float]], now: datetime, zone) -> List[Dict[str, Any]]:
    """Deadlines that were missed, that have passed with the work undone, and those that will be by the usual length."""
    known = {run["id"]: run for run in runs}
    out = []
    for each in deadlines:
        run = known.get(each["run_id"])
        ended = run is None or run["state"] in ("success", "failed", "killed", "missed")
        kind = "late" if each["outcome"] == "late" else "" if each["outcome"] == "met" or ended else "late" if each["at"] < now else ""
        expected = None
        if not kind and not ended and each["outcome"] is None and not each["step"] and usual.get(each["pipeline"]):
            expected = max((run["started_at"] or now) + timedelta(seconds=usual[each["pipeline"]]), now)
            kind = "will_be_late" if expected > each["at"] else ""
        if kind:
            out.append({"run": each["run"], "step": each["step"], "pipeline": each["pipeline"], "at": each["at"].astimezone(zone), "kind": kind,
                        "state": run["state"] if run else "", "expected": expected.astimezone(zone) if expected else None})
    return sorted(out, key=lambda each: each["at"], reverse=True)


def _long(runs, usual: Mapping[str, Optional[float]], now: datetime) -> List[Dict[str, Any]]:
    """What runs much longer than it uses to."""
    out = []
    for run in runs:
        length, most = (now - run["started_at"]).total_seconds() if run["started_at"] else 0.0, usual.get(run["pipeline"])
        if run["state"] == "running" and most and length > LONG * most and length > most + 60:
            out.append({"run": run["name"], "pipeline": run["pipeline"], "seconds": length, "usual": most, "took": shown.duration(length), "usually": shown.duration(most)})
    return out


def _items(runs, deadlines, coming: Sequence[Tuple[str, datetime]], usual, owners: Mapping[str, str], now, zone, address, pipeline_address) -> Dict[str, List[timeline.Item]]:
    at: Dict[int, datetime] = {each["run_id"]: each["at"] for each in deadlines if not each["step"]}
    out: Dict[str, List[timeline.Item]] = {}
    for run in runs:
        begin = run["started_at"] or max(run["due_at"], now) if run["state"] == "queued" else run["started_at"] or run["due_at"]
        words = f"{run['name']}: {run['state']} {begin:%H:%M} {shown.elapsed(run['started_at'], run['ended_at'], now)} {run['reason']}".strip()
        item = timeline.Item(run["pipeline"], run["state"], begin, run["ended_at"], usual.get(run["pipeline"]), address(run["name"]), words, at.get(run["id"]))
        out.setdefault(owners.get(run["pipeline"], ""), []).append(item)
    for name, due in coming:
        length = usual.get(name)
        words = f"{name}: {due.astimezone(zone):%m-%d %H:%M}" + (f", {shown.duration(length)}" if length else "")
        out.setdefault(owners.get(name, ""), []).append(timeline.Item(name, "coming", due, None, length, pipeline_address(name), words))
    return out
