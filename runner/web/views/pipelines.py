"""All pipelines: how the last runs went, when the next one is, and what is wrong with a file."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional
from zoneinfo import ZoneInfo

from runner import model, schedule, standing
from runner.errors import RunnerError
from runner.spec import folder
from runner.spec.report import brief_place
from runner.web.desk import Desk

TICKS = 10
FILTERS = ("failed", "running", "waiting", "paused", "faulty")


def view(desk: Desk, store, now: datetime, args: Mapping[str, str]) -> Dict[str, Any]:
    """`q`: words that name, owner, tags or description hold, or tag:NAME, owner:NAME, state:one of FILTERS. `only`: one of FILTERS."""
    rows = {row.name: row for row in store.pipelines.all() if not row.gone_at}
    files = {file.name: file for file in desk.files()}
    ticks, holds = store.pages.last_of_each(TICKS), store.pipelines.holds()
    every = [_entry(desk, store, name, rows.get(name), files.get(name), ticks.get(name, ()), holds.get(name, {})) for name in sorted({*rows, *files})]
    query, only = args.get("q", "").strip()[:200], args.get("only", "")
    found = [entry for entry in every if _matches(entry, query)]
    return {
        "place": "pipelines", "query": query, "only": only, "total": len(every), "folder": desk.config.pipelines,
        "counts": {name: sum(name in entry["marks"] for entry in found) for name in FILTERS},
        "pipelines": [entry for entry in found if not only or only in entry["marks"]],
    }


def _entry(desk: Desk, store, name: str, row: Optional[model.PipelineRow], file: Optional[folder.FileReport], ticks, holds) -> Dict[str, Any]:
    about: Mapping[str, Any] = (file.summary if file else None) or {}
    last = [{"id": tick.id, "run": tick.name, "label": tick.label, "state": standing.shown_state(desk, tick)} for tick in ticks]
    faults = [problem for problem in file.problems if problem.severity == "error"] if file else []
    problem = f"{brief_place(faults[0], file.path)}: {faults[0].message}" if faults and file else row.problem if row else ""
    entry: Dict[str, Any] = {
        "name": name, "description": about.get("description", ""), "owner": about.get("owner", ""), "tags": list(about.get("tags", ())),
        "schedule": about.get("schedule") or "", "timezone": about.get("timezone", ""), "steps": about.get("steps"),
        "next_due": None, "next_ds": None, "paused": None, "held": holds.get("", ""), "held_steps": sorted(step for step in holds if step),
        "problem": problem, "hint": faults[0].hint if faults else "", "faults": len(faults), "broken": row.broken if row else "", "runs": last,
    }
    if row and row.next_due:
        entry["next_due"] = row.next_due.astimezone(ZoneInfo(about.get("timezone") or desk.config.timezone))
        entry["next_ds"] = _ds(desk, row, about)
    if row and row.paused_by:
        entry["paused"] = {"by": row.paused_by, "since": row.paused_at, "reason": row.pause_reason}
    entry["marks"] = _marks(entry)
    return entry


def _marks(entry: Mapping[str, Any]) -> List[str]:
    states = [tick["state"] for tick in entry["runs"]]
    begun = [state for state in states if state != "queued"]  # those that wait tell nothing yet
    said = {
        "failed": bool(begun) and begun[-1] in ("failed", "killed", "interrupted"), "running": "running" in states, "waiting": "queued" in states,
        "paused": bool(entry["paused"] or entry["held"]), "faulty": bool(entry["problem"] or entry["broken"]),
    }
    return [name for name in FILTERS if said[name]]


def _matches(entry: Mapping[str, Any], query: str) -> bool:
    text = " ".join((entry["name"], entry["owner"], entry["description"], *entry["tags"])).lower()
    for word in re.findall(r'\w+:"[^"]*"|\S+', query.lower()):
        kind, colon, value = word.partition(":")
        value = value.strip('"')
        if colon and kind == "tag":
            if value not in (tag.lower() for tag in entry["tags"]):
                return False
        elif colon and kind in ("state", "is"):
            if value not in entry["marks"]:
                return False
        elif colon and kind == "owner":
            if value != entry["owner"].lower():
                return False
        elif word not in text:
            return False
    return True


def _ds(desk: Desk, row: model.PipelineRow, about: Mapping[str, Any]) -> str:
    """The date that the next run will have."""
    if about.get("logical_date", "due") == "due" and row.next_due:  # then it is the day itself: most need no schedule for it
        return f"{row.next_due.astimezone(ZoneInfo(about.get('timezone') or desk.config.timezone)):%Y-%m-%d}"
    return _ds_by_schedule(_Asked(desk, row.definition or ""), row.next_due)


class _Asked:
    """A definition and who parses it; two of one hash are the same question."""

    def __init__(self, desk: Desk, digest: str):
        self.desk, self.digest = desk, digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=2000)
def _ds_by_schedule(asked: _Asked, due: datetime) -> str:
    try:
        spec = asked.desk.definitions().get(asked.digest)
        return f"{schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, due).logical:%Y-%m-%d}"
    except (RunnerError, TypeError):  # a text of an older version, or none at all
        return ""
