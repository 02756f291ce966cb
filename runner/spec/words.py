"""Other systems' words and ours: what people type who come from Airflow, cron, Dagu, Digdag, GitHub Actions, Oozie."""

from __future__ import annotations

import difflib
import re
import textwrap
from typing import Dict, Iterable, Mapping

# word -> what to write here. Keys of the whole file, then keys of a step, then words for either.
_HOOK = "write on_failure: with a channel of alerts.yaml, or on_failure: {bash: ...}"
_MAIL = "write on_failure: with a channel of RUNNER_HOME/alerts.yaml, where mail addresses stand"
_LATE = "write deadline: \"06:00\", or deadline: 5h after the run is due"
_POOL = "write it in a step, or under defaults: for all steps"
_NO_XCOM = "remove it: a step hands values on by writing key=value lines to the file $RUNNER_OUTPUT"
_LATER = "this kind of step comes with a later version; today: bash: with the command that does it"

TOP: Dict[str, str] = {
    "cron": "write schedule: \"0 1 * * *\"",
    "schedule_interval": "write schedule: \"0 1 * * *\", or a preset such as \"@daily\"",
    "dag_id": "the pipeline's name is the file's name: remove this line",
    "name": "the pipeline's name is the file's name: remove this line",
    "id": "the pipeline's name is the file's name: remove this line",
    "default_args": "write defaults:",
    "tz": "write timezone: Asia/Seoul",
    "timezone_name": "write timezone:",
    "tasks": "write steps:",
    "jobs": "write steps:",
    "nodes": "write steps:",
    "task": "write steps:",
    "workflow": "write steps:",
    "on": "write schedule:",
    "variables": "write params: for what changes from run to run, env: for the environment",
    "vars": "write params:",
    "parameters": "write params:",
    "inputs": "write params:",
    "labels": "write tags:",
    "desc": "write description:",
    "comment": "write description:",
    "group": "write tags: [name]",
    "doc": "write doc_md:",
    "dagrun_timeout": "write timeout: for the whole run",
    "timeout_sec": "write timeout: 90s",
    "timeoutSec": "write timeout: 90s",
    "concurrency": "write max_active_steps:",
    "max_active_tasks": "write max_active_steps:",
    "maxActiveRuns": "write max_active_runs:",
    "maxActiveSteps": "write max_active_steps:",
    "environment": "write env:",
    "is_paused_upon_creation": "remove it: nothing runs here before somebody says so",
    "render_template_as_native_obj": "remove it",
    "template_searchpath": "remove it: relative paths start at the pipeline's folder",
    "on_failure_callback": _HOOK,
    "sla": _LATE,
    "handler_on": "write on_failure: or on_success:; for what must be done in any case, a step with trigger_rule: all_done",
    "catchup_window": "write catchup: last, all or none, and catchup_limit:",
    "_export": "write params: or env:",
    "version": "remove it: a file has no version of its own",
    "type": "remove it",
    "image": "containers are not used: steps run on this server",
    "import": "write include: [_parts.yaml]",
    "includes": "write include: [_parts.yaml]",
    "extend": "write extends: _base.yaml",
    "inherits": "write extends: _base.yaml",
    "base": "write extends: _base.yaml",
    "abstract": "begin the file's name with _: then it is a part of others, and no pipeline",
    "catch_up": "write catchup: last, all or none",
    "startdate": "write start_date:",
    "enddate": "write end_date:",
    "on_success_callback": "write on_success: with a channel of alerts.yaml, or on_success: {bash: ...}",
    "mailto": _MAIL,
    "MAILTO": _MAIL,
    "email": _MAIL,
    "mail_on": _MAIL,
    "smtp": _MAIL,
    "handlerOn": "write on_failure: or on_success:; for what must be done in any case, a step with trigger_rule: all_done",
    "pool": _POOL,
    "queue": "write it under spark-submit: or hive:",
    "start": "write start_date:",
    "end": "write end_date:",
}
STEP: Dict[str, str] = {
    "task_id": "write id:",
    "name": "write id:",
    "step": "write id:",
    "type": "the key itself is the kind: bash: ..., python: ..., spark-submit: {...}, hive: {...}",
    "operator": "the key itself is the kind: bash: ..., python: ..., spark-submit: {...}, hive: {...}",
    "executor": "the key itself is the kind: bash: ..., python: ...",
    "uses": "the key itself is the kind: bash: ..., python: ...",
    "action": "the key itself is the kind: bash: ..., python: ...",
    "depends_on": "write needs:",
    "depends": "write needs:",
    "dependsOn": "write needs:",
    "dependencies": "write needs:",
    "upstream": "write needs:",
    "after": "write needs:",
    "require": "write needs:",
    "requires": "write needs:",
    "command": "write bash: the command",
    "cmd": "write bash: the command",
    "run": "write bash: the command",
    "script": "write bash: {script: file.sh}, or python: {script: file.py}",
    "sh": "write bash: the command",
    "shell": "write bash: {run: ..., shell: ...}",
    "sh>": "write bash:",
    "py>": "write python:",
    "bash_command": "write bash: the command",
    "python_callable": "write python: {function: \"module:name\"}",
    "op_args": "write python: {args: [...]}",
    "op_kwargs": "write python: {kwargs: {...}}",
    "pyspark": "write spark-submit: {application: file.py}",
    "spark": "write spark-submit: {application: file.py}",
    "spark_submit": "write spark-submit: with a hyphen",
    "sparksubmit": "write spark-submit: with a hyphen",
    "hql": "write hive: the statements, or hive: {file: x.hql}",
    "sql": "write hive: the statements; other databases come with a later version",
    "beeline": "write hive: {client: beeline, url: ...}",
    "empty": "write noop: {}",
    "dummy": "write noop: {}",
    "execution_timeout": "write timeout:",
    "timeout_sec": "write timeout: 90s",
    "timeout-minutes": "write timeout: 90m",
    "retry": "write retries: 2 and retry_delay: 5m",
    "_retry": "write retries: 2 and retry_delay: 5m",
    "retry_policy": "write retries:, retry_delay:, retry_exponential_backoff:",
    "retryPolicy": "write retries:, retry_delay:, retry_exponential_backoff:",
    "retry_limit": "write retries:",
    "max_retries": "write retries:",
    "retry_interval": "write retry_delay:",
    "backoff": "write retry_exponential_backoff: 2",
    "max_delay": "write max_retry_delay:",
    "skip_on_exit_code": "write skip_exit: 99",
    "skip_exit_code": "write skip_exit: 99",
    "continue_on": "write allow_failure: true",
    "continueOn": "write allow_failure: true",
    "continue-on-error": "write allow_failure: true",
    "ignore_errors": "write allow_failure: true",
    "soft_fail": "write allow_failure: true",
    "precondition": "write when: \"<< expression >>\"",
    "preconditions": "write when: \"<< expression >>\"",
    "condition": "write when: \"<< expression >>\"",
    "if": "write when: \"<< expression >>\"",
    "if>": "write when: \"<< expression >>\"",
    "dir": "write cwd:",
    "working_dir": "write cwd:",
    "working-directory": "write cwd:",
    "workdir": "write cwd:",
    "environment": "write env:",
    "append_env": "write inherit_env:",
    "priority": "write priority_weight:",
    "output": "a step hands values on by writing key=value lines to the file $RUNNER_OUTPUT",
    "trigger": "write trigger_rule:",
    "weight_rule": "write it at the top of the file: it holds for the pipeline",
    "wait_for_downstream": "write it at the top of the file: it holds for the pipeline",
    "email_on_failure": _MAIL,
    "email_on_retry": "write on_retry: with a channel of RUNNER_HOME/alerts.yaml, where mail addresses stand",
    "mailOnError": _MAIL,
    "do_xcom_push": _NO_XCOM,
    "xcom_push": _NO_XCOM,
    "provide_context": "remove it: every step has the names of its run",
    "docker": _LATER,
    "container": _LATER,
    "image": _LATER,
    "jdbc": _LATER,
    "mail": "write email:",
    "mail>": "write email:",
    "scp": "write sftp:",
    "http>": "write http:",
    "call": _LATER,
    "call>": _LATER,
    "trigger-pipeline": _LATER,
    "trigger_dag_id": _LATER,
    "signal_on_stop": "remove it: TERM is sent, and KILL after kill_grace:",
    "stdout": "remove it: what a step prints is its log",
    "stderr": "remove it: what a step prints is its log",
    "timeoutSec": "write timeout: 90s",
    "mem": "remove it",
    "queue": "write it under spark-submit: or hive:",
    "sla": _LATE,
    "doc_md": "write description:",
    "desc": "write description:",
    "comment": "write description:",
    "on_failure_callback": _HOOK,
}

