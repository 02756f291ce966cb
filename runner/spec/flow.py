"""What a schema cannot say of loops, branches and teardowns."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

from runner import template
from runner.spec import build, words
from runner.spec.notes import Notes, Path


def check(step: Mapping[str, Any], path: Path, ids: Mapping[str, int], followers: Mapping[str, List[str]], notes: Notes) -> None:
    """Faults of one step. `followers`: step -> the steps that need it."""
    _foreach(step, path, notes)
    if "max_parallel" in step and "foreach" not in step:
        notes.add_effect(path + ("max_parallel",), "max_parallel: without foreach: has no effect", "add foreach:, or remove it; for all steps of a run there is max_active_steps:")
    if step.get("branch") is True:
        if "foreach" in step:
            notes.add(path + ("branch",), "branch: does not go with foreach:", "let a step behind it choose", at_key=True)
        elif not followers.get(str(step.get("id"))):
            notes.add_effect(path + ("branch",), "branch: no step needs this one, so there is nothing to choose", "write needs: in the steps it chooses from, or remove it")
    _teardown(step, path, ids, notes)


def with_teardowns(needs: Dict[str, List[str]], entries: Iterable[Mapping[str, Any]]) -> None:
    """Add to what a teardown needs the steps it waits for by its nature: its setups and what is behind them."""
    setups = {str(step.get("id")): [name for name in build.listed(step["teardown"]) if name in needs] for step in entries if _names(step)}
    followers: Dict[str, List[str]] = {name: [] for name in needs}
    for name, above in needs.items():
        for need in above:
            followers[need].append(name)
    for name, said in setups.items():
        behind = build.reach(followers, [name]) if name in needs else set()
        users = build.reach(followers, said, stop=setups.keys()) - (behind - set(said)) - set(setups)
        needs[name] = list(dict.fromkeys([*needs.get(name, ()), *(each for each in needs if each in users)]))


def _names(step: Mapping[str, Any]) -> bool:
    said = step.get("teardown")
    return isinstance(step.get("id"), str) and isinstance(said, (str, list)) and all(isinstance(name, str) for name in said)


def _foreach(step: Mapping[str, Any], path: Path, notes: Notes) -> None:
    said = step.get("foreach")
    place = path + ("foreach",)
    if isinstance(said, list) and not said:
        notes.add(place, "foreach: must not be empty", "write [a, b]")
    elif isinstance(said, dict):
        for key in ("from", "to"):
            if key not in said:
                notes.add(place, f"foreach: {key}: is missing", 'write foreach: {from: "<< month_start_ds >>", to: "<< ds >>"}')


def _teardown(step: Mapping[str, Any], path: Path, ids: Mapping[str, int], notes: Notes) -> None:
    said = step.get("teardown", [])
    for n, name in enumerate([said] if isinstance(said, str) else said if isinstance(said, list) else []):
        place = path + ("teardown",) if isinstance(said, str) else path + ("teardown", n)
        if not isinstance(name, str):
            continue
        if name == step.get("id"):
            notes.add(place, f"step {name} cannot take itself away", "name the step that sets up what this one takes away")
        elif name not in ids:
            near = words.nearest(name, ids)
            notes.add(place, f"teardown: there is no step {name!r}", f"did you mean {near}?" if near else "name the step that sets up what this one takes away")
    if "teardown" in step and "trigger_rule" in step:
        notes.add(path + ("trigger_rule",), "trigger_rule: a teardown has its own rule", "remove it: a teardown runs when all has ended, however it did", at_key=True)
    if "teardown" in step and "foreach" in step:
        notes.add(path + ("foreach",), "foreach: does not go with teardown:", "loop inside the step", at_key=True)


def check_items(text: str, path: Path, known: bool, notes: Notes) -> None:
    """`<< item >>` has a meaning in a step with foreach only."""
    if not known and template.asks_item(text):
        notes.add(path, "item is known in a step with foreach: only", "write foreach: [a, b] beside id:, or another name")
