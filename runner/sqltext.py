"""SQL as text: where a statement ends, and where its `:name` binds stand. Knows strings, comments, `$$` and `::casts`; nothing else of SQL.

A dialect says which of these a database has: postgres, mysql, sqlite, or ansi for whatever a site's own driver reaches (Oracle too). And hive, for
scripts of beeline, hive and spark-sql.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, FrozenSet, List, Optional, Tuple

DIALECTS = ("postgres", "mysql", "sqlite", "ansi")

_NAME = r"[^\W\d][\w$#]*|\d[\w.]*"  # a word or a number
_BACKSLASHED = r"'(?:[^'\\]|\\.|'')*'"
_TOKENS = {  # in this order; the first that fits is taken
    "postgres": {
        "comment": r"--[^\n]*", "open": r"/\*",
        "text": rf"[eE]{_BACKSLASHED}|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
    },
    "mysql": {
        "comment": r"--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!!).*?\*/",
        "text": rf"{_BACKSLASHED}|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`|/\*!.*?\*/",
        "delimiter": r"(?i:delimiter)[ \t]+(?P<mark>\S+)[ \t]*(?=\n|\r|\Z)",
    },
    "sqlite": {
        "comment": r"--[^\n]*|/\*.*?(?:\*/|\Z)",
        "text": r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]",
    },
    "ansi": {
        "comment": r"--[^\n]*|/\*.*?\*/",
        "text": r"[nN]?[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<quote>[^\s\[({<]).*?(?P=quote))'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|"
                r"\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
        "slash": r"(?m:^[ \t]*/[ \t]*\r?$)",
    },
    "hive": {
        "comment": r"--[^\n]*|/\*(?!\+).*?\*/",
        "text": r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`]|``)*`|/\*\+.*?\*/",  # a hint is no comment
        "command": r"!",  # of beeline, to the end of its line
    },
}
_COMMON = {
    "word": _NAME,
    "other": r"::|:=|\\:",
    "bind": r"(?<![\w\])\"'`:]):(?P<name>[^\W\d]\w*)",
    "unclosed": r"['\"`]|/\*",
    "end": r";",
    "blank": r"\s+",
    "rest": r".",
}


def _grammar(dialect: str) -> "re.Pattern[str]":
    parts = {**_TOKENS[dialect], **_COMMON}
    if dialect == "postgres":
        parts["unclosed"] = r"['\"]|\$(?:[^\W\d]\w*)?\$"  # its comments nest: see _nested
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in parts.items()), re.S)


_GRAMMARS = {dialect: _grammar(dialect) for dialect in _TOKENS}
_ROUTINES = frozenset({"FUNCTION", "PROCEDURE", "TRIGGER", "PACKAGE", "EVENT"})


class SqlTextError(ValueError):
    """The text cannot be cut into statements; `line` counts from 1."""

    def __init__(self, message: str, line: int):
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True)
class Bind:
    name: str
    start: int  # of its colon, in the statement's text
    end: int


@dataclass(frozen=True)
class Statement:
    number: int  # from 1
    line: int  # where it begins, from 1
    text: str  # as written, without what ends it
    binds: Tuple[Bind, ...]
    words: Tuple[str, ...]  # its first words, in capitals

    def filled(self, placeholder: Callable[[str], str], plain: Callable[[str], str] = str) -> "Filled":
        """The text for a driver: `placeholder(name)` for each bind, `plain(text)` for all between."""
        sql, names, places, done = "", [], [], 0
        for bind in self.binds:
            sql += plain(_unescaped(self.text[done:bind.start]))
            put = placeholder(bind.name)
            places.append((len(sql), len(sql) + len(put), bind.start, bind.end))
            sql, done = sql + put, bind.end
            names.append(bind.name)
        return Filled(sql + plain(_unescaped(self.text[done:])), tuple(names), tuple(places))


@dataclass(frozen=True)
class Filled:
    sql: str
    names: Tuple[str, ...]  # of the values, in the order of their placeholders
    places: Tuple[Tuple[int, int, int, int], ...]

    def back(self, position: int) -> int:
        """Where a place of the driver's text was in the statement."""
        shift = 0
        for begin, end, start, stop in self.places:
            if position < begin:
                break
            if position < end:
                return start
            shift = stop - end
        return position + shift