# Keys that hold the steps in other systems.
STEPS = frozenset({"tasks", "jobs", "nodes", "workflow", "task", "stages", "actions"})
DEFAULTS: Dict[str, str] = {
    "owner": "owner: belongs to the whole file, beside steps:",
    "start_date": "start_date: belongs to the whole file, beside steps:",
    "end_date": "end_date: belongs to the whole file, beside steps:",
    "timezone": "timezone: belongs to the whole file, beside steps:",
    "schedule": "schedule: belongs to the whole file, beside steps:",
    "depends_on_past": "depends_on_past: belongs to the whole file, beside steps:",
}
SCHEDULE: Dict[str, str] = {
    "cron": "write the expression itself: schedule: \"0 1 * * *\"",
    "daily>": "write schedule: \"0 1 * * *\" for 01:00 each day",
    "hourly>": "write schedule: \"30 * * * *\" for minute 30 of each hour",
    "cron>": "write the expression itself: schedule: \"0 1 * * *\"",
    "start": "write schedule: \"0 1 * * *\" for 01:00 each day",
}
PARAM: Dict[str, str] = {
    "required": "a parameter without default: must be given: remove this",
    "optional": "a parameter with default: may be left out: remove this",
    "choices": "write enum: [a, b]", "values": "write enum: [a, b]", "options": "write enum: [a, b]",
    "min": "write minimum:", "max": "write maximum:", "regex": "write pattern:", "value": "write default:", "desc": "write description:",
    "title": "write description:", "format": "write type: date for days", "examples": "write description:",
}  # fmt: skip
BODY: Dict[str, str] = {
    "command": "write run: the command", "cmd": "write run: the command", "bash_command": "write run: the command",
    "inline": "write run: or code:", "path": "write script:", "arguments": "write args: [...]", "application_args": "write args: [...]",
    "op_args": "write args: [...]", "op_kwargs": "write kwargs: {...}", "callable": "write function: \"module:name\"",
    "python_callable": "write function: \"module:name\"", "module": "write function: \"module:name\"", "hql": "write sql: the statements",
    "query": "write sql: the statements", "hiveconfs": "write hiveconf: {NAME: VALUE}", "variables": "write hivevar: {NAME: VALUE}",
    "env_vars": "write env: beside id:", "java_class": "write class:", "main_class": "write class:", "app": "write application:",
    "main": "write application:", "jar": "write application: for the program, jars: for what it needs", "yarn_queue": "write queue:",
    "timeout_sec": "write timeout: beside id:", "venv": "write interpreter: venv/bin/python", "python": "write interpreter:",
}  # fmt: skip
# Key -> wrong value, in lower case -> what to write.
VALUES: Dict[object, Dict[str, str]] = {
    "type": {
        "int": "write integer", "str": "write string", "text": "write string", "float": "write number", "double": "write number",
        "bool": "write boolean", "array": "write list", "dict": "write object", "map": "write object", "json": "write object",
        "datetime": "write date for a day, string for a moment",
    },
    "trigger_rule": {
        "dummy": "write always", "none_failed_or_skipped": "write none_failed_min_one_success", "all_skipped": "write all_done and when:",
        **dict.fromkeys(("all_finished", "all_ended", "all_complete", "all_completed", "finished", "ended", "done", "completed"), "write all_done"),
        **dict.fromkeys(("one_done", "one_finished", "any_done", "any_finished"), "write one_success or one_failed, or all_done to wait for all of them"),
        **dict.fromkeys(("success", "succeeded", "on_success", "all_succeeded", "all_successful"), "write all_success"),
        **dict.fromkeys(("failed", "failure", "on_failure", "any_failed"), "write one_failed, or all_failed"), "any_success": "write one_success",
    },
    "catchup": {"yes": "write all", "on": "write all", "no": "write last, or none", "off": "write last, or none", "latest": "write last"},
    "logical_date": {"start": "write interval_start", "end": "write due", "interval_end": "write due", "data_interval_start": "write interval_start"},
    "on_lost": {"ignore": "write fail, and allow_failure: true", "restart": "write retry"},
    "client": {"impala": "Impala is not known here: use bash: impala-shell ...", "hiveserver2": "write beeline"},
}  # fmt: skip
RETRIES = frozenset({"retry", "_retry", "max_retries", "retry_limit"})  # with a number: how often again
_WIDTH = 100


