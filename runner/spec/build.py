"""Checked data to the Pipeline it says: defaults laid under each step, durations in seconds, texts of numbers kept."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Mapping, Optional, Tuple

from runner import model, steps
from runner.durations import parse_duration

_CATCHUP = {True: "all", False: "last"}  # Airflow's words
_EXPRESSION = re.compile(r"\s*<<\s(.*)\s>>\s*", re.S)
_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "list"), (dict, "object"))


def pipeline(data: Mapping[str, Any], loaded, params: Mapping[str, model.Param], found: Optional[model.Schedule], path: str,
             name: str, site, warnings: Tuple[model.Problem, ...]) -> model.Pipeline:
    """The pipeline of a file without errors."""
    defaults = data.get("defaults") or {}
    catchup = data.get("catchup", "last")
    return model.Pipeline(
        name=name, path=path, text=loaded.text, timezone=data.get("timezone", site.timezone), schedule=found,
        steps=tuple(
            step(each, defaults, loaded.marks, i, os.path.dirname(path)) for i, each in enumerate(data["steps"])
        ),
        logical_date=data.get("logical_date", site.logical_date), description=data.get("description", ""),
        doc_md=data.get("doc_md", ""), owner=data.get("owner", ""), tags=_tags(data.get("tags", ())),
        catchup=_CATCHUP.get(catchup, catchup), catchup_limit=data.get("catchup_limit"),
        max_active_runs=data.get("max_active_runs", 1), max_active_steps=data.get("max_active_steps"),
        depends_on_past=data.get("depends_on_past", False) or data.get("wait_for_downstream", False),
        weight_rule=data.get("weight_rule", "absolute"), timeout=_seconds(data, "timeout"), params=dict(params),
        env=texts(data.get("env")), warnings=warnings,
    )


def step(each: Mapping[str, Any], defaults: Mapping[str, Any], marks, number: int, folder: str) -> model.Step:
    kind = next(key for key in each if key in steps.KINDS)
    said = {**defaults, **each}
    needs = each.get("needs", ())
    grace = _seconds(said, "kill_grace")
    mark, start = marks.value(("steps", number)), marks.folder(("steps", number, kind))
    return model.Step(
        id=each["id"], kind=kind, body=steps.KINDS[kind].normalise(each[kind]),
        needs=tuple(dict.fromkeys((needs,) if isinstance(needs, str) else needs)), when=_when(each.get("when")),
        trigger_rule=each.get("trigger_rule", "all_success"), retry=retry(said), timeout=_seconds(said, "timeout"),
        kill_grace=30.0 if grace is None else grace, allow_failure=each.get("allow_failure", False),
        skip_exit=said.get("skip_exit", 99), on_lost=said.get("on_lost", "retry"),
        env={**texts(defaults.get("env")), **texts(each.get("env"))}, inherit_env=_inherit(said.get("inherit_env", True)),
        cwd=_cwd(said, marks.folder(("steps", number, "cwd") if "cwd" in each else ("defaults", "cwd")), folder),
        template=each.get("template", True), priority_weight=said.get("priority_weight", 1),
        pool=said.get("pool"), pool_slots=said.get("pool_slots", 1),
        description=each.get("description", ""), line=mark.line, file=mark.file,
        folder="" if start == folder else start,
    )


def _cwd(said: Mapping[str, Any], start: str, folder: str) -> Optional[str]:
    """A relative one that another file wrote starts there; what a template in front will say is not known."""
    cwd = said.get("cwd")
    if cwd is None or start in ("", folder) or cwd.lstrip().startswith("<<"):
        return cwd
    return os.path.join(start, os.path.expanduser(cwd))


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
        name, kind, default=_plain(body.get("default")), required="default" not in body,
        enum=None if enum is None else tuple(_plain(choice) for choice in enum), minimum=body.get("minimum"),
        maximum=body.get("maximum"), pattern=body.get("pattern"), description=str(body.get("description", "")),
    )


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
