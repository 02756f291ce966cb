"""Secrets by name: `name: value` lines of RUNNER_HOME/secrets.yaml, else what the setting `secrets_command` prints.

Read anew each time, so a changed one counts at once. Whoever reads them is a process of one attempt: never the daemon.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Sequence, Set

from runner import config
from runner.errors import EnvironmentFault, NotFound
from runner.site import files

FILE = "secrets.yaml"
MARK = re.compile(r"<< *secret\.([A-Za-z_][A-Za-z0-9_]*) *>>")  # as a request holds it until the last moment
PATIENCE = 30.0  # seconds for secrets_command


def get(name: str, home: str, environ: Mapping[str, str]) -> str:
    """The value. Raises NotFound, or EnvironmentFault when the file or the command cannot be used."""
    return get_all([name], home, environ)[name]


def get_all(names: Sequence[str], home: str, environ: Mapping[str, str]) -> Dict[str, str]:
    """The values of several names; each is asked for once."""
    if not names:
        return {}
    found = files.read(home, FILE)
    command = "" if all(name in found for name in names) else config.load(environ, home).secrets_command
    out = {}
    for name in names:
        if name in found:
            if not isinstance(found[name], str):
                raise EnvironmentFault(f"{home}/{FILE}: {name}: it is no text", f"write one value: {name}: ...")
            out[name] = found[name]
        elif command:
            out[name] = _asked(name, command, environ)
        else:
            known = ", ".join(sorted(found)) or "none"
            raise NotFound(f"there is no secret {name} in {home}/{FILE}", f"type: runner secrets set {name}   (known: {known})")
    return out


def _asked(name: str, command: str, environ: Mapping[str, str]) -> str:
    """The first line that `secrets_command NAME` prints. What it printed is never told."""
    import shlex  # here: every check of a template imports this module
    import subprocess

    try:
        words = shlex.split(command)
        words[0] = os.path.expanduser(words[0])
        done = subprocess.run(
            [*words, name], env={**environ}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    except (ValueError, IndexError):
        raise EnvironmentFault(f"secrets_command: {command!r} cannot be read as words", "write secrets_command: /path/of/a/program") from None
    except OSError as error:
        raise EnvironmentFault(f"secret {name}: {words[0]} cannot be started: {error.strerror}", "see secrets_command: in settings.yaml") from None
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"secret {name}: {words[0]} did not answer within {PATIENCE:g} s", f"try it: {command} {name}") from None
    value = done.stdout.decode("utf-8", "surrogateescape").partition("\n")[0].rstrip("\r")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = f": {said[-1][:200]}" if said and not (value and value in said[-1]) else ""
        raise EnvironmentFault(f"secret {name}: {words[0]} ended with {done.returncode}{why}", f"try it: {command} {name} > /dev/null")
    if not value:
        raise NotFound(f"secret {name}: {words[0]} printed nothing", f"try it: {command} {name}")
    return value


def fill(value: Any, home: str, environ: Mapping[str, str]) -> Any:
    """The same with each `<< secret.NAME >>` in its texts replaced, however deep."""
    names = sorted(named(value))
    return _filled(value, get_all(names, home, environ)) if names else value


def named(value: Any) -> Set[str]:
    """The secrets that the texts of a value name."""
    if isinstance(value, str):
        return set(MARK.findall(value)) if "<<" in value else set()
    parts: List[Any] = list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, (list, tuple)) else []
    return set().union(*map(named, parts))


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return MARK.sub(lambda found: known[found.group(1)], value)
    if isinstance(value, Mapping):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, known) for item in value]
    return value
