"""What is a tag and what is shell: the rules of semantics D1, measured on 47,860 real files. Imports no Jinja.

Recognised tags are handed on as pieces; all else is literal text, byte for byte. `<<EOF`, `<<<`, `1 << 3`, `>>` are shell.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Callable, Dict, FrozenSet, List, Match, NamedTuple, Optional, Tuple

MAX_TAG = 4000  # characters of one expression; a longer one is somebody's data


@dataclass(frozen=True)
class TemplateFault:
    """One fault; line and column count from 1 inside the text."""

    line: int
    column: int
    message: str
    hint: str = ""
    severity: str = "error"  # error | warning


class Piece(NamedTuple):
    """A part of a text. `kind`: text | tag | block. For a tag or block `text` is its inside, `raw` what the user wrote."""

    kind: str
    text: str
    offset: int
    raw: str = ""


NamesOf = Callable[[str], Tuple[Optional[FrozenSet[str]], str]]

_OPEN = re.compile(r"<<+!?|<%!?")
_WORD = re.compile(r"[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([^\W\d][\w.-]*))")
_START = re.compile(r"[ \t]+['\"(\[{\w]")
_HEAD = re.compile(r"[ \t]+([^\W\d]\w*)((?:\.\w+)*)")
_TIGHT = re.compile(r"([^\W\d]\w*)[^\n<>]{0,80}?>>")
_CLOSER = re.compile(r"""['"()\[\]{}\n]|<<|(?<=[ \t])>>""")
_QUOTED = {quote: re.compile(rf"(?:[^{quote}\\\n]|\\[^\n])*{quote}") for quote in "'\""}
_BLOCK = re.compile(r"[ \t]+(if|elif|else|endif|for|endfor|set)\b((?:[^\n<]|<(?!%)){0,4000}?)[ \t]%>")
_NO_BLOCK = re.compile(r"[ \t]+(raw|endraw|include|import|from|macro|endmacro|extends|block|endblock|call|filter|with|endwith|do)\b[^\n%]*[ \t]%>")
# Names that programs use for their own variables: `1 << step` is a shift, `<< step >` is surely a tag gone wrong.
_COMMON = frozenset({"step", "run", "pipeline", "params", "outputs", "macros", "datetime", "timedelta", "ts", "secret", "var", "conn"})


def may_hold_tags(text: str) -> bool:
    """A quick no for most texts."""
    return "<<" in text or "<%" in text


def split(text: str, known: FrozenSet[str], names_of: NamesOf) -> Tuple[List[Piece], List[TemplateFault]]:
    """The pieces of a text, and what is wrong with its tags.

    `names_of(expression)` gives the free names of an expression, or None and why it does not parse.
    """
    places = Places(text)
    if "\0" in text:
        nul = places.fault(text.index("\0"), "a NUL character", "no shell and no template can carry it: remove it")
        return [Piece("text", text, 0)], [nul]
    return _Scanner(text, places, known, names_of).scan()


def close(text: str, start: int) -> Optional[int]:
    """Offset of the ` >>` that closes a tag whose inside begins at `start`; None when there is none (rule 2)."""
    depth, i, end = 0, start, start + MAX_TAG
    while True:
        match = _CLOSER.search(text, i, end)
        if match is None:
            return None
        found, i = match.group(), match.end()
        if found in _QUOTED:
            quoted = _QUOTED[found].match(text, i, end)
            if quoted is None:
                return None
            i = quoted.end()
        elif found in "([{":
            depth += 1
        elif found in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif found == ">>":
            if depth == 0:
                return match.start()
        else:
            return None  # the line ends, or an inner << is the opener


class Places:
    """Offsets to lines and columns; the table of lines is made when the first fault wants it."""

    def __init__(self, text: str):
        self.text = text
        self._starts: List[int] = []

    def fault(self, offset: int, message: str, hint: str = "", severity: str = "error") -> TemplateFault:
        if not self._starts:
            self._starts = [0] + [match.end() for match in re.finditer("\n", self.text)]
        line = bisect_right(self._starts, offset)
        return TemplateFault(line, offset - self._starts[line - 1] + 1, message, hint, severity)


class _Scanner:
    """One walk over one text. `done` is the end of what already stands in `pieces`."""

    def __init__(self, text: str, places: Places, known: FrozenSet[str], names_of: NamesOf):
        self.text, self.known, self.names_of = text, known, names_of
        self.places = places
        self.pieces: List[Piece] = []
        self.faults: List[TemplateFault] = []
        self.done = 0
        self._last: Optional[Dict[str, int]] = None

    def scan(self) -> Tuple[List[Piece], List[TemplateFault]]:
        position = 0
        while True:
            match = _OPEN.search(self.text, position)
            if match is None:
                self._literal(len(self.text))
                return self.pieces, self.faults
            position = self._block(match) if match.group()[1] == "%" else self._tag(match)

    # Each of these returns where the search goes on.

    def _tag(self, match: Match[str]) -> int:
        a, b = match.span()
        token, text = match.group(), self.text
        if token not in ("<<", "<<!"):
            return b  # rule 1: <<< never opens
        if text[b : b + 1] not in (" ", "\t"):
            if token == "<<":
                self._tight(a, b)
            return b
        end = close(text, b) if _START.match(text, b) else None
        if token == "<<!":
            return self._escape(a, b, end)
        word = _WORD.match(text, b)
        name = word and (word.group(1) or word.group(2) or word.group(3))
        if word and name and self._ends_later(name, a):  # rule 3: a here-document
            if end is not None and word.group(3) in self.known:
                message = f"<< {name} >> reads as a template, and as a here-document that ends at the line {name}"
                self._fault(a, message, "give the here-document another word, such as EOF")
            return word.end()
        if end is None:
            self._not_closed(a, b)
            return b
        inside = text[b:end].strip()
        names, why = self.names_of(inside)
        if names is None:
            self._fault(a, f"<< {inside} >>: {why}", "to keep << as it is, write <<!")
        elif not names:
            return b  # rule 4: numbers only, a shift
        else:
            self._add("tag", inside, a, end + 2)
        return end + 2

    def _escape(self, a: int, b: int, end: Optional[int]) -> int:
        """`<<!` gives `<<` where `<<` would be a tag or a fault, and only there: `cat <<! >> log` is shell (rule 7)."""
        if end is None:
            if self._looks_open(b):
                self._add("text", "<<", a, b)
            return b
        names, _ = self.names_of(self.text[b:end].strip())
        if names is None or names:
            self._add("text", "<<", a, b)
            return end + 2
        return b

    def _tight(self, a: int, b: int) -> None:
        """<<ds>> is surely meant as a tag when ds is a name and no here-document ends there (rule 6)."""
        match = _TIGHT.match(self.text, b)
        if match and match.group(1) in self.known and not self._ends_later(match.group(1), a):
            inside = match.group()[:-2].strip()
            if match.group(1) in _COMMON and inside[len(match.group(1)) :][:1] == "-":
                return  # <<run-module>>: an event of Tk
            self._fault(a, f"<<{self.text[b : match.end()]} is not read as a template", f"write << {inside} >>, with a blank on both sides")

    def _not_closed(self, a: int, b: int) -> None:
        if self._looks_open(b):
            match = _HEAD.match(self.text, b)
            word = match.group().strip() if match else ""
            self._fault(a, f"<< {word} is not closed by >> on this line", f"write << {word} >>, a blank on both sides; or <<! to keep << as it is")

    def _looks_open(self, b: int) -> bool:
        """Whether what follows << begins like one of our names, so that a missing >> is surely a slip (rule 6)."""
        match = _HEAD.match(self.text, b)
        if not match or match.group(1) not in self.known:
            return False
        if match.group(1) not in _COMMON or match.group(2):
            return True
        newline = self.text.find("\n", b)
        return re.match(r"[^<]*?>", self.text[b : len(self.text) if newline < 0 else min(newline, b + MAX_TAG)]) is not None

    def _ends_later(self, word: str, offset: int) -> bool:
        """Whether a line further down is exactly `word`."""
        if self._last is None:
            self._last, start = {}, 0
            for line in self.text.split("\n"):
                self._last[line.rstrip("\r")] = start
                start += len(line) + 1
        return self._last.get(word, -1) > offset

    def _block(self, match: Match[str]) -> int:
        a, b = match.span()
        block = _BLOCK.match(self.text, b)
        if block is None:
            other = _NO_BLOCK.match(self.text, b) if match.group() == "<%" else None
            if other:
                message = f"<% {other.group(1)} %> is not available and stays as it is"
                self._fault(a, message, "the blocks are if, elif, else, for and set", "warning")
            return b
        if match.group() == "<%!":
            self._add("text", "<%", a, b)
            return block.end()
        first, last = self._whole_line(a, block.end())
        self._literal(first)
        self.done = a  # the blanks before it go with its line
        self._add("block", (block.group(1) + block.group(2)).strip(), a, last)
        return last

    def _whole_line(self, start: int, end: int) -> Tuple[int, int]:
        """A block that has its line for itself takes the line with it."""
        first = max(self.text.rfind("\n", 0, start) + 1, self.done)
        newline = self.text.find("\n", end)
        last = len(self.text) if newline < 0 else newline + 1
        alone = self.text[first - 1 : first] in ("", "\n") and not self.text[first:start].strip() and not self.text[end:last].strip()
        return (first, last) if alone else (start, end)

    def _add(self, kind: str, inside: str, start: int, end: int) -> None:
        self._literal(start)
        self.pieces.append(Piece(kind, inside, start, self.text[start:end]))
        self.done = end

    def _literal(self, until: int) -> None:
        if until > self.done:
            self.pieces.append(Piece("text", self.text[self.done : until], self.done))
            self.done = until

    def _fault(self, offset: int, message: str, hint: str, severity: str = "error") -> None:
        self.faults.append(self.places.fault(offset, message, hint, severity))
