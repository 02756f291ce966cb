"""Clock reads of shell text: what `date`, `printf '%()T'`, awk's strftime and SQL or Python in arguments ask for."""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Optional

from runner.spec.lint import WHY, Found, sql_in, without_tags
from runner.spec.shellwords import Command, Word, commands

_RUN = "\1"  # stands for each letter of a tag of ours
_PRINTS = re.compile(r"(?:echo|printf|print|logger|tee|wall|banner|die|abort|usage|fail|(?:\w*_)?(?:log|msg|info|warn|warning|error|err|debug|trace|notice|say)(?:_\w*|ger)?)$", re.I)
_KEEPS_PRINTING = frozenset("tee logger cat sed awk sort column fold head tail".split())
_WRAPPERS = frozenset("command env sudo nohup busybox exec time nice timeout".split())
_DIRECTIVE = re.compile(r"%[-_0^#]*\d*[EO]?:*([A-Za-z%])")
_OF_CLOCK = frozenset("aAbBcCdDeFgGhHIjklmMpPrRSTuUVwWxXyY")
_OF_TIME = frozenset("cHIklMprRSTX")
_OWN_BASE = re.compile(rf"{_RUN}|\$|`|@-?\d|\d{{4}}-?\d\d-?\d\d|\d+/\d+/\d+")
_NOW_BASE = re.compile(r"EPOCHSECONDS|EPOCHREALTIME|@(?:\$\(|`)\s*date")  # $(date +%F) in it is found by itself
_SQL_CLIENTS = frozenset("hive beeline spark-sql impala-shell psql mysql mariadb sqlplus sqlite3 trino presto clickhouse-client isql vsql".split())
_SQL_OPTIONS = re.compile(r"-e|-q|-c|-Q|--query|--execute|--command")
_PYTHON = re.compile(r"(?:python[\d.]*|pyspark|spark-submit)$")
_CLOCK_OPTIONS = re.compile(r"-I\w*|--iso-8601(?:=.*)?|--rfc-3339(?:=.*)?")


class Asked(NamedTuple):
    """What a `date` command asks for. `layout` is empty for the default print, `day` the words of -d."""

    layout: str
    day: str


def find(text: str) -> Iterator[Found]:
    hidden = without_tags(text, _RUN)
    for command in commands(hidden):
        words = _unwrapped(command.words)
        if not words:
            continue
        name = words[0].bare.rpartition("/")[2]
        if name == "date":
            asked = _asked(words[1:])
            if asked and not _for_people(command, asked):
                shown = text[words[0].start : words[-1].start + len(words[-1].text)].split("\n")[0]
                yield words[0].start, f"{shown} {WHY}", _hint(asked)
        elif name == "printf":
            yield from _printf(command, words)
        elif name in ("awk", "gawk", "mawk"):
            yield from _awk(words)
        elif name in _SQL_CLIENTS:
            yield from _sql(text, command, words)
        elif _PYTHON.match(name):
            yield from _python(words)


def _unwrapped(words: List[Word]) -> List[Word]:
    """`sudo -n date`, `env TZ=UTC date`: the words from date on."""
    words = list(words)
    while len(words) > 1 and words[0].bare.rpartition("/")[2] in _WRAPPERS:
        words.pop(0)
        while len(words) > 1 and (words[0].text.startswith("-") or "=" in words[0].text or words[0].text[0].isdigit()):
            words.pop(0)
    return words


# ----------------------------------------------------------------------------------------------------------------- date


def _asked(words: List[Word]) -> Optional[Asked]:
    """What of the clock a `date` with these arguments prints; None when it is no date of today."""
    layout, day, texts = "", None, [word.bare for word in words]
    index = 0
    while index < len(texts):
        word = texts[index]
        index += 1
        if word in ("-d", "--date") and index < len(texts):
            day = texts[index]
            index += 1
        elif word.startswith("--date="):
            day = word[7:]
        elif re.match(r"-u?d.", word) or word == "-ud":
            day = word.partition("d")[2] or (texts[index] if index < len(texts) else "")
        elif word.startswith("+"):
            layout = word[1:]
        elif _CLOCK_OPTIONS.fullmatch(word):
            layout = layout or "%F"
        elif re.match(r"-r|-f|-s|-j|--reference|--file|--set|--help|--version", word):
            return None  # a file's date, or setting the clock
    if layout.startswith(("$", _RUN)) or (day is not None and _OWN_BASE.search(day) and not _NOW_BASE.search(day)):
        return None
    if not layout:
        return Asked("", day) if day and day not in ("now", "today") else None
    if not _OF_CLOCK & set(_DIRECTIVE.findall(layout)):
        return None  # +%s, for measuring
    return Asked(layout, day or "")


