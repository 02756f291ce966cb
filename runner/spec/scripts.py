"""The scripts that a shell text calls: which of its words name one, in which folder it is looked for, and its language."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from typing import Dict, List, Tuple

LANGUAGES = {".sh": "bash", ".ksh": "bash", ".bash": "bash", ".py": "python", ".sql": "sql", ".hql": "sql"}
_MAX_FIRST = 256  # bytes of a first line
_LONGEST = 4096  # a path that Linux takes
_NAME = r"[\w-][\w./-]*\.(?:sh|ksh|bash|py|sql|hql)\b"
_NAMED = re.compile(rf"(?<![\w./<>$}}-])(?:(?:\.{{1,2}}/)*|(?<![:)*~])~?/){_NAME}")
_FRONT = r"(?:^|[;&|(])[ \t]*(?:(?:if|then|do|else|while|until|!|exec|nohup|time|sudo|env|nice|[A-Za-z_]\w*=[^\s;&|(]*)[ \t]+)*"
_PLAIN = re.compile(r"[\w./~+@%,=-]+")
_CALLED = re.compile(
    _FRONT + r"(?:(?P<shell>(?:[\w/]*/)?(?:ba|da|k|z)?sh(?:[ \t]+-\w+)*[ \t]+)['\"]?(?P<word>[\w./~-]+)|['\"]?(?P<own>[\w.~-]*/[\w./-]*))['\"]?(?=[\s;&|)<>]|$)",
    re.M,
)
_MOVED = re.compile(r"(?P<front>^|[;(]|&&)[ \t]*cd(?:[ \t]+(?P<to>[^\n;&|)]*))?(?=[\n;&|)]|\Z)", re.M)
_SHELLS = re.compile(r"(?:ba|da|k|z|a|mk|pdk)?sh|ksh93")
_PYTHON = re.compile(r"python[\d.]*")
_OF_THE_SYSTEM = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/")


def called(text: str, folder: str) -> Dict[str, str]:
    """Absolute path -> the language that the call gives it, "" for what its own first line says.

    Whether the files exist is not asked. `folder`: where the text begins to work, "" when that is not known.
    """
    folders = _folders(text, folder)
    starts = [place for place, _ in folders]
    found: Dict[str, str] = {}
    for place, word, language in _words(text):
        file = _joined(folders[bisect_right(starts, place) - 1][1], word)
        if file and not file.startswith(_OF_THE_SYSTEM):
            found[file] = found.get(file) or language
    return found


def _words(text: str) -> List[Tuple[int, str, str]]:
    """Each word that may be a script, with its place and the language that is known without its text."""
    out = [(match.start(), match.group(), LANGUAGES[os.path.splitext(match.group())[1]]) for match in _NAMED.finditer(text)]
    for match in _CALLED.finditer(text):
        part = "word" if match.group("word") else "own"
        if os.path.splitext(match.group(part))[1] not in LANGUAGES:
            out.append((match.start(part), match.group(part), "bash" if match.group("shell") else ""))
    return sorted(out)


def _folders(text: str, folder: str) -> List[Tuple[int, str]]:
    """From which place on the text works in which folder; "" for one that only the run knows, such as $DIR."""
    out = [(0, folder)]
    for match in _MOVED.finditer(text):
        if match.group("front") == "" and text[match.start() : match.start() + 1] in (" ", "\t"):
            continue  # inside of an `if` or a function: it may not come to pass
        before = out[-1][1]
        out.append((match.end(), _moved(before, (match.group("to") or "~").strip())))
        close = text.find(")", match.end()) if match.group("front") == "(" else -1
        if close >= 0:
            out.append((close, before))
    return out


def _moved(folder: str, to: str) -> str:
    to = to[1:-1] if to[:1] in ("'", '"') and to[:1] == to[-1:] else to
    return _joined(folder, to) if _PLAIN.fullmatch(to) and to != "-" else ""


def _joined(folder: str, path: str) -> str:
    path = os.path.expanduser(path)
    whole = os.path.normpath(os.path.join(folder, path)) if folder or os.path.isabs(path) else ""
    return whole if len(whole) <= _LONGEST else ""


def language_of(file: str) -> str:
    """What the first line, `#!/bin/ksh`, says of a file; "" for a program, and for what cannot be read."""
    if not os.path.isfile(file):  # a pipe would wait for ever
        return ""
    try:
        with open(file, "rb") as handle:
            first = handle.readline(_MAX_FIRST).decode("utf-8", "replace")
    except OSError:
        return ""
    names = [os.path.basename(word) for word in first[2:].split() if not word.startswith("-")] if first.startswith("#!") else []
    name = next((each for each in names if each != "env"), "")
    return "bash" if _SHELLS.fullmatch(name) else "python" if _PYTHON.fullmatch(name) else ""
