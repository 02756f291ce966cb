"""The items of a step with `foreach`: pure, from what its expression gave."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any, List

from runner.durations import parse_duration
from runner.errors import UsageError

_DAY = 86400


def items_of(found: Any, most: int) -> List[Any]:
    """A list as it is, a mapping as {key, value} items, a text as a JSON list, or one item a line, or with commas between.

    Raises UsageError for anything else, and for more items than `most`.
    """
    if isinstance(found, str):
        found = _of_text(found.strip())
    elif isinstance(found, dict):
        found = [{"key": key, "value": value} for key, value in found.items()]
    if isinstance(found, (set, frozenset)) or not isinstance(found, (list, tuple, range)):
        raise UsageError(f"foreach: a list is needed, this is {found!r}"[:200], 'write foreach: [a, b], or hand on JSON: echo \'{"files": ["a", "b"]}\'')
    if len(found) > most:
        raise UsageError(f"foreach: {len(found)} items, and {most} is the most", "let one step work on several of them")
    return json.loads(json.dumps(list(found), default=str))  # as the database will have them


def _of_text(text: str) -> Any:
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            raise UsageError(f"foreach: {text[:80]!r} begins like a JSON list and is none", "quotes are \" in JSON") from None
    return [part.strip() for part in (text.splitlines() if "\n" in text else text.split(",")) if part.strip()]


def dates(first: str, last: str, every: str) -> List[str]:
    """The days from one to another, both included, as 2026-02-28. Raises UsageError."""
    try:
        begin, end, step = date.fromisoformat(first.strip()), date.fromisoformat(last.strip()), parse_duration(every)
    except ValueError as error:
        raise UsageError(f"foreach: {error}", "from: and to: are days such as << month_start_ds >> or 2026-02-28, every: is 1d or 7d") from None
    if step < _DAY or step % _DAY:
        raise UsageError(f"foreach: every: {every} is no number of whole days", "write every: 1d or every: 7d")
    return [(begin + timedelta(days=n)).isoformat() for n in range(0, (end - begin).days + 1, int(step // _DAY))]
