"""Checked data to the Pipeline it says: defaults laid under each step, durations in seconds, texts of numbers kept."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import AbstractSet, Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from runner import model, steps
from runner.durations import DurationError, parse_duration
from runner.params import day_of

_CATCHUP = {True: "all", False: "last"}  # Airflow's words
_EXPRESSION = re.compile(r"\s*<<\s(.*)\s>>\s*", re.S)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "list"), (dict, "object"))


def pipeline(data: Mapping[str, Any], loaded, params: Mapping[str, model.Param], found: Optional[model.Schedule], path: str,
             name: str, site, warnings: Tuple[model.Problem, ...]) -> model.Pipeline:
    """The pipeline of a file without errors."""
    defaults = data.get("defaults") or {}
    catchup = data.get("catchup", "last")
    if "kerberos" in data:
        defaults = {"kerberos": data["kerberos"], **defaults}
    made = [step(each, defaults, loaded.marks, i, os.path.dirname(path)) for i, each in enumerate(data["steps"])]
    return model.Pipeline(
        name=name, path=path, text=loaded.text, timezone=data.get("timezone", site.timezone), schedule=found,
        steps=tuple(with_teardowns(made)),
        logical_date=data.get("logical_date", site.logical_date), description=data.get("description", ""),
        doc_md=data.get("doc_md", ""), owner=data.get("owner", ""), tags=_tags(data.get("tags", ())),
        catchup=_CATCHUP.get(catchup, catchup), catchup_limit=data.get("catchup_limit"),
        max_active_runs=data.get("max_active_runs", 1), max_active_steps=data.get("max_active_steps"),
        depends_on_past=data.get("depends_on_past", False) or data.get("wait_for_downstream", False),
        past_key="depends_on_past" if data.get("depends_on_past") or not data.get("wait_for_downstream") else "wait_for_downstream",
        weight_rule=data.get("weight_rule", "absolute"), timeout=_seconds(data, "timeout"), params=dict(params),
        env=texts(data.get("env")), warnings=warnings, tell=tell(data), deadline=deadline(data.get("deadline")),
    )


def step(each: Mapping[str, Any], defaults: Mapping[str, Any], marks, number: int, folder: str) -> model.Step:
    kind = next(key for key in each if key in steps.KINDS)
    module = steps.KINDS[kind]
    said = {**defaults, **each}
    needs = each.get("needs", ())
    grace = _seconds(said, "kill_grace")
    mark, start = marks.value(("steps", number)), marks.folder(("steps", number, kind))
    return model.Step(
        id=each["id"], kind=kind, body=module.normalise(each[kind]), needs=listed(needs), when=_when(each.get("when")),
        trigger_rule=each.get("trigger_rule", "all_success"), retry=retry(said), timeout=_seconds(said, "timeout"),
        kill_grace=30.0 if grace is None else grace, allow_failure=each.get("allow_failure", False),
        skip_exit=said.get("skip_exit", 99), on_lost=said.get("on_lost", "retry"),
        env={**texts(defaults.get("env")), **texts(each.get("env"))}, inherit_env=_inherit(said.get("inherit_env", True)),
        cwd=_cwd(said, marks.folder(("steps", number, "cwd") if "cwd" in each else ("defaults", "cwd")), folder),
        kerberos=said.get("kerberos"), template=each.get("template", True), priority_weight=said.get("priority_weight", 1),
        pool=said.get("pool"), pool_slots=said.get("pool_slots", 1), tell=tell(said), deadline=deadline(each.get("deadline")),
        foreach=_foreach(each.get("foreach")), max_parallel=each.get("max_parallel"), branch=each.get("branch", False),
        teardown=listed(each.get("teardown", ())), slotless=getattr(module, "SLOTLESS", False),
        description=each.get("description", ""), line=mark.line, file=mark.file,
        folder="" if start == folder else start,
    )


def _cwd(said: Mapping[str, Any], start: str, folder: str) -> Optional[str]:
    """A relative one that another file wrote starts there; what a template in front will say is not known."""
    cwd = said.get("cwd")
    if cwd is None or start in ("", folder) or cwd.lstrip().startswith("<<"):
        return cwd
    return os.path.join(start, os.path.expanduser(cwd))


def with_teardowns(made: Sequence[model.Step]) -> List[model.Step]:
    """The steps, a teardown waiting for all that works with what it takes away: its setups and the steps behind them.

    Not for itself, for what comes behind it, nor for other teardowns.
    """
    if not any(each.teardown for each in made):
        return list(made)
    followers = {each.id: [other.id for other in made if each.id in other.needs] for each in made}
    downs = {each.id for each in made if each.teardown}
    out = []
    for each in made:
        if each.teardown:
            users = reach(followers, each.teardown, stop=downs) - reach(followers, [each.id]) - downs
            each = replace(each, needs=tuple(dict.fromkeys([*each.needs, *(other.id for other in made if other.id in users)])))
        out.append(each)
    return out


def reach(edges: Mapping[str, Sequence[str]], roots: Iterable[str], stop: AbstractSet[str] = frozenset()) -> Set[str]:
    """These and all that the edges lead to, not on from those in `stop`."""
    out: Set[str] = set()
    queue = list(roots)
    while queue:
        name = queue.pop()
        if name not in out:
            out.add(name)
            if name not in stop:
                queue.extend(edges.get(name, ()))
    return out


def listed(value: Any) -> Tuple[str, ...]:
    """One name or several, each once."""
    return tuple(dict.fromkeys((value,) if isinstance(value, str) else value))


def _foreach(value: Any) -> Any:
    """A text is an expression, or a list with commas or blanks between."""
    if isinstance(value, str):
        expression = expression_of(value) if "<<" in value else None
        return value.replace(",", " ").split() if expression is None else expression
    return value


def retry(said: Mapping[str, Any]) -> model.Retry:
    backoff = said.get("retry_exponential_backoff", False)
    delay, longest = _seconds(said, "retry_delay"), _seconds(said, "max_retry_delay")
    on_exit = said.get("retry_on_exit")
    return model.Retry(
        limit=said.get("retries", 0), delay=300.0 if delay is None else delay,
        backoff=2.0 if backoff is True else 1.0 if backoff is False else float(backoff),
        max_delay=3600.0 if longest is None else longest, jitter=share(said.get("retry_jitter", 0)) or 0.0,
        on_exit=None if on_exit is None else tuple(on_exit), not_on_exit=tuple(said.get("retry_not_on_exit", ())),
    )


def tell(said: Mapping[str, Any]) -> Dict[str, model.Tell]:
    """Event -> who is told, of `on_failure` and its kin."""
    out = {}
    for event in model.EVENTS:
        if f"on_{event}" in said:
            body = said[f"on_{event}"]
            body = body if isinstance(body, dict) else {"alert": body}
            names = body.get("alert", ())
            out[event] = model.Tell(tuple(dict.fromkeys((names,) if isinstance(names, str) else names)), body.get("bash", ""))
    return out


def deadline(value: Any) -> Optional[model.Deadline]:
    """`06:00`, or a length of time. Raises DurationError."""
    if value is None:
        return None
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock and int(clock[1]) < 24 and int(clock[2]) < 60:
        return model.Deadline(value.strip(), time=(int(clock[1]), int(clock[2])))
    if clock:
        raise DurationError(f"{value!r} is no time of the day", "write 06:00, from 00:00 to 23:59; for the day after, a length of time such as 30h")
    try:
        return model.Deadline(str(value), after=parse_duration(value))
    except DurationError as error:
        raise DurationError(f"{value!r} is neither a time of the day nor a length of time", "write 06:00, or 5h after the run is due") from error


def param(name: str, body: Any) -> Optional[model.Param]:
    """A parameter in its short or its long form; None for a shape that the schema refuses."""
    if not isinstance(body, dict):
        body = as_written(body)
        kind = next((word for kind, word in _TYPES if isinstance(body, kind)), None)
        return model.Param(name, kind, _plain(body)) if kind else None
    if "type" not in body and "default" in body:
        body = {**body, "default": as_written(body["default"])}
    kind = body.get("type") or next((word for type_, word in _TYPES if isinstance(body.get("default"), type_)), "string")
    enum = body.get("enum")
    if kind not in {"string", "integer", "number", "boolean", "date", "list", "object"} or not isinstance(enum, (list, type(None))):
        return None
    return model.Param(
        name, kind, default=_plain(_day(kind, body.get("default"))), required="default" not in body,
        enum=None if enum is None else tuple(_plain(_day(kind, choice)) for choice in enum), minimum=body.get("minimum"),
        maximum=body.get("maximum"), pattern=body.get("pattern"), description=str(body.get("description", "")),
    )


def _day(kind: str, value: Any) -> Any:
    """A date as every run has it; anything else as it is, for the checks to refuse."""
    try:
        return day_of(value) if kind == "date" and isinstance(value, str) else value
    except ValueError:
        return value


def as_written(value: Any) -> Any:
    """A number without a type of its own that would lose its spelling, such as the version 3.10, stays text."""
    return str(value) if isinstance(value, float) and str(value) != repr(float(value)) else value


def share(value: Any) -> Optional[float]:
    """0.1 of 10% or 0.1; None when it is no share."""
    try:
        number = float(value[:-1]) / 100 if isinstance(value, str) and value.endswith("%") else float(value)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def expression_of(value: str) -> Optional[str]:
    """The expression of `<< expression >>`, or the text itself when it has no tag; None for more than one tag."""
    match = _EXPRESSION.fullmatch(value)
    if match:
        return None if ("<<" in match.group(1)) else match.group(1).strip()
    return None if "<<" in value or not value.strip() else value.strip()


def texts(value: Any) -> Dict[str, str]:
    """Variables as text, numbers as they were written."""
    return {str(name): _text(item) for name, item in (value or {}).items()}


def _text(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def _when(value: Any) -> Optional[str]:
    if value is None or isinstance(value, bool):
        return None if value is None or value else "false"
    return expression_of(value)


def _inherit(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _seconds(said: Mapping[str, Any], key: str) -> Optional[float]:
    return parse_duration(said[key]) if key in said else None


def _tags(value: Any) -> Tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _plain(value: Any) -> Any:
    """Without the loader's own number class."""
    return float(value) if isinstance(value, float) else value
