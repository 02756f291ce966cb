"""Connections by name, from RUNNER_HOME/connections.yaml: what a database, host or mail server needs to be reached.

    warehouse:
      type: postgres
      host: db1.example
      user: etl
      password: << secret.warehouse >>
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Mapping

from runner.errors import NotFound
from runner.site import files, secrets

FILE = "connections.yaml"
_HIDDEN = re.compile(r"pass(word|wd|phrase|code)?|pwd|pin|.*(secret|token|credential|password|passwd|passphrase).*|(.*_)?key", re.I)
HIDDEN = "***"  # as people are shown it


def get(name: str, home: str, environ: Mapping[str, str]) -> Dict[str, Any]:
    """The connection as a mapping of texts. Raises NotFound, EnvironmentFault."""
    return secrets.fill(_raw(name, home), home, environ)


def is_hidden(field: str, value: Any = "") -> bool:
    """Whether a field is for nobody's eyes: by its name, or because a secret stands in it."""
    return _HIDDEN.fullmatch(field) is not None or bool(secrets.named(value))


def hidden_values(name: str, home: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Every text of a connection that no log may show, filled in."""
    return hidden_in(_raw(name, home), home, environ)


def hidden_in(raw: Mapping[str, Any], home: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The same of settings that stand elsewhere."""
    filled = secrets.fill(raw, home, environ)
    yield from secrets.get_all(sorted(secrets.named(raw)), home, environ).values()
    for field, value in raw.items():
        if is_hidden(field, value):
            yield from _texts(filled[field])


def shown(home: str) -> Dict[str, Dict[str, Any]]:
    """All connections as people and templates may see them: hidden fields say ***."""
    found = files.read(home, FILE)
    return {name: {field: HIDDEN if is_hidden(field, value) else value for field, value in body.items()}
            for name, body in found.items() if isinstance(body, dict)}


def _raw(name: str, home: str) -> Dict[str, Any]:
    found = files.read(home, FILE)
    if not isinstance(found.get(name), dict):
        known = ", ".join(sorted(found)) or "none"
        raise NotFound(f"there is no connection {name} in {home}/{FILE}", f"known: {known}")
    return found[name]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)
