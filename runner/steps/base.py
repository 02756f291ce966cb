"""What the kinds of step share: the file a step calls, the surroundings of a build, and how values become words."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, List, Mapping, Optional, Sequence, Tuple

from runner import model

Fault = Tuple[Tuple[Any, ...], str, str]  # (keys down to the place inside the body, message, hint)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TAG = re.compile(r"<<[ \t]")
CLIENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients", "start.py")  # starts runner's own clients
REQUEST = "request.json"


@dataclass(frozen=True)
class CalledFile:
    """A file of the user's that a step reads or runs. `path` is as written: see `locate`."""

    key: str  # of the body
    path: str
    language: str  # bash, python, sql, or "" when it is not text to be read by people
    templated: bool  # whether its text is rendered before it is used


@dataclass(frozen=True)
class BuildContext:
    """Where one attempt is built. Only `read` looks at the disk."""

    folder: str  # the attempt's own: Command.files land here
    cwd: str
    pipeline_folder: str  # relative paths start here
    python: str  # the site's interpreter for python steps
    read: Callable[[str], str]
    render: Callable[[str], str]
    template: bool = True  # False: the step said `template: false`, nothing is rendered
    date: Optional[model.LogicalDate] = None  # of the run
    pipeline_path: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)  # what templates may say


def text_of(value: Any) -> str:
    """A YAML value as one word of a command line: true and false as every tool but Python writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def words(values: Optional[Iterable[Any]]) -> List[str]:
    return [text_of(value) for value in values or ()]


def has_tag(value: Any) -> bool:
    """Whether a text may hold a template, so that what it says is not known before the run."""
    return isinstance(value, str) and bool(_TAG.search(value))


def has_scheme(path: str) -> bool:
    """hdfs://x, s3a://x, local:/x: not a path of this server."""
    return bool(_SCHEME.match(path))


def locate(pipeline_folder: str, path: str) -> str:
    """The absolute path of a file that a pipeline names."""
    return os.path.normpath(os.path.join(pipeline_folder, os.path.expanduser(path)))


def called(body: Mapping[str, Any], key: str, language: str, templated: bool = False) -> List[CalledFile]:
    """The file under a key as a list of one; of none when it is not there, on another system, or known only in a run."""
    path = body.get(key)
    if not isinstance(path, str) or not path or has_tag(path) or has_scheme(path):
        return []
    return [CalledFile(key, path, language, templated)]


def closed(text: str) -> str:
    """Text with a newline at its end: bash, beeline and others are at their worst with an unfinished last line."""
    return text if text.endswith("\n") else text + "\n"


def called_text(path: str, templated: bool, ctx: BuildContext) -> str:
    """A called file's text as it is to be run."""
    text = ctx.read(locate(ctx.pipeline_folder, path))
    return closed(ctx.render(text) if templated and ctx.template else text)


def in_folder(ctx: BuildContext, name: str) -> str:
    return os.path.join(ctx.folder, name)


def client(name: str, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    """The Command that has a client of runner's own (`runner/clients/NAME.py`) do what the body says."""
    request = json.dumps({"body": body, "pipeline_folder": ctx.pipeline_folder}, ensure_ascii=False, indent=1)
    path = in_folder(ctx, REQUEST)
    return model.Command(argv=(sys.executable, "-I", CLIENT, name, path), files={REQUEST: request + "\n"})


def looked_after(name: str, words: Sequence[str], body: Mapping[str, Any], ctx: BuildContext, env: Mapping[str, str]) -> model.Command:
    """The Command that has a client of runner's own start a command of the server and look after what it starts elsewhere.

    `body` is what the client needs to know; the command stands whole in argv, where `runner plan` and ps show it.
    """
    request = json.dumps({"body": body, "pipeline_folder": ctx.pipeline_folder}, ensure_ascii=False, indent=1)
    path = in_folder(ctx, REQUEST)
    return model.Command(argv=(sys.executable, "-I", CLIENT, name, path, *words), env=dict(env), files={REQUEST: request + "\n"})


def exactly_one(body: Mapping[str, Any], keys: Sequence[str]) -> List[Fault]:
    """One of these keys must be there, with something in it."""
    present = [key for key in keys if key in body]
    listed = " or ".join(f"`{key}:`" for key in keys)
    if not present:
        return [((), f"nothing to run: {listed} is missing", f"Write exactly one of {listed}.")]
    if len(present) > 1:
        both = " and ".join(f"`{key}:`" for key in present)
        return [((present[1],), f"{both} exclude each other", f"Write exactly one of {listed}.")]
    value = body[present[0]]
    if isinstance(value, str) and not value.strip():
        return [((present[0],), f"`{present[0]}:` is empty", "Write what is to be run, or use `noop:` for a step that only joins others.")]
    return []
