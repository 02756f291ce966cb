"""Variables by name, from RUNNER_HOME/variables.yaml: what differs from server to server and is no secret."""

from __future__ import annotations

from typing import Any, Dict

from runner.site import files

FILE = "variables.yaml"


def get_all(home: str) -> Dict[str, Any]:
    """Every variable; a value may be a list or a mapping. Raises EnvironmentFault."""
    return files.read(home, FILE)
