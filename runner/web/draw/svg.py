"""Words of SVG. Everything that is given is escaped; colours come from the style sheet, by the class of a state."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Any

from runner.shown import STATE_SIGNS

LETTER = 6.6  # pixels of a letter of 12 pixels, about


def tag(name: str, *inside: str, **attributes: Any) -> str:
    """`tag("rect", x=1, class_="box")`; None leaves an attribute out."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{words}>{''.join(inside)}</{name}>" if inside else f"<{name}{words}/>"


def _number(value: Any) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(words: str, x: float, y: float, **attributes: Any) -> str:
    return tag("text", escape(words), x=x, y=y, **attributes)


def title(words: str) -> str:
    """What is shown when the pointer rests on it, and read aloud."""
    return tag("title", escape(words))


def picture(width: float, height: float, label: str, *inside: str) -> str:
    return tag("svg", *inside, xmlns="http://www.w3.org/2000/svg", width=float(width), height=float(height), viewBox=f"0 0 {_number(float(width))} {_number(float(height))}", role="group", aria_label=label)


def link(address: str, *inside: str, **attributes: Any) -> str:
    return tag("a", *inside, href=address, **attributes)


def cells(words: str) -> int:
    """Columns of a text: a Hangul letter takes two."""
    return len(words) if words.isascii() else sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in words)


def cut(words: str, most: int) -> str:
    """At most so many columns."""
    if cells(words) <= most:
        return words
    out, taken = "", 1
    for letter in words:
        taken += cells(letter)
        if taken > most:
            break
        out += letter
    return out + "…"


def sign(state: str, x: float, y: float, side: float = 16.0) -> str:
    """The small square of a state: its colour and its sign."""
    return tag("g", tag("rect", x=x, y=y, width=side, height=side, rx=3, class_="box"),
               text(STATE_SIGNS.get(state, " "), x + side / 2, y + side * 0.76, text_anchor="middle", class_="onbox"), class_=f"s-{state}")
