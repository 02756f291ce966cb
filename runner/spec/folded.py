"""A folded block, `bash: >`, whose lines were surely meant as lines: YAML makes one line of them, where `|` keeps them."""

from __future__ import annotations

import ast
import re
import warnings
from typing import List, Optional, Sequence, Tuple

HINT = "write | in place of >: it keeps the lines"
_TAG = re.compile(r"<<[ \t][^\n<>]{0,1000}[ \t]>>")
_COMMENT = {"bash": re.compile(r"(?:^|[ \t])#"), "python": re.compile(r"#"), "sql": re.compile(r"--")}
_GOES_ON = re.compile(r"(?:\\|&&|\|\|?|[;&{(,]|\b(?:do|then|else))[ \t]*\Z")
_ASSIGNMENTS = re.compile(r"(?:[A-Za-z_]\w*=\S*[ \t]*)+\Z", re.ASCII)  # A=1 in front of a command, on a line of its own
_TAKE_A_COMMAND = frozenset("sudo su timeout time nohup exec env xargs nice ionice ssh setsid flock docker bash sh ksh python python3".split())
_COMMANDS = frozenset(
    "awk beeline cat cd chmod chown cp curl cut date echo exit export find for git grep gunzip gzip hadoop hdfs head hive if impala-shell java "
    "kinit ls make mkdir mv mysql printf psql python python3 rm rmdir rsync scp sed set sftp sleep sort source spark-sql spark-submit sqlplus "
    "sqoop ssh tail tar tee test touch unzip wc wget while yarn".split()
)


def find(lines: Sequence[str], text: str, language: str) -> Optional[str]:
    """What is wrong, or None. `lines`: of the block, without its indentation; `text`: what YAML made of them."""
    joined = [(n, a, b) for n, (a, b) in enumerate(zip(lines, lines[1:])) if a[:1].strip() and b[:1].strip()]
    comment = _COMMENT.get(language)
    for _, above, below in joined if comment else ():
        found = comment.search(above)
        if found and _closed([above[: found.start()]])[0]:
            return f"> makes one line of the lines below it, so {_shown(below)} becomes part of the comment above it"
    pair = None
    if joined and language == "python":
        pair = joined[0][1:] if not _parses(text) and _parses("\n".join(lines)) else None
    elif joined and language == "bash":
        pair = _commands(lines, joined)
    return pair and f"> makes one line of the lines below it: {_shown(pair[0])} and {_shown(pair[1])} become one command"


def _commands(lines: Sequence[str], joined: List[Tuple[int, str, str]]) -> Optional[Tuple[str, str]]:
    """Two lines that are a command each; none when the lines are plainly one command, such as one option a line."""
    if any(line.lstrip().startswith("-") for line in lines):
        return None
    closed = _closed(lines)
    for n, above, below in joined:
        first = below.split()[0]
        begins = first in _COMMANDS or first.startswith(("./", "../"))
        if begins and closed[n] and not _goes_on(above):
            return above, below
    return None


def _closed(lines: Sequence[str]) -> List[bool]:
    """Of each line, whether no quote is open behind it."""
    out: List[bool] = []
    quotes = {'"': 0, "'": 0}
    for line in lines:
        for sign in quotes:
            quotes[sign] += line.count(sign)
        out.append(not any(count % 2 for count in quotes.values()))
    return out


def _goes_on(line: str) -> bool:
    return bool(_GOES_ON.search(line) or _ASSIGNMENTS.match(line)) or line.split()[0] in _TAKE_A_COMMAND


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(_TAG.sub("_", text))
        return True
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _shown(line: str) -> str:
    line = line.strip()
    return f"`{line}`" if len(line) <= 40 else f"`{line[:39]}\N{HORIZONTAL ELLIPSIS}`"
