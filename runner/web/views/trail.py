"""The trail of what people did: who, from where, what, why, and how it was before and after."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Dict, List, Mapping
from zoneinfo import ZoneInfo

from runner.web.desk import Desk
from runner.web.views import common

ROWS = 100


def view(desk: Desk, store, now: datetime, args: Mapping[str, str]) -> Dict[str, Any]:
    """`pipeline`, `actor`: only of these; `before`: only what is older than that row."""
    pipeline, actor = args.get("pipeline", "").strip()[:300], args.get("actor", "").strip()[:300]
    before = int(args["before"]) if re.fullmatch(r"\d{1,15}", args.get("before", ""), re.ASCII) else None
    found = rows(desk, store, ROWS + 1, before, pipeline, actor)
    return {
        "place": "operations", "rows": found[:ROWS], "pipeline": pipeline, "actor": actor, "before": before,
        "next": found[ROWS - 1]["id"] if len(found) > ROWS else None, "every": 0 if before else 10,
    }


def rows(desk: Desk, store, limit: int, before=None, pipeline: str = "", actor: str = "") -> List[Dict[str, Any]]:
    """The newest first, each with what it changed in words."""
    zone = ZoneInfo(desk.config.timezone)
    return [{**each._asdict(), "at": common.local(each.at, zone), "changes": _changes(each.before, each.after)}
            for each in store.audit.rows(limit, before, pipeline or None, actor or None)]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> List[str]:
    """`state: failed → success`; what only one of the two knows is said alone."""
    out = []
    for name in dict.fromkeys([*before, *after]):
        was, now = (common.as_typed(each[name]) if name in each else None for each in (before, after))
        if was != now:
            out.append(f"{name}: {now}" if was is None else f"{name}: {was} →" + (f" {now}" if now is not None else ""))
    return out
