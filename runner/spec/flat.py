"""A pipeline with all that it takes of other files as one YAML text, with the place of each value that came from elsewhere."""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from runner.spec import nodes
from runner.spec.notes import Path, where

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ESCAPED = re.compile("[\"\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff]")
_WIDTH = 100  # of a list on one line
_COMMENT = "  # "

Say = Callable[[Path], str]  # the comment behind the value of a path


def text(loaded: nodes.Loaded, path: str) -> str:
    """YAML that says the same as the file at `path` does with its parts."""
    folder = os.path.dirname(path)

    def say(at: Path) -> str:
        mark = loaded.marks.value(at)
        return f"{_COMMENT}{os.path.relpath(mark.file, folder)}:{mark.line}" if mark.file else ""

    lines = []
    for line, at in _mapping(dict(sorted(loaded.data.items(), key=lambda item: item[0] == "steps")), (), "", say):
        note = _start(loaded, at, folder) if len(at) == 2 and at[0] == "steps" else None
        lines += [f"{line[:len(line) - len(line.lstrip())]}# relative paths of this step start at {note}/"] if note else []
        lines.append(line)
    return "\n".join(lines) + "\n"


def places(loaded: nodes.Loaded, path: str) -> Dict[str, Dict[str, Any]]:
    """steps[0].bash -> the file, line and column where it was written, for each value that is no mapping and no list of mappings."""
    out = {}
    for at in _leaves(loaded.data, ()):
        mark = loaded.marks.value(at)
        out[where(at)] = {"file": mark.file or path, "line": mark.line, "column": mark.column}
    return out


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, path + (key,))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for n, item in enumerate(value):
            yield from _leaves(item, path + (n,))
    else:
        yield path


def _start(loaded: nodes.Loaded, path: Path, folder: str) -> Optional[str]:
    """Where the relative paths of a step start, when that is not the pipeline's folder."""
    from runner import steps

    kind = next((key for key in loaded.data["steps"][path[1]] if key in steps.KINDS), None)
    start = kind and loaded.marks.folder(path + (kind,))
    return os.path.relpath(start, folder) if start and start != folder else None


# ---------------------------------------------------------------------------------------------------------------- lines

Lines = Iterator[Tuple[str, Path]]  # with the path of what begins on the line


def _mapping(value: Dict[str, Any], path: Path, pad: str, say: Say) -> Lines:
    for key, item in value.items():
        yield from _entry(f"{pad}{key if _is_plain(key) and _KEY.fullmatch(key) else _quoted(key)}:", item, path + (key,), pad, say)


def _entry(head: str, value: Any, path: Path, pad: str, say: Say) -> Lines:
    """`head` and what follows it, on its line or below."""
    if isinstance(value, dict) and value:
        yield head, path
        yield from _mapping(value, path, pad + "  ", say)
    elif isinstance(value, list) and value and _on_a_line(value) is None:
        yield head, path
        for n, item in enumerate(value):
            yield from _item(item, path + (n,), pad + "  ", say)
    elif isinstance(value, str) and "\n" in value and _block(value, "") is not None:
        sign, *rest = _block(value, pad + "  ")
        yield f"{head} {sign}{say(path)}", path
        yield from ((line, ()) for line in rest)
    else:
        yield f"{head} {_on_a_line(value) if isinstance(value, list) else _scalar(value)}{say(path)}", path


def _item(value: Any, path: Path, pad: str, say: Say) -> Lines:
    if isinstance(value, dict) and value:
        lines = list(_mapping(value, path, pad + "  ", say))
        first, _ = lines[0]
        yield f"{pad}- {first[len(pad) + 2:]}", path
        yield from lines[1:]
    else:
        yield from _entry(f"{pad}-", value, path, pad, say)


def _on_a_line(value: List[Any]) -> Optional[str]:
    """A short list of plain values."""
    if any(isinstance(item, (dict, list)) or isinstance(item, str) and "\n" in item for item in value):
        return None
    line = "[" + ", ".join(_quoted(item) if isinstance(item, str) and not _KEY.fullmatch(item) else _scalar(item) for item in value) + "]"
    return line if len(line) <= _WIDTH else None


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "{}" if value == {} else str(value)


def _is_plain(value: str) -> bool:
    """Whether a text reads as itself without quotes."""
    if "\n" in value or not value or value != value.strip() or _ESCAPED.search(value.replace('"', "")):
        return False
    again = nodes.load(f"a: {value}\n", "")
    return not again.problems and again.data == {"a": value}


def _quoted(value: str) -> str:
    return '"' + _ESCAPED.sub(_escape, value) + '"'


def _escape(found) -> str:
    sign = found.group()
    return {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(sign) or f"\\u{ord(sign):04x}"


def _block(value: str, pad: str) -> Optional[List[str]]:
    """A text of several lines as they are, the sign above them first; None for one that only quotes can hold."""
    sign = "|+" if value.endswith("\n\n") else "|" if value.endswith("\n") else "|-"
    rows = (value[:-1] if value.endswith("\n") else value).split("\n")
    if not pad:
        again = nodes.load("a: " + "\n".join(_block(value, "  ") or []) + "\n", "")
        return [] if not again.problems and again.data == {"a": value} else None
    return [sign] + [pad + row if row else "" for row in rows]
