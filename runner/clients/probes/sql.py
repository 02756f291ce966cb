"""A statement whose first value says that something is there."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from runner.clients import ClientError
from runner.clients.probes import Seen

_NOT = (None, 0, False, "")


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return f"sql {probe['connection']}", 2


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    from runner.clients import sql

    try:
        value = sql.first_value(probe["connection"], probe["sql"], probe["home"])
    except ClientError as error:
        return Seen(failed=error.message) if error.final else Seen(missing=error.message)
    return Seen(missing=f"{probe['connection']}: the first value is {value!r}") if value in _NOT else Seen(ready={"value": str(value)})
