"""The file behind a pipeline's name: the one of that name in the pipelines folder."""

from __future__ import annotations

import os
from typing import Dict, List, Tuple

from runner.errors import EnvironmentFault, NotFound, UsageError
from runner.spec.parts import is_part

SUFFIXES = (".yaml", ".yml")
_SETTINGS = ("settings.yaml",)  # a folder may be RUNNER_HOME itself


def inside(folder: str) -> List[str]:
    """The files of pipelines and of their parts, to the bottom."""
    out: List[str] = []
    seen = {os.path.realpath(folder)}  # a link may lead back to a folder above it
    for root, folders, files in os.walk(folder, followlinks=True):
        places = {name: os.path.realpath(os.path.join(root, name)) for name in folders if not name.startswith(".")}
        folders[:] = sorted(name for name, place in places.items() if place not in seen)
        seen.update(places.values())
        out += [os.path.join(root, name) for name in sorted(files)
                if name.endswith(SUFFIXES) and not name.startswith(".") and name not in _SETTINGS]
    return out


def name_of(path: str) -> str:
    """A pipeline's name is its file's."""
    return os.path.splitext(os.path.basename(path))[0]


def fault_of(name: str) -> Tuple[str, str]:
    """Why no pipeline may have that name, and what to type; empty for a good one."""
    if "@" not in name:
        return "", ""
    return "the name of a pipeline cannot have an @ in it: its runs are named PIPELINE@DATE", f"rename the file: {name.replace('@', '-')}.yaml"


def names(pipelines: str) -> List[str]:
    """Of the files in the pipelines folder, unread."""
    return sorted(files(pipelines))


def files(pipelines: str) -> Dict[str, str]:
    """Name -> its file; of several the first."""
    out: Dict[str, str] = {}
    for path in inside(pipelines):
        if not is_part(path):
            out.setdefault(name_of(path), path)
    return out


def need_listable(folder: str) -> None:
    """Raises EnvironmentFault for a folder that is there and cannot be read: it would look like an empty one."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be read: {error.strerror}", f"type: ls -ld {folder}") from None


def path_of(pipelines: str, name: str) -> str:
    """The file of a pipeline in the pipelines folder. Raises NotFound that names near ones, UsageError when there are more."""
    need_listable(pipelines)
    found = [path for path in inside(pipelines) if name_of(path) == name and not is_part(path)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} files make the pipeline {name}: {', '.join(found)}", "rename all but one, or give the path of the one that is meant")
    if found:
        return found[0]
    raise NotFound(f"there is no pipeline {name} in {pipelines}", _near(pipelines, name))


def _near(pipelines: str, name: str) -> str:
    import difflib

    known = names(pipelines)
    near = difflib.get_close_matches(name, known, 3, 0.5)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    if any(os.path.isfile(name + suffix) for suffix in SUFFIXES):
        return f"a file of that name is here: give it as ./{name}.yaml"
    return "type: runner list   to see which there are" if known else "put a .yaml file there, or give a path"
