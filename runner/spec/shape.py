"""What the schema finds wrong with a file's shape, each fault as a sentence of ours with what to write instead (D30)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, List, Mapping, Sequence, Tuple

from runner import steps
from runner.spec import quick, schema, words
from runner.spec.notes import Notes, Path, name_of, place_of

_TYPE_WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
    "object": "a mapping", "null": "nothing",
}
_FIRST_STEP = "begin with:\nsteps:\n  - id: first\n    bash: echo hello"
_ONE_STEP = "a step is a mapping:\n- id: a_name\n  bash: the command"
DURATIONS = ("retry_delay", "max_retry_delay", "timeout", "kill_grace")
_NUMBERS = {"none": 0, "no": 0, "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}


@lru_cache(maxsize=1)
def _quick():
    return quick.compiled(schema.build())


@lru_cache(maxsize=1)
def _validator():
    from jsonschema import Draft202012Validator, validators  # here: its import is long, and a good file has no need of it

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool))
    return validators.extend(Draft202012Validator, type_checker=checker)(schema.build())  # 2.0 is no whole number


def check(data: Any, notes: Notes, part: bool = False) -> None:
    """Note every fault of shape. Faults that hide another, such as a wrong type a wrong choice, are told alone.

    `part`: of a file that others take, where what is missing may come from them.
    """
    if not isinstance(data, dict):
        _not_a_mapping(data, notes)
        return
    if _quick()(data):
        return
    for error in _validator().iter_errors(data):
        if not (part and error.validator in ("anyOf", "required", "oneOf")):
            _tell(error, notes, data)


def _not_a_mapping(data: Any, notes: Notes) -> None:
    if data is None:
        if not notes.shaky:
            notes.add((), "the file is empty", _FIRST_STEP)
    elif isinstance(data, list):
        notes.add((), "a pipeline file is a mapping, this is a list", "put steps: above the list")
    elif isinstance(data, str) and len(data.split()) > 5 and all(word[:1] in "*0123456789" for word in data.split()[:5]):
        cron = " ".join(data.split()[:5])
        notes.add((), "this is a line of a crontab, not a pipeline", f'write:\nschedule: "{cron}"\nsteps:\n  - id: first\n    bash: {" ".join(data.split()[5:])}')
    elif isinstance(data, str) and "\uff1a" in data:
        notes.add((), "a full-width colon (U+FF1A) is no colon for YAML", "write an ordinary colon and a space: 'key: value'")
    else:
        notes.add((), f"a pipeline file is a mapping, this is {_kind_of(data)}", _FIRST_STEP)


def _tell(error, notes: Notes, data: Any) -> None:
    path: Path = tuple(error.absolute_path)
    kind, wanted, value = error.validator, error.validator_value, error.instance
    if kind == "additionalProperties":
        _unknown_keys(path, value, error.schema, notes)
    elif kind == "oneOf":
        return  # no kind of step, or two: said by the second pass
    elif kind == "anyOf":
        _missing(path, "steps", value, notes)
    elif kind == "required":
        for key in wanted:
            if key not in value:
                _missing(path, key, value, notes)
    elif kind == "type":
        named = _or([_TYPE_WORDS[each] for each in _listed(wanted) if each != "null"])
        notes.add(path, f"{name_of(path)}: must be {named}, not {_kind_of(value)}", _type_hint(path, _listed(wanted), value, data, notes))
    elif kind == "enum":
        if not _wrong_type(value, error.schema):
            _choice(path, value, wanted, notes)
    elif not _wrong_type(value, error.schema):
        notes.add(path, *_limit(path, kind, wanted, value))


def _wrong_type(value: Any, shape: Mapping[str, Any]) -> bool:
    return "type" in shape and not fits(value, _listed(shape["type"]))


def fits(value: Any, wanted: Sequence[str]) -> bool:
    """Whether a value is of one of these types of JSON."""
    if isinstance(value, bool):
        return "boolean" in wanted
    names = {"string": str, "object": dict, "array": list, "null": type(None), "integer": int, "number": (int, float)}
    return not wanted or any(isinstance(value, names[kind]) for kind in wanted if kind in names)


def _choice(path: Path, value: Any, wanted: Sequence[Any], notes: Notes) -> None:
    choices = [str(choice) for choice in wanted if isinstance(choice, str)]
    foreign = words.VALUES.get(path[-1] if path else "", {})
    near = words.nearest(str(value), choices)
    hint = foreign.get(str(value).lower(), f"did you mean {near}?" if near else f"write one of them, such as {choices[0]}")
    notes.add(path, f"{name_of(path)}: {_shown(value)} is not one of {', '.join(choices)}", hint)


def _limit(path: Path, kind: str, wanted: Any, value: Any) -> Tuple[str, str]:
    name = name_of(path)
    if kind == "pattern" and wanted == schema.STEP_ID:
        return f"id: {value!r} is no name for a step", _id_hint(value)
    if kind == "minimum":
        return f"{name}: {value} is less than {wanted}", f"write {wanted} or more"
    if kind == "maximum":
        return f"{name}: {value} is more than {wanted}", f"write {wanted} or less"
    if kind in ("minItems", "minLength", "minProperties"):
        return f"{name}: must not be empty", _FIRST_STEP if path == ("steps",) else "write a value, or remove the line"
    return f"{name}: {value!r} does not fit {kind} {wanted!r}", ""


def _id_hint(value: str) -> str:
    rule = "letters, digits, _ and - only, beginning with a letter, digit or _"
    if "<<" in value:
        return "an id is fixed: templates stand in bodies, env: and cwd:"
    better = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in value.strip()).lstrip("-").strip("_")
    return f"write {better}: {rule}" if better else rule


# --------------------------------------------------------------------------------------------------------------- keys


def _unknown_keys(path: Path, value: Mapping[str, Any], shape: Mapping[str, Any], notes: Notes) -> None:
    allowed = list(shape.get("properties", {}))
    place = f" in {place_of(path)}" if path else ""
    for key in value:
        if key not in allowed and not (not path and key.startswith("x-")):
            notes.add(path + (key,), f"unknown key {key!r}{place}", _key_hint(path, key, value, allowed), at_key=True)


def _key_hint(path: Path, key: str, value: Mapping[str, Any], allowed: List[str]) -> str:
    name, colon, rest = key.partition(":")
    if colon and value[key] is None and name in allowed:
        return f"a blank is missing: write {name}: {rest}"
    if not path:
        return _top_hint(key, allowed)
    if path == ("defaults",):
        foreign = {**words.STEP, **words.DEFAULTS}
        return f"each step says {key}: itself" if key in schema.STEP_KEYS or key in steps.KINDS else words.hint(key, allowed, foreign)
    if key in words.RETRIES and (path[:1] == ("steps",) or path == ("defaults",)) and type(value[key]) is int:
        return f"write retries: {value[key]}"
    if len(path) == 2 and path[0] == "steps":
        return _step_hint(key, value, allowed)
    if len(path) == 2 and path[0] == "params":
        return _param_hint(path[1], key, value, allowed)
    if path == ("schedule",):
        return words.SCHEDULE.get(key, 'write a cron expression, schedule: "0 1 * * *", or {every: 3d}')
    if key in schema.STEP_KEYS and key not in words.BODY:
        return f"{key}: belongs to the step: write it beside id:"
    return words.hint(key, allowed, words.BODY) if allowed else "remove it"


def _top_hint(key: str, allowed: List[str]) -> str:
    if key.startswith("+"):
        return f"a step of Digdag: write it under steps: as  - id: {key[1:]}"
    if key in steps.KINDS or key == "id":
        return f"{key}: belongs to a step, under steps:" if key in steps.KINDS else words.TOP[key]
    if key in schema.STEP_KEYS and key not in words.TOP:
        return f"{key}: belongs to a step" + (", or under defaults:" if key in schema.DEFAULT_KEYS else "")
    return words.hint(key, allowed, {**words.STEP, **words.TOP})


def _step_hint(key: str, step: Mapping[str, Any], allowed: List[str]) -> str:
    kind = next((each for each in step if each in steps.KINDS), None)
    if kind and key in steps.KINDS[kind].SCHEMA.get("properties", {}):
        if step[kind] is None:
            return f"it belongs under {kind}: indent {key}: deeper than {kind}:"
        if not isinstance(step[kind], str):
            return f"{key}: belongs inside {kind}:"
        if any("exclude" in message for _, message, _ in steps.KINDS[kind].check({schema.short_key(kind): step[kind], key: "x"})):
            return f"the step has its text behind {kind}: already; for a file write {kind}: {{{key}: ...}} alone"
        return f"write it inside: {kind}: {{{schema.short_key(kind)}: ..., {key}: ...}}"
    if key.startswith("x-"):
        return "keys with x- stand at the top of the file"
    if key in schema.TOP_KEYS and key not in words.STEP:
        return f"{key}: belongs to the whole file, beside steps:"
    if key in words.STEP or words.nearest(key, allowed):
        return words.hint(key, allowed, words.STEP)
    if kind is None:
        return f"no such kind of step; there are: {', '.join(steps.KINDS)}"
    return words.hint(key, [each for each in allowed if each not in steps.KINDS], {})


def _param_hint(name: str, key: str, value: Mapping[str, Any], allowed: List[str]) -> str:
    if key in words.PARAM or words.nearest(key, allowed):
        return words.hint(key, allowed, words.PARAM)
    return f"a mapping here describes the parameter; as its value write {name}: {{type: object, default: {{...}}}}"


def _missing(path: Path, key: str, value: Mapping[str, Any], notes: Notes) -> None:
    if notes.shaky:
        return
    if key == "steps" and not path:
        near = any(each in words.STEPS or each.startswith("+") or words.nearest(each, schema.TOP_KEYS) == "steps" for each in value)
        if not near:  # whose own message says it
            notes.add(path, "the file has no steps:", "add:\nsteps:\n  - id: first\n    bash: echo hello")
    elif key == "id":
        if not set(value) & {"task_id", "name", "step"}:
            notes.add(path, "the step has no id:", "begin it with  - id: a_name")
    else:
        notes.add(path, f"{name_of(path)}: {key}: is missing", f"add {key}:")


# -------------------------------------------------------------------------------------------------------------- types


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {_shown(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else repr(value[:37] + "...")
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _listed(wanted: Any) -> List[str]:
    return wanted if isinstance(wanted, list) else [wanted]


def _type_hint(path: Path, wanted: Sequence[str], value: Any, data: Any, notes: Notes) -> str:
    if path == ("steps",):
        return _steps_hint(value)
    if len(path) == 2 and path[0] == "steps":
        return _ONE_STEP
    if len(path) == 3 and path[0] == "steps" and path[2] in steps.KINDS:
        return _body_hint(path[2], value, data["steps"][path[1]])
    if value is None:
        if notes.written(path) == "~" and "string" in wanted:
            return 'a bare ~ is nothing in YAML: write "~", with the quotes'
        if len(path) == 2 and path[0] == "params":
            return f"write a default behind the colon, or {path[1]}: {{type: string}} for one that must be given"
        return "write an empty text as \"\"" if "env" in path[:-1] else "write the value behind the colon, or remove the line"
    if path[-1] in DURATIONS:
        return "write 90 (seconds), 30s, 5m, 1h30m or 2d"
    if len(path) == 3 and path[::2] == ("steps", "needs") and isinstance(value, int):
        return _need_hint(value, data["steps"], path[1])
    return _schedules_hint(value) if path == ("schedule",) and isinstance(value, list) else _value_hint(path, wanted, value)


def _need_hint(number: int, listed: List[Any], own: int) -> str:
    """For `needs: 0`, the number of a step in place of its id."""
    ids = [step.get("id") for n, step in enumerate(listed) if isinstance(step, dict) and n != own]
    if str(number) in ids:
        return f'quote it: "{number}"'
    named = next((name for name in ids if isinstance(name, str)), "")
    return f"name a step by its id, such as needs: {named}" if named else "remove it: a step that needs no other has no needs:"


def _schedules_hint(value: List[Any]) -> str:
    """For a list of cron lines: one line that says them all, when they differ in one field."""
    lines = [each.split() for each in value if isinstance(each, str)]
    if len(lines) == len(value) == 1:
        return f'write schedule: "{value[0]}"'
    if lines and len(lines) == len(value) and all(len(line) == 5 for line in lines):
        fields = [list(dict.fromkeys(field)) for field in zip(*lines)]
        several = [field for field in fields if len(field) > 1]
        if len(several) == 1 and all(re.fullmatch(r"[\w,-]+", each) for each in several[0]):
            return f'a file has one schedule: write schedule: "{" ".join(",".join(field) for field in fields)}"'
    return 'a file has one schedule: write the times as one, such as "0 1,13 * * *", or make a second pipeline'


def _value_hint(path: Path, wanted: Sequence[str], value: Any) -> str:
    text = value.strip().lower() if isinstance(value, str) else ""
    key = path[-1]
    if "boolean" in wanted and (text in ("yes", "no", "on", "off", "y", "n", "true", "false") or value in (0, 1) and "number" not in wanted):
        return "write " + ("true" if value == 1 or text in ("yes", "on", "y", "true") else "false") + (" without quotes" if text in ("true", "false") else "")
    if {"integer", "number"} & set(wanted) and isinstance(value, str):
        if text.lstrip("-").isdigit():
            return f"write {int(text)} without quotes and leading zeros"
        return f"write {_NUMBERS[text]}" if text in _NUMBERS else "write a number, such as 3"
    if wanted == ["integer"] and isinstance(value, float) and value == value and abs(value) < 1e9:
        return f"write {int(value)} or {int(value) + 1}"
    if key == "timezone":
        return "write a place, such as Asia/Seoul, or UTC"
    if key in ("start_date", "end_date") and len(str(value)) == 8 and isinstance(value, int):
        return f"write {str(value)[:4]}-{str(value)[4:6]}-{str(value)[6:]}"
    if "array" in wanted and isinstance(value, (str, int)):
        return f"write [{', '.join(value.split()) if isinstance(value, str) else value}]"
    if "string" in wanted and isinstance(value, (bool, int, float)):
        return f'quote it: "{_shown(value)}"'
    if key == "kerberos":
        return "write kerberos: {principal: etl@REALM, keytab: /etc/etl.keytab}, or false for none"
    if "object" in wanted and isinstance(value, (list, str)):
        return _mapping_hint(key, value)
    if "array" in wanted and isinstance(value, dict):
        return f"write {key}: [a, b]"
    if "string" in wanted and isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return f"write {value[0]} without the brackets" if isinstance(key, int) else f"write {key}: {value[0]}"
    if isinstance(value, (list, dict)) and not isinstance(key, int):
        return f"write {key}: and one value"
    return "write true or false" if "boolean" in wanted else f"write {_or([_TYPE_WORDS[each] for each in wanted])}"


def _mapping_hint(key: Any, value: Any) -> str:
    first = value if isinstance(value, str) else value[0] if value else ""
    if isinstance(first, str) and "=" in first:
        name, _, rest = first.partition("=")
        return f"write {key}: {{{name}: {rest}}}"
    if isinstance(first, dict):
        return "write NAME: VALUE lines without the - in front"
    return f"write {key}: {{NAME: VALUE}}"


def _steps_hint(value: Any) -> str:
    if isinstance(value, dict) and value:
        first = next(iter(value))
        if first in schema.STEP_KEYS or first in steps.KINDS:
            return "each step begins with a dash:  - id: a_name"
        return f"a list of steps, each with its id:  - id: {first}"
    return _FIRST_STEP


def _body_hint(kind: str, value: Any, step: Mapping[str, Any]) -> str:
    keys = steps.KINDS[kind].SCHEMA.get("properties", {})
    if value is None:
        below = [key for key in step if key in keys and key not in schema.STEP_KEYS]
        return f"indent {below[0]}: deeper than {kind}:" if below else f"write behind {kind}: what is to be run"
    short = schema.short_key(kind)
    if isinstance(value, list) and fits("", _listed(steps.KINDS[kind].SCHEMA["type"])):
        return f"write {kind}: one text; arguments stand in {kind}: {{{short}: ..., args: [...]}}" if "args" in keys else f"write {kind}: one text"
    if isinstance(value, str) and short:
        return f"write {kind}: {{{short}: {_shown(value)[1:-1]}}}"
    return f'quote it: "{_shown(value)}"' if short and not isinstance(value, (list, dict)) else f"write {kind}: alone"
