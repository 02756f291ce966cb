"""What a schema cannot say of single values: parameters, the schedule, lengths of time, names of variables."""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, Mapping, Optional, Sequence

from runner import model, schedule
from runner.durations import DurationError, parse_duration
from runner.params import check_value, is_finite
from runner.spec import build, unfilled, words
from runner.spec.notes import Notes, Path
from runner.spec.shape import DURATIONS

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TYPOGRAPHIC = "“”„‘’"


def check_shared(said: Any, path: Path, notes: Notes) -> None:
    """What a step and `defaults:` have in common."""
    if not isinstance(said, dict):
        return
    check_durations(said, DURATIONS, path, notes)
    jitter = said.get("retry_jitter", 0)
    if isinstance(jitter, (str, int, float)) and build.share(jitter) is None:
        hint = f"write {jitter}%" if isinstance(jitter, int) and 0 < jitter <= 100 else "write 10%, or 0.1; at most 100%"
        notes.add(path + ("retry_jitter",), f"retry_jitter: {jitter!r} is no share", hint)
    check_env(said.get("env"), path + ("env",), notes)


_OF_RETRIES = ("retry_delay", "max_retry_delay", "retry_exponential_backoff", "retry_jitter", "retry_on_exit", "retry_not_on_exit")


def check_effects(step: Mapping[str, Any], defaults: Mapping[str, Any], path: Path, notes: Notes) -> None:
    """What is well written and surely without effect, as something was left out."""
    rule = step.get("trigger_rule", "all_success")
    if rule != "all_success" and not step.get("needs"):
        notes.add_effect(path + ("trigger_rule",), f"trigger_rule: {rule} without needs: has no effect", "add needs:, or remove it")
    if not step.get("retries", defaults.get("retries", 0)):
        for key in _OF_RETRIES:
            if key in step:
                notes.add_effect(path + (key,), f"{key}: without retries: has no effect", "add retries: 3, or remove it")
                break
    if "max_retry_delay" in step and not step.get("retry_exponential_backoff", defaults.get("retry_exponential_backoff")):
        notes.add_effect(path + ("max_retry_delay",), "max_retry_delay: without retry_exponential_backoff: has no effect", "add retry_exponential_backoff: true, or remove it")


def check_catchup(data: Mapping[str, Any], notes: Notes) -> None:
    """The daemon's words for times that were missed."""
    if "catchup_limit" in data and data.get("catchup") not in ("all", True):
        notes.add_effect(("catchup_limit",), "catchup_limit: without catchup: all has no effect", "add catchup: all, or remove it")
    for key in ("catchup", "start_date", "end_date"):
        if key in data and data.get("schedule") is None:
            notes.add_effect((key,), f"{key}: without schedule: has no effect", 'add schedule: "0 1 * * *", or remove it')


def check_durations(said: Mapping[str, Any], keys: Sequence[str], path: Path, notes: Notes) -> None:
    for key in keys:
        if key in said and isinstance(said[key], (str, int, float)) and not isinstance(said[key], bool):
            try:
                parse_duration(said[key])
            except DurationError as error:
                notes.add(path + (key,), f"{key}: {error.message}", error.hint)


def check_deadline(said: Mapping[str, Any], path: Path, notes: Notes) -> None:
    value = said.get("deadline")
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            build.deadline(value)
        except DurationError as error:
            notes.add(path + ("deadline",), f"deadline: {error.message}", error.hint)


def check_late(data: Mapping[str, Any], notes: Notes) -> None:
    listed = data.get("steps") if isinstance(data.get("steps"), list) else []
    if "on_late" in data and not any("deadline" in each for each in (data, *listed) if isinstance(each, dict)):
        notes.add_effect(("on_late",), "on_late: without deadline: has no effect", 'add deadline: "06:00", or remove it')


