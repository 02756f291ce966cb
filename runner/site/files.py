"""Reading and changing a file that others must not read."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, Dict, Optional

from runner.errors import EnvironmentFault

MODE = 0o600
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UNPRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # JSON leaves them as they are, YAML refuses them


def read(home: str, name: str) -> Dict[str, Any]:
    """The mapping in RUNNER_HOME/NAME, all its values texts; empty when there is no such file.

    Raises EnvironmentFault when others may read it, or when it is no mapping.
    """
    return _loaded(os.path.join(home, name), _text(os.path.join(home, name)))


def write(home: str, name: str, key: str, value: Optional[str]) -> None:
    """Set one entry, or remove it with None; all else in the file stays as it stands, comments too.

    A new file takes the place of the old one with mode 0600: a reader sees either.
    """
    import tempfile  # here: most commands change no such file

    path = os.path.join(home, name)
    text = _text(path)
    _loaded(path, text)
    changed = _spliced(text, key, None if value is None else f"{key}: {_quoted(value)}\n")
    try:
        os.makedirs(home, 0o750, exist_ok=True)
        fd, part = tempfile.mkstemp(prefix=f".{name}.", dir=home)  # mode 0600
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(changed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, os.path.realpath(path))  # a link to a file elsewhere stays one
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be written: {error.strerror}", f"type: ls -ld {home}") from None


def is_name(name: str) -> bool:
    """Whether a template can name it."""
    return _NAME.fullmatch(name) is not None


def too_open(path: str) -> Optional[EnvironmentFault]:
    """What to say of a file that others may read; None when they may not, or when there is none."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None
    return EnvironmentFault(f"{path}: others may read it (mode {mode:o})", f"type: chmod 600 {path}") if mode & 0o077 else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            fault = too_open(path)
            if fault:
                raise fault
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror}", f"type: ls -l {path}") from None
    except UnicodeDecodeError:
        raise EnvironmentFault(f"{path}: it is not UTF-8", f"type: file {path}") from None


def _loaded(path: str, text: str) -> Dict[str, Any]:
    import yaml  # here: most commands read no such file

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


def _spliced(text: str, key: str, line: Optional[str]) -> str:
    """The text with the entry of that key replaced, added at its end, or taken away."""
    import yaml

    tree = yaml.compose(text, Loader=yaml.BaseLoader)
    for name, value in tree.value if tree else ():
        if name.value == key and not tree.flow_style:
            begin, end = name.start_mark.index, value.end_mark.index
            if text[end - 1 : end] != "\n":  # else a block: its mark stands at the next line
                newline = text.find("\n", end)
                end = len(text) if newline < 0 else newline + 1
            return text[:begin] + (line or "") + text[end:]
    if tree and tree.flow_style:  # {a: 1} on one line: written anew
        entries = {**yaml.load(text, Loader=yaml.BaseLoader)}
        entries.pop(key, None)
        return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in entries.items()) + (line or "")
    return text + ("" if not text or text.endswith("\n") else "\n") + (line or "")


def _quoted(value: str) -> str:
    """A text as YAML reads it back, whatever is in it."""
    return _UNPRINTED.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False))
