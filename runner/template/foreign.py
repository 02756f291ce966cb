"""Words of other systems, and what to write for them. Imports no Jinja.

`{{ ds }}`: surely meant for us by somebody who comes from Airflow. A warning, since `{{ }}` belongs to other tools too
(`docker --format`, Ansible, dbt), and only for names that such tools do not have.
"""

from __future__ import annotations

import re
from typing import Iterable, List

from runner.template.lexer import Places, TemplateFault
from runner.template.names import NAMES

_XCOM = "write << outputs.STEP.KEY >>; a step hands values on by writing key=value lines to $RUNNER_OUTPUT"
WORDS = {  # words of other systems -> ours
    "ti": _XCOM, "task_instance": _XCOM,
    "dag": "write << pipeline >>", "dag_run": "write << run.name >>, or << params.NAME >> for its conf",
    "task": "write << step >>", "env": "write $NAME: the environment reaches every step",
    "prev_execution_date": "write << data_interval_start >>", "next_execution_date": "write << data_interval_end >>",
    "prev_data_interval_start_success": "write << prev_success.data_interval_start >>",
    "prev_data_interval_end_success": "write << prev_success.data_interval_end >>",
    "session_date": "write << ds >>", "session_time": "write << ts >>",
    "now": "nothing here may ask the clock: write << ds >> or << ts >>",
    "today": "nothing here may ask the clock: write << ds >>",
    "dateutil": "write relativedelta(months=1)", "time": "nothing here may ask the clock: write << ts >>",
}  # fmt: skip
OF_DATES = {  # what others ask of a date -> what may be asked of ours
    "format": "strftime('%Y-%m-%d')", "to_date_string": "strftime('%Y-%m-%d')", "to_datetime_string": "strftime('%Y-%m-%d %H:%M:%S')",
    "to_iso8601_string": "isoformat()", "day_of_week": "weekday()", "int_timestamp": "timestamp() | int", "epoch": "timestamp() | int",
    "subtract_days": "subtract(days=1)", "add_days": "add(days=1)", "astimezone": "in_timezone('UTC')",
}  # fmt: skip
_BRACES = re.compile(r"\{\{-?[ \t]*(([A-Za-z_]\w*)((?:\.\w+)*)[^{}\n]{0,200}?)[ \t]*-?\}\}")
_ELSEWHERE = frozenset({"run", "step", "pipeline", "params", "outputs", "item", "datetime", "timedelta"})  # words of other tools too
_AIRFLOW = ("ti.xcom_pull", "task_instance.", "dag_run.", "var.value.", "var.json.", "dag.dag_id")
_COMMENT = re.compile(r"[ \t]*(#|--)")


def find(text: str, params: Iterable[str]) -> List[TemplateFault]:
    places, out = Places(text), []
    for match in _BRACES.finditer(text):
        inside, name, rest = match.groups()
        ours = name in NAMES - _ELSEWHERE or (name == "params" and rest[1:].split(".")[0] in params)
        if not (ours or inside.startswith(_AIRFLOW)) or _COMMENT.match(text, text.rfind("\n", 0, match.start()) + 1):
            continue
        hint = f"write << {inside} >>" if ours else WORDS[name]
        out.append(places.fault(match.start(), f"{match.group()} is not a template here and stays as it is", hint, "warning"))
    return out
