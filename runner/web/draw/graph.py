"""Steps and what they need, from left to right.

A step stands in the column of its longest way from a beginning; a line over several columns gets a place in each, so that it
runs between the boxes; within a column the order is that of the neighbours' middle (barycentre), back and forth a few times.
"""

from __future__ import annotations

from typing import AbstractSet, Dict, List, Mapping, NamedTuple, Sequence, Tuple, Union

from runner.web.draw import svg

WIDTH, HEIGHT, ACROSS, BETWEEN, THIN, EDGE = 168.0, 34.0, 56.0, 14.0, 12.0, 6.0
SWEEPS = 6
MOST = 300  # boxes; more is no picture


class Node(NamedTuple):
    id: str
    needs: Sequence[str]
    state: str = "none"
    words: str = ""  # shown when the pointer rests on it
    under: str = ""  # small, in the box
    address: str = ""


Place = Union[str, Tuple[str, str, int]]  # a step, or where the line (from, to) crosses a column


def columns(needs: Mapping[str, Sequence[str]]) -> List[List[Place]]:
    """The places of each column from top to bottom. What `needs` names and does not hold is left aside."""
    depth = _depths(needs)
    out: List[List[Place]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    before: Dict[Place, List[Place]] = {}
    after: Dict[Place, List[Place]] = {}
    for step in needs:
        out[depth[step]].append(step)
    for step, wanted in needs.items():
        for need in wanted:
            if need in depth:
                at: Place = need
                for column in range(depth[need] + 1, depth[step]):
                    place = (need, step, column)
                    out[column].append(place)
                    _tie(before, after, at, place)
                    at = place
                _tie(before, after, at, step)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in out[1:] if forward else reversed(out[:-1]):
            row = _rows(out)
            near = before if forward else after
            own = {place: i for i, place in enumerate(column)}
            column.sort(key=lambda place: _middle([row[each] for each in near.get(place, ())], own[place]))
    return out


def _tie(before, after, first: Place, second: Place) -> None:
    before.setdefault(second, []).append(first)
    after.setdefault(first, []).append(second)


def _rows(out: List[List[Place]]) -> Dict[Place, float]:
    """How far down each place stands, columns centred on each other."""
    return {place: i - len(column) / 2 for column in out for i, place in enumerate(column)}


def _middle(rows: List[float], else_: float) -> float:
    return sum(rows) / len(rows) if rows else else_


def _depths(needs: Mapping[str, Sequence[str]]) -> Dict[str, int]:
    """Longest way from a beginning; without recursion, and without end for a circle that no check has seen."""
    left = {step: sum(need in needs for need in wanted) for step, wanted in needs.items()}
    behind: Dict[str, List[str]] = {}
    for step, wanted in needs.items():
        for need in wanted:
            behind.setdefault(need, []).append(step)
    depth, ready = dict.fromkeys(needs, 0), [step for step, count in left.items() if not count]
    while ready:
        step = ready.pop()
        for follower in behind.get(step, ()):
            depth[follower] = max(depth[follower], depth[step] + 1)
            left[follower] -= 1
            if not left[follower]:
                ready.append(follower)
    return depth


def graph(nodes: Sequence[Node], label: str = "", lit: AbstractSet[str] = frozenset()) -> str:
    """The picture. `lit`: the steps that made the run as long as it is."""
    found = columns({node.id: [need for need in node.needs if need != node.id] for node in nodes})
    tall = [sum(HEIGHT + BETWEEN if isinstance(place, str) else THIN for place in column) for column in found]
    height = max(tall, default=0.0) + EDGE
    spot: Dict[Place, Tuple[float, float]] = {}  # left edge and middle
    for number, column in enumerate(found):
        y = (height - tall[number]) / 2
        for place in column:
            room = HEIGHT + BETWEEN if isinstance(place, str) else THIN
            spot[place] = (EDGE + number * (WIDTH + ACROSS), y + room / 2)
            y += room
    depth = {place: number for number, column in enumerate(found) for place in column}
    out = [_edge(need, node.id, spot, depth, need in lit and node.id in lit) for node in nodes for need in node.needs if need in spot and need != node.id]
    out += [_box(node, *spot[node.id], node.id in lit) for node in nodes]
    return svg.picture(2 * EDGE + max(len(found), 1) * (WIDTH + ACROSS) - ACROSS, height + EDGE, label, *out)


def _edge(first: str, last: str, spot, depth, lit: bool) -> str:
    places = [first, *((first, last, column) for column in range(depth[first] + 1, depth[last])), last]
    x, y = spot[first][0] + WIDTH, spot[first][1]
    path = [f"M{x:.0f} {y:.1f}"]
    for place in places[1:]:
        left, middle = spot[place]
        bend = (left - x) / 2
        path.append(f"C{x + bend:.0f} {y:.1f} {left - bend:.0f} {middle:.1f} {left:.0f} {middle:.1f}")
        x, y = left, middle
        if not isinstance(place, str):
            x += WIDTH
            path.append(f"H{x:.0f}")
    return svg.tag("path", d="".join(path), class_="edge way" if lit else "edge")


def _box(node: Node, x: float, middle: float, lit: bool) -> str:
    y = middle - HEIGHT / 2
    inside = [
        svg.title(node.words or node.id), svg.tag("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=6, class_="node way" if lit else "node"), svg.sign(node.state, x + 8, y + 9),
        svg.text(svg.cut(node.id, 20), x + 30, y + (15 if node.under else 21)),
    ]
    if node.under:
        inside.append(svg.text(svg.cut(node.under, 20), x + 30, y + 28, class_="quiet small"))
    return svg.tag("g", svg.link(node.address, *inside) if node.address else "".join(inside), class_=f"s-{node.state}", data_step=node.id)
