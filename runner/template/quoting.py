"""Parameters that stand bare in shell text: a blank, a quote or a `;` in the value would be read by the shell (D9).

A warning for people, so it is sure of itself or silent: only a plain `<< params.name >>`, only outside of quotes, and not in
a text with here-documents, where the quotes of the body mean nothing.
"""

from __future__ import annotations

import re
from typing import AbstractSet, List

from runner import model
from runner.template.lexer import Places, TemplateFault
from runner.template.syntax import pieces_of

_PLAIN = re.compile(r"params\.(\w+)")
_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?(?:[ \t]*['\"\\]|\w)")


def bare_params(text: str, risky: AbstractSet[str]) -> List[TemplateFault]:
    """Warnings about the tags of those parameters that a shell would split or read."""
    pieces, _ = pieces_of(text)
    if not risky or any(piece.kind == "text" and _HERE_DOCUMENT.search(piece.text) for piece in pieces):
        return []
    out, quote, places = [], "", Places(text)
    for piece in pieces:
        if piece.kind == "text":
            quote = _quote_after(piece.text, quote)
            continue
        plain = _PLAIN.fullmatch(piece.text)
        if plain and not quote and plain.group(1) in risky:
            out.append(places.fault(
                piece.offset, f"{piece.raw} stands bare in shell text: a blank or a quote in its value would change the command",
                f"write << params.{plain.group(1)} | sh >>, or give the parameter an enum: or a pattern:", "warning",
            ))  # fmt: skip
    return out


def lost_variables(text: str, params: AbstractSet[str]) -> List[TemplateFault]:
    """Warnings about variables of parameters that a shell reads only up to their first letter outside of A to Z."""
    places, names = Places(text), {model.variable_of(name): name for name in params if not name.isascii()}
    either = "|".join(sorted(names, key=len, reverse=True))  # of two that begin alike the longer one
    return [places.fault(
        found.start(), f"bash has no variable ${found.group(1)}: its names have letters of A to Z, digits and _ only",
        f"write << params.{names[found.group(1)]} | sh >>, with no quotes around it", "warning",
    ) for found in re.finditer(rf"\$\{{?({either})", text)]  # fmt: skip


def _quote_after(text: str, quote: str) -> str:
    """The quote that is open behind a piece of shell text; comments are left out."""
    i = 0
    while i < len(text):
        letter = text[i]
        if letter == "\\" and quote != "'":
            i += 1
        elif quote:
            if letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (i == 0 or text[i - 1] in " \t\n;"):
            i = text.find("\n", i)
            if i < 0:
                return quote
        i += 1
    return quote