def _unescaped(text: str) -> str:
    return re.sub(r"\\:(?=\w)", ":", text) if "\\:" in text else text


def names(text: str, dialect: str) -> FrozenSet[str]:
    """The binds of a text. Raises SqlTextError."""
    return frozenset(bind.name for statement in split(text, dialect) for bind in statement.binds)


def split(text: str, dialect: str) -> List[Statement]:
    """The statements of a text, in their order; a part of comments only is none. Raises SqlTextError."""
    return _Splitter(text, dialect).run()


def bare(text: str, dialect: str) -> str:
    """A statement's text without its comments; what follows stays on its line."""
    out, at = [], 0
    while at < len(text):
        token = _GRAMMARS[dialect].match(text, at)
        out.append(token.group() if token.lastgroup != "comment" else "\n" * token.group().count("\n") or " ")
        at = token.end()
    return "".join(out)


class _Splitter:
    def __init__(self, text: str, dialect: str):
        self.text, self.dialect = text.replace("\r\n", "\n"), dialect
        self.grammar = _GRAMMARS[dialect]
        self.found: List[Statement] = []
        self.mark = ";"
        self._new()

    def _new(self) -> None:
        self.start: Optional[int] = None  # of the first token that counts
        self.stop = 0
        self.binds: List[Bind] = []
        self.words: List[str] = []
        self.depth = 0

    def run(self) -> List[Statement]:
        at = 0
        while at < len(self.text):
            if self.mark != ";" and self.text.startswith(self.mark, at):
                self._end()
                at += len(self.mark)
                continue
            token = self.grammar.match(self.text, at)
            at = self._take(token.lastgroup, token)
        self._end()
        return self.found

    def _take(self, kind: str, token: "re.Match[str]") -> int:
        """Deal with a token; returns where the next one begins."""
        start, end = token.span()
        if kind == "open":
            return self._nested(start)
        if kind in ("blank", "comment"):
            return end
        if kind == "unclosed":
            what = "comment" if token.group() == "/*" else "quote"
            raise SqlTextError(f"the {what} that begins here has no end", self._line(start))
        if kind == "delimiter" and self.start is None:
            self.mark = token.group("mark")
            return end
        if kind == "slash" or (kind == "end" and self._ends_here()):
            self._end()
            return end
        if kind == "command" and self.start is None:
            newline = self.text.find("\n", start)
            end = newline if newline >= 0 else len(self.text)
            self.start, self.stop = start, end
            self._end()
            return end
        if self.start is None:
            self.start = start
        if kind == "bind":
            self.binds.append(Bind(token.group("name"), start - self.start, end - self.start))
        elif kind == "word":
            self._word(token.group().upper())
        self.stop = end
        return end

    def _nested(self, start: int) -> int:
        depth = 0
        for mark in re.compile(r"/\*|\*/").finditer(self.text, start):
            depth += 1 if mark.group() == "/*" else -1
            if not depth:
                return mark.end()
        raise SqlTextError("the comment that begins here has no end", self._line(start))

    def _word(self, word: str) -> None:
        if len(self.words) < 8:
            self.words.append(word)
        if self.dialect in ("postgres", "sqlite") and self._is_routine():  # BEGIN ATOMIC ... END, and the body of a trigger
            if word == "BEGIN" or (word == "CASE" and self.depth):
                self.depth += 1
            elif word == "END" and self.depth:
                self.depth -= 1

    def _is_routine(self) -> bool:
        return self.words[:1] == ["CREATE"] and not _ROUTINES.isdisjoint(self.words[1:6])

    def _is_block(self) -> bool:
        """PL/SQL, which only a line with `/` ends."""
        return self.dialect == "ansi" and (self.words[:1] in (["BEGIN"], ["DECLARE"]) or self._is_routine())

    def _ends_here(self) -> bool:
        return self.mark == ";" and not self.depth and not self._is_block()

    def _end(self) -> None:
        if self.start is not None:
            text = self.text[self.start:self.stop]
            binds = () if self._is_routine() else tuple(self.binds)  # :new and :old of a trigger are no binds of ours
            self.found.append(Statement(len(self.found) + 1, self._line(self.start), text, binds, tuple(self.words)))
        self._new()

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1
