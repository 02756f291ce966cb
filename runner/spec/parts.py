"""Which files are parts of pipelines, and the one text that a run keeps of a pipeline and the parts it takes.

A part's name begins with `_`: so a list of names needs no reading. A pipeline that takes nothing is kept as it stands in its
file; of one that does, its text is kept with those of its parts, each below a line `--- # SIZE "PATH"`.
"""

from __future__ import annotations

import json
import os
import re
from typing import Dict, List, Mapping, Tuple

KEYS = ("extends", "include")
_FIRST = "# runner: a pipeline, then the parts it takes\n"
_HEAD = re.compile(r"--- # (\d+) (\".*\")\n")


def is_part(path: str) -> bool:
    """Whether a file is no pipeline of its own."""
    return os.path.basename(path).startswith("_")


def may_take(text: str) -> bool:
    """Whether a text could take parts: what most files answer with a no, unread."""
    return any(key in text for key in KEYS) or text.startswith(_FIRST)


def pack(path: str, text: str, taken: Mapping[str, str]) -> str:
    """One text of a pipeline's and of those of its parts, by absolute path."""
    if not taken and not text.startswith(_FIRST):
        return text
    folder = os.path.dirname(path)
    named = [(os.path.basename(path), text)] + [(os.path.relpath(file, folder), taken[file]) for file in sorted(taken)]
    return _FIRST + "".join(f"--- # {len(each)} {json.dumps(name, ensure_ascii=False)}\n{each}\n" for name, each in named)


def unpack(path: str, text: str) -> Tuple[str, Dict[str, str]]:
    """The pipeline's own text, and those of its parts by absolute path."""
    if not text.startswith(_FIRST):
        return text, {}
    found: List[Tuple[str, str]] = []
    at = len(_FIRST)
    while True:
        head = _HEAD.match(text, at)
        if head is None:
            break
        at = head.end() + int(head.group(1))
        found.append((json.loads(head.group(2)), text[head.end():at]))
        at += 1
    if not found:
        return text, {}
    folder = os.path.dirname(path)
    return found[0][1], {os.path.normpath(os.path.join(folder, name)): each for name, each in found[1:]}
