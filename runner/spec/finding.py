"""The file behind a pipeline's name: the first of that name in the pipelines folder."""

from __future__ import annotations

import os
from typing import List

from runner.errors import EnvironmentFault, NotFound
from runner.spec.parts import is_part

SUFFIXES = (".yaml", ".yml")


def names(pipelines: str) -> List[str]:
    """Of the files in the pipelines folder, unread."""
    return sorted(
        os.path.splitext(name)[0]
        for _, _, files in os.walk(pipelines)
        for name in files
        if name.endswith(SUFFIXES) and not name.startswith(".") and not is_part(name)
    )


def need_listable(folder: str) -> None:
    """Raises EnvironmentFault for a folder that is there and cannot be read: it would look like an empty one."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be read: {error.strerror}", f"type: ls -ld {folder}") from None


def path_of(pipelines: str, name: str) -> str:
    """The file of a pipeline in the pipelines folder. Raises NotFound that names near ones."""
    need_listable(pipelines)
    for folder, _, files in sorted(os.walk(pipelines)):
        for suffix in SUFFIXES:
            if name + suffix in files and not is_part(name):
                return os.path.join(folder, name + suffix)
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
