"""The midnight linter: who asks the clock for a date, in shell text, SQL and Python.

A chain that starts at 23:50 and asks `date +%Y%m%d` in every script works on two days. So does a retry after midnight, and
a rerun next week works on the wrong day altogether. Each finding says what to write instead.

It is a linter, so it judges by what is usual, and a false alarm costs more than a miss:
- a time stamp for people is fine: in an echo, printf, logger or log line; with a blank and seconds, as '+%F %T'
- seconds for measuring are fine: `date +%s`, `time.time()`, `datetime.now() - start`
- a date worked out from an explicit one is fine: `date -d "$RUNNER_DS -1 day" +%F`, `date -r file`, `date -d @0`
- `${RUNNER_DS:-$(date +%F)}` is fine: by hand today, in a run its own date
- `DEFAULT CURRENT_TIMESTAMP`, and `current_timestamp AS load_ts` and its like, are fine: when a row was written
The words `runner: clock-ok` in a comment on the line silence it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Iterator, List, Tuple

from runner.template import NAMES

SILENCE = "runner: clock-ok"
WHY = "asks the clock: past midnight, in a retry or in a rerun it is another day"
Found = Tuple[int, str, str]  # offset, message, hint


@dataclass(frozen=True)
class ClockRead:
    """One place that asks the clock for a date; line and column count from 1."""

    line: int
    column: int
    message: str
    hint: str


def find_clock_reads(text: str, language: str) -> List[ClockRead]:
    """All of a text. `language`: bash, sql, hql or python; of another one nothing is said."""
    finder = {"bash": _bash, "sh": _bash, "sql": _sql, "hql": _sql, "python": _python}.get(language)
    if finder is None or not _QUICK.search(text):
        return []
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    out = []
    for offset, message, hint in sorted(set(finder(text))):
        row = bisect_right(starts, offset) - 1
        if SILENCE not in lines[row]:
            out.append(ClockRead(row + 1, offset - starts[row] + 1, message, hint))
    return out


_QUICK = re.compile(
    r"\bdate\b|%\(|EPOCH|strftime|now|today|localtime|gmtime|ctime|current_|sysdate|systimestamp|getdate|getutcdate|curdate|utc_|"
    r"unix_timestamp|timestamp|yesterday|tomorrow", re.I
)  # fmt: skip
_TAG = re.compile(r"<<[ \t]+[(\"'\[]*([A-Za-z_]\w*)[^\n]*?[ \t]>>")


def without_tags(text: str, filling: str) -> str:
    """The text with each `<< ... >>` of ours as that many fillings: offsets stay."""
    return _TAG.sub(lambda match: filling * len(match.group()) if match.group(1) in NAMES else match.group(), text)


def _bash(text: str) -> Iterator[Found]:
    from runner.spec import lint_bash

    return lint_bash.find(text)


def _python(text: str) -> Iterator[Found]:
    from runner.spec import lint_python

    return lint_python.find(text)


# ------------------------------------------------------------------------------------------------------------------ SQL

_SQL_SKIP = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`", re.S)
_SQL_CLOCK = re.compile(
    r"(?<![\w.$@:])(?:(?P<day>current_date|curdate\s*\(\s*\)|utc_date|today\s*\(\s*\))"
    r"|(?P<moment>current_timestamp|localtimestamp|current_time|systimestamp|utc_timestamp|sysdate(?:time)?(?:\s*\(\s*\))?"
    r"|(?:now|getdate|getutcdate|unix_timestamp|curtime)\s*\(\s*\)))(?![\w.])", re.I
)  # fmt: skip
_SQL_NOW = re.compile(r"\b(?:date|time|datetime|julianday|strftime)\s*\((?:\s*'[^']*'\s*,)?\s*'now'|'(?:now|today|yesterday|tomorrow)'\s*::", re.I)
_WHEN_WRITTEN = re.compile(r"\s*(?:\(\s*\d*\s*\))?\s+(?:as\s+)?[`\"]?\w*(?:load|etl|ins|reg|creat|crt|upd|mod|proc|audit|chg|writ)\w*", re.I)


def _sql(text: str) -> Iterator[Found]:
    text = without_tags(text, "_")
    code = _SQL_SKIP.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    for match in _SQL_CLOCK.finditer(code):
        before = code[max(0, match.start() - 40) : match.start()].lower().split()
        if before[-1:] in (["default"], ["as"]) or before[-2:] == ["on", "update"]:
            continue  # DDL, or a column that bears the name
        if match.group("moment") and _WHEN_WRITTEN.match(code, match.end()):
            continue
        yield match.start(), f"{match.group().strip()} {WHY}", _sql_hint(bool(match.group("day")))
    comments = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)
    for match in _SQL_NOW.finditer(comments.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)):
        yield match.start(), f"{match.group()} {WHY}", _sql_hint(True)


def _sql_hint(day: bool) -> str:
    name, kind = ("ds", "date") if day else ("ts", "timestamp")
    return f"write {kind} '<< {name} >>', or '${{hivevar:{name}}}' in a Hive file that gets hivevar: {{{name}: \"<< {name} >>\"}}"


def sql_in(text: str, offset: int) -> Iterator[Found]:
    """The clock reads of SQL that stands inside another text, at `offset`."""
    for place, message, hint in _sql(text):
        yield offset + place, message, hint
