"""The JSON Schema of a pipeline file, put together from the kinds of step.

One schema for the check, for editors and for the reference. It declares 2020-12 and keeps to what draft-07 reads alike
(semantics D29), since that is what editors understand. The kind of a step is its key, so there is no oneOf, and a fault is
always about the very key that is wrong.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Dict

from runner import steps
from runner.model import TRIGGER_RULES

STEP_ID = "^[A-Za-z0-9_가-힣][A-Za-z0-9_가-힣-]{0,99}$"
PARAM_TYPES = ("string", "integer", "number", "boolean", "date", "list", "object")
_DURATION = {"type": ["string", "number"]}
_EXIT = {"type": "integer", "minimum": 1, "maximum": 255}
_TELL = {
    "type": ["string", "array", "object"], "items": {"type": "string"}, "additionalProperties": False,
    "properties": {
        "alert": {"type": ["string", "array"], "items": {"type": "string"}, "description": "Channels of RUNNER_HOME/alerts.yaml, one or a list."},
        "bash": {"type": "string", "description": "A small script; it may use templates, and RUNNER_ALERT_* tells it what happened."},
    },
}
_DEADLINE = {
    "type": ["string", "number"],
    "description": "Must be done by then: 06:00 (the first one after the run is due), or 5h after it is due. Missed: on_late.",
}
_KERBEROS = {
    "type": ["object", "boolean"], "additionalProperties": False,
    "properties": {
        "principal": {"type": "string", "description": "Such as etl/host@REALM."},
        "keytab": {"type": "string", "description": "A file; a relative path starts at the pipeline's folder."},
    },
}
_ENV = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}

# What a step may say of itself; those of `defaults:` are a part of it.
STEP_KEYS: Dict[str, Dict[str, Any]] = {
    "id": {"type": "string", "pattern": STEP_ID, "description": "The step's name: letters, digits, _ and -."},
    "description": {"type": "string", "description": "What it does, for people."},
    "needs": {
        "type": ["string", "array"], "items": {"type": "string"},
        "description": "The steps that must have ended before, one or a list.",
    },
    "when": {"type": ["string", "boolean"], "description": "Runs only if this is true: \"<< expression >>\"; else the step is skipped."},
    "trigger_rule": {
        "type": "string", "enum": list(TRIGGER_RULES),
        "description": "How the steps it needs must have ended. Default: all_success.",
    },
    "retries": {"type": "integer", "minimum": 0, "maximum": 1000, "description": "Further attempts after a failure. Default: 0."},
    "retry_delay": {**_DURATION, "description": "Wait before the next attempt: 30s, 5m, 1h30m. Default: 5m."},
    "retry_exponential_backoff": {
        "type": ["boolean", "number"], "minimum": 1,
        "description": "The wait grows by this factor each time; true is 2. Default: it stays.",
    },
    "max_retry_delay": {**_DURATION, "description": "The longest wait that backoff may reach. Default: 1h."},
    "retry_jitter": {"type": ["string", "number"], "description": "Spread the wait by this share, such as 10%. Default: 0."},
    "retry_on_exit": {"type": "array", "items": _EXIT, "minItems": 1, "description": "Retry only these exit codes."},
    "retry_not_on_exit": {"type": "array", "items": _EXIT, "description": "Never retry these exit codes."},
    "timeout": {**_DURATION, "description": "An attempt may take this long; then TERM, and KILL after kill_grace."},
    "kill_grace": {**_DURATION, "description": "From TERM to KILL. Default: 30s."},
    "allow_failure": {"type": "boolean", "description": "Its failure fails neither the run nor what follows."},
    "skip_exit": {"type": ["integer", "null"], "minimum": 1, "maximum": 255, "description": "The exit code that means skipped; null for none. Default: 99."},
    "on_lost": {
        "type": "string", "enum": ["retry", "fail"],
        "description": "When the machine died under it: retry as retries allow, or fail at once. Default: retry.",
    },
    "env": {**_ENV, "description": "Environment variables; texts are templates."},
    "inherit_env": {
        "type": ["boolean", "array"], "items": {"type": "string"},
        "description": "The server's environment: all (true, the default), little (false), or these names.",
    },
    "kerberos": {**_KERBEROS, "description": "Its ticket: {principal, keytab}, or false for none. Default: that of the pipeline, then of the settings."},
    "cwd": {"type": "string", "description": "Where it works; a relative path starts at the pipeline's folder. Default: that folder."},
    "template": {"type": "boolean", "description": "false: the body of this step is no template; env and cwd still are. Default: true."},
    "priority_weight": {"type": "integer", "description": "Higher starts first when slots are few. Default: 1."},
    "pool": {"type": "string", "description": "It takes room of this pool; the setting pools: says how much there is."},
    "pool_slots": {"type": "integer", "minimum": 1, "description": "How much room it takes there. Default: 1."},
    "foreach": {
        "type": ["array", "string", "object"], "additionalProperties": False,
        "properties": {
            "from": {"type": "string", "description": "The first day."}, "to": {"type": "string", "description": "The last day."},
            "every": {"type": "string", "description": "The distance in days, such as 7d. Default: 1d."},
        },
        "description": "One mapped step for each item, `<< item >>` in it: a list, an expression that gives one "
                       "(\"<< outputs.list.files >>\"), or days: {from: \"<< month_start_ds >>\", to: \"<< ds >>\"}.",
    },
    "max_parallel": {"type": "integer", "minimum": 1, "description": "With foreach: mapped steps at once. Default: as slots allow."},
    "branch": {
        "type": "boolean",
        "description": "Of the steps that need it only those go on that it names in its output `branch`; the others are skipped.",
    },
    "teardown": {
        "type": ["string", "array"], "items": {"type": "string"}, "minItems": 1,
        "description": "It takes away what these steps have set up: it runs when they and all behind them have ended, however they did, "
                       "also in a run that is stopped, and not when they never ran.",
    },
    "on_failure": {**_TELL, "description": "Who is told when it has failed for good: a channel, a list of them, or {alert: ..., bash: ...}."},
    "on_success": {**_TELL, "description": "The same when it has succeeded."},
    "on_retry": {**_TELL, "description": "The same when it failed and will be tried again. Default: the pipeline's."},
    "on_late": {**_TELL, "description": "The same when its deadline was missed. Default: the pipeline's."},
    "deadline": _DEADLINE,
}
DEFAULT_KEYS = (
    "retries", "retry_delay", "retry_exponential_backoff", "max_retry_delay", "retry_jitter", "retry_on_exit",
    "retry_not_on_exit", "timeout", "kill_grace", "skip_exit", "on_lost", "env", "inherit_env", "cwd", "priority_weight", "pool", "pool_slots",
    "on_failure", "on_success", "on_retry", "on_late",
)  # fmt: skip
PARAM_KEYS: Dict[str, Dict[str, Any]] = {
    "type": {"type": "string", "enum": list(PARAM_TYPES), "description": "Default: that of the default value. A date is 2026-02-28 or 20260228, and 2026-02-28 in the run."},
    "default": {"description": "The value when none is given; without it one must be given."},
    "enum": {"type": "array", "minItems": 1, "description": "The only values allowed."},
    "minimum": {"type": "number", "description": "For numbers."},
    "maximum": {"type": "number", "description": "For numbers."},
    "pattern": {"type": "string", "description": "A regular expression that a text must match."},
    "description": {"type": "string", "description": "For people."},
}
TOP_KEYS: Dict[str, Dict[str, Any]] = {
    "description": {"type": "string", "description": "What the pipeline does, in a line."},
    "doc_md": {"type": "string", "description": "More, as Markdown."},
    "owner": {"type": "string", "description": "Whom to ask."},
    "tags": {"type": ["array", "string"], "items": {"type": "string"}, "description": "Words to find it by."},
    "timezone": {"type": "string", "description": "Zone of its schedule and dates, such as Asia/Seoul. Default: the site's."},
    "schedule": {
        "type": ["string", "object", "null"], "additionalProperties": False,
        "properties": {"every": {"type": ["string", "number"], "description": "A distance: 30m, 2h, 3d, 2w, 1mo."}},
        "description": "A cron expression in quotes, a preset (\"@daily\"), {every: 3d}, or nothing: by hand only.",
    },
    "start_date": {"type": "string", "description": "Not due before this day or moment."},
    "end_date": {"type": "string", "description": "Not due after this day or moment."},
    "catchup": {
        "type": ["string", "boolean"], "enum": ["last", "all", "none", True, False],
        "description": "For times missed while the daemon was down: last, all or none. Default: last.",
    },
    "catchup_limit": {"type": "integer", "minimum": 1, "description": "At most this many of them."},
    "logical_date": {
        "type": "string", "enum": ["due", "interval_start"],
        "description": "due: ds is the day a run starts. interval_start: the day before, as Airflow 2. Default: the site's.",
    },
    "max_active_runs": {"type": "integer", "minimum": 1, "description": "Runs of this pipeline at once. Default: 1."},
    "max_active_steps": {"type": "integer", "minimum": 1, "description": "Steps of one run at once. Default: as slots allow."},
    "depends_on_past": {"type": "boolean", "description": "For the daemon: a date waits until the one before succeeded."},
    "wait_for_downstream": {"type": "boolean", "description": "Airflow's word for the same: here a date always waits for the whole run before."},
    "weight_rule": {
        "type": "string", "enum": ["absolute", "downstream", "upstream"],
        "description": "A step's weight: its own, or with those of all behind it, or of all before it. Default: absolute.",
    },
    "timeout": {**_DURATION, "description": "A whole run may take this long."},
    "on_failure": {**_TELL, "description": "Who is told when a run has failed: a channel of alerts.yaml, a list of them, or {alert: ..., bash: ...}. "
                                           "Default: the site's; [] is nobody."},
    "on_success": {**_TELL, "description": "The same when a run has succeeded."},
    "on_retry": {**_TELL, "description": "The same when a step failed and will be tried again."},
    "on_late": {**_TELL, "description": "The same when a deadline was missed. Default: the site's, else on_failure."},
    "deadline": _DEADLINE,
    "params": {
        "type": "object",
        "additionalProperties": {
            "type": ["string", "number", "boolean", "array", "object"], "additionalProperties": False, "properties": PARAM_KEYS,
        },
        "description": "What may differ from run to run: name: value, or name: {type, default, enum ...}.",
    },
    "kerberos": {**_KERBEROS, "description": "The ticket of every step that does not say otherwise: {principal, keytab}, or false for none."},
    "env": {**_ENV, "description": "Environment variables of every step; texts are templates."},
    "defaults": {"$ref": "#/$defs/defaults", "description": "What holds for every step that does not say otherwise."},
    "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}, "description": "The steps."},
    "extends": {"type": "string", "description": "Another file of which it takes everything that it does not say itself."},
    "include": {
        "type": ["string", "array"], "items": {"type": "string"},
        "description": "Files whose steps, params, env and defaults it takes; the steps come before its own.",
    },
}


@lru_cache(maxsize=1)
def build() -> Dict[str, Any]:
    """The whole schema."""
    kinds = {name: module.SCHEMA for name, module in steps.KINDS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "runner pipeline",
        "type": "object",
        "anyOf": [{"required": ["steps"]}, {"required": ["extends"]}, {"required": ["include"]}],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Yours: for YAML anchors, read by nobody."}},
        "properties": {**TOP_KEYS, "defaults": {"$ref": "#/$defs/defaults"}},  # draft-07 reads nothing beside a $ref
        "$defs": {
            "defaults": {
                "type": "object", "additionalProperties": False,
                "description": TOP_KEYS["defaults"]["description"],
                "properties": {name: STEP_KEYS[name] for name in DEFAULT_KEYS},
            },
            "step": {
                "type": "object", "required": ["id"], "additionalProperties": False,
                "description": "A step: its id, what it needs, and one key that says what it does.",
                "properties": {**STEP_KEYS, **kinds},
                # For editors, the check says it in words of its own. None at all: the rest comes from a file that is extended.
                "oneOf": [*({"required": [name]} for name in kinds), {"not": {"anyOf": [{"required": [name]} for name in kinds]}}],
            },
        },
    }


def short_key(kind: str) -> str:
    """The key of a body that its short form, plain text, stands for; for a kind without one, its first key."""
    inline = getattr(steps.KINDS[kind], "INLINE", None)
    return inline[0] if inline else next(iter(steps.KINDS[kind].SCHEMA.get("properties", {})), "")


def text() -> str:
    """As it stands in schemas/pipeline.schema.json."""
    return json.dumps(build(), ensure_ascii=False, indent=2) + "\n"
