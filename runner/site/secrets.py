"""Secrets by name, from RUNNER_HOME/secrets.yaml: `name: value` lines. Read anew each time, so a changed one counts at once."""

from __future__ import annotations

import re
from typing import Any, Mapping

from runner.errors import NotFound
from runner.site import files

FILE = "secrets.yaml"
MARK = re.compile(r"<< *secret\.([A-Za-z_][A-Za-z0-9_]*) *>>")  # as a request holds it until the last moment


def get(name: str, home: str, environ: Mapping[str, str]) -> str:
    """The value. Raises NotFound, or EnvironmentFault when the file cannot be used."""
    found = files.read(home, FILE)
    if name not in found:
        raise NotFound(f"there is no secret {name} in {home}/{FILE}", f"add a line: {name}: ...")
    return str(found[name])


def fill(value: Any, home: str, environ: Mapping[str, str]) -> Any:
    """The same with each `<< secret.NAME >>` in its texts replaced, however deep."""
    if isinstance(value, str):
        return MARK.sub(lambda found: get(found.group(1), home, environ), value) if "<<" in value else value
    if isinstance(value, Mapping):
        return {key: fill(item, home, environ) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, home, environ) for item in value]
    return value