def check_tell(hooks: Mapping[str, Any], path: Path, known: Optional[FrozenSet[str]], notes: Notes) -> None:
    """Names of channels: a warning only, since the server that will run it may have others. `known` None: they are not known here."""
    for event, body in hooks.items() if known is not None else ():
        place = path + (f"on_{event}",)
        if isinstance(body, dict):
            body, place = body.get("alert"), place + ("alert",)
        for n, name in enumerate([body] if isinstance(body, str) else body if isinstance(body, list) else ()):
            if isinstance(name, str) and name not in known:
                near = words.nearest(name, sorted(known))
                hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known)) or 'none'}; add {name}: under channels: in alerts.yaml"
                notes.add(place if isinstance(body, str) else place + (n,), f"no channel {name!r} in alerts.yaml here: nobody would be told", hint, severity="warning")


def check_kerberos(said: Any, path: Path, notes: Notes) -> None:
    """A warning only for a keytab that is not here: the file may be meant for another server."""
    if said is True:
        notes.add(path, "kerberos: true says no principal", "write kerberos: {principal: etl@REALM, keytab: /etc/etl.keytab}, or false for none")
    elif isinstance(said, dict):
        for key in ("principal", "keytab"):
            if not str(said.get(key) or "").strip():
                notes.add(path, f"kerberos: {key}: is missing", "write kerberos: {principal: etl@REALM, keytab: /etc/etl.keytab}")


def check_env(env: Any, path: Path, notes: Notes) -> None:
    for name in env if isinstance(env, dict) else ():
        if not _VARIABLE.fullmatch(name):
            better = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")
            hint = f"write {better}:" if _VARIABLE.fullmatch(better) else "letters, digits and _ only, not beginning with a digit"
            notes.add(path + (name,), f"env: {name!r} is no name for a variable", hint, at_key=True)
        elif name.startswith("RUNNER_"):
            notes.add(path + (name,), f"env: {name} is set by runner itself", "choose another name: those with RUNNER_ tell a step about its run", at_key=True)
        elif isinstance(env[name], str):
            unfilled.check_env(name, env[name], path + (name,), notes)


# ------------------------------------------------------------------------------------------------------------- params


def check_params(value: Any, notes: Notes) -> Dict[str, model.Param]:
    """The good parameters; everything wrong with the others is noted."""
    out: Dict[str, model.Param] = {}
    variables: Dict[str, str] = {}
    for name, body in value.items() if isinstance(value, dict) else ():
        path: Path = ("params", name)
        if not name.isidentifier():
            better = re.sub(r"\W", "_", name)
            hint = f"write {better}:" if better.isidentifier() else "letters, digits and _ only, not beginning with a digit"
            notes.add(path, f"params: {name!r} is no name for a parameter", hint, at_key=True)
        other = variables.setdefault(model.variable_of(name), name)
        if other != name:
            notes.add(path, f"params: {other} and {name} would both be {model.variable_of(name)}", "names must differ in more than upper and lower case", at_key=True)
        param = None if notes.is_bad(path) else build.param(name, body)
        out[name] = param or model.Param(name)
        if param and _check_limits(param, path, notes) and not param.required:
            _check_default(param, body, path, notes)
            _check_spelling(param, body, path, notes)
    return out


def _check_limits(param: model.Param, path: Path, notes: Notes) -> bool:
    """Whether the constraints themselves make sense."""
    name = f"params.{param.name}"
    for key in ("minimum", "maximum"):
        if getattr(param, key) is not None and param.type not in ("integer", "number"):
            notes.add(path + (key,), f"{name}: {key} is for numbers, and this is of type {param.type}", "remove it, or write type: integer")
        elif not is_finite(getattr(param, key)):
            notes.add(path + (key,), f"{name}: {key} is not a number", "write digits, such as 0.5, or remove it")
    if param.minimum is not None and param.maximum is not None and param.minimum > param.maximum:
        notes.add(path + ("minimum",), f"{name}: the minimum {param.minimum} is more than the maximum {param.maximum}", "exchange them")
    if param.pattern is not None:
        try:
            re.compile(param.pattern)
        except re.error as error:
            notes.add(path + ("pattern",), f"{name}: the pattern is no regular expression: {error}", "a sign such as [ ( * + stands for itself behind a backslash")
        if param.type not in ("string", "date"):
            notes.add(path + ("pattern",), f"{name}: a pattern is for texts, and this is of type {param.type}", "remove it, or write type: string")
    for n, choice in enumerate(param.enum or ()):
        if not _of_type(param, choice):
            notes.add(path + ("enum", n), f"{name}: {choice!r} is not of type {param.type}", f"write values of that type, or type: {_type_of(choice)}")
    return not notes.is_bad(path)


