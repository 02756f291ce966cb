"""What is a tag and what is shell: the rules of semantics D1, measured on 47,860 real files. Imports no Jinja.

Recognised tags are handed on as pieces; all else is literal text, byte for byte. `<<EOF`, `<<<`, `1 << 3`, `>>` are shell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

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
    """A part of a text. `kind`: text | tag | block. For a block `text` is its inside, with `alone` when the line is its own."""

    kind: str
    text: str
    offset: int
    alone: bool = False


_OPEN = re.compile(r"<<+!?|<%!?")
_WORD = re.compile(r"[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([^\W\d][\w.-]*))")
_START = re.compile(r"[ \t]+[^\W]|[ \t]+['\"(\[{]")
_TIGHT = re.compile(r"([^\W\d]\w*)[^\n<>]{0,80}?>>")
_BLOCK = re.compile(r"[ \t]+(if|elif|else|endif|for|endfor|set)\b([^\n]*?)[ \t]%>")


def may_hold_tags(text: str) -> bool:
    """A quick no for most texts."""
    return "<<" in text or "<%" in text


def place(text: str, offset: int) -> Tuple[int, int]:
    """Line and column of an offset, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def fault(text: str, offset: int, message: str, hint: str = "", severity: str = "error") -> TemplateFault:
    return TemplateFault(*place(text, offset), message, hint, severity)


def close(text: str, start: int) -> Optional[int]:
    """Offset of the ` >>` that closes a tag whose inside begins at `start`; None when there is none (rule 2)."""
    depth, quote, i = 0, "", start
    end = text.find("\n", start)
    end = min(len(text) if end < 0 else end, start + MAX_TAG)
    while i < end:
        letter = text[i]
        if quote:
            if letter == "\\":
                i += 1
            elif letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif text.startswith("<<", i):
            return None  # the inner one is the opener
        elif letter == ">" and depth == 0 and text.startswith(">>", i) and text[i - 1] in " \t":
            return i
        i += 1
    return None


def split(
    text: str, known: FrozenSet[str], names_of: Callable[[str], Tuple[Optional[FrozenSet[str]], str]]
) -> Tuple[List[Piece], List[TemplateFault]]:
    """The pieces of a text, and what is wrong with its tags.

    `names_of(expression)` gives the free names of an expression, or None and why it does not parse.
    """
    pieces: List[Piece] = []
    faults: List[TemplateFault] = []
    if "\0" in text:
        return [Piece("text", text, 0)], [fault(text, text.index("\0"), "a NUL character", "no shell or template can carry it: remove it")]
    last_line: Optional[Dict[str, int]] = None
    done = pos = 0

    def literal(until: int) -> None:
        if until > done:
            pieces.append(Piece("text", text[done:until], done))

    while True:
        match = _OPEN.search(text, pos)
        if match is None:
            literal(len(text))
            return pieces, faults
        a, b = match.span()
        token, pos = match.group(), b
        if token.startswith("<%"):
            block = _BLOCK.match(text, b)
            if block is None:
                continue
            if token == "<%!":
                literal(a)
                pieces.append(Piece("text", "<%", a))
                done = b
                pos = block.end()
                continue
            first, last, alone = _whole_line(text, a, block.end())
            literal(first)
            pieces.append(Piece("block", (block.group(1) + block.group(2)).strip(), a, alone))
            done = pos = last
            continue
        if token not in ("<<", "<<!"):
            continue  # rule 1: <<< never opens
        if text[b : b + 1] not in (" ", "\t"):
            if token == "<<":
                _tight(text, a, b, known, faults)
            continue
        word = _WORD.match(text, b)
        name = word and (word.group(1) or word.group(2) or word.group(3))
        end = close(text, b) if _START.match(text, b) else None
        if token == "<<" and name:
            if last_line is None:
                last_line = _last_lines(text)
            if last_line.get(name, -1) > a:  # rule 3: a here-document
                if end is not None and word.group(3) and word.group(3) in known:
                    faults.append(fault(text, a, f"<< {name} >> reads as a template and as a here-document that ends at the line {name}",
                                        "give the here-document another word, such as EOF"))
                pos = word.end()
                continue
        if end is None:
            if token == "<<" and word and word.group(3) and word.group(3).split(".")[0] in known:
                faults.append(fault(text, a, f"<< {word.group(3)} is not closed by >> on this line", f"write << {word.group(3)} >>, a blank on both sides"))
            continue
        inside = text[b:end].strip()
        names, why = names_of(inside)
        if token == "<<!":
            if names:
                literal(a)
                pieces.append(Piece("text", "<<", a))
                done = b
                pos = end + 2
            continue
        if names is None:
            faults.append(fault(text, a, f"<< {inside} >>: {why}", "to keep << as it is, write <<!"))
            pos = end + 2
            continue
        if not names:  # rule 4: numbers only, a shift
            continue
        literal(a)
        pieces.append(Piece("tag", inside, a))
        done = pos = end + 2


def _tight(text: str, a: int, b: int, known: FrozenSet[str], faults: List[TemplateFault]) -> None:
    """<<ds>> is surely meant as a tag when ds is a name and no here-document ends there (rule 6)."""
    match = _TIGHT.match(text, b)
    if match and match.group(1) in known and "\n" + match.group(1) + "\n" not in text[b:] + "\n":
        inside = match.group()[:-2].strip()
        faults.append(fault(text, a, f"<<{inside}>> has no blanks", f"write << {inside} >>"))


def _last_lines(text: str) -> Dict[str, int]:
    """Line -> offset of its last occurrence; a here-document with <<- may be indented by tabs."""
    out: Dict[str, int] = {}
    offset = 0
    for line in text.split("\n"):
        out[line.rstrip("\r")] = offset
        if line.startswith("\t"):
            out[line.strip("\t\r")] = offset
        offset += len(line) + 1
    return out


def _whole_line(text: str, start: int, end: int) -> Tuple[int, int, bool]:
    """A block that has its line for itself takes the line with it."""
    first = text.rfind("\n", 0, start) + 1
    newline = text.find("\n", end)
    last = len(text) if newline < 0 else newline + 1
    if text[first:start].strip() or text[end:last].strip():
        return start, end, False
    return first, last, True
