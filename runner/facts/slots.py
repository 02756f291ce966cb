"""Who takes the slots and the pools."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from runner.errors import InvalidPipeline


def running(store: Any, definitions: Any, most: Optional[int] = None) -> List[Dict[str, Any]]:
    """Each step that goes on, at most so many, with what it takes; of a foreach its mapped ones. A wait takes no slot."""
    out = []
    for row in store.running_steps()[:most]:
        try:
            step = definitions.get(row["definition"]).step(row["step"])
        except (InvalidPipeline, KeyError):  # a text of an older version
            continue
        if step.foreach is not None and step.id == row["step"]:
            continue
        out.append({"run": row["name"], "step": row["step"], "kind": step.kind, "slot": not step.slotless, "pool": step.pool, "pool_slots": step.pool_slots if step.pool else 0})
    return out


def used(found: Sequence[Mapping[str, Any]], pools: Mapping[str, int]) -> Dict[str, int]:
    """Pool -> what is taken of it."""
    return {name: sum(each["pool_slots"] for each in found if each["pool"] == name) for name in pools}
