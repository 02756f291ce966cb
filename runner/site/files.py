"""Reading a file that others must not read."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict

from runner.errors import EnvironmentFault


def read(home: str, name: str) -> Dict[str, Any]:
    """The mapping in RUNNER_HOME/NAME; empty when there is no such file.

    Raises EnvironmentFault when others may read it, or when it is no mapping.
    """
    path = os.path.join(home, name)
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise EnvironmentFault(f"{path}: others may read it (mode {mode:o})", f"type: chmod 600 {path}")
            text = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror}", f"type: ls -l {path}") from None
    except UnicodeDecodeError:
        raise EnvironmentFault(f"{path}: it is not UTF-8", f"type: file {path}") from None
    import yaml

    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # all texts: a password of digits stays what it is
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise EnvironmentFault(f"{path}{place}: it cannot be read as YAML", "write `name: value` lines") from None
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise EnvironmentFault(f"{path}: it holds no names", "write `name: value` lines")
    return found
