"""The variables of the site. Secrets are never given."""

from __future__ import annotations

from typing import Any, Dict

from runner.site import variables
from runner.web.api.ask import Ask
from runner.web.api.operation import read, schemas
from runner.web.api.shapes import anything, ref, table, thing

schemas(Variables=thing("What differs from server to server.", variables=table(anything("A value."), "By name.")))


@read("/variables", ref("Variables"))
def get_variables(ask: Ask) -> Dict[str, Any]:
    """The variables with their values: what templates call << var.NAME >>."""
    return {"variables": dict(sorted(variables.get_all(ask.desk.config.home).items()))}
