"""Connections by name, from RUNNER_HOME/connections.yaml: what a database, host or mail server needs to be reached.

    warehouse:
      type: postgres
      host: db1.example
      user: etl
      password: << secret.warehouse >>
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from runner.errors import NotFound
from runner.site import files, secrets

FILE = "connections.yaml"


def get(name: str, home: str, environ: Mapping[str, str]) -> Dict[str, Any]:
    """The connection as a mapping of texts. Raises NotFound."""
    found = files.read(home, FILE)
    if not isinstance(found.get(name), dict):
        known = ", ".join(sorted(found)) or "none"
        raise NotFound(f"there is no connection {name} in {home}/{FILE}", f"known: {known}")
    return secrets.fill(found[name], home, environ)
