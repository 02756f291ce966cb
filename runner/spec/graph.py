"""Who needs whom: circles, and the steps above a step. Nothing here recurses or grows with the square of a file."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Set


class Above(AbstractSet):
    """The steps above one, worked out when somebody asks: a file of 10,000 steps asks for few, and mostly for the nearest."""

    def __init__(self, needs: Mapping[str, Sequence[str]], step: str):
        self._needs, self._step = needs, step
        self._all: Optional[Set[str]] = None

    def _walk(self) -> Iterator[str]:
        """Each once, the nearest first."""
        seen: Set[str] = set()
        level = list(self._needs.get(self._step, ()))
        while level:
            deeper: List[str] = []
            for name in level:
                if name not in seen:
                    seen.add(name)
                    yield name
                    deeper.extend(self._needs.get(name, ()))
            level = deeper

    def __contains__(self, name: object) -> bool:
        return any(name == each for each in self._walk()) if self._all is None else name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> Set[str]:
        if self._all is None:
            self._all = set(self._walk())
        return self._all


class Graph:
    """Step -> the steps it needs, all of them known."""

    def __init__(self, needs: Mapping[str, Sequence[str]]):
        self._needs = needs

    def above(self, step: str) -> Above:
        return Above(self._needs, step)

    def circles(self) -> List[List[str]]:
        """Each circle once, from its first step in the file."""
        state: Dict[str, int] = {}  # 1: on the path, 2: done
        out: List[List[str]] = []
        for root in self._needs:
            if root in state:
                continue
            path: List[str] = [root]
            trail: List[Iterator[str]] = [iter(self._needs[root])]
            state[root] = 1
            while trail:
                for need in trail[-1]:
                    if state.get(need) == 1:
                        out.append(path[path.index(need):])
                    elif need not in state and need in self._needs:
                        state[need] = 1
                        path.append(need)
                        trail.append(iter(self._needs[need]))
                        break
                else:
                    state[path.pop()] = 2
                    trail.pop()
        return out
