"""What one attempt of a step printed: the end of it, or on from a place, as lines."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from runner import logtail, model

MOST_BYTES = 256 * 1024  # of one answer


def removed(attempt: model.Attempt) -> bool:
    """Whether its folder was taken away, by `runner clean` or by hand; a running attempt may not have made it yet."""
    return attempt.state in model.ATTEMPT_TERMINAL and not os.path.exists(attempt.folder)


def tail(path: str, count: Optional[int]) -> logtail.Tail:
    """Where the last lines begin; None: all of it."""
    if count is None:
        return logtail.Tail(0, logtail.size_of(path), False)
    return logtail.find_tail(path, count)


def part(attempt: model.Attempt, lines: Optional[int], offset: Optional[int] = None, most: int = MOST_BYTES) -> Dict[str, Any]:
    """Its last `lines` lines; from `offset` on, when one is given. `next` is where to read on.

    Of an attempt that goes on only whole lines are given, as the last one may still be written.
    """
    path, over = os.path.join(attempt.folder, "log"), attempt.state in model.ATTEMPT_TERMINAL
    size = logtail.size_of(path)
    begin = min(offset, size) if offset is not None else logtail.find_tail(path, lines or 0, limit=most, end=size).offset
    data = logtail.read_at(path, begin, min(most, size - begin))
    whole = len(data) if over and begin + len(data) >= size else data.rfind(b"\n") + 1
    if not whole and len(data) >= most:
        whole = len(data)  # a line without an end is given in pieces
    texts = data[:whole].split(b"\n")
    if texts and not texts[-1]:
        texts.pop()
    return {
        "step": attempt.step, "attempt": attempt.number, "state": attempt.state, "path": logtail.place_of(path), "size": size, "offset": begin,
        "next": begin + whole, "over": over and begin + whole >= size, "removed": removed(attempt), "lines": [logtail.decode(text) for text in texts],
    }
