"""`{{ ds }}`: surely meant for us by somebody who comes from Airflow. A warning, since `{{ }}` belongs to other tools too
(`docker --format`, Ansible, dbt), and only for names that such tools do not have. Imports no Jinja."""

from __future__ import annotations

import re
from typing import Iterable, List

from runner.template.lexer import Places, TemplateFault
from runner.template.names import NAMES

_BRACES = re.compile(r"\{\{-?[ \t]*(([A-Za-z_]\w*)((?:\.\w+)*)[^{}\n]{0,200}?)[ \t]*-?\}\}")
_ELSEWHERE = frozenset({"run", "step", "pipeline", "params", "outputs", "datetime", "timedelta"})  # words of other tools too
_AIRFLOW = ("ti.xcom_pull", "task_instance.", "dag_run.", "var.value.", "var.json.", "dag.dag_id")
_COMMENT = re.compile(r"[ \t]*(#|--)")


def find(text: str, params: Iterable[str]) -> List[TemplateFault]:
    places, out = Places(text), []
    for match in _BRACES.finditer(text):
        inside, name, rest = match.groups()
        ours = name in NAMES - _ELSEWHERE or (name == "params" and rest[1:].split(".")[0] in params)
        if not (ours or inside.startswith(_AIRFLOW)) or _COMMENT.match(text, text.rfind("\n", 0, match.start()) + 1):
            continue
        hint = f"write << {inside} >>" if ours else "docs/templates.md lists the names that there are"
        out.append(places.fault(match.start(), f"{match.group()} is not a template here and stays as it is", hint, "warning"))
    return out