_SAYS_KIND = tuple(f"write {kind}" for kind in ("bash", "python", "spark-submit", "hive", "noop", "email", "sftp", "http")) + ("the key itself", _LATER)


def is_about_kind(key: str, ours: Iterable[str]) -> bool:
    """Whether the message about an unknown key of a step speaks of what the step does; `ours`: keys that say other things."""
    if key in STEP:
        return any(words in STEP[key] for words in _SAYS_KIND)
    return not nearest(key, ours)


def hint(word: str, allowed: Iterable[str], foreign: Mapping[str, str]) -> str:
    """What to write instead of an unknown key: the foreign word's translation, a near word of ours, or all of them."""
    names = sorted(allowed)
    if word in foreign:
        return foreign[word]
    for same in (word.replace("-", "_"), word.replace("_", "-"), _snake(word)):
        if same in names:
            return f"write {same}:"
        if same in foreign:
            return foreign[same]
    near = nearest(word, names)
    return f"did you mean {near}?" if near else _wrapped("known here: " + ", ".join(names))


def _snake(word: str) -> str:
    """retryDelay -> retry_delay, RETRIES -> retries"""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", word).lower()


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that was surely meant, or ""."""
    by_plain = {name.lower().replace("_", ""): name for name in names}
    found = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), list(by_plain), 1, 0.65)
    return by_plain[found[0]] if found else ""
