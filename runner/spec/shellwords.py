"""Shell text to its commands, roughly: which words, which redirections, and inside which command a `$( )` stands.

No full shell grammar: enough to tell `date +%F` that names a file from one that stands in a comment, in single quotes or
in a line for the log. What it cannot follow it passes over; it never raises.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Tuple

MAX_NESTING = 40
_PLAIN = re.compile(r"[^\s'\"\\$`;&|()<>]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]\n]*\])?\+?=")
_REDIRECT = re.compile(r"\d*(?:<<<|<<-|<<|<>|<&|>>|>&|>\||&>>|&>|<|>)[ \t]*")
_DEFAULT = re.compile(r"\$\{([A-Za-z_]\w*|\d+):?[-=]")
_KEYWORDS = frozenset("if then else elif do while until ! { } time fi done esac".split())
_DECLARE = frozenset("export local declare readonly typeset".split())


class Word(NamedTuple):
    start: int
    text: str  # as it is written, quotes included

    @property
    def bare(self) -> str:
        """Without its quotes and backslashes."""
        return re.sub(r"['\"\\]", "", self.text)


class Command:
    """One simple command."""

    def __init__(self, parent: Optional["Command"], place: str, default_of: str):
        self.words: List[Word] = []
        self.redirects: List[Tuple[str, Word]] = []
        self.parent = parent  # the command whose word holds the substitution this one stands in
        self.place = place  # where: "" | word | assign | redirect | arithmetic | here-document
        self.default_of = default_of  # X for ${X:-$(this)}
        self.pipe_to: Optional["Command"] = None

    @property
    def name(self) -> str:
        """date for /bin/date, `command date`, `sudo -u x date` is not followed."""
        return self.words[0].bare.rpartition("/")[2] if self.words else ""


def commands(text: str) -> List[Command]:
    reader = _Reader(text)
    try:
        reader.read("", None, "", "", 0)
    except (IndexError, RecursionError):
        pass  # text that is no shell; what was understood counts
    return reader.found


class _Reader:
    def __init__(self, text: str):
        self.text, self.i, self.end = text, 0, len(text)
        self.found: List[Command] = []
        self.here: List[Tuple[str, bool, Command]] = []  # end word, quoted, command
        self.in_ticks = False  # inside ` `, where the next ` ends it

    def read(self, stop: str, parent: Optional[Command], place: str, default_of: str, depth: int) -> None:
        """Commands until `stop`, which is taken too."""
        if depth > MAX_NESTING:
            raise RecursionError
        new = lambda: Command(parent, place, default_of)  # noqa: E731
        command, brackets = new(), 0
        while self.i < self.end:
            letter = self.text[self.i]
            if letter == stop and not brackets:
                self.i += 1
                break
            if letter == "\n":
                command = self._finish(command, new)
                self.i += 1
                self._here_documents(depth)
            elif letter in " \t\r":
                self.i += 1
            elif letter == "#" and (self.i == 0 or self.text[self.i - 1] in " \t\n;&|("):
                newline = self.text.find("\n", self.i)
                self.i = self.end if newline < 0 else newline
            elif letter == "\\" and self.text[self.i + 1 : self.i + 2] in ("\n", "\r"):
                self.i += 2
            elif self._redirection(command, depth):
                continue
            elif letter == "|":
                before, command = command, self._finish(command, new)
                self.i += 1
                if self.text[self.i : self.i + 1] != "|":
                    before.pipe_to = command
                else:
                    self.i += 1
            elif letter in ";&":
                command = self._finish(command, new)
                self.i += 1
            elif letter in "()":
                brackets = max(0, brackets + (1 if letter == "(" else -1))
                command = self._finish(command, new)
                self.i += 1
            else:
                self._take_word(command, depth)
        self._finish(command, new)

    def _finish(self, command: Command, new) -> Command:
        if command.words:
            self.found.append(command)
        elif not command.redirects:
            return command
        return new()

    def _take_word(self, command: Command, depth: int) -> None:
        declares = bool(command.words) and command.words[0].text in _DECLARE
        assigns = (not command.words or declares) and _ASSIGNMENT.match(self.text, self.i)
        word = self._word(command, "assign" if assigns else "word", depth)
        if not command.words and (assigns or word.text in _KEYWORDS):
            return
        command.words.append(word)

    def _redirection(self, command: Command, depth: int) -> bool:
        match = _REDIRECT.match(self.text, self.i)
        if not match:
            return False
        operator = match.group().strip().lstrip("0123456789")
        self.i = match.end()
        if operator in ("<", ">") and self.text[self.i : self.i + 1] == "(" and match.group()[-1] in "<>":
            self.i += 1
            self.read(")", command, "word", "", depth + 1)  # <( ... )
            return True
        target = self._word(command, "redirect" if operator != "<<<" else "word", depth)
        if operator in ("<<", "<<-"):
            self.here.append((target.bare, target.bare != target.text, command))
        command.redirects.append((operator, target))
        return True

    def _word(self, command: Command, place: str, depth: int) -> Word:
        start = self.i
        while self.i < self.end:
            plain = _PLAIN.match(self.text, self.i)
            if plain:
                self.i = plain.end()
                continue
            letter = self.text[self.i]
            if letter == "'":
                self._skip_past("'", 1)
            elif letter == '"':
                self._double_quoted(command, place, depth)
            elif letter == "\\":
                self.i += 2
            elif letter == "`" and self.in_ticks:
                break
            elif letter in "$`":
                self._dollar(command, place, depth)
            elif letter == "(" and self.text[self.i - 1] == "=" and self.i > start:
                self.i += 1  # an array: a=(x y)
                self._array(command, depth)
            else:
                break
        if self.i == start:
            self.i += 1  # always go on
        return Word(start, self.text[start : self.i])

    def _array(self, command: Command, depth: int) -> None:
        while self.i < self.end and self.text[self.i] != ")":
            if self.text[self.i].isspace():
                self.i += 1
            else:
                self._word(command, "assign", depth)
        self.i += 1

    def _skip_past(self, what: str, step: int) -> None:
        found = self.text.find(what, self.i + step)
        self.i = self.end if found < 0 else found + len(what)

    def _double_quoted(self, command: Command, place: str, depth: int) -> None:
        self.i += 1
        while self.i < self.end:
            letter = self.text[self.i]
            if letter == '"':
                self.i += 1
                return
            if letter == "\\":
                self.i += 2
            elif letter in "$`":
                self._dollar(command, place, depth)
            else:
                self.i += 1

    def _dollar(self, command: Command, place: str, depth: int, default_of: str = "") -> None:
        """At `$` or a backtick: a substitution is read as commands of its own."""
        if self.text[self.i] == "`":
            self.i += 1
            if not self.in_ticks:
                self.in_ticks = True
                self.read("`", command, place, default_of, depth + 1)
                self.in_ticks = False
        elif self.text.startswith("$((", self.i):
            self.i += 3
            self._until_closed(command, "arithmetic", depth, "(", ")", 2)
        elif self.text.startswith("$(", self.i):
            self.i += 2
            outside, self.in_ticks = self.in_ticks, False
            self.read(")", command, place, default_of, depth + 1)
            self.in_ticks = outside
        elif self.text.startswith("${", self.i):
            match = _DEFAULT.match(self.text, self.i)
            self.i = match.end() if match else self.i + 2
            self._until_closed(command, place, depth, "{", "}", 1, match.group(1) if match else "")
        elif self.text.startswith("$'", self.i):
            self._skip_past("'", 2)
        else:
            self.i += 1

    def _until_closed(self, command: Command, place: str, depth: int, opener: str, closer: str, level: int, default_of: str = "") -> None:
        if depth > MAX_NESTING:
            raise RecursionError
        while self.i < self.end and level:
            letter = self.text[self.i]
            if letter in "$`":
                self._dollar(command, place, depth + 1, default_of)
                continue
            if letter == "\n" and closer == "}":
                return  # an open brace: give it up
            level += (letter == opener) - (letter == closer)
            self.i += 2 if letter == "\\" else 1

    def _here_documents(self, depth: int) -> None:
        for word, quoted, command in self.here:
            end = re.compile(rf"^\t*{re.escape(word)}[ \t\r]*$", re.M).search(self.text, self.i)
            until = end.start() if end else self.end
            while not quoted and self.i < until:
                letter = self.text[self.i]
                if letter == "\\":
                    self.i += 2
                elif letter in "$`":
                    self._dollar(command, "here-document", depth)
                else:
                    self.i += 1
            self.i = end.end() if end else self.end
        self.here = []