def _of_type(param: model.Param, value: Any) -> bool:
    try:
        check_value(model.Param(param.name, param.type), value)
        return True
    except ValueError:
        return False


def _type_of(value: Any) -> str:
    return getattr(build.param("x", value), "type", "string") if not isinstance(value, dict) else "object"


def _check_default(param: model.Param, body: Any, path: Path, notes: Notes) -> None:
    try:
        check_value(param, param.default)
    except ValueError as error:
        place = path + ("default",) if isinstance(body, dict) else path
        notes.add(place, f"params.{param.name}: the default {param.default!r} {error}", _default_hint(param))


def _default_hint(param: model.Param) -> str:
    value = param.default
    if value is None:
        return "leave default: out for a parameter that must be given"
    if not is_finite(value):
        return "write digits, such as 0.5"
    if param.type == "boolean":
        return "write true or false"
    if param.enum is not None and _of_type(param, value):
        near = words.nearest(str(value), [str(choice) for choice in param.enum])
        return f"did you mean {near}?" if near else "add it to enum:, or choose another default"
    if not _of_type(param, value) and param.type != "date":
        return f"write a default of that type, or type: {_type_of(value)}"
    return "change one of the two" if param.type != "date" else "write a day such as 2026-02-28"


def _check_spelling(param: model.Param, body: Any, path: Path, notes: Notes) -> None:
    written = body.get("default") if isinstance(body, dict) else body
    if isinstance(written, float) and param.type == "string" and isinstance(param.default, str):
        either = f", or {{type: number, default: {float(written)!r}}}" if is_finite(written) else ""
        notes.add(path + ("default",), f"params.{param.name}: {written} is kept as text: as a number it would be {float(written)!r}",
                  f'write "{written}" in quotes' + either, severity="warning")


def check_required(params: Mapping[str, model.Param], found: Optional[model.Schedule], notes: Notes) -> None:
    """A run that the schedule starts has nobody to give it a value."""
    for name, param in params.items():
        if found is not None and param.required:
            notes.add(("params", name), f"params.{name} has no default, so no scheduled run can start", "add default:, or remove schedule:", at_key=True, severity="warning")


# ----------------------------------------------------------------------------------------------------------- schedule


def check_schedule(data: Mapping[str, Any], site: Any, notes: Notes) -> Optional[model.Schedule]:
    value, zone = data.get("schedule"), data.get("timezone", site.timezone)
    if any(notes.is_bad((key,)) for key in ("schedule", "timezone", "start_date", "end_date")):
        if notes.is_bad(("schedule",)) or notes.is_bad(("timezone",)):
            return None
    bounds = [data.get(key) if isinstance(data.get(key), str) else None for key in ("start_date", "end_date")]
    if isinstance(value, str) and value[:1] in tuple(_TYPOGRAPHIC):
        notes.add(("schedule",), f"schedule: {value[0]} is no quote for YAML", f'write ordinary quotes: "{value.strip(_TYPOGRAPHIC)}"')
        return None
    found, faults = schedule.parse(value, zone, *bounds)
    for fault in faults:
        path: Path = (fault.key,) if fault.key in data else ("schedule",) if "schedule" in data else ()
        inside = isinstance(value, dict) and path == ("schedule",) and "every" in value
        mark = None
        if fault.offset and path and isinstance(data.get(path[0]), str):
            mark = notes.marks.in_text(path, 1, fault.offset + 1)
        notes.add(path + ("every",) if inside else path, fault.message, fault.hint, mark=mark, severity=fault.severity)
    return found
