"""Other systems' words and ours: what people type who come from Airflow, cron, Dagu, Digdag, GitHub Actions, Oozie."""

from __future__ import annotations

import difflib
from typing import Dict, Iterable

# word -> what to write here. Keys of the whole file, then keys of a step, then words for either.
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
    "on_failure_callback": "hooks come with a later version; today: a step with trigger_rule: one_failed",
    "sla": "deadlines come with a later version; today: timeout:",
    "handler_on": "write a step with trigger_rule: one_failed (failure) or all_done (exit)",
    "catchup_window": "write catchup: last, all or none, and catchup_limit:",
    "_export": "write params: or env:",
    "+": "a step is an entry of the list steps:, with id:",
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
    "pool": "pools come with the daemon; today: max_active_steps: of the pipeline",
    "queue": "write it under spark-submit: or hive:",
    "sla": "deadlines come with a later version; today: timeout:",
    "doc_md": "write description:",
    "on_failure_callback": "hooks come with a later version; today: a step with trigger_rule: one_failed",
}


def hint(word: str, allowed: Iterable[str], foreign: Dict[str, str]) -> str:
    """What to write instead of an unknown key: the foreign word's translation, a near word of ours, or all of them."""
    names = sorted(allowed)
    if word in foreign:
        return foreign[word]
    if word.replace("-", "_") in names:
        return f"write {word.replace('-', '_')}:"
    near = nearest(word, names)
    if near:
        return f"did you mean {near}?"
    return "allowed here: " + ", ".join(names)


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that was surely meant, or ""."""
    by_lower = {name.lower().replace("_", ""): name for name in names}
    found = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), list(by_lower), 1, 0.6)
    return by_lower[found[0]] if found else ""