def _for_people(command: Command, asked: Asked) -> bool:
    """Whether nothing but eyes will read it (see the head of lint.py)."""
    if command.default_of.startswith("RUNNER_"):
        return True
    directives = set(_DIRECTIVE.findall(asked.layout))
    stamp = bool(directives & set("STc")) and bool(re.search(r"[\s:]|%T|%c", asked.layout))
    if command.parent is None:
        return _only_printed(command) and bool(directives & _OF_TIME)
    if command.place == "word" and _PRINTS.match(command.parent.name):
        return _only_printed(command.parent)
    return stamp and command.place == "assign"


def _only_printed(command: Command) -> bool:
    """Whether what it prints goes to the log and nowhere else."""
    if command.name == "printf" and any(word.text == "-v" for word in command.words[:2]):
        return False
    for operator, target in command.redirects:
        if "RUNNER_OUTPUT" in target.text or "$(" in target.text or "`" in target.text:
            return False
        if operator == ">" and command.name == "date" and not re.search(r"log|/dev/", target.text):
            return False
    if command.parent is not None:  # captured: x=$(echo "$(date +%F)")
        return command.place == "word" and bool(_PRINTS.match(command.parent.name)) and _only_printed(command.parent)
    return command.pipe_to is None or command.pipe_to.name in _KEEPS_PRINTING


_SHORT = {"%Y%m%d": "ds_nodash", "%Y-%m-%d": "ds", "%F": "ds", "%Y%m%dT%H%M%S": "ts_nodash"}
_DAYS = {
    "yesterday": "yesterday_", "-1 day": "yesterday_", "1 day ago": "yesterday_", "-1 days": "yesterday_", "1 days ago": "yesterday_",
    "-1day": "yesterday_", "tomorrow": "tomorrow_", "+1 day": "tomorrow_", "1 day": "tomorrow_", "": "", "now": "", "today": "",
}  # fmt: skip


def _hint(asked: Asked) -> str:
    name = _SHORT.get(asked.layout or "%F")
    prefix = _DAYS.get(re.sub(r"\s+", " ", asked.day.strip().lower()))
    if name and prefix is not None and not (prefix and name.startswith("ts")):
        return f"write << {prefix}{name} >>, or $RUNNER_{(prefix + name).upper()} in a script"
    if _NOW_BASE.search(asked.day):
        return f'write date -d "$RUNNER_TS" +{asked.layout}'
    moved = "" if prefix == "" else f" {asked.day.strip()}"
    base = "$RUNNER_TS" if _OF_TIME & set(_DIRECTIVE.findall(asked.layout)) and not moved else "$RUNNER_DS"
    return f'write date -d "{base}{moved}" +{asked.layout or "%F"}'


# --------------------------------------------------------------------------------------------------------------- others


def _printf(command: Command, words: List[Word]) -> Iterator[Found]:
    """bash's own: printf '%(%F)T' -1."""
    for index, word in enumerate(words[1:], 1):
        match = re.search(r"%-?\d*\(([^)]*)\)T", word.text)
        if not match:
            continue
        given = words[index + 1].bare if index + 1 < len(words) else "-1"
        if given not in ("-1", "-2") and "EPOCH" not in given:
            return
        asked = Asked(match.group(1) or "%T", "")
        if _OF_CLOCK & set(_DIRECTIVE.findall(asked.layout)) and not _only_printed(command):
            yield words[0].start, f"printf {match.group()} {WHY}", _hint(asked)


def _awk(words: List[Word]) -> Iterator[Found]:
    for word in words[1:]:
        match = re.search(r"strftime\(\s*(?:\"[^\"]*\"\s*)?\)|systime\(\s*\)", word.text)
        if match and match.group().startswith("strftime"):
            yield word.start + match.start(), f"{match.group()} {WHY}", 'give awk the date: awk -v ds="$RUNNER_DS"'


def _sql(text: str, command: Command, words: List[Word]) -> Iterator[Found]:
    """hive -e "... current_date ..."."""
    for before, word in zip(words, words[1:]):
        if _SQL_OPTIONS.fullmatch(before.text) and word.text[:1] in "'\"":
            inside = word.text[1:-1]
            yield from sql_in(inside.replace(_RUN, "_"), word.start + 1)
        elif re.match(r"--(?:query|execute|command)=['\"]", word.text):
            opened = word.text.index("=") + 2
            yield from sql_in(word.text[opened:-1].replace(_RUN, "_"), word.start + opened)


def _python(words: List[Word]) -> Iterator[Found]:
    from runner.spec import lint_python

    for before, word in zip(words, words[1:]):
        if before.text == "-c" and word.text[:1] in "'\"":
            for offset, message, hint in lint_python.find(word.text[1:-1].replace(_RUN, "_"), prints_are_results=True):
                yield word.start + 1 + offset, message, hint
