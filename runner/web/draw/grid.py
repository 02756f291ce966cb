"""Steps against dates: a square for each step of each run, the newest on the right."""

from __future__ import annotations

from typing import List, Mapping, NamedTuple, Sequence

from runner.shown import STATE_SIGNS
from runner.web.draw import svg

CELL, GAP, HEAD = 16, 3, 30
PITCH = CELL + GAP


class Column(NamedTuple):
    """A run."""

    id: int
    label: str
    state: str
    steps: Mapping[str, str]  # step -> state


def names(steps: Sequence[str], whole: str, label: str = "") -> str:
    """The left part, which stays when the squares are moved."""
    out = [svg.text(whole, 196, HEAD + 12, text_anchor="end", class_="strong")]
    out += [svg.tag("g", svg.title(step), svg.text(svg.cut(step, 28), 196, HEAD + PITCH * (number + 1) + 17, text_anchor="end")) for number, step in enumerate(steps)]
    return svg.picture(200, HEAD + PITCH * (len(steps) + 1) + 8, label, *out)


def squares(columns: Sequence[Column], steps: Sequence[str], said: Mapping[str, str], root: str = "", label: str = "") -> str:
    """`said`: state -> words. The first row is the run itself; a square leads to it, or to the log of the step."""
    height = HEAD + PITCH * (len(steps) + 1) + 8
    used = sorted({column.state for column in columns} | {state for column in columns for state in column.steps.values()})
    newest = len(columns) - 1
    out = ["".join(svg.tag("symbol", svg.sign(state, 0, 0, CELL), id=f"q-{state}") for state in used)]
    for x, column in enumerate(columns):
        if (len(columns) - 1 - x) % 7 == 0:
            out.append(svg.text(column.label[5:] if column.label[:2] == "20" else column.label, x * PITCH + CELL, 12, class_="quiet small", text_anchor="middle"))
            out.append(svg.tag("line", x1=x * PITCH + CELL // 2, x2=x * PITCH + CELL // 2, y1=16, y2=24, class_="rule"))
        out.append(_square(x, 0, f"{root}/r/{column.id}", column.state, f"{column.label} {said[column.state]}", x == newest))
        out += [_square(x, y, f"{root}/r/{column.id}/{y - 1}", column.steps[step], f"{column.label} {step} {said[column.steps[step]]}")
                for y, step in enumerate(steps, 1) if step in column.steps]
    return svg.picture(max(len(columns), 1) * PITCH + CELL, height, label, *out)


def _square(x: int, y: int, address: str, state: str, words: str, first: bool = False) -> str:
    """`first`: the one that Tab comes to; the arrows lead on from there."""
    top = HEAD + PITCH * y + (5 if y else 0)
    skip = "" if first else ' tabindex="-1"'
    return f'<a href="{svg.escape(address)}" data-x="{x}" data-y="{y}"{skip}>{svg.title(words)}<use href="#q-{state}" x="{x * PITCH}" y="{top}"/></a>'


def legend(states: Sequence[str], said: Mapping[str, str]) -> List[Mapping[str, str]]:
    """What the squares mean."""
    return [{"state": state, "sign": STATE_SIGNS.get(state, " "), "words": said[state]} for state in states]
