"""What a site keeps apart from its pipelines, in files of RUNNER_HOME with mode 0600: secrets, variables, connections.

Beside them what belongs to using them: `masking` keeps values out of logs, `kerberos` gets tickets from keytabs.
"""

from __future__ import annotations

import os
from typing import Any, Dict, FrozenSet, NamedTuple, Optional

FILES = ("secrets.yaml", "variables.yaml", "connections.yaml", "alerts.yaml")


class Known(NamedTuple):
    """The names that a check may hold a file against."""

    secrets: Optional[FrozenSet[str]]  # None: a command knows them
    variables: Dict[str, Any]
    connections: Dict[str, Dict[str, Any]]


def known(home: str, secrets_command: str = "") -> Known:
    """Raises EnvironmentFault when one of the files cannot be used."""
    from runner.site import connections, files, secrets, variables

    listed = None if secrets_command else frozenset(files.read(home, secrets.FILE))
    return Known(listed, variables.get_all(home), connections.shown(home))


def channel_names(home: str) -> Optional[FrozenSet[str]]:
    """Who can be told, by alerts.yaml; None where it does not say or cannot be used."""
    from runner.errors import EnvironmentFault
    from runner.site import files

    try:
        found = files.read(home, "alerts.yaml").get("channels") if home else None
    except EnvironmentFault:
        return None
    return frozenset(map(str, found)) if isinstance(found, dict) else None


def changed_at(home: str) -> str:
    """A text that is another one when one of the files has changed."""
    out = []
    for name in FILES:
        try:
            about = os.stat(os.path.join(home, name))
            out.append(f"{about.st_mtime_ns}.{about.st_size}.{about.st_mode:o}")
        except OSError:
            out.append("-")
    return ",".join(out)
